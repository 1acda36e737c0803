//! Who a commander is: a folder with its private key and its credential.

use std::path::{Path, PathBuf};

use moorline_core::crypto::{Secret, SigningKey};
use moorline_core::handshake::Ticket;
use moorline_core::token::{
    AgentId, MAX_COMPACT_LEN, MAX_UNPACKED_LEN, TokenReason, TrustAnchor, TrustAnchors,
    UnpackedToken, UnverifiedClaims,
};
use moorline_core::trust::{IssuerKeys, TrustStore};
use zeroize::Zeroizing;

use super::issuers_file::IssuersFile;
use super::{Ledger, TrustFile};
use crate::admin::Credential;
use crate::store::{
    KeyFileError, StoreError, create_key, decode_key, load_key, make_private_dir, replace,
};

/// The files of a profile.
pub(super) const KEY_NAME: &str = "key";
pub(super) const CREDENTIAL_NAME: &str = "credential.json";
const TICKETS_NAME: &str = "tickets";
const LEDGER_NAME: &str = "offline";
const TRUST_NAME: &str = "trust";
const ISSUERS_NAME: &str = "issuers";
const NEWCOMERS_TRUST_NAME: &str = "trust-of-newcomer";

/// A folder that holds who a commander is.
#[derive(Debug, Clone)]
pub struct Profile {
    folder: PathBuf,
    /// Where the hub is, in place of what the credential says.
    hub: Option<String>,
}

/// Why a profile cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// There is no key.
    #[error("{0}: there is no key; type `moorline keygen`")]
    NoKey(PathBuf),
    /// There is no credential.
    #[error("{0}: not enrolled; on the hub's machine type `moorline enroll commander NAME …`")]
    NoCredential(PathBuf),
    /// The credential is damaged.
    #[error("{path}: not a credential: {reason}")]
    BadCredential {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The token in the credential is damaged.
    #[error("the token is damaged: {0:?}")]
    BadToken(TokenReason),
    /// The keys that are taken for the hub's are damaged.
    #[error(
        "{0}: not a list of the hub's keys; enrol again, or remove it if the hub's key was never revoked"
    )]
    BadTrust(PathBuf),
    /// The key failed.
    #[error(transparent)]
    Key(#[from] KeyFileError),
    /// A file failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Profile {
    /// Returns the profile in `folder`, which need not exist yet.
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        Self {
            folder: folder.into(),
            hub: None,
        }
    }

    /// Returns the profile with its hub at `url`, for as long as this process lives. The hub's key stays the pinned one.
    #[must_use]
    pub fn with_hub(self, url: Option<String>) -> Self {
        Self { hub: url, ..self }
    }

    /// Returns where the hub of `credential` is.
    #[must_use]
    pub fn hub<'p>(&'p self, credential: &'p Credential) -> &'p str {
        self.hub.as_deref().unwrap_or(&credential.url)
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns where the private key is.
    #[must_use]
    pub fn key_path(&self) -> PathBuf {
        self.folder.join(KEY_NAME)
    }

    /// Makes the private key.
    ///
    /// # Errors
    ///
    /// [`ProfileError`]; a key that is there is never replaced.
    pub fn create_key(&self) -> Result<SigningKey, ProfileError> {
        make_private_dir(&self.folder)?;
        Ok(create_key(&self.key_path())?)
    }

    /// Reads the private key.
    ///
    /// # Errors
    ///
    /// [`ProfileError`].
    pub fn key(&self) -> Result<SigningKey, ProfileError> {
        let path = self.key_path();
        if path.exists() {
            Ok(load_key(&path)?)
        } else {
            Err(ProfileError::NoKey(path))
        }
    }

    /// Reads the credential.
    ///
    /// # Errors
    ///
    /// [`ProfileError`].
    pub fn credential(&self) -> Result<Credential, ProfileError> {
        let path = self.folder.join(CREDENTIAL_NAME);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(ProfileError::NoCredential(path));
            }
            Err(error) => return Err(StoreError::Io { path, error }.into()),
        };
        serde_json::from_slice(&bytes).map_err(|error| ProfileError::BadCredential {
            path,
            reason: error.to_string(),
        })
    }

    /// Writes the credential.
    ///
    /// # Errors
    ///
    /// [`ProfileError`].
    pub fn store(&self, credential: &Credential) -> Result<(), ProfileError> {
        make_private_dir(&self.folder)?;
        self.forget_tickets()?;
        let path = self.folder.join(CREDENTIAL_NAME);
        let bytes =
            serde_json::to_vec_pretty(credential).map_err(|error| ProfileError::BadCredential {
                path: path.clone(),
                reason: error.to_string(),
            })?;
        Ok(replace(&path, &bytes)?)
    }
}

impl Profile {
    /// Takes away what the last session with the hub, or with the agent `agent`, left. A ticket is used once: its file
    /// is gone when this returns.
    #[must_use]
    pub fn take_ticket(&self, agent: Option<AgentId>) -> Option<Ticket> {
        let path = self.ticket_path(agent);
        let bytes = Zeroizing::new(std::fs::read(&path).ok()?);
        std::fs::remove_file(&path).ok()?;
        let bytes = Secret::new(bytes.as_slice().try_into().ok()?);
        Ticket::from_bytes(&bytes).ok()
    }

    /// Keeps `ticket` for the next session with the hub, or with the agent `agent`.
    ///
    /// # Errors
    ///
    /// [`ProfileError`].
    pub fn store_ticket(
        &self,
        agent: Option<AgentId>,
        ticket: &Ticket,
    ) -> Result<(), ProfileError> {
        make_private_dir(&self.folder.join(TICKETS_NAME))?;
        Ok(replace(
            &self.ticket_path(agent),
            ticket.to_bytes().expose(),
        )?)
    }

    /// Forgets all tickets: those of another hub, or of an earlier token, are of no use.
    pub(super) fn forget_tickets(&self) -> Result<(), ProfileError> {
        let path = self.folder.join(TICKETS_NAME);
        match std::fs::remove_dir_all(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(StoreError::Io { path, error }.into())
            }
            _ => Ok(()),
        }
    }

    /// Returns where this profile keeps which keys are its hub's, once they have changed.
    #[must_use]
    pub fn trust_file(&self) -> TrustFile {
        TrustFile::new(self.folder.join(TRUST_NAME))
    }

    /// Returns the keys that this profile takes for its hub's: those of `credential`, and what has become of them.
    ///
    /// # Errors
    ///
    /// [`ProfileError`].
    pub fn trust(&self, credential: &Credential) -> Result<TrustStore, ProfileError> {
        let enrolled = credential.trust()?;
        let kept = self.trust_file().read()?;
        // What was kept of another hub says nothing about this one.
        Ok(kept
            .filter(|kept| kept.root() == enrolled.root())
            .unwrap_or(enrolled))
    }

    /// Returns the keys of the hub's issuer that this profile knows: that of `credential`, and what has become of it.
    ///
    /// # Errors
    ///
    /// [`ProfileError`].
    pub fn issuers(&self, credential: &Credential) -> Result<IssuerKeys, ProfileError> {
        if let Some(kept) = self.issuers_file().read()? {
            return Ok(kept);
        }
        let anchors = credential.anchors()?;
        IssuerKeys::of(&credential.hub, &anchors, credential.root_counter).ok_or_else(|| {
            ProfileError::BadCredential {
                path: CREDENTIAL_NAME.into(),
                reason: "it has no issuer's key".into(),
            }
        })
    }

    /// Keeps the keys of the hub's issuer.
    ///
    /// # Errors
    ///
    /// [`ProfileError`]; those of before are kept then.
    pub fn store_issuers(&self, keys: &IssuerKeys) -> Result<(), ProfileError> {
        self.issuers_file().keep(keys)
    }

    fn issuers_file(&self) -> IssuersFile {
        IssuersFile(self.folder.join(ISSUERS_NAME))
    }

    /// Returns where a newcomer keeps which keys are the hub's that it joins, until [`Profile::enrol`].
    #[must_use]
    pub fn newcomers_trust_file(&self) -> TrustFile {
        TrustFile::new(self.folder.join(NEWCOMERS_TRUST_NAME))
    }

    /// Writes the credential of a new enrolment, which says anew which keys are the hub's, and what a newcomer has kept.
    ///
    /// # Errors
    ///
    /// [`ProfileError`].
    pub fn enrol(&self, credential: &Credential) -> Result<(), ProfileError> {
        self.trust_file().forget()?;
        self.issuers_file().forget()?;
        self.store(credential)?;
        self.newcomers_trust_file().replace(&self.trust_file())
    }

    /// Returns what is kept about offline commands.
    #[must_use]
    pub fn ledger(&self) -> Ledger {
        Ledger::new(&self.folder.join(LEDGER_NAME))
    }

    fn ticket_path(&self, agent: Option<AgentId>) -> PathBuf {
        let name = agent.map_or_else(|| "hub".into(), |agent| agent.to_string());
        self.folder.join(TICKETS_NAME).join(name)
    }
}

impl Credential {
    /// Returns this credential with `token` in it, which is good until `expires_at` in seconds since 1970.
    ///
    /// # Errors
    ///
    /// [`ProfileError::BadToken`] when it is none.
    pub fn with_token(&self, token: &UnpackedToken<'_>) -> Result<Self, ProfileError> {
        let claims = UnverifiedClaims::decode(token).map_err(ProfileError::BadToken)?;
        let mut compact = [0; MAX_COMPACT_LEN];
        let compact = token.to_compact(&mut compact);
        Ok(Self {
            token: compact
                .map_err(|_| ProfileError::BadToken(TokenReason::TrailingBytes))?
                .into(),
            expires_at: claims.claims_unverified().expires_at,
            ..self.clone()
        })
    }

    /// Returns whether the token has less than half of its life left at `now`, in seconds since 1970.
    #[must_use]
    pub fn is_to_be_renewed(&self, now: u64) -> bool {
        let mut buffer = [0; MAX_UNPACKED_LEN];
        let token = self.token(&mut buffer);
        let claims = token
            .ok()
            .and_then(|token| UnverifiedClaims::decode(&token).ok());
        claims.is_some_and(|claims| {
            let issued_at = claims.claims_unverified().issued_at;
            let half = self.expires_at.saturating_sub(issued_at) / 2;
            now >= issued_at.saturating_add(half)
        })
    }

    /// Returns the keys of the hub, as they were at the enrolment.
    ///
    /// # Errors
    ///
    /// [`ProfileError::BadCredential`] when the hub's key or the root key is no key.
    pub fn trust(&self) -> Result<TrustStore, ProfileError> {
        let key = |text: &str, reason: &str| {
            decode_key(text).ok_or_else(|| ProfileError::BadCredential {
                path: CREDENTIAL_NAME.into(),
                reason: reason.into(),
            })
        };
        let root = key(&self.root_key, "the root key is not a point on P-256")?;
        let current = key(&self.hub_key, "the hub's key is not a point on P-256")?;
        Ok(TrustStore::new(root, self.root_counter, current))
    }

    /// Returns the issuers whose tokens count.
    ///
    /// # Errors
    ///
    /// [`ProfileError::BadCredential`] when the issuer's key or one of its names is none.
    pub fn anchors(&self) -> Result<TrustAnchors, ProfileError> {
        let bad = |reason: String| ProfileError::BadCredential {
            path: CREDENTIAL_NAME.into(),
            reason,
        };
        let key = |text: &str| {
            decode_key(text).ok_or_else(|| bad("an issuer's key is not a point on P-256".into()))
        };
        let unnamed = |reason| bad(format!("no token names this issuer: {reason:?}"));
        let own = key(&self.issuer_key)?;
        let own = TrustAnchor::new(&self.hub, &self.issuer_kid, own).map_err(unnamed)?;
        let mut anchors = TrustAnchors::new();
        let mut insert = |anchor| {
            let inserted = anchors.insert(anchor);
            inserted.map_err(|error| bad(format!("{error:?}")))
        };
        if !self.issuer_keys.contains(&self.issuer_key) {
            insert(own.clone())?;
        }
        for text in &self.issuer_keys {
            let anchor = if *text == self.issuer_key {
                own.clone()
            } else {
                TrustAnchor::following(&self.hub, key(text)?).map_err(unnamed)?
            };
            insert(anchor)?;
        }
        Ok(anchors)
    }

    /// Unpacks the token into `out`.
    ///
    /// # Errors
    ///
    /// [`ProfileError::BadToken`].
    pub fn token<'o>(
        &self,
        out: &'o mut [u8; MAX_UNPACKED_LEN],
    ) -> Result<UnpackedToken<'o>, ProfileError> {
        UnpackedToken::from_compact(self.token.as_bytes(), out).map_err(ProfileError::BadToken)
    }

    /// Returns the id of the agent called `agent`: a name, or an id of 32 hexadecimal digits.
    #[must_use]
    pub fn agent_id(&self, agent: &str) -> AgentId {
        agent
            .parse()
            .unwrap_or_else(|_| AgentId::of(&self.hub, agent))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{HubKeys, Particulars, Peer, PeerRole, Reach, Registry, Vault, encode_key};

    #[test]
    fn a_token_is_to_be_renewed_when_half_of_its_life_is_over() {
        let folder = tempfile::tempdir().expect("a folder");
        let keys = HubKeys::open(folder.path(), "hub", &Vault::default(), 0).expect("keys");
        let hub_key = encode_key(keys.issuer().public_key());
        let peer = Peer::new(Particulars::commander(Reach::Nobody, &[]), hub_key.clone());
        let limits = crate::config::Config::default().limits;
        let issuer = crate::issuer::Issuer {
            hub: "hub",
            keys: &keys,
            limits: &limits,
            registry: &Registry::open(folder.path(), "hub").expect("it is empty"),
        };
        let issued = issuer.issue("alice", &peer, *keys.issuer().public_key(), 0);
        let issued = issued.expect("a token");
        let credential = Credential {
            hub: "hub".into(),
            issuer_key: hub_key.clone(),
            root_key: hub_key.clone(),
            root_counter: 0,
            hub_key,
            issuer_kid: keys.issuer_kid(),
            issuer_keys: Vec::new(),
            group: None,
            url: String::new(),
            name: "alice".into(),
            role: PeerRole::Commander,
            token: issued.token,
            expires_at: issued.expires_at,
        };
        let half = issued.expires_at - limits.commander_token_seconds / 2;
        assert!(!credential.is_to_be_renewed(half - 1));
        assert!(credential.is_to_be_renewed(half));
    }
}
