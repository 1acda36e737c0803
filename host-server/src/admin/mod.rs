//! The operator's socket: a Unix socket in the data directory, which its owner alone can reach.
//!
//! One request and one answer a connection, each one line of JSON.

mod accounts;
mod client;
mod people;
mod revocation;
mod server;
mod status;

use std::collections::BTreeMap;

pub use accounts::{AccountChange, AccountReport, ApiKeyReport, LoginReport, NewApiKey};
pub use client::{AdminError, ask};
pub use people::{AccessChange, AccessReport, RoleReport, UserReport};
use serde::{Deserialize, Serialize};
pub(crate) use server::{bind, serve};
pub use status::{KeyReport, StatusReport, StoreReport};

use crate::connections::ConnectionReport;
use crate::issuer::Issued;
use crate::keyring::HubKey;
use crate::shared::Shared;
pub use crate::standing::Tokens;
use crate::store::{HubKeys, Particulars, Peer, PeerRole, encode_key};

/// The socket's name in the data directory.
pub const SOCKET_NAME: &str = "admin.sock";

/// Longest line in bytes.
const MAX_LINE_LEN: usize = 64 * 1024;

/// What an operator asks.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum AdminRequest {
    /// Enrols a peer, or issues a new token for one that is enrolled with the same key.
    Enrol {
        /// Its name.
        name: String,
        /// Its public key: the uncompressed point in base64url.
        key: String,
        /// What is written of it.
        particulars: Particulars,
    },
    /// Gives out a code with which a peer enrols itself over the line, under a key that it makes.
    Invite {
        /// Its name.
        name: String,
        /// What will be written of it.
        particulars: Particulars,
        /// Seconds for which the code is good.
        seconds: u64,
        /// Whether an external key is given out in place of a code.
        with_key: bool,
    },
    /// Says which roles there are.
    Roles,
    /// Says who the commanders are, some of them at a time.
    Users {
        /// The last one that is known already.
        after: Option<String>,
        /// The one that is asked for, in place of all.
        name: Option<String>,
    },
    /// Changes who may do what.
    ChangeAccess(AccessChange),
    /// Changes by what a commander logs in.
    ChangeAccount {
        /// The commander.
        name: String,
        /// What is changed.
        change: AccountChange,
    },
    /// Says whom an agent belongs to and is granted to.
    Access {
        /// The agent.
        agent: String,
    },
    /// Puts another key in the place of one of the hub's.
    RotateKey {
        /// Which.
        key: HubKey,
    },
    /// Takes up the hub's keys as they are on the disk.
    TakeUpKeys,
    /// Says what connections do, some of them at a time.
    Sessions {
        /// The last one that is known already.
        after: Option<u64>,
    },
    /// Ends connections with a sealed goodbye. Their peers may come back.
    CloseSessions {
        /// The number of one, or the name of their peer.
        whom: String,
    },
    /// Says how the daemon does.
    Status,
    /// Shuts a peer out and ends its sessions.
    Revoke {
        /// Its name.
        name: String,
    },
    /// Revokes tokens and ends the sessions that rest on them.
    RevokeTokens(Tokens),
}

/// What the operator hears.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AdminAnswer {
    /// The peer is enrolled.
    Enrolled(Credential),
    /// The code is given out.
    Invited(Invitation),
    /// The peer is shut out, or the tokens are revoked.
    Revoked,
    /// These are the roles.
    Roles(BTreeMap<String, RoleReport>),
    /// These are commanders.
    Users {
        /// Those that were asked for.
        users: Vec<UserReport>,
        /// Whether there are others after them.
        more: bool,
    },
    /// This API key was made. It is said once.
    ApiKey(NewApiKey),
    /// The agent is reached so.
    Access(AccessReport),
    /// It is as the operator says.
    Changed,
    /// These keys are in use.
    KeysInUse {
        /// The hub's identity key: the uncompressed point in base64url.
        hub_key: String,
        /// The name in tokens of the issuer's key that signs.
        issuer_kid: String,
    },
    /// What connections do.
    Sessions {
        /// Those that were asked for.
        sessions: Vec<ConnectionReport>,
        /// Whether there are others after them.
        more: bool,
    },
    /// So many connections are told to end.
    Closed(usize),
    /// How the daemon does.
    Status(Box<StatusReport>),
    /// Nothing was done, for this reason.
    Refused(String),
}

/// What a newcomer needs to enrol itself. The code is a secret until it is used.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Invitation {
    /// Where the hub serves its WebSocket: `ws://HOST:PORT/ws`.
    pub url: String,
    /// The hub's public key, which the newcomer trusts: the uncompressed point in base64url.
    pub hub_key: String,
    /// The hub's root key, which says who follows that key: the uncompressed point in base64url.
    pub root_key: String,
    /// The counter of the root's last statement.
    pub root_counter: u32,
    /// The name that the newcomer will have.
    pub name: String,
    /// The code, good once; or an external key: its name, a colon, and itself, in base64url.
    pub code: String,
    /// Seconds since 1970 at which the code is no longer good.
    pub expires_at: u64,
}

impl std::fmt::Debug for Invitation {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Invitation")
            .field("name", &self.name)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

impl Credential {
    /// Returns what `name`, which is written as `peer`, needs beside the key that its token `issued` names.
    pub(crate) fn new(
        shared: &Shared,
        keys: &HubKeys,
        name: &str,
        peer: &Peer,
        issued: Issued,
    ) -> Self {
        Self {
            hub: shared.name.clone(),
            hub_key: encode_key(keys.identity_key()),
            root_key: encode_key(&keys.root),
            root_counter: keys.root_counter(),
            issuer_key: encode_key(keys.issuer().public_key()),
            issuer_kid: keys.issuer_kid(),
            issuer_keys: keys.issuers.known().iter().map(encode_key).collect(),
            group: peer.group.clone(),
            url: format!("ws://{}/ws", shared.config().listen),
            name: name.into(),
            role: peer.role,
            token: issued.token,
            expires_at: issued.expires_at,
        }
    }
}

/// What a peer needs beside its private key to reach the hub. Nothing in it is secret without that key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Credential {
    /// The hub's name.
    pub hub: String,
    /// The hub's public key, which the peer trusts: the uncompressed point in base64url.
    pub hub_key: String,
    /// The hub's root key, which says who follows that key: the uncompressed point in base64url.
    pub root_key: String,
    /// The counter of the root's last statement.
    pub root_counter: u32,
    /// The issuer's public key, with which the peer judges the tokens of others: the uncompressed point in base64url.
    pub issuer_key: String,
    /// The name of the issuer's key in tokens.
    pub issuer_kid: String,
    /// All keys of the issuer that count, that one among them: up to one before it, itself, and the next one.
    #[serde(default)]
    pub issuer_keys: Vec<String>,
    /// The group of an agent.
    pub group: Option<String>,
    /// Where the hub serves its WebSocket: `ws://HOST:PORT/ws`.
    pub url: String,
    /// The peer's name.
    pub name: String,
    /// What the peer is.
    pub role: PeerRole,
    /// The token in its compact form.
    pub token: String,
    /// Seconds since 1970 at which the token is no longer good.
    pub expires_at: u64,
}
