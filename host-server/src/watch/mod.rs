//! The watch: counts what goes wrong, and says so when it is too much.
//!
//! ```text
//! settings    what an operator sets: window, cool-down, thresholds, webhook
//! window      a count over the last seconds
//! counters    the counts, and when one is an alert
//! courier     takes alerts to the log, the audit log, the webhook and a user's own handler
//! webhook     a small POST
//! ```
//!
//! Nothing here waits for anybody who is served: alerts go through bounded queues, and what finds no room is dropped.

mod counters;
mod courier;
mod settings;
mod webhook;
mod window;

pub(crate) use counters::Watch;
pub use counters::{Alert, Class};
pub use courier::AlertHandler;
pub(crate) use courier::{Courier, Handler};
pub use settings::{Thresholds, WatchConfig};
