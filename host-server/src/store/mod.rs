//! What survives a restart. Every file is replaced whole, so that a power cut leaves the old one or the new one.

mod accounts;
mod file;
mod invitations;
mod issuers;
mod key_file;
mod keys;
mod logins;
mod offline;
mod peer;
mod registry;
mod revocations;
mod succession;
mod tickets;
mod vault;

use std::path::PathBuf;

pub use accounts::OutsideSubject;
pub(crate) use accounts::{Accounts, ApiKey};
pub(crate) use file::{make_private_dir, replace, sync_folder};
pub(crate) use invitations::Invitations;
pub use issuers::{Issuers, MAX_RETIRED as MAX_RETIRED_ISSUERS, Retired};
pub(crate) use key_file::read_private;
pub use key_file::{KeyFileError, create_key, load_key};
pub(crate) use keys::open_or_create as open_or_create_key;
pub use keys::{HubKeys, IDENTITY_NAME, ROOT_NAME, kid, rotate_issuer};
pub(crate) use logins::{Bound, Login, LoginLimits, Logins, Reused};
use moorline_core::token::TokenReason;
pub(crate) use offline::{Bundle, Kept, OfflineStore, ReplyState};
pub use peer::{Particulars, Peer, PeerRole, Reach};
pub use registry::{Registry, RegistryError};
pub(crate) use registry::{decode_key, encode_key};
pub(crate) use revocations::Revocations;
pub use succession::{MAX_EARLIER, Rotated, Succession, rotate};
pub(crate) use tickets::{KEY_NAME as TICKET_KEY_NAME, Tickets};
pub use vault::{SecretSource, Vault};

/// Why something could not be stored or read back.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file or folder failed.
    #[error("{path}: {error}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// A key file failed.
    #[error(transparent)]
    Key(#[from] KeyFileError),
    /// The registry is damaged.
    #[error("{path}: not a registry: {error}")]
    Registry {
        /// The file.
        path: PathBuf,
        /// Where, and why.
        error: serde_json::Error,
    },
    /// What leads to the hub's identity key is damaged.
    #[error("{path}: not what leads to the hub's key: {reason}")]
    Succession {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The issuer's keys are damaged.
    #[error("{path}: not the issuer's keys")]
    Issuers {
        /// The file.
        path: PathBuf,
    },
    /// No token can name this issuer.
    #[error("no token can name this issuer: {0:?}")]
    Issuer(TokenReason),
    /// A file is sealed under another secret, or damaged.
    #[error("{path}: sealed; the secret that is given does not open it, or none is")]
    Sealed {
        /// The file.
        path: PathBuf,
    },
    /// A secret that seals files could be guessed.
    #[error("{path}: 32 random bytes at least are a secret, or a passphrase that is not empty")]
    WeakSecret {
        /// The file.
        path: PathBuf,
    },
    /// The root key that was shown is another one.
    #[error("this is not the root key of this hub")]
    NotTheRoot,
    /// A key has said all that it can.
    #[error("no statement can follow the last one of this key")]
    NoStatement,
}
