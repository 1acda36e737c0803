//! The log: to standard error or to a file, with a filter that can be changed.

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, reload};

use crate::config::{Config, LogFormat};

/// What changes the log while the daemon serves.
#[derive(Debug)]
pub(super) struct Logs {
    /// The file, and what is written to in its place after it was moved away.
    file: Option<(PathBuf, Sink)>,
    filter: reload::Handle<EnvFilter, Registry>,
}

impl Logs {
    /// Begins the log of this process as `config` says.
    ///
    /// # Errors
    ///
    /// When the file cannot be opened.
    pub(super) fn start(config: &Config) -> io::Result<Self> {
        let (sink, file) = match &config.log_file {
            Some(path) => {
                let sink = Sink(Arc::new(Mutex::new(Some(open(path)?))));
                (sink.clone(), Some((path.clone(), sink)))
            }
            None => (Sink::default(), None),
        };
        let (filter, handle) = reload::Layer::new(filter(config));
        let lines = tracing_subscriber::fmt::layer()
            .with_ansi(file.is_none() && io::stderr().is_terminal())
            // A log that cannot be written is no reason to write elsewhere, where nobody may listen.
            .log_internal_errors(false)
            .with_writer(sink);
        let registry = tracing_subscriber::registry().with(filter);
        match config.log_format {
            LogFormat::Text => registry.with(lines).init(),
            LogFormat::Json => registry.with(lines.json()).init(),
        }
        Ok(Self {
            file,
            filter: handle,
        })
    }

    /// Opens the file anew, which may have been moved away.
    pub(super) fn reopen(&self) {
        let Some((path, sink)) = &self.file else {
            return;
        };
        match open(path) {
            Ok(file) => *sink.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(file),
            Err(error) => tracing::error!(%error, "the log stays in the file that it is in"),
        }
    }

    /// Has the log have what `config` says from now on.
    pub(super) fn set_filter(&self, config: &Config) {
        if let Err(error) = self.filter.reload(filter(config)) {
            tracing::error!(%error, "the log has what it had");
        }
    }
}

/// Returns what `RUST_LOG` says, or else the configuration.
fn filter(config: &Config) -> EnvFilter {
    EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(&config.log_filter))
}

/// Opens a log to add to it; a new one is for its owner alone.
fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let opened = options.append(true).create(true).mode(0o600).open(path);
    opened.map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}

/// Where lines go: a file that can be replaced, or standard error.
#[derive(Debug, Clone, Default)]
struct Sink(Arc<Mutex<Option<File>>>);

impl MakeWriter<'_> for Sink {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(file) => file.write(bytes),
            None => io::stderr().write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
