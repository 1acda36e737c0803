//! WebSocket frames, the client's side (RFC 6455 §5).
//!
//! Only what a Moorline hub sends is understood: binary messages, whole or in fragments, pings, pongs and closes.

use super::{Absorbed, Framing, FramingError, Progress};
use crate::entropy::{Entropy, draw};
use crate::reason::Error;
use crate::wire::{TooSmall, Writer};

/// Longest header of a client's frame in bytes: two, an extended length of two, a mask of four.
pub const MAX_CLIENT_HEADER_LEN: usize = 8;

/// Longest header of a server's frame in bytes: two, and an extended length of eight.
const MAX_SERVER_HEADER_LEN: usize = 10;

/// Longest payload of a control frame in bytes (RFC 6455 §5.5).
const MAX_CONTROL_LEN: usize = 125;

const FIN: u8 = 0x80;
const RESERVED: u8 = 0x70;
const MASKED: u8 = 0x80;
const LEN_16: u8 = 126;
const LEN_64: u8 = 127;

/// What a frame is (RFC 6455 §5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Opcode {
    Continuation,
    Binary,
    Close,
    Ping,
    Pong,
}

impl Opcode {
    fn from_code(code: u8) -> Result<Self, FramingError> {
        match code {
            0x0 => Ok(Self::Continuation),
            0x1 => Err(FramingError::NotBinary),
            0x2 => Ok(Self::Binary),
            0x8 => Ok(Self::Close),
            0x9 => Ok(Self::Ping),
            0xA => Ok(Self::Pong),
            _ => Err(FramingError::BadFrame),
        }
    }

    fn code(self) -> u8 {
        match self {
            Self::Continuation => 0x0,
            Self::Binary => 0x2,
            Self::Close => 0x8,
            Self::Ping => 0x9,
            Self::Pong => 0xA,
        }
    }

    fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

/// The frame whose payload is being taken in.
#[derive(Debug, Clone, Copy)]
struct Current {
    opcode: Opcode,
    is_final: bool,
    left: usize,
}

/// The framing of a WebSocket after its opening handshake.
#[derive(Debug)]
pub struct WebSocketClient<'b> {
    /// Where a message is put together.
    buffer: &'b mut [u8],
    message_len: usize,
    /// Whether the message is complete, so that the next one begins at the front.
    complete: bool,
    /// Whether a first fragment was seen and its last was not.
    fragmented: bool,
    header: [u8; MAX_SERVER_HEADER_LEN],
    header_len: usize,
    current: Option<Current>,
    control: [u8; MAX_CONTROL_LEN],
    control_len: usize,
    answer: Option<Opcode>,
}

impl<'b> WebSocketClient<'b> {
    /// Returns the framing that puts messages together in `buffer`, which takes the longest.
    #[must_use]
    pub fn new(buffer: &'b mut [u8]) -> Self {
        Self {
            buffer,
            message_len: 0,
            complete: false,
            fragmented: false,
            header: [0; MAX_SERVER_HEADER_LEN],
            header_len: 0,
            current: None,
            control: [0; MAX_CONTROL_LEN],
            control_len: 0,
            answer: None,
        }
    }

    /// Takes one byte of a header; returns whether the header is whole.
    fn push_header(&mut self, byte: u8) -> Result<(), FramingError> {
        if let Some(place) = self.header.get_mut(self.header_len) {
            *place = byte;
        }
        self.header_len += 1;
        let Some(frame) = parse_header(self.header.get(..self.header_len).unwrap_or_default())?
        else {
            return Ok(());
        };
        self.header_len = 0;
        self.begin(frame)
    }

    /// Checks that a frame may come now, and that it fits.
    fn begin(&mut self, frame: Current) -> Result<(), FramingError> {
        if frame.opcode.is_control() {
            if !frame.is_final || frame.left > MAX_CONTROL_LEN {
                return Err(FramingError::BadFrame);
            }
            self.control_len = 0;
        } else {
            let continues = frame.opcode == Opcode::Continuation;
            if continues != self.fragmented {
                return Err(FramingError::BadFrame);
            }
            if !continues {
                self.message_len = 0;
            }
            if frame.left > self.buffer.len() - self.message_len.min(self.buffer.len()) {
                return Err(FramingError::TooLong);
            }
            self.fragmented = !frame.is_final;
        }
        self.current = Some(frame);
        Ok(())
    }

    /// Takes payload from the front of `bytes`, and returns how much.
    fn take_payload(&mut self, frame: &mut Current, bytes: &[u8]) -> usize {
        let (to, len) = if frame.opcode.is_control() {
            (&mut self.control[..], &mut self.control_len)
        } else {
            (&mut *self.buffer, &mut self.message_len)
        };
        let taken = frame.left.min(bytes.len());
        let place = to.iter_mut().skip(*len).take(taken);
        for (to, from) in place.zip(bytes) {
            *to = *from;
        }
        *len += taken;
        frame.left -= taken;
        taken
    }

    /// Ends a frame whose payload is whole.
    fn end(&mut self, frame: Current) -> Progress {
        match frame.opcode {
            Opcode::Binary | Opcode::Continuation if frame.is_final => {
                self.complete = true;
                Progress::Message
            }
            Opcode::Binary | Opcode::Continuation | Opcode::Pong => Progress::Pending,
            Opcode::Ping => {
                self.answer = Some(Opcode::Pong);
                Progress::Answer
            }
            Opcode::Close => {
                self.answer = Some(Opcode::Close);
                Progress::Ended
            }
        }
    }
}

/// Reads the header in `bytes`, or nothing while it is not whole.
fn parse_header(bytes: &[u8]) -> Result<Option<Current>, FramingError> {
    let [first, second, extended @ ..] = bytes else {
        return Ok(None);
    };
    if first & RESERVED != 0 {
        return Err(FramingError::BadFrame);
    }
    let opcode = Opcode::from_code(first & 0x0F)?;
    if second & MASKED != 0 {
        return Err(FramingError::Masked);
    }
    let left = match second & !MASKED {
        LEN_16 => match extended.first_chunk() {
            Some(len) => u64::from(u16::from_be_bytes(*len)),
            None => return Ok(None),
        },
        LEN_64 => match extended.first_chunk() {
            Some(len) => u64::from_be_bytes(*len),
            None => return Ok(None),
        },
        short => u64::from(short),
    };
    let least = match second & !MASKED {
        LEN_16 => u64::from(LEN_16),
        LEN_64 => u64::from(u16::MAX) + 1,
        _ => 0,
    };
    if left < least {
        return Err(FramingError::BadFrame);
    }
    let left = usize::try_from(left).map_err(|_| FramingError::TooLong)?;
    Ok(Some(Current {
        opcode,
        is_final: first & FIN != 0,
        left,
    }))
}

impl Framing for WebSocketClient<'_> {
    fn absorb(&mut self, bytes: &[u8]) -> Result<Absorbed, FramingError> {
        if core::mem::take(&mut self.complete) {
            self.message_len = 0;
        }
        let mut taken = 0;
        loop {
            if let Some(mut frame) = self.current {
                taken += self.take_payload(&mut frame, bytes.get(taken..).unwrap_or_default());
                self.current = (frame.left > 0).then_some(frame);
                if frame.left == 0 {
                    let progress = self.end(frame);
                    if progress != Progress::Pending {
                        return Ok(Absorbed { taken, progress });
                    }
                }
            }
            match bytes.get(taken) {
                Some(byte) if self.current.is_none() => {
                    taken += 1;
                    self.push_header(*byte)?;
                }
                _ => {
                    return Ok(Absorbed {
                        taken,
                        progress: Progress::Pending,
                    });
                }
            }
        }
    }

    fn message(&mut self) -> &mut [u8] {
        self.buffer.get_mut(..self.message_len).unwrap_or_default()
    }

    fn emit_answer<'o>(
        &mut self,
        entropy: &mut dyn Entropy,
        out: &'o mut [u8],
    ) -> Result<&'o [u8], Error> {
        let Some(opcode) = self.answer.take() else {
            return Ok(&[]);
        };
        emit(
            opcode,
            self.control.get(..self.control_len).unwrap_or_default(),
            entropy,
            out,
        )
    }

    fn emit<'o>(
        &mut self,
        message: &[u8],
        entropy: &mut dyn Entropy,
        out: &'o mut [u8],
    ) -> Result<&'o [u8], Error> {
        emit(Opcode::Binary, message, entropy, out)
    }
}

/// Writes a final, masked frame to `out` (RFC 6455 §5.3).
fn emit<'o>(
    opcode: Opcode,
    payload: &[u8],
    entropy: &mut dyn Entropy,
    out: &'o mut [u8],
) -> Result<&'o [u8], Error> {
    let mask = draw::<4>(entropy)?;
    let mut writer = Writer::new(out);
    writer.u8(FIN | opcode.code());
    match u8::try_from(payload.len()) {
        Ok(len) if len < LEN_16 => writer.u8(MASKED | len),
        _ => {
            let len = u16::try_from(payload.len()).map_err(|_| Error::PayloadTooLong {
                limit: usize::from(u16::MAX),
            })?;
            writer.u8(MASKED | LEN_16).u16(len)
        }
    };
    writer.bytes(&*mask).bytes(payload);
    let frame = writer.finish()?;
    let needed = frame.len();
    let masked = frame
        .get_mut(needed - payload.len()..)
        .ok_or(TooSmall { needed })?;
    for (byte, key) in masked.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= key;
    }
    Ok(frame)
}
