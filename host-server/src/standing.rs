//! Whether a token, and a session that rests on it, still counts.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use base64ct::{Base64UrlUnpadded, Encoding};
use moorline_core::token::{Claims, TOKEN_ID_LEN};
use serde::{Deserialize, Serialize};

use crate::clock;
use crate::store::{Registry, Revocations};

/// What is enrolled and what is revoked.
#[derive(Debug, Clone)]
pub(crate) struct Standing {
    registry: Arc<RwLock<Registry>>,
    revocations: Arc<Mutex<Revocations>>,
}

impl Standing {
    /// Returns what tokens are held against.
    pub(crate) fn new(registry: Registry, revocations: Revocations) -> Self {
        Self {
            registry: Arc::new(RwLock::new(registry)),
            revocations: Arc::new(Mutex::new(revocations)),
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

    /// Returns whether a token of this name is revoked, or its subject shut out.
    pub(crate) fn is_revoked(&self, token: &TokenName) -> bool {
        let now = clock::now().unix.secs();
        let is_shut_out = {
            let registry = self.registry();
            let peer = registry.find(&token.subject);
            peer.is_none_or(|peer| peer.revoked || token.generation < peer.generation)
        };
        is_shut_out || self.revocations().covers(token, now)
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
