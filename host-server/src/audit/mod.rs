//! The audit log: who came, who was refused, what the operator did, and which channels were opened.
//!
//! ```text
//! kind        what a record can be about
//! record      one record: what it says, how it is written and hashed
//! head        signed heads
//! files       names of files, and their lines
//! log         the files: records behind each other, rotation, retention
//! recover     how the log goes on where it was left
//! bounds      how many records strangers and peers may cause
//! writer      the thread that writes, and the way to it
//! verify      whether the log is what was written
//! search      what is in it
//! ```
//!
//! # Records
//!
//! A record is one line of JSON in a file of `audit/`, whose name is the number of its first record. Its members stand
//! in a fixed order; `previous` is the hash of the record before it, and `hash`, which comes last, its own:
//! SHA-256 over the text `ML1 audit record`, a zero byte, and the bytes of the line up to the comma before `"hash"`. So the
//! canonical encoding of a record is the line itself: what reads it takes no other spelling, and every bit counts. The first
//! record has the number 1 and follows a hash of zeros.
//!
//! # Heads
//!
//! A head says how many records there have been, the number and hash of the last one, and the time. It is signed by
//! `audit.key` under the label `audit head`. `audit/heads` has a head of the kind `start`, which says behind which record
//! the log begins; one over the last record of each file; and those over the current file. Records are on the disk before a
//! head names them. A file that is removed is named by a new start first.
//!
//! # What is never lost
//!
//! Kinds for which [`Kind::is_durable`] holds wait for the disk. All others are handed in without waiting: they are on
//! the disk with the next that waits, or with the next head. If the queue is full they are counted, and the count is a
//! record.

mod bounds;
mod files;
mod head;
mod kind;
mod log;
mod record;
mod recover;
mod search;
mod settings;
mod verify;
mod writer;

#[cfg(test)]
mod tests;

pub use kind::{Kind, Outcome, Severity};
pub(crate) use record::Event;
pub use record::{Detail, Record};
pub use recover::{AUDIT_KEY_NAME, AUDIT_PUBLIC_NAME};
pub use search::{Query, Records};
pub use settings::AuditConfig;
pub use verify::{Damage, Whole, verify};
pub(crate) use writer::{Audit, NotRecorded};
