//! What is written of a peer.

use moorline_core::token::Role;
use serde::{Deserialize, Serialize};

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

/// Which agents a commander reaches, beside those that it owns and those that it was granted.
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

/// What an operator says of a peer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Particulars {
    /// What it is.
    pub role: PeerRole,
    /// The group of an agent.
    pub group: Option<String>,
    /// The commander that an agent belongs to.
    #[serde(default)]
    pub owner: Option<String>,
    /// Which agents a commander reaches.
    pub reach: Reach,
    /// The roles of a commander.
    #[serde(default)]
    pub roles: Vec<String>,
    /// What a commander may do beside what its roles say: names and patterns.
    pub permissions: Vec<String>,
}

impl Particulars {
    /// Returns those of an agent in `group`, which belongs to nobody.
    #[must_use]
    pub fn agent(group: Option<&str>) -> Self {
        Self {
            role: PeerRole::Agent,
            group: group.map(String::from),
            owner: None,
            reach: Reach::Nobody,
            roles: Vec::new(),
            permissions: Vec::new(),
        }
    }

    /// Returns those of a commander without a role.
    #[must_use]
    pub fn commander(reach: Reach, permissions: &[&str]) -> Self {
        Self {
            role: PeerRole::Commander,
            group: None,
            owner: None,
            reach,
            roles: Vec::new(),
            permissions: permissions.iter().copied().map(String::from).collect(),
        }
    }
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
    /// The commander that an agent belongs to.
    #[serde(default)]
    pub owner: Option<String>,
    /// The commanders that an agent is granted to.
    #[serde(default)]
    pub granted: Vec<String>,
    /// Which agents a commander reaches.
    pub reach: Reach,
    /// The roles of a commander.
    #[serde(default)]
    pub roles: Vec<String>,
    /// What a commander may do beside what its roles say: names and patterns.
    pub permissions: Vec<String>,
    /// Which tokens are still good: those of this generation and later ones.
    pub generation: u32,
    /// Whether the peer is shut out.
    pub revoked: bool,
}

impl Peer {
    /// Returns a peer of these `particulars`, of the first generation, whose key is `key`.
    #[must_use]
    pub fn new(particulars: Particulars, key: String) -> Self {
        let Particulars {
            role,
            group,
            owner,
            reach,
            roles,
            permissions,
        } = particulars;
        Self {
            role,
            key,
            group,
            owner,
            granted: Vec::new(),
            reach,
            roles,
            permissions,
            generation: 1,
            revoked: false,
        }
    }

    /// Returns whether the commander `name` reaches this agent because it is its own or was granted to it.
    #[must_use]
    pub fn is_given_to(&self, name: &str) -> bool {
        self.owner.as_deref() == Some(name) || self.granted.iter().any(|other| other == name)
    }
}
