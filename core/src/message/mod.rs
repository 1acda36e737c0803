//! What travels inside sealed frames (PROTOCOL.md §10).
//!
//! Messages are enums in postcard's encoding, decoded strictly: no trailing bytes, one encoding for one value.

mod alert;
pub(crate) mod codec;
mod command;
mod control;
mod envelope;
mod link;
mod report;

pub use alert::{Alert, AlertCode};
pub use command::{
    Command, Field, MAX_ARGUMENTS, MAX_FIELDS, Reply, Request, Response, Status, Value,
};
pub(crate) use control::are_keys;
pub use control::{Control, Enrolled, TokenResult, TokenUpdate, Welcome};
pub use envelope::{ENVELOPE_HEADER_LEN, Envelope, is_carried};
pub use link::{
    AgentEntry, FrameName, FromHub, MAX_AGENT_ENTRIES, OfflineRefusal, RouteRefusal, ToHub,
};
pub use report::{Event, FromAgent, Log, Observation};
