//! What survives a restart. Every file is replaced whole, so that a power cut leaves the old one or the new one.

mod file;
mod invitations;
mod key_file;
mod keys;
mod offline;
mod registry;
mod revocations;
mod succession;
mod tickets;

use std::path::PathBuf;

pub(crate) use file::{make_private_dir, replace, sync_folder};
pub(crate) use invitations::Invitations;
pub use key_file::{KeyFileError, create_key, load_key};
use keys::open_or_create as open_or_create_key;
pub use keys::{HubKeys, IDENTITY_NAME, ROOT_NAME};
pub(crate) use offline::{Bundle, OfflineStore, ReplyState};
pub use registry::{Peer, PeerRole, Reach, Registry, RegistryError};
pub(crate) use registry::{decode_key, encode_key};
pub(crate) use revocations::Revocations;
pub use succession::{MAX_EARLIER, Rotated, Succession, rotate};
pub(crate) use tickets::Tickets;

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
    /// The root key that was shown is another one.
    #[error("this is not the root key of this hub")]
    NotTheRoot,
    /// A key has said all that it can.
    #[error("no statement can follow the last one of this key")]
    NoStatement,
}
