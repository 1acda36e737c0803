//! The conformance cases of the Moorline protocol.
//!
//! One table of [`Case`]s, run by `cargo test` on the host and by the firmware on the device. Each case names
//! the clause of `core/PROTOCOL.md` or of the standard that it holds the code to.

#![no_std]
#![forbid(unsafe_code)]

mod case;
pub mod channel;
mod deep;
mod feed;
pub mod fixture;
mod framing;
pub mod fuzz;
pub mod handshake;
mod hex;
pub mod interpreted;
mod jws;
pub mod ledger;
pub mod link;
mod message;
mod message_mac;
mod offline;
pub mod pair;
mod primitives;
mod provider;
pub mod reference;
mod revocation;
mod session;
pub mod storage;
mod time_floor;
mod token;
pub mod trust;
pub mod vectors;
mod websocket;

pub use case::{Case, Failure};
pub use deep::DEEP;
pub use session::window::{WindowTally, window_model};

/// Every table of cases in the order in which they run, in batches that fit beside core in 256 KiB of flash.
///
/// A constant, so that an image that names one batch is linked without the code of the others.
pub const BATCHES: &[&[&[Case]]] = &[
    &[
        primitives::CASES,
        primitives::aead::CASES,
        provider::CASES,
        vectors::LABELS,
        jws::CASES,
    ],
    &[
        token::accepted::CASES,
        token::algorithm::CASES,
        token::header::CASES,
        token::kid::CASES,
        token::json::CASES,
        token::numbers::CASES,
        token::times::CASES,
        token::audience::CASES,
        token::claims::CASES,
        token::confirmation::CASES,
        token::encoding::CASES,
        token::signature::CASES,
        token::renewal::CASES,
        token::mint::CASES,
        token::table::CASES,
        token::tamper::CASES,
    ],
    &[
        handshake::course::CASES,
        handshake::tamper::CASES,
        handshake::offer::CASES,
    ],
    &[handshake::hub::CASES, handshake::credential::CASES],
    &[handshake::order::CASES],
    &[handshake::shares::CASES],
    &[handshake::resume::CASES],
    &[vectors::CASES],
    &[vectors::trust::CASES],
    &[vectors::channel::CASES],
    &[session::frames::CASES],
    &[session::tamper::CASES],
    &[session::datagrams::CASES],
    &[session::update::CASES],
    &[session::update_order::CASES],
    &[session::datagram_update::CASES],
    &[session::schedules::CASES, session::limits::CASES],
    &[
        session::ending::CASES,
        session::heartbeat::CASES,
        session::window::CASES,
    ],
    &[handshake::enrolment::CASES],
    &[handshake::comeback::CASES],
    &[handshake::external::CASES],
    &[session::renewal::CASES],
    &[ledger::CASES],
    &[handshake::matrix::CASES],
    &[handshake::schedules::CASES],
    &[channel::credentials::CASES],
    &[channel::loss::CASES],
    &[channel::table::CASES],
    &[
        offline::layout::CASES,
        offline::prekeys::CASES,
        offline::bundle::CASES,
    ],
    &[offline::command::CASES],
    &[offline::reply::CASES, offline::tamper::CASES],
    &[offline::counters::CASES],
    &[offline::post::CASES],
    &[offline::machine::CASES],
    &[channel::schedules::CASES],
    &[link::offer::CASES],
    &[link::course::CASES],
    &[link::cookies::CASES],
    &[link::fragments::CASES],
    &[link::parts::CASES],
    &[link::again::CASES],
    &[session::parts::CASES],
    &[link::schedules::CASES],
    &[trust::store::CASES, trust::statement::CASES],
    &[trust::rotation::CASES],
    &[trust::issuer::CASES],
    &[link::rotation::CASES],
    &[storage::record::CASES, storage::faults::CASES],
    &[storage::cuts::CASES, storage::counter::CASES],
    &[
        message::CASES,
        message::link::CASES,
        feed::CASES,
        message_mac::CASES,
        time_floor::CASES,
        revocation::CASES,
        framing::CASES,
        websocket::CASES,
    ],
];

/// Iterates over every case, in the order in which they run.
pub fn cases() -> impl Iterator<Item = &'static Case> {
    BATCHES.iter().flat_map(|batch| batch_cases(batch))
}

/// Iterates over the cases of one of [`BATCHES`].
pub fn batch_cases(batch: &'static [&'static [Case]]) -> impl Iterator<Item = &'static Case> {
    batch.iter().copied().flatten()
}
