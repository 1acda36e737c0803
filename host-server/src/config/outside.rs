//! `[[outside]]` of the configuration: other issuers, and the most that their tokens may carry.

use std::path::PathBuf;

use moorline_core::token::{MAX_ISSUER_LEN, Permissions};
use serde::{Deserialize, Serialize};

use super::ConfigError;
use super::error::require;
use crate::outside::KeySet;

/// Most issuers: each of their files is read at once.
const MAX_ISSUERS: usize = 16;

/// An issuer that is not this hub, and the most that its tokens may carry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutsideIssuer {
    /// The `iss` of its tokens.
    pub name: String,
    /// The file with its public keys, a JSON Web Key set (RFC 7517 §5).
    pub jwks: PathBuf,
    /// The most that its tokens may permit: names and patterns.
    #[serde(default)]
    pub permissions: Vec<String>,
}

impl OutsideIssuer {
    /// Returns the most that tokens may permit; nothing when one of the patterns covers nothing.
    pub(crate) fn ceiling(&self) -> Option<Permissions> {
        let mut patterns = self.permissions.iter();
        patterns.try_fold(Permissions::NONE, |all, pattern| {
            Some(all.union(Permissions::from_pattern(pattern)?))
        })
    }
}

/// Returns what is wrong with `issuers` of the hub called `hub`, their files included.
pub(super) fn mistakes(issuers: &[OutsideIssuer], hub: &str) -> Vec<ConfigError> {
    let few = require(
        "outside",
        issuers.len() <= MAX_ISSUERS,
        "must be 16 at most",
    );
    let mut mistakes: Vec<ConfigError> = few.err().into_iter().collect();
    let mut sets: Vec<KeySet> = Vec::new();
    for (at, issuer) in issuers.iter().enumerate() {
        let named = |reason: &str| format!("`{}`: {reason}", issuer.name);
        let is_repeated = issuers
            .iter()
            .take(at)
            .any(|other| other.name == issuer.name);
        let is_printable = issuer.name.bytes().all(|byte| byte.is_ascii_graphic());
        let fits = (1..=MAX_ISSUER_LEN).contains(&issuer.name.len()) && is_printable;
        let checks = [
            require(
                "outside.name",
                fits,
                &named("must be 1 to 64 printable characters of ASCII without blanks"),
            ),
            require(
                "outside.name",
                issuer.name != hub,
                &named("is this hub, whose tokens are its own"),
            ),
            require("outside.name", !is_repeated, &named("stands here twice")),
            require(
                "outside.permissions",
                issuer.ceiling().is_some(),
                &named("has a pattern that covers no permission"),
            ),
        ];
        mistakes.extend(checks.into_iter().filter_map(Result::err));
        match KeySet::read(&issuer.jwks) {
            Ok(set) if sets.iter().any(|other| other.shares_a_key_with(&set)) => {
                let reason = named("has a key of another issuer; a key signs for one");
                mistakes.extend(require("outside.jwks", false, &reason).err());
            }
            Ok(set) => sets.push(set),
            Err(error) => {
                let reason = named(&error.to_string());
                mistakes.extend(require("outside.jwks", false, &reason).err());
            }
        }
    }
    mistakes
}
