//! From an envelope to the envelope that answers it.

use moorline_core::message::{
    ENVELOPE_HEADER_LEN, Envelope, Inner, Reply, Request, Response, Status,
};
use moorline_core::reason::Reason;
use moorline_core::wire::TooSmall;

use crate::agent::MAX_PAYLOAD_LEN;
use crate::commands;
use crate::commands::{Devices, Session};

/// Where an answer is put together.
pub struct ReplyMemory {
    response: [u8; MAX_RESPONSE_LEN],
    inner: [u8; MAX_RESPONSE_LEN + KIND_LEN],
}

impl ReplyMemory {
    /// Returns it empty.
    pub const fn new() -> Self {
        Self {
            response: [0; MAX_RESPONSE_LEN],
            inner: [0; MAX_RESPONSE_LEN + KIND_LEN],
        }
    }

    /// Returns the envelope of `answer`, which stands here until the next one.
    pub fn envelope(&self, answer: Answer) -> Envelope<'_> {
        Envelope {
            route: answer.route,
            channel: HUB_CHANNEL,
            inner: self.inner.get(..answer.len).unwrap_or_default(),
        }
    }
}

impl Default for ReplyMemory {
    fn default() -> Self {
        Self::new()
    }
}

/// An answer that stands in the [`ReplyMemory`].
#[derive(Clone, Copy)]
pub struct Answer {
    route: [u8; 16],
    len: usize,
}

/// Runs the command that `payload` carries and puts the answer together in `memory`.
///
/// # Errors
///
/// The [`Reason`] for which the payload is no request. There is nobody to tell: who asks so does not wait.
pub fn answer(
    payload: &[u8],
    session: &Session,
    devices: &mut Devices,
    memory: &mut ReplyMemory,
) -> Result<Answer, Reason> {
    let envelope = Envelope::parse(payload)?;
    let Inner::Clear(bytes) = Inner::parse(envelope.inner)?;
    let request = Request::decode(bytes)?;
    let reply = commands::run(devices, &request, session);
    defmt::info!(
        "command {=str} id {=u32}: {}",
        request.command.name,
        request.id,
        reply.status
    );
    let response = Response {
        id: request.id,
        reply,
    };
    let len = emit(&response, memory)
        .or_else(|TooSmall { .. }| {
            let reply = Reply::bare(Status::Failed);
            emit(&Response { reply, ..response }, memory)
        })
        .map_err(|TooSmall { .. }| Reason::TooLong)?;
    Ok(Answer {
        route: envelope.route,
        len,
    })
}

fn emit(response: &Response<'_>, memory: &mut ReplyMemory) -> Result<usize, TooSmall> {
    let response = response.encode(&mut memory.response)?;
    Ok(Inner::Clear(response).emit(&mut memory.inner)?.len())
}

/// The byte that says that an inner message is in clear (PROTOCOL.md §10.2).
const KIND_LEN: usize = 1;
/// Longest response in bytes: what a frame's payload leaves of it.
const MAX_RESPONSE_LEN: usize = MAX_PAYLOAD_LEN - ENVELOPE_HEADER_LEN - KIND_LEN;
/// The channel between hub and agent (PROTOCOL.md §10.2).
const HUB_CHANNEL: u32 = 0;
