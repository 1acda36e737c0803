//! The lines of an agent's log, read with the table of texts in its program.

use std::path::Path;

use defmt_decoder::{DecodeError, Frame, Table};
use moorline_core::message::Log;
use serde_json::json;

use super::Failure;
use super::output::{print, printable};

/// Reads lines of the log of one program.
pub(super) struct LogLines {
    table: Table,
}

impl LogLines {
    /// Returns what reads the log of the program in the file `elf`.
    pub(super) fn of(elf: &Path) -> Result<Self, String> {
        let wrong = |why: String| format!("{}: {why}", elf.display());
        let bytes = std::fs::read(elf).map_err(|error| wrong(error.to_string()))?;
        let table = Table::parse(&bytes)
            .map_err(|error| wrong(format!("{error:#}")))?
            .ok_or_else(|| wrong("it is no program with a defmt log".into()))?;
        Ok(Self { table })
    }

    /// Prints the lines of `log` and returns how many there are.
    ///
    /// A line that this program did not write is said to be one: it is another program than the one that the agent runs.
    pub(super) fn print(&mut self, json: bool, log: &Log<'_>) -> Result<u64, Failure> {
        let mut number = log.number;
        if log.lost > 0 && !json {
            print(
                json,
                &json!(null),
                &format!("({} lines are lost)", log.lost),
            )?;
        }
        let mut lost = log.lost;
        for line in log.lines.split_inclusive(|byte| *byte == 0) {
            let mut stream = self.table.new_stream_decoder();
            stream.received(line);
            let decoded = match stream.decode() {
                Ok(frame) => Some(Line::of(&frame)),
                Err(DecodeError::Malformed | DecodeError::UnexpectedEof) => None,
            };
            let line = decoded.unwrap_or_else(Line::foreign);
            let value = json!({
                "number": number,
                "lost": std::mem::take(&mut lost),
                "time": line.time,
                "level": line.level,
                "text": line.text,
            });
            let level = line.level.unwrap_or_default();
            let time = line.time.as_deref().unwrap_or_default();
            print(
                json,
                &value,
                &format!("{time:>9} {level:<5} {}", printable(&line.text)),
            )?;
            number += 1;
        }
        Ok(number - log.number)
    }
}

/// One line.
struct Line {
    time: Option<String>,
    level: Option<&'static str>,
    text: String,
}

impl Line {
    fn of(frame: &Frame<'_>) -> Self {
        Self {
            time: frame.display_timestamp().map(|time| time.to_string()),
            level: frame.level().map(|level| level.as_str()),
            text: frame.display_message().to_string(),
        }
    }

    fn foreign() -> Self {
        Self {
            time: None,
            level: None,
            text: "(a line that this program did not write)".into(),
        }
    }
}
