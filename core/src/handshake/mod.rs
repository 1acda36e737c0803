//! The handshake (PROTOCOL.md §2, §3, §6.1): four messages, both ends proved.
//!
//! Each wait is a type. An event of a wait borrows it, so that what does not hold on a datagram link can be dropped
//! and waited out; what does hold returns the next type, and the caller lets the old one go.
//!
//! ```text
//! initiator:  AwaitM2 --M2--> AwaitM4 --M4--> Established
//! responder:  Responder --M1--> AwaitM3 --M3--> Established
//! ```

mod await_m2;
mod await_m3;
mod await_m4;
mod external;
mod gate;
mod initiator;
mod key_schedule;
mod responder;
mod statement;
mod ticket;
mod transcript;

pub use await_m2::{AwaitM2, M2Answer};
pub(crate) use await_m3::give_ticket;
pub use await_m3::{AwaitM3, M3Answer, Peer};
pub use await_m4::{AwaitM4, AwaitRefusal, AwaitWelcome};
pub use external::{ExternalKey, ExternalRecord};
pub use gate::{Admission, Gate};
pub use initiator::{Initiator, Offer, Shown, SingleUse, Wanted, WantedAgent};
pub(crate) use key_schedule::ResumptionSecret;
pub use key_schedule::{Exporter, TrafficSecrets};
pub use responder::{Earlier, OwnToken, RespondAs, Responder, Succession};
pub use statement::{Label, sign, verify};
pub use ticket::{MAX_TICKET_RECORD_LEN, TICKET_LEN, Ticket, TicketRecord};
pub(crate) use ticket::{TicketOrigin, ticket_life};

use crate::crypto::{AeadKey, HASH_LEN, Hash, Suite, TAG_LEN};
use crate::reason::Reason;
pub use crate::wire::Terms;
use crate::wire::{ConnectionIds, Line};

/// The sequence number of a REFUSE under the key of M2 (PROTOCOL.md §3.4); 1 is reserved.
const REFUSE_SEQ: u64 = 2;

/// The end of a handshake at which a session begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Role {
    /// The end that sent M1.
    Initiator,
    /// The end that sent M2.
    Responder,
}

/// What a finished handshake hands to the session. Both ends are proved.
#[derive(Debug)]
pub struct Established {
    /// This end's role.
    pub role: Role,
    /// What frames are sealed with.
    pub suite: Suite,
    /// What the session runs over.
    pub line: Line,
    /// Both ends' connection ids.
    pub ids: ConnectionIds,
    /// The secrets of both directions.
    pub secrets: TrafficSecrets,
    /// Largest transport unit that both ends take, in bytes.
    pub mtu: u16,
    /// Longest payload of a frame that the peer takes, in bytes.
    pub peer_max_payload_len: u16,
    /// The hash of the responder's key.
    pub responder: Hash,
}

/// Length of what stands clear before a sealed part: head and connection id.
const PREFIX_LEN: usize = 8;

/// Decrypts `sealed`, a ciphertext and its tag, where it stands, and returns the plaintext.
fn open_in_place<'m>(
    key: &AeadKey,
    seq: u64,
    aad: &[u8],
    sealed: &'m mut [u8],
) -> Result<&'m mut [u8], Reason> {
    let (ciphertext, tag) = sealed
        .split_last_chunk_mut::<TAG_LEN>()
        .ok_or(Reason::Length)?;
    if key.open_in_place(seq, aad, ciphertext, tag) {
        Ok(ciphertext)
    } else {
        Err(Reason::Unsealed)
    }
}

/// Encrypts `sealed` where it stands, all but its last bytes, which become the tag.
fn seal_in_place(key: &AeadKey, seq: u64, aad: &[u8], sealed: &mut [u8]) -> Result<(), Reason> {
    let (plaintext, tag) = sealed
        .split_last_chunk_mut::<TAG_LEN>()
        .ok_or(Reason::Length)?;
    *tag = key
        .seal_in_place(seq, aad, plaintext)
        .ok_or(Reason::Length)?
        .0;
    Ok(())
}

/// Opens `message` after its prefix, which is authenticated with `hash`, and returns prefix and plaintext.
fn open_after_prefix<'m>(
    key: &AeadKey,
    seq: u64,
    hash: &Hash,
    message: &'m mut [u8],
) -> Result<(&'m [u8; PREFIX_LEN], &'m mut [u8]), Reason> {
    let (prefix, sealed) = message.split_first_chunk_mut().ok_or(Reason::Length)?;
    let plaintext = open_in_place(key, seq, &aad(hash, prefix), sealed)?;
    Ok((prefix, plaintext))
}

/// Seals `message` after its prefix, which is authenticated with `hash`; its last bytes become the tag.
fn seal_after_prefix(
    key: &AeadKey,
    seq: u64,
    hash: &Hash,
    message: &mut [u8],
) -> Result<(), Reason> {
    let (prefix, sealed) = message
        .split_first_chunk_mut::<PREFIX_LEN>()
        .ok_or(Reason::Length)?;
    seal_in_place(key, seq, &aad(hash, prefix), sealed)
}

/// Returns the AAD of a message: the transcript hash before it, then its prefix.
fn aad(hash: &Hash, prefix: &[u8; PREFIX_LEN]) -> [u8; HASH_LEN + PREFIX_LEN] {
    let mut aad = [0; HASH_LEN + PREFIX_LEN];
    for (to, from) in aad.iter_mut().zip(hash.as_bytes().iter().chain(prefix)) {
        *to = *from;
    }
    aad
}
