//! What survives a restart. Every file is replaced whole, so that a power cut leaves the old one or the new one.

mod file;
mod invitations;
mod key_file;
mod keys;
mod offline;
mod registry;
mod revocations;
mod tickets;

use std::path::PathBuf;

pub(crate) use file::{make_private_dir, replace, sync_folder};
pub(crate) use invitations::Invitations;
pub use key_file::{KeyFileError, create_key, load_key};
pub use keys::HubKeys;
use keys::open_or_create as open_or_create_key;
pub(crate) use offline::{Bundle, OfflineStore, ReplyState};
pub use registry::{Peer, PeerRole, Reach, Registry, RegistryError};
pub(crate) use registry::{decode_key, encode_key};
pub(crate) use revocations::Revocations;
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
}
