//! The peers that are enrolled.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use base64ct::{Base64UrlUnpadded, Encoding};
use moorline_core::crypto::{PUBLIC_KEY_LEN, PublicKey};
use moorline_core::token::{AgentId, AgentScope, Claims, Role};
use serde::{Deserialize, Serialize};

use super::{StoreError, replace};

/// What a peer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PeerRole {
    /// It runs commands.
    Agent,
    /// It gives them.
    Commander,
}

impl From<PeerRole> for Role {
    fn from(role: PeerRole) -> Self {
        match role {
            PeerRole::Agent => Self::Agent,
            PeerRole::Commander => Self::Commander,
        }
    }
}

/// Which agents a commander reaches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reach {
    /// None.
    Nobody,
    /// The agents of these names.
    Agents(Vec<String>),
    /// The agents of this group.
    Group(String),
}

/// One peer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Peer {
    /// What it is.
    pub role: PeerRole,
    /// Its public key: the uncompressed point in base64url.
    pub key: String,
    /// The group of an agent.
    pub group: Option<String>,
    /// Which agents a commander reaches.
    pub reach: Reach,
    /// What a commander may do: names and patterns.
    pub permissions: Vec<String>,
    /// Which tokens are still good: those of this generation and later ones.
    pub generation: u32,
    /// Whether the peer is shut out.
    pub revoked: bool,
}

/// The peers, by name.
#[derive(Debug)]
pub struct Registry {
    path: PathBuf,
    issuer: String,
    peers: BTreeMap<String, Peer>,
}

/// Why a peer was not enrolled.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The name is taken by another key, or by a peer of another role.
    #[error("`{0}` is enrolled with another key or role; choose another name")]
    NameTaken(String),
    /// The key belongs to another peer.
    #[error("this key is enrolled as `{0}`; a key belongs to one peer")]
    KeyTaken(String),
    /// The peer is revoked.
    #[error("`{0}` is revoked")]
    Revoked(String),
    /// The file failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Registry {
    /// Reads the registry in `data_dir`; without one, it is empty. `issuer` is the name in all tokens.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the file is there and cannot be read.
    pub fn open(data_dir: &Path, issuer: &str) -> Result<Self, StoreError> {
        let path = data_dir.join("peers.json");
        let peers = match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| StoreError::Registry {
                path: path.clone(),
                error,
            })?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(StoreError::Io { path, error }),
        };
        Ok(Self {
            path,
            issuer: issuer.into(),
            peers,
        })
    }

    /// Enrols `peer` under `name`, or changes what is written of it. When it returns, that is on the disk.
    ///
    /// # Errors
    ///
    /// [`RegistryError`]; nothing is changed then.
    pub fn enrol(&mut self, name: &str, peer: Peer) -> Result<(), RegistryError> {
        if let Some(known) = self.peers.get(name) {
            if known.revoked {
                return Err(RegistryError::Revoked(name.into()));
            }
            if known.key != peer.key || known.role != peer.role {
                return Err(RegistryError::NameTaken(name.into()));
            }
        }
        self.check_key(name, &peer.key)?;
        let mut peers = self.peers.clone();
        peers.insert(name.into(), peer);
        self.commit(peers)
    }

    /// Gives the peer `name` the key `key` in place of the one that it has. When it returns, that is on the disk.
    ///
    /// # Errors
    ///
    /// [`RegistryError`]; nothing is changed then.
    pub fn rekey(&mut self, name: &str, key: &PublicKey) -> Result<(), RegistryError> {
        let Some(peer) = self.peers.get(name).filter(|peer| !peer.revoked) else {
            return Err(RegistryError::Revoked(name.into()));
        };
        let mut peer = peer.clone();
        peer.key = encode_key(key);
        self.check_key(name, &peer.key)?;
        let mut peers = self.peers.clone();
        peers.insert(name.into(), peer);
        self.commit(peers)
    }

    /// Checks that `key` is nobody else's than the peer's called `name`.
    ///
    /// # Errors
    ///
    /// [`RegistryError::KeyTaken`].
    pub fn check_key(&self, name: &str, key: &str) -> Result<(), RegistryError> {
        let mut others = self.peers.iter();
        match others.find(|(other, known)| *other != name && known.key == key) {
            Some((other, _)) => Err(RegistryError::KeyTaken(other.clone())),
            None => Ok(()),
        }
    }

    /// Enrols `peer`, whom the operator has invited, under `name`; its key takes the place of the one that is written.
    /// When it returns, that is on the disk.
    ///
    /// # Errors
    ///
    /// [`RegistryError`]; nothing is changed then.
    pub fn enrol_invited(&mut self, name: &str, peer: Peer) -> Result<(), RegistryError> {
        self.check_invitation(name, peer.role)?;
        self.check_key(name, &peer.key)?;
        let mut peers = self.peers.clone();
        peers.insert(name.into(), peer);
        self.commit(peers)
    }

    /// Checks that a peer of this role may be invited under `name`.
    ///
    /// # Errors
    ///
    /// [`RegistryError::Revoked`]; [`RegistryError::NameTaken`] by a peer of another role.
    pub fn check_invitation(&self, name: &str, role: PeerRole) -> Result<(), RegistryError> {
        match self.peers.get(name) {
            Some(known) if known.revoked => Err(RegistryError::Revoked(name.into())),
            Some(known) if known.role != role => Err(RegistryError::NameTaken(name.into())),
            _ => Ok(()),
        }
    }

    /// Shuts the peer `name` out. When it returns, that is on the disk. Returns whether there is such a peer.
    ///
    /// # Errors
    ///
    /// [`RegistryError::Store`]; nothing is changed then.
    pub fn revoke(&mut self, name: &str) -> Result<bool, RegistryError> {
        let mut peers = self.peers.clone();
        let Some(peer) = peers.get_mut(name) else {
            return Ok(false);
        };
        peer.revoked = true;
        self.commit(peers)?;
        Ok(true)
    }

    fn commit(&mut self, peers: BTreeMap<String, Peer>) -> Result<(), RegistryError> {
        let path = self.path.clone();
        let bytes = serde_json::to_vec_pretty(&peers)
            .map_err(|error| StoreError::Registry { path, error })?;
        replace(&self.path, &bytes)?;
        self.peers = peers;
        Ok(())
    }

    /// Returns the peer `name`.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Peer> {
        self.peers.get(name)
    }

    /// Returns the name under which the holder of `key` is enrolled and not revoked.
    #[must_use]
    pub fn name_of(&self, key: &PublicKey) -> Option<&str> {
        let key = encode_key(key);
        let mut peers = self.peers.iter();
        let (name, _) = peers.find(|(_, peer)| !peer.revoked && peer.key == key)?;
        Some(name)
    }

    /// Returns whether the holder of `claims` is enrolled as the token says and not revoked. `next_key` is good beside
    /// the key that is written: one that the hub has just made a token for.
    #[must_use]
    pub fn admits(&self, claims: &Claims, next_key: Option<&PublicKey>) -> bool {
        self.peers.get(claims.subject.as_str()).is_some_and(|peer| {
            !peer.revoked
                && claims.issuer == self.issuer.as_str()
                && claims.role == Role::from(peer.role)
                && claims.generation >= peer.generation
                && (next_key == Some(&claims.key)
                    || decode_key(&peer.key).as_ref() == Some(&claims.key))
        })
    }

    /// Returns whether a commander of this `scope` reaches an agent `agent` that is enrolled and not revoked.
    #[must_use]
    pub fn reaches(&self, scope: &AgentScope, agent: &AgentId) -> bool {
        let found = self.agents().find(|(_, id, _)| id == agent);
        found.is_some_and(|(_, _, group)| scope.reaches(agent, group.as_slice()))
    }

    /// Returns whether nobody called `name` is enrolled, or who is was revoked.
    #[must_use]
    pub fn is_shut_out(&self, name: &str) -> bool {
        self.find(name).is_none_or(|peer| peer.revoked)
    }

    /// Iterates over the agents: name, id, group.
    pub fn agents(&self) -> impl Iterator<Item = (&str, AgentId, Option<&str>)> {
        self.peers
            .iter()
            .filter(|(_, peer)| peer.role == PeerRole::Agent && !peer.revoked)
            .map(|(name, peer)| {
                (
                    name.as_str(),
                    AgentId::of(&self.issuer, name),
                    peer.group.as_deref(),
                )
            })
    }
}

/// Returns the key in base64url `text`.
pub(crate) fn decode_key(text: &str) -> Option<PublicKey> {
    let bytes: [u8; PUBLIC_KEY_LEN] = Base64UrlUnpadded::decode_vec(text).ok()?.try_into().ok()?;
    PublicKey::from_bytes(&bytes)
}

/// Returns `key` in base64url.
pub(crate) fn encode_key(key: &PublicKey) -> String {
    Base64UrlUnpadded::encode_string(&key.to_bytes())
}
