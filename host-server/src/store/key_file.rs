//! Private keys in files: the 32-byte scalar in base64url on one line. The public half is always computed.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use base64ct::{Base64UrlUnpadded, Encoding};
use moorline_core::crypto::{Secret, SigningKey};
use zeroize::Zeroizing;

use super::{StoreError, Vault};
use crate::entropy::SystemEntropy;

/// Longest key file in bytes: 43 characters and a line end, generously.
const MAX_FILE_LEN: u64 = 64;

/// Why a key file is not taken.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// It cannot be read.
    #[error("{path}: {error}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Others can read it.
    #[error("{path}: others can read this private key; type `chmod 600 {path}`, or make a new key")]
    NotPrivate {
        /// The file.
        path: PathBuf,
    },
    /// It holds no key.
    #[error("{path}: not a private key: one line of 43 base64url characters is expected")]
    Malformed {
        /// The file.
        path: PathBuf,
    },
    /// It holds no public key.
    #[error("{path}: not a public key: a point on P-256 in base64url is expected")]
    NotPublic {
        /// The file.
        path: PathBuf,
    },
    /// There is a key already.
    #[error("{path}: there is a key already; it is not replaced")]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The system gives no random bytes.
    #[error("the system gives no random bytes")]
    NoEntropy,
}

/// Reads the private key in `path`.
///
/// # Errors
///
/// [`KeyFileError`]; a file that others can read is refused.
pub fn load_key(path: &Path) -> Result<SigningKey, KeyFileError> {
    let malformed = || KeyFileError::Malformed { path: path.into() };
    parse_key(&read_private(path)?).ok_or_else(malformed)
}

/// Reads a short file with a secret, which its owner alone can read.
///
/// # Errors
///
/// [`KeyFileError`].
pub(crate) fn read_private(path: &Path) -> Result<Zeroizing<Vec<u8>>, KeyFileError> {
    let unreadable = |error| KeyFileError::Unreadable {
        path: path.into(),
        error,
    };
    let malformed = || KeyFileError::Malformed { path: path.into() };
    let metadata = std::fs::metadata(path).map_err(unreadable)?;
    if metadata.permissions().mode() & 0o077 != 0 {
        return Err(KeyFileError::NotPrivate { path: path.into() });
    }
    if metadata.len() > MAX_FILE_LEN {
        return Err(malformed());
    }
    std::fs::read(path).map(Zeroizing::new).map_err(unreadable)
}

/// Reads the private key in `path`, which may be sealed; nothing when there is none.
pub(super) fn load_key_from(path: &Path, vault: &Vault) -> Result<Option<SigningKey>, StoreError> {
    let Some(text) = vault.read(path)? else {
        return Ok(None);
    };
    match parse_key(&text) {
        Some(key) => Ok(Some(key)),
        None => Err(KeyFileError::Malformed { path: path.into() }.into()),
    }
}

fn parse_key(text: &[u8]) -> Option<SigningKey> {
    let line = text.strip_suffix(b"\n").unwrap_or(text);
    SigningKey::from_scalar(&parse_scalar(line)?)
}

/// Reads a private scalar in base64url.
pub(super) fn parse_scalar(text: &[u8]) -> Option<Secret<32>> {
    let mut scalar = Zeroizing::new([0; 32]);
    let decoded = Base64UrlUnpadded::decode(text, &mut *scalar).ok()?;
    (decoded.len() == 32).then(|| Secret::new(*scalar))
}

/// Makes a key and writes it to `path`, which must not exist.
///
/// # Errors
///
/// [`StoreError`]; no file is left behind then.
pub fn create_key(path: &Path) -> Result<SigningKey, StoreError> {
    create_key_in(path, &Vault::default())
}

/// Makes a key and writes it to `path`, which must not exist, sealed where there is a secret.
pub(super) fn create_key_in(path: &Path, vault: &Vault) -> Result<SigningKey, StoreError> {
    if path.exists() {
        return Err(KeyFileError::Exists { path: path.into() }.into());
    }
    let key = SigningKey::generate(&mut SystemEntropy).map_err(|_| KeyFileError::NoEntropy)?;
    let scalar = key.to_scalar();
    let mut text = Zeroizing::new(Base64UrlUnpadded::encode_string(scalar.expose()));
    text.push('\n');
    vault.write(path, text.as_bytes())?;
    Ok(key)
}
