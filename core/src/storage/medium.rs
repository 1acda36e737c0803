//! Reading and writing in pieces that every flash takes, through one short buffer that is wiped.

use embedded_storage::nor_flash::NorFlash;
use zeroize::Zeroizing;

use super::layout::{HEADER_LEN, Header, WORD_LEN};

/// Length of a piece in bytes: the longest unit that a record supports, and a multiple of every shorter one.
pub(super) const CHUNK_LEN: usize = 64;

/// What a cell reads as when it was erased.
const ERASED: u8 = 0xFF;

type Chunk = Zeroizing<[u8; CHUNK_LEN]>;

fn chunk() -> Chunk {
    Zeroizing::new([ERASED; CHUNK_LEN])
}

/// Writes header and value to the place at `at`.
pub(super) fn write_content<F: NorFlash>(
    flash: &mut F,
    at: u32,
    unit: usize,
    header: &Header,
    value: &[u8],
) -> Result<(), F::Error> {
    let header = header.to_bytes();
    let mut bytes = header.iter().chain(value);
    let mut at = at;
    loop {
        let mut chunk = chunk();
        let len = fill(&mut chunk, &mut bytes, unit);
        if len == 0 {
            return Ok(());
        }
        flash.write(at, chunk.get(..len).unwrap_or_default())?;
        at = after(at, len);
    }
}

/// Returns whether header and value stand in the place at `at`.
pub(super) fn has_content<F: NorFlash>(
    flash: &mut F,
    at: u32,
    unit: usize,
    header: &Header,
    value: &[u8],
) -> Result<bool, F::Error> {
    let header = header.to_bytes();
    let mut bytes = header.iter().chain(value);
    let mut at = at;
    loop {
        let mut wanted = chunk();
        let len = fill(&mut wanted, &mut bytes, unit);
        if len == 0 {
            return Ok(true);
        }
        let mut found = chunk();
        flash.read(at, found.get_mut(..len).unwrap_or_default())?;
        if found != wanted {
            return Ok(false);
        }
        at = after(at, len);
    }
}

/// Reads the header of the place at `at`.
pub(super) fn read_header<F: NorFlash>(
    flash: &mut F,
    at: u32,
    unit: usize,
) -> Result<Option<Header>, F::Error> {
    let mut chunk = chunk();
    let len = HEADER_LEN.next_multiple_of(unit.max(1));
    flash.read(at, chunk.get_mut(..len).unwrap_or_default())?;
    Ok(chunk.first_chunk().and_then(Header::parse))
}

/// Reads the value after `header` in the place at `at`, into `out` as far as that goes, and returns whether the checksum
/// holds for what was read.
pub(super) fn read_value<F: NorFlash>(
    flash: &mut F,
    at: u32,
    unit: usize,
    header: &Header,
    out: &mut [u8],
) -> Result<bool, F::Error> {
    let mut digest = header.digest();
    let mut left = usize::try_from(header.len).unwrap_or(usize::MAX);
    let mut out = out.iter_mut();
    let (mut at, mut skipped) = (at, HEADER_LEN);
    while left > 0 {
        let mut chunk = chunk();
        let len = left
            .saturating_add(skipped)
            .min(CHUNK_LEN)
            .next_multiple_of(unit.max(1));
        flash.read(at, chunk.get_mut(..len).unwrap_or_default())?;
        let part = chunk.get(skipped..len).unwrap_or_default();
        let part = part.get(..left).unwrap_or(part);
        digest.update(part);
        for (byte, place) in part.iter().zip(out.by_ref()) {
            *place = *byte;
        }
        left = left.saturating_sub(part.len());
        skipped = 0;
        at = after(at, len);
    }
    Ok(digest.finalize() == header.checksum)
}

/// Writes `word` to the unit at `at`.
pub(super) fn write_word<F: NorFlash>(
    flash: &mut F,
    at: u32,
    unit: usize,
    word: u32,
) -> Result<(), F::Error> {
    let mut chunk = chunk();
    let word = word.to_be_bytes();
    let len = fill(&mut chunk, &mut word.iter(), unit);
    flash.write(at, chunk.get(..len).unwrap_or_default())
}

/// Reads the word in the unit at `at`.
pub(super) fn read_word<F: NorFlash>(flash: &mut F, at: u32, unit: usize) -> Result<u32, F::Error> {
    let mut chunk = chunk();
    flash.read(at, chunk.get_mut(..unit).unwrap_or_default())?;
    let word = chunk.first_chunk::<WORD_LEN>();
    Ok(word.map_or(u32::MAX, |word| u32::from_be_bytes(*word)))
}

/// Returns whether each of the `len` bytes at `at` is `byte`; `len` is a multiple of the unit.
pub(super) fn is_filled<F: NorFlash>(
    flash: &mut F,
    at: u32,
    len: u32,
    byte: u8,
) -> Result<bool, F::Error> {
    let mut chunk = chunk();
    for (at, len) in pieces(at, len) {
        let piece = chunk.get_mut(..len).unwrap_or_default();
        flash.read(at, piece)?;
        if piece.iter().any(|found| *found != byte) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Returns whether the `len` bytes at `at` look erased.
pub(super) fn is_erased<F: NorFlash>(flash: &mut F, at: u32, len: u32) -> Result<bool, F::Error> {
    is_filled(flash, at, len, ERASED)
}

/// Overwrites the `len` bytes at `at` with zeros, unless they look erased or are zeros already.
pub(super) fn wipe<F: NorFlash>(flash: &mut F, at: u32, len: u32) -> Result<(), F::Error> {
    if is_erased(flash, at, len)? || is_filled(flash, at, len, 0)? {
        return Ok(());
    }
    zero(flash, at, len)
}

/// Overwrites the `len` bytes at `at` with zeros; `len` is a multiple of the unit.
pub(super) fn zero<F: NorFlash>(flash: &mut F, at: u32, len: u32) -> Result<(), F::Error> {
    for (at, len) in pieces(at, len) {
        flash.write(at, [0; CHUNK_LEN].get(..len).unwrap_or_default())?;
    }
    Ok(())
}

/// Divides the `len` bytes at `at` into pieces.
fn pieces(at: u32, len: u32) -> impl Iterator<Item = (u32, usize)> {
    let (mut at, mut left) = (at, usize::try_from(len).unwrap_or(usize::MAX));
    core::iter::from_fn(move || {
        let len = left.min(CHUNK_LEN);
        let piece = (at, len);
        left -= len;
        at = after(at, len);
        (len > 0).then_some(piece)
    })
}

/// Moves bytes to the front of `chunk` and returns how many there are, with those that fill up the last unit.
fn fill<'a>(chunk: &mut Chunk, bytes: &mut impl Iterator<Item = &'a u8>, unit: usize) -> usize {
    let mut len: usize = 0;
    for (place, byte) in chunk.iter_mut().zip(bytes) {
        *place = *byte;
        len += 1;
    }
    len.next_multiple_of(unit.max(1))
}

/// Returns where what follows `len` bytes at `at` begins.
fn after(at: u32, len: usize) -> u32 {
    at.saturating_add(u32::try_from(len).unwrap_or(u32::MAX))
}
