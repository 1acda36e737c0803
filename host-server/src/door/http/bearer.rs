//! A token that is shown with the upgrade (RFC 6750 §2.1): an early filter, and nothing more.
//!
//! Who shows one that is not good comes no further, and costs what the first check costs that fails; the signature is the
//! last. Who shows a good one has proved nothing: a token is no secret, so who is there, and what it may do, is what
//! its handshake says alone, whatever was shown here.

use hyper::HeaderMap;
use hyper::header::AUTHORIZATION;
use moorline_core::reason::Reason;
use moorline_core::token::{Candidate, MAX_UNPACKED_LEN, Policy, TokenReason, UnpackedToken};

use super::super::Guest;
use super::answers::Refusal;
use super::api;
use crate::audit::Kind;
use crate::clock;
use crate::shared::Shared;

/// The scheme before a token, which is written in any letter case (RFC 9110 §11.1).
const SCHEME: &str = "bearer";

/// What is answered where a token is expected and there is none (RFC 6750 §3).
const EXPECTED: &str = "Bearer";

/// What is answered to every token that is not good, whatever is wrong with it.
const INVALID: &str = "Bearer error=\"invalid_token\"";

/// Judges the token among `headers` of `guest`, where there is one. `is_required` says whether there has to be.
///
/// # Errors
///
/// [`Refusal`], which says nothing of the reason. The reason is noted, and counts for the address of `guest` where no machine
/// has it that was away for long.
pub(super) fn judge(
    headers: &HeaderMap,
    is_required: bool,
    guest: &Guest,
    shared: &Shared,
) -> Result<(), Refusal> {
    let judged = match shown(headers) {
        // A browser cannot show one with an upgrade; its cookie says that it has logged in.
        Ok(None) if api::has_cookie(headers, shared) => return Ok(()),
        Ok(None) if is_required => {
            shared.budget.metrics().sent_away("no_bearer");
            return Err(Refusal::unauthorized("a token is expected\n", EXPECTED));
        }
        Ok(None) => return Ok(()),
        Ok(Some(token)) => check(token, shared),
        Err(reason) => Err(reason),
    };
    judged.map_err(|reason| {
        let (budget, caller) = (&shared.budget, &guest.caller);
        let why = format!("refused: the bearer: {reason:?}");
        shared.note_stranger(Kind::StrangerRefused, caller, &why);
        budget.metrics().sent_away("bearer");
        if is_failure(reason) {
            budget.count_failure(&guest.place, None, &caller.to_string());
        }
        Refusal::unauthorized("this token is not good here\n", INVALID)
    })
}

/// Returns the token that is shown, if one is; other schemes are not the hub's.
///
/// # Errors
///
/// There are two answers to who is asking, or one that is no text.
fn shown(headers: &HeaderMap) -> Result<Option<&str>, Reason> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let text = value.to_str().map_err(|_| Reason::Malformed)?;
    if values.next().is_some() {
        return Err(Reason::Malformed);
    }
    let (scheme, token) = text.split_once(' ').unwrap_or((text, ""));
    Ok(scheme.eq_ignore_ascii_case(SCHEME).then_some(token))
}

/// Checks `token` as the handshake does, in the order of PROTOCOL.md §2.
fn check(token: &str, shared: &Shared) -> Result<(), Reason> {
    let mut buffer = [0; MAX_UNPACKED_LEN];
    let token = UnpackedToken::from_compact(token.as_bytes(), &mut buffer)?;
    let policy = Policy::link(&shared.name, clock::now().unix);
    let candidate = Candidate::check(&token, &shared.keys().anchors, &policy)?;
    if !shared.standing.admits(candidate.claims(), None) {
        return Err(Reason::Revoked);
    }
    candidate.verify_signature()?;
    Ok(())
}

/// Returns whether `reason` counts as a failure to prove who one is: all that is no token of this hub's for now. What is
/// over, of a key that is gone, or revoked, is shown by machines that were away too, and times by those whose hub's clock
/// was set back.
fn is_failure(reason: Reason) -> bool {
    !matches!(
        reason,
        Reason::Revoked
            | Reason::Token(
                TokenReason::Expired
                    | TokenReason::KidUnknown
                    | TokenReason::IssuedInFuture
                    | TokenReason::NotYetValid
            )
    )
}

#[cfg(test)]
mod tests {
    use hyper::HeaderMap;
    use hyper::header::{AUTHORIZATION, HeaderValue};
    use moorline_core::reason::Reason;
    use moorline_core::token::TokenReason;

    use super::{is_failure, shown};

    fn headers(values: &[&'static str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn one_token_is_taken_and_two_are_refused() {
        assert_eq!(shown(&headers(&[])), Ok(None));
        for value in ["Bearer a.b.c", "bearer a.b.c", "BEARER a.b.c"] {
            assert_eq!(shown(&headers(&[value])), Ok(Some("a.b.c")));
        }
        // What stands there is judged as it stands there.
        for (value, token) in [("Bearer", ""), ("Bearer  a", " a"), ("Bearer a, b", "a, b")] {
            assert_eq!(shown(&headers(&[value])), Ok(Some(token)));
        }
        assert_eq!(shown(&headers(&["Basic YTpi"])), Ok(None));
        for values in [["Bearer a", "Bearer a"], ["Basic YTpi", "Bearer a"]] {
            assert_eq!(shown(&headers(&values)), Err(Reason::Malformed));
        }
    }

    #[test]
    fn what_an_honest_machine_shows_that_was_away_is_no_failure() {
        for reason in [
            Reason::Revoked,
            Reason::Token(TokenReason::Expired),
            Reason::Token(TokenReason::KidUnknown),
            Reason::Token(TokenReason::NotYetValid),
        ] {
            assert!(!is_failure(reason), "{reason:?}");
        }
        for reason in [
            Reason::Malformed,
            Reason::Token(TokenReason::SignatureInvalid),
            Reason::Token(TokenReason::PartCount),
            Reason::Token(TokenReason::AudienceMismatch),
        ] {
            assert!(is_failure(reason), "{reason:?}");
        }
    }
}
