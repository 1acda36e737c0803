//! What an operator sets of the audit log.

use serde::{Deserialize, Serialize};

use crate::config::{ConfigError, between};

/// What is kept in the audit log, and how it is signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AuditConfig {
    /// Bytes of a file after which the next one is begun.
    pub file_bytes: u64,
    /// Files that are kept; the oldest goes first.
    pub files: usize,
    /// Days after which a file goes whose records are all older.
    pub keep_days: u64,
    /// Records after which a head is signed.
    pub head_records: u64,
    /// Seconds after which a head is signed if there is a new record.
    pub head_seconds: u64,
    /// Records that wait to be written; what is more is counted, or waits.
    pub queue: usize,
    /// Records about strangers that are written in one second; the others are counted.
    pub strangers_per_second: u32,
    /// Records about one peer that are written in one second; the others are counted.
    pub peer_per_second: u32,
}

impl Default for AuditConfig {
    fn default() -> Self {
        Self {
            file_bytes: 4 << 20,
            files: 64,
            keep_days: 365,
            head_records: 1_000,
            head_seconds: 60,
            queue: 4_096,
            strangers_per_second: 10,
            peer_per_second: 50,
        }
    }
}

impl AuditConfig {
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        between("audit.file_bytes", self.file_bytes, 16_384, 1 << 30)?;
        between("audit.files", self.files, 2, 4_096)?;
        between("audit.keep_days", self.keep_days, 1, 36_500)?;
        between("audit.head_records", self.head_records, 1, 100_000)?;
        between("audit.head_seconds", self.head_seconds, 1, 86_400)?;
        between("audit.queue", self.queue, 16, 65_536)?;
        between(
            "audit.strangers_per_second",
            self.strangers_per_second,
            1,
            1_000,
        )?;
        between("audit.peer_per_second", self.peer_per_second, 1, 10_000)
    }
}
