//! Sessions: PROTOCOL.md §5.

mod bench;
pub(crate) mod datagram_update;
pub(crate) mod datagrams;
pub(crate) mod ending;
pub(crate) mod frames;
pub(crate) mod heartbeat;
pub(crate) mod limits;
pub(crate) mod parts;
pub(crate) mod renewal;
mod scene;
pub(crate) mod schedules;
pub(crate) mod tamper;
pub(crate) mod update;
pub(crate) mod update_order;
mod watch;
pub(crate) mod window;
