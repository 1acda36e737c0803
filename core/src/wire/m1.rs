//! M1, the initiator's offer (PROTOCOL.md §2.2).

use crate::crypto::{Hash, MAC_LEN, SHARE_LEN, Share, Suite};
use crate::limits::{MIN_MTU, VERSION};
use crate::reason::Reason;
use crate::wire::{
    Form, HEAD_LEN, Line, MessageType, Reader, TooSmall, Writer, emit_head, parse_head,
};

/// Length of M1 in mode 0 in bytes, without cookie and padding.
pub const M1_LEN: usize = 54;

/// Length of M1 with a pre-shared secret in bytes, without cookie and padding.
pub const M1_PRESHARED_LEN: usize = M1_LEN + TICKET_ID_LEN + MAC_LEN;

/// Least length of M1 without its cookie on a datagram link in bytes: what answers it is under three times as long.
const M1_PADDED_LEN: usize = 112;

/// Longest M1 in bytes.
pub const MAX_M1_LEN: usize = M1_PADDED_LEN + COOKIE_LEN;

/// Length of the name of a ticket in bytes.
pub const TICKET_ID_LEN: usize = 16;

/// Length of a cookie in bytes.
pub const COOKIE_LEN: usize = 20;

/// Where the length of the cookie stands, which the cookie follows.
const COOKIE_LEN_AT: usize = M1_LEN - 1;

/// Length of the list of suites without its count.
const SUITE_SLOTS: usize = 4;

/// The suites that an end offers or takes, in its order of preference; numbers may be unknown here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct SuiteList {
    count: u8,
    codes: [u8; SUITE_SLOTS],
}

impl SuiteList {
    /// Suite 1 alone, which every peer has.
    pub const DEFAULT: Self = Self {
        count: 1,
        codes: [1, 0, 0, 0],
    };

    /// Suite 1 before suite 2: for machines with instructions for AES.
    pub const AES_FIRST: Self = Self {
        count: 2,
        codes: [1, 2, 0, 0],
    };

    /// Suite 2 before suite 1: for machines without.
    pub const CHACHA_FIRST: Self = Self {
        count: 2,
        codes: [2, 1, 0, 0],
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

    /// Returns whether `suite` is among them.
    #[must_use]
    pub fn contains(&self, suite: Suite) -> bool {
        self.iter().any(|number| number == suite.number())
    }

    /// Returns the first suite offered that this crate has and `allowed` contains.
    #[must_use]
    pub fn choose(&self, allowed: &Self) -> Option<Suite> {
        self.iter()
            .filter_map(Suite::from_number)
            .find(|suite| allowed.contains(*suite))
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
    /// By a key that both ends were given; nothing else will do.
    External,
}

impl Mode {
    /// Returns the number of this mode.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Full => 0,
            Self::Resume => 1,
            Self::External => 3,
        }
    }

    /// Returns the mode that `code` numbers. 2 has no forward secrecy and does not exist.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::Full),
            1 => Some(Self::Resume),
            3 => Some(Self::External),
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
    fn code(self, form: Form) -> u8 {
        let mut code = VERSION << 4;
        if form == Form::Datagram {
            code |= FLAG_DATAGRAM;
        }
        if self.no_clock {
            code |= FLAG_NO_CLOCK;
        }
        if self.wants_ticket {
            code |= FLAG_WANTS_TICKET;
        }
        code
    }

    fn from_code(code: u8, form: Form) -> Result<Self, Reason> {
        if code & FLAG_RESERVED != 0 {
            return Err(Reason::Reserved);
        }
        if (code & FLAG_DATAGRAM != 0) != (form == Form::Datagram) {
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

/// The name of a secret that both ends have, and the proof that the initiator has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Preshared {
    /// The name of the ticket, or of the key.
    pub id: [u8; TICKET_ID_LEN],
    /// The proof, over all of M1 before it.
    pub binder: [u8; MAC_LEN],
}

/// M1.
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
    /// What the responder writes in what it sends; 0 on a stream.
    pub id: u32,
    /// The first 4 bytes of the hash of the responder's key that the initiator expects; 0 on a channel.
    pub hint: [u8; 4],
    /// The initiator's ephemeral share.
    pub share: Share,
    /// What the responder gave to prove the initiator's address.
    pub cookie: Option<[u8; COOKIE_LEN]>,
    /// What modes 1 and 3 rest on; absent in mode 0.
    pub preshared: Option<Preshared>,
}

impl M1 {
    /// Reads the M1 that arrived on `line`.
    ///
    /// # Errors
    ///
    /// The first field that is wrong, in the order of the layout.
    pub fn parse(message: &[u8], line: Line) -> Result<Self, Reason> {
        let form = line.form();
        let (kind, mut reader) = parse_head(message)?;
        if kind != MessageType::M1 {
            return Err(Reason::OutOfPlace);
        }
        let suites = SuiteList::parse(&mut reader)?;
        let mode = Mode::from_code(reader.u8()?).ok_or(Reason::Mode)?;
        let flags = Flags::from_code(reader.u8()?, form)?;
        let mtu = reader.u16()?;
        if mtu < MIN_MTU {
            return Err(Reason::Mtu);
        }
        let id = form.check_id(reader.u32()?)?;
        let hint = *reader.array()?;
        if matches!(line, Line::Channel(_)) && hint != [0; 4] {
            return Err(Reason::Reserved);
        }
        let share = Share(*reader.array::<SHARE_LEN>()?);
        let cookie = match usize::from(reader.u8()?) {
            0 => None,
            COOKIE_LEN if line == Line::Datagram => Some(*reader.array()?),
            _ => return Err(Reason::Form),
        };
        let ticket_id = match mode {
            Mode::Full => None,
            Mode::Resume | Mode::External => Some(*reader.array()?),
        };
        if reader
            .bytes(pad_len(mode, line))?
            .iter()
            .any(|byte| *byte != 0)
        {
            return Err(Reason::Padding);
        }
        let preshared = match ticket_id {
            None => None,
            Some(id) => Some(Preshared {
                id,
                binder: *reader.array()?,
            }),
        };
        reader.finish()?;
        Ok(Self {
            suites,
            mode,
            flags,
            mtu,
            id,
            hint,
            share,
            cookie,
            preshared,
        })
    }

    /// Writes M1 for `line`, at most [`MAX_M1_LEN`] bytes. A binder is written as it stands here; it is made over
    /// what is written before it.
    ///
    /// # Errors
    ///
    /// [`TooSmall`] when `out` does not take it.
    pub fn emit<'o>(&self, line: Line, out: &'o mut [u8]) -> Result<&'o mut [u8], TooSmall> {
        let pad = pad_len(self.mode, line);
        let preshared_len = self.preshared.map_or(0, |_| TICKET_ID_LEN + MAC_LEN);
        let cookie_len = self.cookie.map_or(0, |_| COOKIE_LEN);
        let mut writer = Writer::new(out);
        let len = M1_LEN + cookie_len + preshared_len + pad;
        emit_head(&mut writer, MessageType::M1, len);
        writer
            .u8(self.suites.count)
            .bytes(&self.suites.codes)
            .u8(self.mode.code())
            .u8(self.flags.code(line.form()))
            .u16(self.mtu)
            .u32(self.id)
            .bytes(&self.hint)
            .bytes(&self.share.0)
            .u8(u8::try_from(cookie_len).unwrap_or(0))
            .bytes(self.cookie.as_ref().map_or(&[], |cookie| &cookie[..]));
        if let Some(preshared) = &self.preshared {
            writer.bytes(&preshared.id);
        }
        writer.zeros(pad);
        if let Some(preshared) = &self.preshared {
            writer.bytes(&preshared.binder);
        }
        writer.finish()
    }
}

/// Returns how many zeros M1 has before its binder.
fn pad_len(mode: Mode, line: Line) -> usize {
    let len = match mode {
        Mode::Full => M1_LEN,
        Mode::Resume | Mode::External => M1_PRESHARED_LEN,
    };
    match line {
        Line::Datagram => M1_PADDED_LEN.saturating_sub(len),
        Line::Stream | Line::Channel(_) => 0,
    }
}

/// An M1 as it would be without a cookie: what binder, cookie and transcript are made over, so that a cookie changes
/// none of them (PROTOCOL.md §2.2).
#[derive(Debug, Clone, Copy)]
pub struct Starred<'m> {
    head: [u8; HEAD_LEN],
    before: &'m [u8],
    after: &'m [u8],
}

impl<'m> Starred<'m> {
    /// Returns `message`, which was parsed, without its cookie.
    #[must_use]
    pub fn of(message: &'m [u8]) -> Self {
        let before = message.get(HEAD_LEN..COOKIE_LEN_AT).unwrap_or_default();
        let cookie_len = usize::from(message.get(COOKIE_LEN_AT).copied().unwrap_or(0));
        let after = message.get(M1_LEN + cookie_len..).unwrap_or_default();
        let len = before.len() + 1 + after.len();
        let [high, low] = u16::try_from(len).unwrap_or(u16::MAX).to_be_bytes();
        Self {
            head: [MessageType::M1.code(), VERSION, high, low],
            before,
            after,
        }
    }

    /// Writes this M1 with `cookie`, at most [`MAX_M1_LEN`] bytes.
    ///
    /// # Errors
    ///
    /// [`TooSmall`] when `out` does not take it.
    pub fn emit_with<'o>(
        &self,
        cookie: &[u8; COOKIE_LEN],
        out: &'o mut [u8],
    ) -> Result<&'o mut [u8], TooSmall> {
        let mut writer = Writer::new(out);
        let len = M1_LEN + COOKIE_LEN + self.after.len();
        emit_head(&mut writer, MessageType::M1, len);
        writer
            .bytes(self.before)
            .u8(u8::try_from(COOKIE_LEN).unwrap_or(0))
            .bytes(cookie)
            .bytes(self.after);
        writer.finish()
    }

    /// Returns the hash of `context` and of all of it.
    #[must_use]
    pub fn hash(&self, context: &[&[u8]]) -> Hash {
        self.hash_up_to(context, self.after)
    }

    /// Returns the hash of `context` and of all of it but its last 32 bytes, which are the binder.
    #[must_use]
    pub fn hash_without_binder(&self, context: &[&[u8]]) -> Hash {
        let end = self.after.len().saturating_sub(MAC_LEN);
        self.hash_up_to(context, self.after.get(..end).unwrap_or_default())
    }

    fn hash_up_to(&self, context: &[&[u8]], after: &[u8]) -> Hash {
        let mut hasher = crate::crypto::Hasher::new();
        for part in context {
            hasher.update(part);
        }
        hasher.update(&self.head);
        hasher.update(self.before);
        hasher.update(&[0]);
        hasher.update(after);
        hasher.finish()
    }
}
