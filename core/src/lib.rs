//! The Moorline protocol: tokens, handshake, sealed frames and replay windows.
//!
//! The specification is `PROTOCOL.md` beside this crate; comments cite its clauses as `PROTOCOL.md §n`.
//!
//! # Architecture
//!
//! Dependencies point one way, from the bottom of this list to its top:
//!
//! ```text
//! limits, time, reason, entropy
//!   wire          bytes to values and back; knows no keys and no state
//!   crypto        primitives and secret types; knows no message
//!     token       verification, decoding and minting of ES256 tokens
//!     trust       the keys that an initiator takes for its hub's, and how they change
//!     handshake   wire + crypto; hands traffic secrets on by value
//!     session     wire + crypto; sealing, opening, replay; knows no handshake
//!       connection   the one type a shell drives
//!         datagram   a connection over datagrams: what is lost is sent again
//!           channel    the channels of an agent
//!         driver     a connection over embedded-io and embedded-io-async byte streams
//!     offline     commands to an agent that is not there: wire + crypto + token + message, and the labels of handshake
//! message         what travels inside sealed frames
//! message_mac     the code of one message outside a session
//! time_floor      what the time is at least
//! feed            what is kept for several readers: events, lines of a log
//! provision       what a device is given before its first boot
//! storage         what a device keeps through resets, in NOR flash
//! websocket       the client's side of RFC 6455, for devices
//! ```
//!
//! # Invariants
//!
//! * The crate never allocates, never reads a clock, never logs and never blocks.
//! * Entropy and time are arguments: [`entropy::Entropy`] and [`time::Now`].
//! * No type of another crate stands in the public interface, but for `embedded-io`, `embedded-storage`, `heapless` and
//!   `serde`.
//! * There is no type for a session whose peer is not verified.
//! * There is no constructor, feature or flag that leaves a check out.
//! * Hostile bytes reach no index, no arithmetic that wraps and no panic.

#![no_std]
#![forbid(unsafe_code)]
// What could panic is not written; tests may.
#![cfg_attr(
    not(test),
    deny(
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::unreachable,
        clippy::unwrap_used
    )
)]

// What is recorded for Miri is kept in memory until it is written.
#[cfg(all(moorline_record, not(miri)))]
extern crate std;

mod assembly;
pub mod channel;
pub mod connection;
pub mod cookie;
pub mod crypto;
pub mod datagram;
pub mod driver;
pub mod entropy;
pub mod feed;
pub mod framing;
pub mod handshake;
pub mod limits;
pub mod link;
pub mod message;
pub mod message_mac;
pub mod offline;
pub mod provision;
pub mod reason;
pub mod revocation;
pub mod session;
pub mod storage;
pub mod time;
pub mod time_floor;
pub mod token;
pub mod trust;
pub mod wire;
