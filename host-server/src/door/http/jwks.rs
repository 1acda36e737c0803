//! The issuer's public keys, for whoever verifies its tokens (RFC 7517).

use base64ct::{Base64UrlUnpadded, Encoding};
use moorline_core::crypto::PublicKey;
use moorline_core::token::TrustAnchor;
use serde::Serialize;

use crate::store::Issuers;

/// Seconds for which the set may be kept at most: the root can end all keys at any time.
const MAX_AGE: u64 = 300;

#[derive(Debug, Serialize)]
struct KeySet {
    keys: Vec<Key>,
}

/// A key on P-256 (RFC 7518 §6.2.1).
#[derive(Debug, Serialize)]
struct Key {
    kty: &'static str,
    crv: &'static str,
    x: String,
    y: String,
    kid: String,
    alg: &'static str,
    #[serde(rename = "use")]
    purpose: &'static str,
}

impl Key {
    fn of(issuer: &str, key: PublicKey) -> Option<Self> {
        // The uncompressed point: its mark, x and y.
        let point = key.to_bytes();
        let (x, y) = point.get(1..)?.split_at_checked(32)?;
        Some(Self {
            kty: "EC",
            crv: "P-256",
            x: Base64UrlUnpadded::encode_string(x),
            y: Base64UrlUnpadded::encode_string(y),
            kid: TrustAnchor::following(issuer, key).ok()?.kid().into(),
            alg: "ES256",
            purpose: "sig",
        })
    }
}

/// Returns the keys of `issuer` that count at `now`, in seconds since 1970, as a JSON Web Key set: the one that signs, the
/// next one, and those that have signed and whose tokens may still be good.
pub(super) fn key_set(issuer: &str, issuers: &Issuers, now: u64) -> Vec<u8> {
    let retired = issuers.retired.iter().filter(|retired| retired.until > now);
    let keys = [*issuers.current.public_key(), issuers.next]
        .into_iter()
        .chain(retired.map(|retired| retired.key))
        .filter_map(|key| Key::of(issuer, key))
        .collect();
    serde_json::to_vec(&KeySet { keys }).unwrap_or_default()
}

/// Returns for how many seconds the set may be kept, when a key signs for `issuer_seconds`, or for ever if that is 0: until
/// the next rotation, and never for longer than five minutes.
pub(super) fn max_age(issuers: &Issuers, issuer_seconds: u64, now: u64) -> u64 {
    if issuer_seconds == 0 {
        return MAX_AGE;
    }
    let next = issuers.since.saturating_add(issuer_seconds);
    next.saturating_sub(now).min(MAX_AGE)
}

#[cfg(test)]
mod tests {
    use super::{MAX_AGE, max_age};
    use crate::store::{Issuers, Vault};

    #[test]
    fn the_set_is_kept_until_the_next_rotation_and_five_minutes_at_most() {
        let folder = tempfile::tempdir().expect("a folder");
        let keys = crate::store::HubKeys::open(folder.path(), "hub", &Vault::default(), 1_000);
        let issuers: Issuers = keys.expect("keys").issuers;
        for (seconds, now, expected) in [
            (0, 1_000_000, MAX_AGE),
            (3_600, 1_000, MAX_AGE),
            (3_600, 4_301, 299),
            (3_600, 4_600, 0),
            (3_600, 9_999, 0),
        ] {
            assert_eq!(max_age(&issuers, seconds, now), expected, "{seconds} {now}");
        }
    }
}
