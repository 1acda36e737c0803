//! What a device says: frames of defmt on standard output, decoded with the table in its image.

use std::path::{Path, PathBuf};
use std::{fmt, fs};

use defmt_decoder::{DecodeError, Frame, Locations, Table};
pub use defmt_parser::Level;

use crate::error::Error;
use crate::image::workspace_root;

/// One message of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// How bad it is; `None` for `defmt::println!`, which is how images report results.
    pub level: Option<Level>,
    /// The text.
    pub message: String,
    /// Where it was said; `None` in an image without debug information.
    pub location: Option<Location>,
    /// When it was said, in seconds since boot as the device writes them.
    pub timestamp: Option<String>,
}

/// A place in the source of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// The file, relative to the workspace when it lies in it.
    pub file: PathBuf,
    /// The line, counted from one.
    pub line: u64,
}

impl fmt::Display for LogLine {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(timestamp) = &self.timestamp {
            write!(formatter, "{timestamp:>9} ")?;
        }
        let level = self.level.map_or("", Level::as_str);
        write!(formatter, "{level:<5} {}", self.message)?;
        if let Some(location) = &self.location {
            write!(formatter, " ({location})")?;
        }
        Ok(())
    }
}

impl fmt::Display for Location {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.file.display(), self.line)
    }
}

/// Decodes the log of one image.
pub struct Decoder {
    table: Table,
    locations: Locations,
}

impl Decoder {
    /// Reads the table out of the image.
    ///
    /// # Errors
    ///
    /// The image cannot be read, or has no table of messages.
    pub fn for_image(path: &Path) -> Result<Self, Error> {
        let elf = fs::read(path).map_err(|source| Error::File {
            path: path.into(),
            source,
        })?;
        let no_table = |reason: String| Error::NoTable {
            path: path.into(),
            reason,
        };
        let table = Table::parse(&elf)
            .map_err(|error| no_table(format!("{error:#}")))?
            .ok_or_else(|| no_table("it has no .defmt section".into()))?;
        // Without debug information a log is still a log.
        let locations = table.get_locations(&elf).unwrap_or_default();
        Ok(Self { table, locations })
    }

    /// Starts to decode a stream from its first byte.
    pub(crate) fn stream(&self) -> Stream<'_> {
        Stream {
            decoder: self,
            frames: self.table.new_stream_decoder(),
            malformed_count: 0,
        }
    }

    fn line(&self, frame: &Frame<'_>) -> LogLine {
        LogLine {
            level: frame.level(),
            message: frame.display_message().to_string(),
            location: self.locations.get(&frame.index()).map(|location| Location {
                file: within_workspace(&location.file),
                line: location.line,
            }),
            timestamp: frame
                .display_timestamp()
                .map(|timestamp| timestamp.to_string()),
        }
    }
}

/// One log while it is being read.
pub(crate) struct Stream<'a> {
    decoder: &'a Decoder,
    frames: Box<dyn defmt_decoder::StreamDecoder + Send + Sync + 'a>,
    malformed_count: usize,
}

impl Stream<'_> {
    /// Takes the next bytes and hands every line that they complete to `each`.
    pub(crate) fn receive(&mut self, bytes: &[u8], mut each: impl FnMut(LogLine)) {
        self.frames.received(bytes);
        loop {
            match self.frames.decode() {
                Ok(frame) => each(self.decoder.line(&frame)),
                Err(DecodeError::Malformed) => {
                    self.malformed_count += 1;
                    // Without separators between frames there is no way back into step.
                    if !self.decoder.table.encoding().can_recover() {
                        return;
                    }
                }
                Err(DecodeError::UnexpectedEof) => return,
            }
        }
    }

    /// Returns the number of frames that made no sense.
    pub(crate) fn malformed_count(&self) -> usize {
        self.malformed_count
    }
}

fn within_workspace(file: &Path) -> PathBuf {
    file.strip_prefix(workspace_root()).unwrap_or(file).into()
}
