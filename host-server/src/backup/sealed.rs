//! A stream sealed in chunks, so that it need not be in memory as a whole.
//!
//! ```text
//! magic 8 | salt 32 | chunks
//! chunk = len u32 | is_last u8 | AES-256-GCM(len bytes) | tag 16
//! ```
//!
//! The number of a chunk is its sequence number, its head is authenticated with it, and the last one says so: chunks cannot be
//! changed, moved, or left away.

use std::io::{self, Read, Write};

use moorline_core::crypto::AeadKey;

/// What a sealed stream begins with.
pub(super) const MAGIC: &[u8; 8] = b"MLBACK1\n";

/// Length of the salt.
pub(super) const SALT_LEN: usize = 32;

const CHUNK_LEN: usize = 64 * 1024;
const HEAD_LEN: usize = 5;
const TAG_LEN: usize = 16;

/// Seals what is written.
pub(super) struct Sealer<W> {
    out: W,
    key: AeadKey,
    number: u64,
    chunk: Vec<u8>,
}

impl<W: Write> Sealer<W> {
    pub(super) fn new(out: W, key: AeadKey) -> Self {
        Self {
            out,
            key,
            number: 0,
            chunk: Vec::with_capacity(CHUNK_LEN),
        }
    }

    /// Writes the last chunk and returns what was written to.
    pub(super) fn finish(mut self) -> io::Result<W> {
        self.put(true)?;
        Ok(self.out)
    }

    fn put(&mut self, is_last: bool) -> io::Result<()> {
        let head = head(self.chunk.len(), is_last)?;
        let tag = self.key.seal_in_place(self.number, &head, &mut self.chunk);
        let tag = tag.ok_or_else(|| io::Error::other("too long to be sealed"))?;
        for part in [&head[..], &self.chunk, &tag.0] {
            self.out.write_all(part)?;
        }
        self.number += 1;
        self.chunk.clear();
        Ok(())
    }
}

impl<W: Write> Write for Sealer<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.chunk.len() == CHUNK_LEN {
            self.put(false)?;
        }
        let room = bytes.len().min(CHUNK_LEN - self.chunk.len());
        self.chunk.extend(bytes.iter().take(room));
        Ok(room)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Opens what was sealed.
pub(super) struct Opener<R> {
    input: R,
    key: AeadKey,
    number: u64,
    chunk: Vec<u8>,
    read: usize,
    is_over: bool,
}

impl<R: Read> Opener<R> {
    pub(super) fn new(input: R, key: AeadKey) -> Self {
        Self {
            input,
            key,
            number: 0,
            chunk: Vec::new(),
            read: 0,
            is_over: false,
        }
    }

    fn next(&mut self) -> io::Result<()> {
        let wrong = || {
            io::Error::new(
                io::ErrorKind::InvalidData,
                "the secret does not open it, or it is damaged or cut",
            )
        };
        let cut = |error: io::Error| match error.kind() {
            io::ErrorKind::UnexpectedEof => wrong(),
            _ => error,
        };
        let mut head = [0; HEAD_LEN];
        self.input.read_exact(&mut head).map_err(cut)?;
        let [a, b, c, d, is_last] = head;
        let len = usize::try_from(u32::from_be_bytes([a, b, c, d])).map_err(|_| wrong())?;
        if len > CHUNK_LEN || is_last > 1 {
            return Err(wrong());
        }
        self.chunk.resize(len, 0);
        self.read = 0;
        let mut tag = [0; TAG_LEN];
        self.input.read_exact(&mut self.chunk).map_err(cut)?;
        self.input.read_exact(&mut tag).map_err(cut)?;
        if !self
            .key
            .open_in_place(self.number, &head, &mut self.chunk, &tag)
        {
            self.chunk.clear();
            return Err(wrong());
        }
        self.number += 1;
        self.is_over = is_last == 1;
        if self.is_over && self.input.read(&mut [0])? != 0 {
            return Err(wrong());
        }
        Ok(())
    }
}

impl<R: Read> Read for Opener<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.read == self.chunk.len() && !self.is_over {
            self.next()?;
        }
        let rest = self.chunk.get(self.read..).unwrap_or_default();
        let len = rest.len().min(buffer.len());
        for (to, from) in buffer.iter_mut().zip(rest) {
            *to = *from;
        }
        self.read += len;
        Ok(len)
    }
}

fn head(len: usize, is_last: bool) -> io::Result<[u8; HEAD_LEN]> {
    let len = u32::try_from(len).map_err(io::Error::other)?;
    let [a, b, c, d] = len.to_be_bytes();
    Ok([a, b, c, d, u8::from(is_last)])
}

#[cfg(test)]
mod tests {
    use moorline_core::crypto::{Secret, Suite};

    use super::*;

    fn key() -> AeadKey {
        AeadKey::new(
            Suite::Aes256Gcm,
            &Secret::new([7; 32]),
            Secret::new([9; 12]),
        )
    }

    fn sealed(plain: &[u8]) -> Vec<u8> {
        let mut sealer = Sealer::new(Vec::new(), key());
        sealer.write_all(plain).expect("memory");
        sealer.finish().expect("memory")
    }

    fn opened(sealed: &[u8]) -> io::Result<Vec<u8>> {
        let mut plain = Vec::new();
        Opener::new(sealed, key()).read_to_end(&mut plain)?;
        Ok(plain)
    }

    #[test]
    fn what_is_sealed_opens_whatever_its_length() {
        for len in [0, 1, CHUNK_LEN - 1, CHUNK_LEN, CHUNK_LEN + 1, 3 * CHUNK_LEN] {
            let plain: Vec<u8> = (0..len)
                .map(|at| u8::try_from(at % 251).unwrap_or(0))
                .collect();
            assert_eq!(opened(&sealed(&plain)).expect("it opens"), plain, "{len}");
        }
    }

    #[test]
    fn what_is_cut_changed_moved_or_longer_does_not_open() {
        let plain = vec![5; 2 * CHUNK_LEN + 9];
        let whole = sealed(&plain);
        let chunk = HEAD_LEN + CHUNK_LEN + TAG_LEN;
        for len in [0, 4, chunk - 1, chunk, 2 * chunk, whole.len() - 1] {
            assert!(opened(&whole[..len]).is_err(), "{len}");
        }
        for at in [0, 4, 5, chunk - 1, chunk, 2 * chunk + 4, whole.len() - 1] {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            assert!(opened(&changed).is_err(), "{at}");
        }
        let moved = [
            &whole[chunk..2 * chunk],
            &whole[..chunk],
            &whole[2 * chunk..],
        ]
        .concat();
        assert!(opened(&moved).is_err());
        assert!(opened(&[&whole[..], &[0]].concat()).is_err());
    }
}
