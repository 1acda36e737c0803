//! postcard, strictly (PROTOCOL.md §10.1).

use postcard::ser_flavors::Flavor;
use serde::{Deserialize, Serialize};

use crate::reason::Reason;
use crate::wire::{Reader, TooSmall};

/// The version that every application message begins with.
const MESSAGE_VERSION: u8 = 1;

/// Decodes `bytes`, all of them, and refuses every encoding but the one that [`encode`] gives.
pub(super) fn decode<'a, T: Serialize + Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, Reason> {
    let value = postcard::from_bytes::<T>(bytes).map_err(|_| Reason::Malformed)?;
    // A varint has spare spellings, and bytes may follow: encode again, against all the bytes that came.
    postcard::serialize_with_flavor(&value, Compare(Reader::new(bytes)))
        .map_err(|_| Reason::Malformed)?;
    Ok(value)
}

/// Decodes a message that begins with its version.
pub(crate) fn decode_versioned<'a, T: Serialize + Deserialize<'a>>(
    bytes: &'a [u8],
) -> Result<T, Reason> {
    let mut reader = Reader::new(bytes);
    if reader.u8()? != MESSAGE_VERSION {
        return Err(Reason::MessageVersion);
    }
    decode(reader.rest())
}

/// Encodes `value` to the front of `out`.
pub(super) fn encode<'o, T: Serialize>(
    value: &T,
    out: &'o mut [u8],
) -> Result<&'o mut [u8], TooSmall> {
    let needed = out.len().saturating_add(1);
    postcard::to_slice(value, out).map_err(|_| TooSmall { needed })
}

/// Encodes `value` with its version to the front of `out`.
pub(crate) fn encode_versioned<'o, T: Serialize>(
    value: &T,
    out: &'o mut [u8],
) -> Result<&'o mut [u8], TooSmall> {
    let (version, rest) = out.split_first_mut().ok_or(TooSmall { needed: 1 })?;
    *version = MESSAGE_VERSION;
    let len = encode(value, rest)?.len() + 1;
    out.get_mut(..len).ok_or(TooSmall { needed: len })
}

/// A sink that only takes the bytes it expects.
struct Compare<'a>(Reader<'a>);

impl Flavor for Compare<'_> {
    type Output = ();

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        match self.0.u8() {
            Ok(expected) if expected == byte => Ok(()),
            _ => Err(postcard::Error::SerializeBufferFull),
        }
    }

    fn finalize(self) -> postcard::Result<()> {
        self.0
            .finish()
            .map_err(|_| postcard::Error::SerializeBufferFull)
    }
}
