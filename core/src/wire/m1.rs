//! M1, the initiator's offer (PROTOCOL.md §2.2).

use crate::crypto::{SHARE_LEN, Share};
use crate::limits::{MIN_MTU, VERSION};
use crate::reason::Reason;
use crate::wire::{MessageType, Reader, TooSmall, Writer, emit_head, parse_head};

/// Length of M1 in mode 0 in bytes, without cookie and padding.
pub const M1_LEN: usize = 54;

/// Length of the list of suites with its count.
const SUITE_SLOTS: usize = 4;

/// Length of what mode 1 adds before the binder, and of the binder.
const TICKET_ID_LEN: usize = 16;
const BINDER_LEN: usize = 32;

/// A set of algorithms (PROTOCOL.md §2.2). Number 2, ChaCha20-Poly1305, is reserved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Suite {
    /// X25519, ES256, HKDF-SHA256, AES-256-GCM. Every peer has it.
    Aes256Gcm,
}

impl Suite {
    /// Returns the number of this suite.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Aes256Gcm => 1,
        }
    }

    /// Returns the suite that `code` numbers, or nothing for one that this crate does not have.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        (code == 1).then_some(Self::Aes256Gcm)
    }
}

/// The suites that an initiator offers, in its order of preference; numbers may be unknown here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct SuiteList {
    count: u8,
    codes: [u8; SUITE_SLOTS],
}

impl SuiteList {
    /// The list of suite 1 alone.
    pub const DEFAULT: Self = Self {
        count: 1,
        codes: [1, 0, 0, 0],
    };

    fn parse(reader: &mut Reader<'_>) -> Result<Self, Reason> {
        let count = reader.u8()?;
        let codes = *reader.array::<SUITE_SLOTS>()?;
        if count == 0 || usize::from(count) > SUITE_SLOTS {
            return Err(Reason::SuiteList);
        }
        let (used, unused) = codes
            .split_at_checked(usize::from(count))
            .ok_or(Reason::SuiteList)?;
        let repeats = used
            .iter()
            .enumerate()
            .any(|(place, code)| used.iter().skip(place + 1).any(|later| later == code));
        if repeats || used.contains(&0) || unused.iter().any(|code| *code != 0) {
            return Err(Reason::SuiteList);
        }
        Ok(Self { count, codes })
    }

    /// Iterates over the numbers offered, the preferred one first.
    pub fn iter(&self) -> impl Iterator<Item = u8> + '_ {
        self.codes.iter().copied().take(usize::from(self.count))
    }

    /// Returns the first suite offered that this crate has.
    #[must_use]
    pub fn choose(&self) -> Option<Suite> {
        self.iter().find_map(Suite::from_code)
    }
}

/// How a handshake is authenticated (PROTOCOL.md §2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Mode {
    /// By signatures and a token.
    Full,
    /// By a ticket of an earlier session; a responder that does not take it answers [`Mode::Full`].
    Resume,
}

impl Mode {
    /// Returns the number of this mode.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Full => 0,
            Self::Resume => 1,
        }
    }

    /// Returns the mode that `code` numbers. 2 has no forward secrecy and does not exist; 3 is not spoken here.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::Full),
            1 => Some(Self::Resume),
            _ => None,
        }
    }
}

/// The flags of M1 (PROTOCOL.md §2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Flags {
    /// The initiator has no clock.
    pub no_clock: bool,
    /// The initiator wants a ticket.
    pub wants_ticket: bool,
}

const FLAG_DATAGRAM: u8 = 1;
const FLAG_NO_CLOCK: u8 = 1 << 1;
const FLAG_WANTS_TICKET: u8 = 1 << 2;
const FLAG_RESERVED: u8 = 1 << 3;

impl Flags {
    fn code(self) -> u8 {
        let mut code = VERSION << 4;
        if self.no_clock {
            code |= FLAG_NO_CLOCK;
        }
        if self.wants_ticket {
            code |= FLAG_WANTS_TICKET;
        }
        code
    }

    fn from_code(code: u8) -> Result<Self, Reason> {
        if code & FLAG_RESERVED != 0 {
            return Err(Reason::Reserved);
        }
        if code & FLAG_DATAGRAM != 0 {
            return Err(Reason::Form);
        }
        // The highest version that the initiator speaks is at least the one of the head, which is ours; and no
        // higher one is spoken here, so that a higher number is no downgrade.
        if code >> 4 < VERSION {
            return Err(Reason::Downgrade);
        }
        Ok(Self {
            no_clock: code & FLAG_NO_CLOCK != 0,
            wants_ticket: code & FLAG_WANTS_TICKET != 0,
        })
    }
}

/// M1 in stream form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct M1 {
    /// The suites offered.
    pub suites: SuiteList,
    /// The mode offered.
    pub mode: Mode,
    /// The flags.
    pub flags: Flags,
    /// Largest transport unit that the initiator takes, in bytes.
    pub mtu: u16,
    /// The first 4 bytes of the hash of the responder's key that the initiator expects.
    pub hint: [u8; 4],
    /// The initiator's ephemeral share.
    pub share: Share,
}

impl M1 {
    /// Reads M1. The ticket and binder of [`Mode::Resume`] are measured and left in the bytes.
    ///
    /// # Errors
    ///
    /// The first field that is wrong, in the order of the layout.
    pub fn parse(message: &[u8]) -> Result<Self, Reason> {
        let (kind, mut reader) = parse_head(message)?;
        if kind != MessageType::M1 {
            return Err(Reason::OutOfPlace);
        }
        let suites = SuiteList::parse(&mut reader)?;
        let mode = Mode::from_code(reader.u8()?).ok_or(Reason::Mode)?;
        let flags = Flags::from_code(reader.u8()?)?;
        let mtu = reader.u16()?;
        if mtu < MIN_MTU {
            return Err(Reason::Mtu);
        }
        if reader.u32()? != 0 {
            return Err(Reason::ConnectionId);
        }
        let hint = *reader.array()?;
        let share = Share(*reader.array::<SHARE_LEN>()?);
        // Cookies answer a flood of datagrams; a stream has none.
        if reader.u8()? != 0 {
            return Err(Reason::Form);
        }
        if mode == Mode::Resume {
            reader.bytes(TICKET_ID_LEN)?;
            reader.bytes(BINDER_LEN)?;
        }
        reader.finish()?;
        Ok(Self {
            suites,
            mode,
            flags,
            mtu,
            hint,
            share,
        })
    }

    /// Writes M1 of [`Mode::Full`], [`M1_LEN`] bytes.
    ///
    /// # Errors
    ///
    /// [`TooSmall`] when `out` does not take it.
    pub fn emit<'o>(&self, out: &'o mut [u8]) -> Result<&'o mut [u8], TooSmall> {
        let mut writer = Writer::new(out);
        emit_head(&mut writer, MessageType::M1, M1_LEN);
        writer
            .u8(self.suites.count)
            .bytes(&self.suites.codes)
            .u8(Mode::Full.code())
            .u8(self.flags.code())
            .u16(self.mtu)
            .u32(0)
            .bytes(&self.hint)
            .bytes(&self.share.0)
            .u8(0);
        writer.finish()
    }
}
