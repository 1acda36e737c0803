//! Why there is no TLS.

use std::io;
use std::path::PathBuf;

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{path}: {error}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Others can read the private key.
    #[error("{path}: others can read this private key; type `chmod 600 {path}`, or make a new key")]
    NotPrivate {
        /// The file.
        path: PathBuf,
    },
    /// A file is longer than certificates are.
    #[error("{path}: longer than 64 KiB")]
    TooLong {
        /// The file.
        path: PathBuf,
    },
    /// A file has no certificate.
    #[error("{path}: no certificate in PEM")]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// A file has no private key.
    #[error("{path}: no private key in PEM")]
    NoKey {
        /// The file.
        path: PathBuf,
    },
    /// The certificate is none that can be served, or is not that of the key.
    #[error("{path}: {reason}")]
    NoPair {
        /// The file with the certificate.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The system has no certificates of authorities.
    #[error("this system has no certificates of authorities; name a file with `--ca`")]
    NoRoots,
}
