//! TLS around a WebSocket: an outer skin. Who is who is proved inside it, by the handshake of PROTOCOL.md §4, whatever
//! certificate there is.

mod client;
mod error;
mod server;
mod skin;

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

pub(crate) use client::{connect, trust_only};
pub use error::TlsError;
use futures_rustls::rustls::crypto::{CryptoProvider, ring};
pub(crate) use server::Certificates;
pub(crate) use skin::Skin;
use zeroize::Zeroizing;

/// Longest file with certificates or a key in bytes.
const MAX_FILE_LEN: u64 = 64 * 1024;

/// The one protocol inside TLS (RFC 7301 §6).
const HTTP_11: &[u8] = b"http/1.1";

/// Returns whose arithmetic TLS uses: the same with and without the feature `host`.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// Reads `file`, which was opened at `path`, whole.
fn read(file: &File, path: &Path) -> Result<Zeroizing<Vec<u8>>, TlsError> {
    let unreadable = |error| TlsError::Unreadable {
        path: path.into(),
        error,
    };
    // What it holds is not left behind where a buffer was before it grew.
    let mut bytes = Zeroizing::new(Vec::with_capacity(65 * 1024));
    let mut bounded = file.take(MAX_FILE_LEN + 1);
    let len = bounded.read_to_end(&mut bytes).map_err(unreadable)?;
    if u64::try_from(len).is_ok_and(|len| len <= MAX_FILE_LEN) {
        Ok(bytes)
    } else {
        Err(TlsError::TooLong { path: path.into() })
    }
}

fn open(path: &Path) -> Result<File, TlsError> {
    File::open(path).map_err(|error| TlsError::Unreadable {
        path: path.into(),
        error,
    })
}
