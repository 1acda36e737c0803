//! Issuers that are not this hub, and what their tokens may carry at most.
//!
//! Their tokens admit nobody: each is judged here, and what comes of it is for whoever exchanges it for a token of the hub's
//! own. The `iss` that a token names says which keys are tried, and those are that issuer's alone: no key of one issuer can
//! vouch for another, whatever kid it has.

mod jwks;
#[cfg(test)]
pub(crate) mod tests;

pub(crate) use jwks::KeySet;
pub use jwks::KeySetError;
use moorline_core::crypto::PublicKey;
use moorline_core::time::UnixMillis;
use moorline_core::token::{
    Candidate, MAX_UNPACKED_LEN, Permissions, Policy, Role, TokenReason, TrustAnchors,
    UnpackedToken, UnverifiedClaims,
};

use crate::config::OutsideIssuer;

/// The issuers outside, as they are at one moment.
#[derive(Debug, Default)]
pub(crate) struct Outside(Vec<Issuer>);

/// One of them.
#[derive(Debug)]
struct Issuer {
    name: String,
    /// Its own keys, and no other's.
    anchors: TrustAnchors,
    permissions: Permissions,
}

/// Whom an outside issuer vouches for, and what of its word counts here.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Judged {
    /// The issuer's name.
    pub(crate) issuer: String,
    /// The holder's name with that issuer: another's of the same name is somebody else.
    pub(crate) subject: String,
    /// The holder's key, of which nothing is proved here.
    pub(crate) key: PublicKey,
    /// What the token permits, as far as the issuer may permit it.
    pub(crate) permissions: Permissions,
}

/// Why a token of outside counts for nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Why {
    /// It is no token, not for this hub or this moment, or not its issuer's.
    #[error("{0:?}")]
    Token(TokenReason),
    /// No issuer of this name is known.
    #[error("the issuer is not known")]
    IssuerUnknown,
}

impl From<TokenReason> for Why {
    fn from(reason: TokenReason) -> Self {
        Self::Token(reason)
    }
}

impl Outside {
    /// Reads the keys of `issuers`.
    ///
    /// # Errors
    ///
    /// [`KeySetError`], for the first file that is not in order.
    pub(crate) fn open(issuers: &[OutsideIssuer]) -> Result<Self, KeySetError> {
        let read = issuers.iter().map(|settings| {
            let keys = KeySet::read(&settings.jwks)?;
            Ok(Issuer::new(settings, keys.anchors(&settings.name)))
        });
        read.collect::<Result<_, _>>().map(Self)
    }

    /// Reads the keys of `issuers` again. Where a file has gone bad, which the log says, the keys that were read before go on,
    /// under what the issuer may permit now; an issuer that has none is left out.
    #[must_use]
    pub(crate) fn read_again(&self, issuers: &[OutsideIssuer]) -> Self {
        let read = issuers.iter().filter_map(|settings| {
            let anchors = match KeySet::read(&settings.jwks) {
                Ok(keys) => keys.anchors(&settings.name),
                Err(error) => {
                    let name = &settings.name;
                    let known = self.find(name);
                    tracing::error!(name, %error, keeps = known.is_some(), "an outside issuer's keys are not read");
                    known?.anchors.clone()
                }
            };
            Some(Issuer::new(settings, anchors))
        });
        Self(read.collect())
    }

    /// Returns whether an issuer is called `name`.
    pub(crate) fn knows(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    fn find(&self, name: &str) -> Option<&Issuer> {
        self.0.iter().find(|issuer| issuer.name == name)
    }

    /// Judges `token`, in its compact form, at `now` for the hub called `hub`: it has to be a commander's access token in
    /// the profile of PROTOCOL.md §4, for this hub, signed by the issuer that it names.
    ///
    /// What the issuer may not permit is taken away. Which agents the token reaches counts for nothing: that is the matter of
    /// the account that logs in by it.
    ///
    /// # Errors
    ///
    /// [`Why`], for the first check that fails; the signature is the last.
    pub(crate) fn judge(&self, token: &str, hub: &str, now: UnixMillis) -> Result<Judged, Why> {
        let mut buffer = [0; MAX_UNPACKED_LEN];
        let token = UnpackedToken::from_compact(token.as_bytes(), &mut buffer)?;
        let named = UnverifiedClaims::decode(&token)?;
        let issuer = self.find(&named.claims_unverified().issuer);
        let issuer = issuer.ok_or(Why::IssuerUnknown)?;
        let policy = Policy::link(hub, now).only(Role::Commander);
        let candidate = Candidate::check(&token, &issuer.anchors, &policy)?;
        let verified = candidate.verify_signature()?;
        let claims = verified.claims();
        Ok(Judged {
            issuer: issuer.name.clone(),
            subject: claims.subject.as_str().into(),
            key: claims.key,
            permissions: claims.permissions.intersection(issuer.permissions),
        })
    }
}

impl Issuer {
    /// Returns the issuer of these settings, which are valid, with its keys.
    fn new(settings: &OutsideIssuer, anchors: TrustAnchors) -> Self {
        Self {
            name: settings.name.clone(),
            anchors,
            // What is not valid permits nothing.
            permissions: settings.ceiling().unwrap_or(Permissions::NONE),
        }
    }
}
