//! The peers that are enrolled.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use base64ct::{Base64UrlUnpadded, Encoding};
use moorline_core::crypto::{PUBLIC_KEY_LEN, PublicKey};
use moorline_core::token::{AgentId, Claims, Role};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Peer, PeerRole, Reach, StoreError, replace};
use crate::access::{RoleDefinition, RoleError, Roles, check_permissions, compile};

/// Most commanders that one agent is granted to.
const MAX_GRANTED: usize = 64;

/// The peers, by name, and the roles that they may have.
#[derive(Debug, Clone)]
pub struct Registry {
    path: PathBuf,
    roles_path: PathBuf,
    issuer: String,
    peers: BTreeMap<String, Peer>,
    /// The names of agents, by their ids.
    agents: HashMap<AgentId, String>,
    roles: Roles,
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
    /// Nobody has the name.
    #[error("nobody called `{0}` is enrolled")]
    Unknown(String),
    /// Who has the name is of another role.
    #[error("`{name}` is no {wanted}")]
    WrongRole {
        /// The name.
        name: String,
        /// What it would have to be.
        wanted: &'static str,
    },
    /// A role is not what it has to be.
    #[error(transparent)]
    Role(#[from] RoleError),
    /// An agent is granted to too many.
    #[error(
        "an agent is granted to {MAX_GRANTED} commanders at most; those of a group reach all agents in it"
    )]
    GrantedToMany,
    /// No token can say it.
    #[error("{0}")]
    NoToken(String),
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
        let roles_path = data_dir.join("roles.json");
        let mut registry = Self {
            peers: read(&path)?,
            roles: read(&roles_path)?,
            path,
            roles_path,
            issuer: issuer.into(),
            agents: HashMap::new(),
        };
        registry.index();
        Ok(registry)
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
            let has_key = known.key.is_empty() || known.key == peer.key;
            if !has_key || known.role != peer.role {
                return Err(RegistryError::NameTaken(name.into()));
            }
        }
        self.check_key(name, &peer.key)?;
        self.put(name, peer)
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
        self.put(name, peer)
    }

    /// Checks that `key` is nobody else's than the peer's called `name`.
    ///
    /// # Errors
    ///
    /// [`RegistryError::KeyTaken`].
    pub fn check_key(&self, name: &str, key: &str) -> Result<(), RegistryError> {
        // Who logs in has no key of its own here.
        if key.is_empty() {
            return Ok(());
        }
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
        self.put(name, peer)
    }

    /// Returns `peer` as it would be written under `name`: its generation, and whom it belongs and is granted to, stay as
    /// they are unless they are said anew.
    ///
    /// # Errors
    ///
    /// As for [`Registry::check`].
    pub fn following(&self, name: &str, mut peer: Peer) -> Result<Peer, RegistryError> {
        if let Some(known) = self.peers.get(name) {
            peer.generation = peer.generation.max(known.generation);
            peer.granted.clone_from(&known.granted);
            peer.owner = peer.owner.or_else(|| known.owner.clone());
        }
        self.check(name, &peer)?;
        Ok(peer)
    }

    fn put(&mut self, name: &str, peer: Peer) -> Result<(), RegistryError> {
        let peer = self.following(name, peer)?;
        let mut affected = vec![name.to_owned()];
        affected.extend(peer.granted.iter().cloned());
        affected.extend(peer.owner.iter().cloned());
        let mut changed = self.clone();
        changed.peers.insert(name.into(), peer);
        self.commit(changed, &affected)
    }

    /// Gives the commander `name` these roles and no others. When it returns, that is on the disk.
    ///
    /// # Errors
    ///
    /// [`RegistryError`]; nothing is changed then.
    pub fn set_roles(&mut self, name: &str, roles: &[String]) -> Result<(), RegistryError> {
        self.expect(name, PeerRole::Commander)?;
        let mut changed = self.clone();
        if let Some(peer) = changed.peers.get_mut(name) {
            peer.roles = roles.to_vec();
        }
        self.commit(changed, &[name.into()])
    }

    /// Says to which commander the agent `agent` belongs. When it returns, that is on the disk.
    ///
    /// # Errors
    ///
    /// [`RegistryError`]; nothing is changed then.
    pub fn own(&mut self, agent: &str, owner: Option<&str>) -> Result<(), RegistryError> {
        self.expect(agent, PeerRole::Agent)?;
        if let Some(owner) = owner {
            self.expect(owner, PeerRole::Commander)?;
        }
        let mut changed = self.clone();
        if let Some(peer) = changed.peers.get_mut(agent) {
            peer.owner = owner.map(String::from);
        }
        self.commit(
            changed,
            &owner.map(String::from).into_iter().collect::<Vec<_>>(),
        )
    }

    /// Says whether the agent `agent` is granted to `commander`. When it returns, that is on the disk.
    ///
    /// # Errors
    ///
    /// [`RegistryError`]; nothing is changed then.
    pub fn grant(
        &mut self,
        agent: &str,
        commander: &str,
        is_granted: bool,
    ) -> Result<(), RegistryError> {
        self.expect(agent, PeerRole::Agent)?;
        if is_granted {
            self.expect(commander, PeerRole::Commander)?;
        }
        let mut changed = self.clone();
        if let Some(peer) = changed.peers.get_mut(agent) {
            peer.granted.retain(|other| other != commander);
            if is_granted {
                peer.granted.push(commander.into());
            }
            if peer.granted.len() > MAX_GRANTED {
                return Err(RegistryError::GrantedToMany);
            }
        }
        self.commit(changed, &[commander.into()])
    }

    /// Puts the role `name` in the place of the one that is called so, or beside the others. When it returns, that is on
    /// the disk.
    ///
    /// # Errors
    ///
    /// [`RegistryError`]; nothing is changed then.
    pub fn put_role(&mut self, name: &str, role: RoleDefinition) -> Result<(), RegistryError> {
        let mut changed = self.clone();
        changed.roles.put(name, role)?;
        self.commit_roles(changed)
    }

    /// Takes the role `name` away. When it returns, that is on the disk.
    ///
    /// # Errors
    ///
    /// [`RegistryError`]; nothing is changed then.
    pub fn remove_role(&mut self, name: &str) -> Result<(), RegistryError> {
        let mut changed = self.clone();
        changed.roles.remove(name)?;
        let mut peers = self.peers.iter();
        let has_it = |peer: &Peer| !peer.revoked && peer.roles.iter().any(|role| role == name);
        if let Some((by, _)) = peers.find(|(_, peer)| has_it(peer)) {
            return Err(RegistryError::Role(RoleError::InUse {
                role: name.into(),
                by: by.clone(),
            }));
        }
        self.commit_roles(changed)
    }

    /// Checks that the peer `name` is enrolled in this role and not revoked.
    fn expect(&self, name: &str, role: PeerRole) -> Result<(), RegistryError> {
        match self.peers.get(name) {
            None => Err(RegistryError::Unknown(name.into())),
            Some(peer) if peer.revoked => Err(RegistryError::Revoked(name.into())),
            Some(peer) if peer.role != role => Err(RegistryError::WrongRole {
                name: name.into(),
                wanted: match role {
                    PeerRole::Agent => "agent",
                    PeerRole::Commander => "commander",
                },
            }),
            Some(_) => Ok(()),
        }
    }

    /// Checks that a peer like `peer` could have a token under `name`.
    ///
    /// # Errors
    ///
    /// [`RegistryError::Role`] or [`RegistryError::NoToken`].
    pub fn check(&self, name: &str, peer: &Peer) -> Result<(), RegistryError> {
        self.roles.check_known(&peer.roles)?;
        check_permissions(&peer.permissions)?;
        if let Some(owner) = &peer.owner {
            self.expect(owner, PeerRole::Commander)?;
        }
        match compile(&self.issuer, self, name, peer) {
            Ok(_) => Ok(()),
            Err(why) => Err(RegistryError::NoToken(why)),
        }
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
        let mut changed = self.clone();
        let Some(peer) = changed.peers.get_mut(name) else {
            return Ok(false);
        };
        peer.revoked = true;
        // Who comes under the name later is somebody else.
        for peer in changed.peers.values_mut() {
            peer.owner.take_if(|owner| owner == name);
            peer.granted.retain(|other| other != name);
        }
        self.commit(changed, &[])?;
        Ok(true)
    }

    /// Has no token of the peer `name` that was made so far be good. When it returns, that is on the disk. Returns the least
    /// generation that is good then.
    ///
    /// # Errors
    ///
    /// [`RegistryError`]; nothing is changed then.
    pub fn begin_generation(&mut self, name: &str) -> Result<u32, RegistryError> {
        let mut changed = self.clone();
        let peer = changed.peers.get_mut(name).filter(|peer| !peer.revoked);
        let peer = peer.ok_or_else(|| RegistryError::Unknown(name.into()))?;
        let last = || RegistryError::NoToken(format!("`{name}` has had its last generation"));
        peer.generation = peer.generation.checked_add(1).ok_or_else(last)?;
        let least = peer.generation;
        self.commit(changed, &[])?;
        Ok(least)
    }

    /// Takes `key` away from whoever is enrolled with it. When it returns, that is on the disk. Returns whose it was.
    ///
    /// # Errors
    ///
    /// [`RegistryError`]; nothing is changed then.
    pub fn disown(&mut self, key: &PublicKey) -> Result<Option<String>, RegistryError> {
        let key = encode_key(key);
        let mut changed = self.clone();
        let mut peers = changed.peers.iter_mut();
        let Some((name, peer)) = peers.find(|(_, peer)| peer.key == key) else {
            return Ok(None);
        };
        peer.key.clear();
        let name = name.clone();
        self.commit(changed, &[])?;
        Ok(Some(name))
    }

    /// Takes up `changed`, in which the commanders `affected` are to have tokens still.
    fn commit(&mut self, mut changed: Self, affected: &[String]) -> Result<(), RegistryError> {
        for name in affected {
            if let Some(peer) = changed.peers.get(name).filter(|peer| !peer.revoked) {
                changed.check(name, peer)?;
            }
        }
        write(&self.path, &changed.peers)?;
        changed.index();
        *self = changed;
        Ok(())
    }

    /// Takes up `changed`, in which roles are other ones.
    fn commit_roles(&mut self, changed: Self) -> Result<(), RegistryError> {
        for (name, peer) in changed.peers.iter().filter(|(_, peer)| !peer.revoked) {
            if !peer.roles.is_empty() {
                changed.check(name, peer)?;
            }
        }
        write(&self.roles_path, &changed.roles)?;
        *self = changed;
        Ok(())
    }

    fn index(&mut self) {
        let peers = self.peers.iter();
        let agents = peers.filter(|(_, peer)| peer.role == PeerRole::Agent && !peer.revoked);
        self.agents = agents
            .map(|(name, _)| (AgentId::of(&self.issuer, name), name.clone()))
            .collect();
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

    /// Returns whether the subject of `claims` is enrolled as the token says and not revoked, whichever key it names.
    #[must_use]
    pub fn stands(&self, claims: &Claims) -> bool {
        self.peers.get(claims.subject.as_str()).is_some_and(|peer| {
            !peer.revoked
                && claims.issuer == self.issuer.as_str()
                && claims.role == Role::from(peer.role)
                && claims.generation >= peer.generation
        })
    }

    /// Returns whether `claims` name the key with which their subject is enrolled.
    #[must_use]
    pub fn has_key(&self, claims: &Claims) -> bool {
        let peer = self.peers.get(claims.subject.as_str());
        peer.and_then(|peer| decode_key(&peer.key)) == Some(claims.key)
    }

    /// Returns the roles.
    #[must_use]
    pub fn roles(&self) -> &Roles {
        &self.roles
    }

    /// Iterates over all peers by name.
    pub fn peers(&self) -> impl Iterator<Item = (&str, &Peer)> {
        self.peers.iter().map(|(name, peer)| (name.as_str(), peer))
    }

    /// Iterates over the agents that the commander `name` owns or was granted.
    pub(crate) fn given_to(&self, name: &str) -> impl Iterator<Item = &str> {
        let peers = self.peers();
        peers
            .filter(move |(_, peer)| !peer.revoked && peer.is_given_to(name))
            .map(|(agent, _)| agent)
    }

    /// Returns the group of the agent `name`, if it is enrolled and in one.
    pub(crate) fn group_of(&self, name: &str) -> Option<&str> {
        let agent = self.find(name).filter(|peer| !peer.revoked);
        agent.and_then(|agent| agent.group.as_deref())
    }

    /// Returns the agent `id`, which is enrolled and not revoked, with its name.
    #[must_use]
    pub fn agent(&self, id: &AgentId) -> Option<(&str, &Peer)> {
        let name = self.agents.get(id)?;
        Some((name, self.peers.get(name)?))
    }

    /// Returns whether the commander `name` reaches `agent`, as it is written now.
    pub(crate) fn is_reached(
        &self,
        name: &str,
        commander: &Peer,
        agent_name: &str,
        agent: &Peer,
    ) -> bool {
        agent.is_given_to(name)
            || match &commander.reach {
                Reach::Nobody => false,
                Reach::Agents(names) => names.iter().any(|reached| reached == agent_name),
                Reach::Group(group) => agent.group.as_ref() == Some(group),
            }
    }

    /// Returns whether nobody called `name` is enrolled, or who is was revoked.
    #[must_use]
    pub fn is_shut_out(&self, name: &str) -> bool {
        self.find(name).is_none_or(|peer| peer.revoked)
    }

    /// Iterates over the agents that are enrolled and not revoked: id and name.
    pub fn agents(&self) -> impl Iterator<Item = (&AgentId, &str)> {
        self.agents.iter().map(|(id, name)| (id, name.as_str()))
    }
}

/// Reads the file at `path`; without one, there is nothing in it.
pub(super) fn read<T: DeserializeOwned + Default>(path: &Path) -> Result<T, StoreError> {
    match std::fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| StoreError::Registry {
            path: path.into(),
            error,
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(T::default()),
        Err(error) => Err(StoreError::Io {
            path: path.into(),
            error,
        }),
    }
}

/// Writes the file at `path`. When it returns, that is on the disk.
pub(super) fn write(path: &Path, value: &impl Serialize) -> Result<(), StoreError> {
    let bytes = serde_json::to_vec_pretty(value).map_err(|error| StoreError::Registry {
        path: path.into(),
        error,
    })?;
    replace(path, &bytes)
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
