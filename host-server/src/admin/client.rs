//! The operator's side of the operator's socket.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{AdminAnswer, AdminRequest, MAX_LINE_LEN, SOCKET_NAME};

/// How long the daemon may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why an operator heard nothing.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// Nobody listens.
    #[error("{path}: {error}; is moorlined running, with this data directory and as this user?")]
    Unreachable {
        /// The socket.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The answer did not come, or is none.
    #[error("the daemon did not answer: {0}")]
    NoAnswer(#[from] std::io::Error),
}

/// Asks the daemon whose data directory is `data_dir`.
///
/// # Errors
///
/// [`AdminError`] when there is no answer. An answer may be a refusal.
pub fn ask(data_dir: &Path, request: &AdminRequest) -> Result<AdminAnswer, AdminError> {
    let path = data_dir.join(SOCKET_NAME);
    let mut stream =
        UnixStream::connect(&path).map_err(|error| AdminError::Unreachable { path, error })?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut line = serde_json::to_string(request).map_err(std::io::Error::from)?;
    line.push('\n');
    stream.write_all(line.as_bytes())?;
    let limit = u64::try_from(MAX_LINE_LEN).unwrap_or(u64::MAX);
    let mut answer = String::new();
    BufReader::new(stream.take(limit)).read_line(&mut answer)?;
    Ok(serde_json::from_str(&answer).map_err(std::io::Error::from)?)
}
