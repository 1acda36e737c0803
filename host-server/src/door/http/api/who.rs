//! By what somebody asks: a token and its proof, an API key, or a cookie.

use hyper::header::{AUTHORIZATION, COOKIE, HOST, HeaderMap, HeaderName};
use hyper::{Method, Request, StatusCode};
use moorline_core::token::{Candidate, Claims, MAX_UNPACKED_LEN, Policy, UnpackedToken};

use super::super::fields::single;
use super::{Asked, Problem};
use crate::accounts::cookie::{self, Cookie};
use crate::accounts::{ApiKeySecret, Proof};
use crate::clock;
use crate::shared::Shared;
use crate::standing::TokenName;
use crate::store::{Login, Reused};

/// The proof of a token's key (RFC 9449 §4.1).
const DPOP: HeaderName = HeaderName::from_static("dpop");

/// The word that comes with a cookie.
const CSRF: HeaderName = HeaderName::from_static("x-csrf-token");

const NO_PROOF: &str = "a token comes with one proof, in DPoP";

/// Who asks, proved.
#[derive(Debug)]
pub(super) struct Who {
    pub(super) account: String,
    /// The login that it asks by; none is there for an API key, or for the key that the commander is enrolled with.
    pub(super) login: Option<Login>,
    /// The token's, where there is one.
    pub(super) claims: Option<Claims>,
}

/// What a request shows.
enum Shown {
    Token(String),
    ApiKey(ApiKeySecret),
    Cookie(Cookie),
}

/// Returns who asks. What is wrong is on record, and counted against its address.
pub(super) fn who<B>(request: &Request<B>, body: &[u8], asked: &Asked<'_>) -> Result<Who, Problem> {
    let known = match shown(request.headers())? {
        None => {
            return Err(Problem::unauthorized(
                "say who asks: a token, an API key or a cookie",
            ));
        }
        Some(Shown::Token(token)) => by_token(request, &token, body, asked),
        Some(Shown::ApiKey(key)) => by_api_key(&key, asked),
        Some(Shown::Cookie(cookie)) => by_cookie(request, &cookie, asked),
    };
    known.inspect_err(|problem| {
        if problem.status() == StatusCode::UNAUTHORIZED {
            asked.note_refused(None, "credential");
        }
    })
}

/// By what somebody logs in beside a challenge.
pub(super) enum Opener {
    /// An API key.
    ApiKey(ApiKeySecret),
    /// The token of another issuer, and the proof of its key.
    Token(String, String),
}

/// Returns by what a request wants to log in, if not by a challenge.
pub(super) fn opener(headers: &HeaderMap, asked: &Asked<'_>) -> Result<Option<Opener>, Problem> {
    match shown(headers)? {
        Some(Shown::ApiKey(key)) => {
            asked.check_private()?;
            Ok(Some(Opener::ApiKey(key)))
        }
        Some(Shown::Token(token)) => {
            let proof = single(headers, &DPOP);
            let proof = proof.ok_or_else(|| Problem::unauthorized(NO_PROOF))?;
            Ok(Some(Opener::Token(token, proof.into())))
        }
        Some(Shown::Cookie(_)) | None => Ok(None),
    }
}

/// Returns whether `headers` have the cookie of somebody who is logged in.
pub(super) fn is_logged_in(headers: &HeaderMap, shared: &Shared) -> bool {
    let cookie = cookie_value(headers).ok().flatten();
    let Some(cookie) = cookie.and_then(|value| Cookie::parse(&value)) else {
        return false;
    };
    let now = clock::now().unix.secs();
    let logins = shared.logins();
    logins.by_cookie(&cookie.id, &cookie.secret, now).is_some()
}

fn shown(headers: &HeaderMap) -> Result<Option<Shown>, Problem> {
    let cookie = cookie_value(headers)?;
    if !headers.contains_key(AUTHORIZATION) {
        let cookie = cookie.map(|value| {
            Cookie::parse(&value)
                .map(Shown::Cookie)
                .ok_or_else(|| Problem::unauthorized("the cookie is not the hub's"))
        });
        return cookie.transpose();
    }
    let authorization = single(headers, &AUTHORIZATION);
    let (scheme, shown) = authorization
        .and_then(|line| line.split_once(' '))
        .ok_or_else(|| {
            Problem::bad("one authorization is expected: a scheme, and what it shows")
        })?;
    if cookie.is_some() {
        return Err(Problem::bad("a cookie or an authorization, not both"));
    }
    if scheme.eq_ignore_ascii_case("dpop") {
        return Ok(Some(Shown::Token(shown.into())));
    }
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(Problem::unauthorized("the schemes are DPoP and Bearer"));
    }
    match ApiKeySecret::parse(shown) {
        Some(key) => Ok(Some(Shown::ApiKey(key))),
        None => Err(Problem::unauthorized(
            "what a Bearer shows is an API key; a token comes with DPoP and its proof",
        )),
    }
}

/// Returns the value of the hub's cookie, if there is one.
fn cookie_value(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut found = None;
    for line in headers.get_all(COOKIE) {
        let line = line
            .to_str()
            .map_err(|_| Problem::bad("a cookie is no text"))?;
        for pair in line.split(';') {
            let Some((name, value)) = pair.trim().split_once('=') else {
                continue;
            };
            if name == cookie::NAME && found.replace(value.to_owned()).is_some() {
                return Err(Problem::bad("the cookie is there twice"));
            }
        }
    }
    Ok(found)
}

fn by_token<B>(
    request: &Request<B>,
    token: &str,
    body: &[u8],
    asked: &Asked<'_>,
) -> Result<Who, Problem> {
    let refused = || Problem::unauthorized("the token is not good here");
    let (shared, now) = (asked.shared, clock::now());
    let proof = single(request.headers(), &DPOP).ok_or_else(|| Problem::unauthorized(NO_PROOF))?;
    let mut buffer = [0; MAX_UNPACKED_LEN];
    let unpacked = UnpackedToken::from_compact(token.as_bytes(), &mut buffer);
    let unpacked = unpacked.map_err(|_| refused())?;
    let keys = shared.keys();
    let policy = Policy::link(&shared.name, now.unix);
    let candidate = Candidate::check(&unpacked, &keys.anchors, &policy).map_err(|_| refused())?;
    if !shared.standing.admits(candidate.claims(), None) {
        return Err(refused());
    }
    let claims = candidate.claims().clone();
    let wanted = Proof {
        method: request.method().as_str(),
        authority: single(request.headers(), &HOST).unwrap_or_default(),
        path: request.uri().path(),
        token,
        key: &claims.key,
        body,
    };
    let seconds = now.unix.secs();
    let (name, until) = wanted
        .check(proof, seconds)
        .map_err(|error| Problem::unauthorized(error.to_string()))?;
    // The issuer's signature is looked at last: it costs the most, and nothing is noted before.
    candidate.verify_signature().map_err(|_| refused())?;
    let account = claims.subject.as_str().to_owned();
    let mut logins = shared.logins();
    let login = logins.of_token(&TokenName::of(&claims), false, seconds);
    // The key that a commander is enrolled with asks without a login, and could replay: it logs in first.
    let login = login.cloned().ok_or_else(|| {
        Problem::unauthorized("a token of a login is expected: log in with another key")
    })?;
    logins
        .take_proof(&login.id, name, until, seconds)
        .map_err(|reused| match reused {
            Reused::Known => Problem::unauthorized("the proof was shown before"),
            Reused::TooMany => {
                Problem::new(StatusCode::TOO_MANY_REQUESTS, "too many proofs in a minute")
            }
        })?;
    logins.touch(&login.id, seconds);
    Ok(Who {
        account,
        login: Some(login),
        claims: Some(claims),
    })
}

fn by_api_key(key: &ApiKeySecret, asked: &Asked<'_>) -> Result<Who, Problem> {
    asked.check_private()?;
    let now = clock::now().unix.secs();
    let account = {
        let accounts = asked.shared.accounts();
        let holder = accounts.holder(key, now).map(|(name, _)| name.to_owned());
        holder.ok_or_else(|| Problem::unauthorized("the API key is not good here"))?
    };
    if asked.shared.registry().is_shut_out(&account) {
        return Err(Problem::unauthorized("the API key is not good here"));
    }
    Ok(Who {
        account,
        login: None,
        claims: None,
    })
}

fn by_cookie<B>(request: &Request<B>, cookie: &Cookie, asked: &Asked<'_>) -> Result<Who, Problem> {
    asked.check_private()?;
    let refused = || Problem::unauthorized("the cookie is not good here");
    let now = clock::now().unix.secs();
    let login = {
        let mut logins = asked.shared.logins();
        let login = logins.by_cookie(&cookie.id, &cookie.secret, now);
        let login = login.cloned().ok_or_else(refused)?;
        logins.touch(&login.id, now);
        login
    };
    if asked.shared.registry().is_shut_out(&login.account) {
        return Err(refused());
    }
    let changes = ![Method::GET, Method::HEAD].contains(request.method());
    let word = single(request.headers(), &CSRF).unwrap_or_default();
    if changes && !cookie.has_word(word) {
        let text = "a change by a cookie comes with X-CSRF-Token, as the login gave it";
        return Err(Problem::new(StatusCode::FORBIDDEN, text));
    }
    Ok(Who {
        account: login.account.clone(),
        login: Some(login),
        claims: None,
    })
}
