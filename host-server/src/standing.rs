//! Whether a token, and a session that rests on it, still counts.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use base64ct::{Base64UrlUnpadded, Encoding};
use moorline_core::crypto::PublicKey;
use moorline_core::token::{Claims, TOKEN_ID_LEN};
use serde::{Deserialize, Serialize};

use crate::clock;
use crate::store::{Logins, Registry, Revocations, decode_key};

/// What is enrolled and what is revoked.
#[derive(Debug, Clone)]
pub(crate) struct Standing {
    registry: Arc<RwLock<Registry>>,
    revocations: Arc<Mutex<Revocations>>,
    logins: Arc<Mutex<Logins>>,
}

impl Standing {
    /// Returns what tokens are held against.
    pub(crate) fn new(registry: Registry, revocations: Revocations, logins: Logins) -> Self {
        Self {
            registry: Arc::new(RwLock::new(registry)),
            revocations: Arc::new(Mutex::new(revocations)),
            logins: Arc::new(Mutex::new(logins)),
        }
    }

    /// Returns the registry, to be read for a moment.
    pub(crate) fn registry(&self) -> RwLockReadGuard<'_, Registry> {
        self.registry.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the registry, to be changed for a moment.
    pub(crate) fn registry_mut(&self) -> RwLockWriteGuard<'_, Registry> {
        self.registry
            .write()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the revocations, for a moment.
    pub(crate) fn revocations(&self) -> MutexGuard<'_, Revocations> {
        self.revocations
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns who is logged in, for a moment.
    pub(crate) fn logins(&self) -> MutexGuard<'_, Logins> {
        self.logins.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns whether who shows a token of these `claims` may come in: it is enrolled as they say, with their key or logged
    /// in with it, and the token is not revoked. `next_key` is good too: one that the hub has just made a token for.
    pub(crate) fn admits(&self, claims: &Claims, next_key: Option<&PublicKey>) -> bool {
        let now = clock::now().unix.secs();
        let (stands, has_key) = {
            let registry = self.registry();
            (registry.stands(claims), registry.has_key(claims))
        };
        let is_its_key = || has_key || next_key == Some(&claims.key);
        let is_logged_in = || {
            let logins = self.logins();
            logins
                .of_token(&TokenName::of(claims), false, now)
                .is_some()
        };
        stands
            && (is_its_key() || is_logged_in())
            && !self.revocations().covers(&TokenName::of(claims), now)
    }

    /// Returns whether a session on the token of this name is to end: the token is revoked, its subject shut out, or its key
    /// neither the subject's nor that of a login.
    pub(crate) fn is_revoked(&self, token: &TokenName) -> bool {
        let now = clock::now().unix.secs();
        let has_key = {
            let registry = self.registry();
            let Some(peer) = registry.find(&token.subject) else {
                return true;
            };
            if peer.revoked || token.generation < peer.generation {
                return true;
            }
            decode_key(&peer.key).is_some_and(|key| *key.hash().as_bytes() == token.key)
        };
        let is_logged_in = || {
            let logins = self.logins();
            logins.of_token(token, true, now).is_some()
        };
        !(has_key || is_logged_in()) || self.revocations().covers(token, now)
    }
}

/// What names a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TokenName {
    /// Its subject.
    pub(crate) subject: String,
    /// Its id.
    pub(crate) jti: [u8; TOKEN_ID_LEN],
    /// The hash of the holder's key.
    pub(crate) key: [u8; 32],
    /// The subject's generation.
    pub(crate) generation: u32,
    /// The name of the issuer's key.
    pub(crate) kid: String,
    /// Seconds since 1970 at which it was made.
    pub(crate) issued_at: u64,
}

impl TokenName {
    /// Returns the name of the token of these `claims`, for which somebody vouches.
    pub(crate) fn of(claims: &Claims) -> Self {
        Self {
            subject: claims.subject.as_str().into(),
            jti: claims.jti,
            key: *claims.key.hash().as_bytes(),
            generation: claims.generation,
            kid: claims.kid.as_str().into(),
            issued_at: claims.issued_at,
        }
    }

    /// Returns the token's id in base64url, as the token has it.
    pub(crate) fn id(&self) -> String {
        Base64UrlUnpadded::encode_string(&self.jti)
    }
}

/// Tokens that are revoked together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tokens {
    /// All that a peer has been given so far. It may come back by its key.
    OfPeer(String),
    /// The one with this `jti`, in base64url.
    WithId(String),
    /// All that name this key, the uncompressed point in base64url, which is refused for ever.
    ForKey(String),
    /// All that the issuer's key of this name has signed.
    SignedBy(String),
}
