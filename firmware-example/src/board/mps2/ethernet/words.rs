//! What the words of the controller mean: frames as they go through its FIFOs, and its reports on them.
//!
//! Nothing here touches the hardware. The image `ethernet` holds each function against known words.

/// Longest frame in bytes, its header included and its check sequence not.
pub const FRAME_LEN: usize = 1514;

/// Length of a frame's check sequence in bytes, which the controller hands over behind the frame.
const CHECK_LEN: usize = 4;

/// What the controller reports on a frame that it has received (LAN9118 data sheet §3.13.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received {
    /// Words that it takes in the FIFO.
    pub word_count: usize,
    /// Its bytes without the check sequence; `None` when it is damaged, or no frame of ours is that long.
    pub len: Option<usize>,
}

impl Received {
    /// Reads a word of the receive status FIFO.
    pub fn decode(status: u32) -> Self {
        let whole = low_bits(status >> 16, 14);
        let is_damaged = status & (1 << 15) != 0;
        let len = whole.checked_sub(CHECK_LEN);
        Self {
            word_count: whole.div_ceil(4),
            len: len.filter(|len| !is_damaged && (HEADER_LEN..=FRAME_LEN).contains(len)),
        }
    }
}

/// Returns the two commands that announce a frame of `len` bytes, all of it in one piece (LAN9118 data sheet §3.12.2).
/// A longer frame than [`FRAME_LEN`] is announced as one of that length.
pub fn transmit_commands(len: usize) -> [u32; 2] {
    let len = u32::try_from(len.min(FRAME_LEN)).unwrap_or(0);
    [FIRST_SEGMENT | LAST_SEGMENT | len, len]
}

/// Says whether a word of the transmit status FIFO reports that the frame did not get out.
pub fn is_unsent(status: u32) -> bool {
    status & (1 << 15) != 0
}

/// Packs `frame` as it goes into the FIFO: the first byte lowest, the last word filled up with zeros.
pub fn pack(frame: &[u8]) -> impl Iterator<Item = u32> {
    frame.chunks(4).map(|bytes| {
        let mut word = [0; 4];
        for (place, byte) in word.iter_mut().zip(bytes) {
            *place = *byte;
        }
        u32::from_le_bytes(word)
    })
}

/// Fills `frame` with the words that `next` gives, one for each 4 bytes begun.
pub fn unpack(frame: &mut [u8], mut next: impl FnMut() -> u32) {
    for place in frame.chunks_mut(4) {
        let word = next().to_le_bytes();
        for (byte, from) in place.iter_mut().zip(word) {
            *byte = from;
        }
    }
}

/// Returns the address that stands in the MAC's registers ADDRL and ADDRH.
pub fn hardware_address(low: u32, high: u32) -> [u8; 6] {
    let [a, b, c, d] = low.to_le_bytes();
    let [e, f, ..] = high.to_le_bytes();
    [a, b, c, d, e, f]
}

/// Says whether `address` can be a station's: not that of a group, and not blank.
pub fn is_station(address: &[u8; 6]) -> bool {
    let [first, ..] = address;
    first & 1 == 0 && *address != [0; 6]
}

/// Says whether both ends of the wire came to sending and receiving at once, by what they advertise: IEEE 802.3
/// annex 28B, 100BASE-TX before 10BASE-T.
pub fn is_full_duplex(own: u32, partner: u32) -> bool {
    const FULL_100: u32 = 1 << 8;
    const HALF_100: u32 = 1 << 7;
    const FULL_10: u32 = 1 << 6;
    let both = own & partner;
    both & FULL_100 != 0 || (both & HALF_100 == 0 && both & FULL_10 != 0)
}

/// Returns the lowest `count` bits of `word`.
pub fn low_bits(word: u32, count: u32) -> usize {
    usize::try_from(word & !(u32::MAX << count)).unwrap_or(0)
}

/// Two addresses and the type.
const HEADER_LEN: usize = 14;
const FIRST_SEGMENT: u32 = 1 << 13;
const LAST_SEGMENT: u32 = 1 << 12;
