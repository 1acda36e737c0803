//! Core's code for bytes from outside, linked with nothing that can panic.
//!
//! What is never called is not linked: `qemu/tests/nopanic.rs` checks that the image has neither the panic handler nor
//! anything that leads to it. Built with `MOORLINE_PANIC=1` in the environment it has one panic that can be reached,
//! which the check must find.
//!
//! Covered are the areas of [`AREAS`]. Not covered, because the optimiser cannot tell that another crate's panic is
//! out of reach: the claims of a token with the JSON reader (they lead to `p256`, which decodes the key that they
//! name), the delimiter (`cobs`), the answer to an upgrade (`httparse`), and all that computes with keys: the
//! handshake, the session and the drivers. Of these the same test checks, in the agent's image, that no panic has its
//! place in a file of core.

#![forbid(unsafe_code)]
#![no_std]
#![no_main]

use core::hint::black_box;
use core::num::NonZeroU32;
use core::panic::PanicInfo;

use cortex_m_rt::entry;
use embedded_storage::nor_flash::{
    ErrorType, MultiwriteNorFlash, NorFlash, NorFlashErrorKind, ReadNorFlash,
};
use moorline_core::entropy::{Entropy, EntropyError};
use moorline_core::framing::{Framing, Progress, WebSocketClient};
use moorline_core::message::{Alert, Control, Envelope, FromAgent, FromHub, Request, ToHub};
use moorline_core::offline::CounterEntry;
use moorline_core::session::SlidingWindow;
use moorline_core::storage::{Record, Region, ReservedCounter};
use moorline_core::token::{AgentId, MAX_COMPACT_LEN, MAX_UNPACKED_LEN, UnpackedToken};
use moorline_core::wire::{
    ConnectionIds, Form, Fragment, FrameHeader, Line, M0, M1, M2Clear, M2Confirmed, M2Signed,
    M3Confirmed, M3Sealed, M4Sealed, PartHeader, Refuse, Reject, Writer, datagrams,
};

#[entry]
fn main() -> ! {
    let data: &[u8] = black_box::<&[u8]>(&[]);
    for area in AREAS {
        area(data);
    }
    if option_env!("MOORLINE_PANIC").is_some() {
        black_box(data[black_box(7)]);
    }
    loop {
        cortex_m::asm::wfi();
    }
}

/// What is linked, in this order.
const AREAS: &[fn(&[u8])] = &[
    handshake_messages,
    refusals,
    datagram_links,
    frame_headers,
    tokens,
    compact_tokens,
    envelopes,
    control,
    commands,
    link_messages,
    websocket,
    counters,
    replay_window,
    storage,
];

/// Every message of the handshake, in every form of line.
fn handshake_messages(data: &[u8]) {
    for line in [
        Line::Stream,
        Line::Datagram,
        Line::Channel(AgentId([7; 16])),
    ] {
        black_box(M1::parse(data, line).is_ok());
        if let Ok(clear) = M2Clear::parse(data, line, 0) {
            black_box(clear.check_len(data, line).is_ok());
        }
        black_box(M2Signed::parse(data, line).is_ok());
        black_box(M2Confirmed::parse(data, line.form()).is_ok());
    }
    black_box(M3Sealed::parse(data).is_ok());
    black_box(M3Confirmed::parse(data, 7).is_ok());
    black_box(M4Sealed::check_prefix(data, 0).is_ok());
    black_box(M4Sealed::parse(data).is_ok());
}

fn refusals(data: &[u8]) {
    black_box(Refuse::check_prefix(data, 0).is_ok());
    black_box(Refuse::parse(data).is_ok());
    black_box(Reject::parse(data, 9).is_ok());
}

/// What a datagram link has beside: a question for a cookie, fragments of messages and parts of payloads.
fn datagram_links(data: &[u8]) {
    black_box(M0::parse(data, 9).is_ok());
    black_box(Fragment::parse(data, 9).is_ok());
    black_box(PartHeader::parse(data).is_ok());
    black_box(datagrams(data).count());
}

/// The head of a frame, read and written.
fn frame_headers(data: &[u8]) {
    let ids = ConnectionIds { own: 9, peer: 9 };
    for form in [Form::Stream, Form::Datagram] {
        if let Ok(header) = FrameHeader::parse(data, form, ids.own) {
            let mut out = [0; 16];
            let mut writer = Writer::new(&mut out);
            header.emit(form, ids.peer, &mut writer);
            black_box(writer.finish().is_ok());
        }
    }
}

/// An unpacked token, and its compact form.
fn tokens(data: &[u8]) {
    if let Ok((token, _)) = UnpackedToken::parse(data) {
        let mut compact = [0; MAX_COMPACT_LEN];
        black_box(token.to_compact(&mut compact).is_ok());
    }
}

/// A compact token and its base64url.
fn compact_tokens(data: &[u8]) {
    let mut out = [0; MAX_UNPACKED_LEN];
    black_box(UnpackedToken::from_compact(data, &mut out).is_ok());
}

fn envelopes(data: &[u8]) {
    if let Ok(envelope) = Envelope::parse(data) {
        black_box(envelope.header());
    }
}

/// Control messages and alerts.
fn control(data: &[u8]) {
    black_box(Control::decode(data).is_ok());
    black_box(Alert::parse(data).is_ok());
}

/// Requests and responses of the application.
fn commands(data: &[u8]) {
    let mut out = [0; 4096];
    if let Ok(request) = Request::decode(data) {
        black_box(request.encode(&mut out).is_ok());
    }
    if let Ok(message) = FromAgent::decode(data) {
        black_box(message.encode(&mut out).is_ok());
    }
}

/// What goes between the hub and a peer.
fn link_messages(data: &[u8]) {
    let mut out = [0; 4096];
    if let Ok(message) = ToHub::decode(data) {
        black_box(message.encode(&mut out).is_ok());
    }
    if let Ok(message) = FromHub::decode(data) {
        black_box(message.encode(&mut out).is_ok());
    }
}

/// The framing of a WebSocket.
fn websocket(data: &[u8]) {
    let mut buffer = [0; 96];
    absorb(&mut WebSocketClient::new(&mut buffer), data);
}

fn absorb(framing: &mut impl Framing, data: &[u8]) {
    let mut rest = data;
    let mut out = [0; 256];
    while let Ok(absorbed) = framing.absorb(rest) {
        rest = rest.get(absorbed.taken..).unwrap_or_default();
        match absorbed.progress {
            Progress::Message => {
                black_box(framing.message());
            }
            Progress::Answer | Progress::Ended => {
                black_box(framing.emit_answer(&mut Zeros, &mut out).is_ok());
            }
            Progress::Pending => return,
        }
    }
}

/// A kept counter.
fn counters(data: &[u8]) {
    black_box(CounterEntry::from_bytes(data).is_ok());
}

fn replay_window(data: &[u8]) {
    let mut window = SlidingWindow::<16>::new();
    for seq in data {
        if window.check(u64::from(*seq)).is_ok() {
            black_box(window.commit(u64::from(*seq)).is_ok());
        }
    }
}

/// A record and a counter in flash that holds any bytes.
fn storage(data: &[u8]) {
    let region = Region {
        start: 0,
        len: 8192,
    };
    let mut flash = Bytes(data);
    let mut buffer = [0; 96];
    if let Ok(mut record) = Record::<_, 96>::wiping(&flash, region, 1) {
        black_box(record.read(&mut flash, &mut buffer).is_ok());
        black_box(record.write(&mut flash, data).is_ok());
        black_box(record.erases_after(7));
    }
    if let Ok(record) = Record::new(&flash, region, 2) {
        let mut counter = ReservedCounter::new(record, NonZeroU32::MIN);
        black_box(counter.next(&mut flash).is_ok());
    }
}

/// Flash that keeps nothing.
struct Bytes<'a>(&'a [u8]);

impl ErrorType for Bytes<'_> {
    type Error = NorFlashErrorKind;
}

impl ReadNorFlash for Bytes<'_> {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), NorFlashErrorKind> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let held = self.0.get(start..).unwrap_or_default();
        for (byte, cell) in bytes.iter_mut().zip(held) {
            *byte = *cell;
        }
        Ok(())
    }

    fn capacity(&self) -> usize {
        black_box(8192)
    }
}

impl NorFlash for Bytes<'_> {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = 4096;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), NorFlashErrorKind> {
        black_box((from, to));
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), NorFlashErrorKind> {
        black_box((offset, bytes));
        Ok(())
    }
}

impl MultiwriteNorFlash for Bytes<'_> {}

/// Entropy without any.
struct Zeros;

impl Entropy for Zeros {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), EntropyError> {
        bytes.fill(0);
        Ok(())
    }
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    cortex_m::asm::udf()
}
