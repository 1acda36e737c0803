//! A key that both ends were given by hand (PROTOCOL.md §2.12): what a device may have before it has a token.

use core::fmt;

use crate::crypto::Secret;
use crate::time::UnixMillis;
use crate::wire::TICKET_ID_LEN;

/// A key that one holder and one responder have. It is 32 random bytes, never a password: who sees an M1 can try
/// passwords without asking anyone.
pub struct ExternalKey {
    /// Its name, 16 random bytes.
    pub identity: [u8; TICKET_ID_LEN],
    /// The key.
    pub secret: Secret<32>,
}

impl fmt::Debug for ExternalKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ExternalKey")
    }
}

/// What a responder keeps of such a key.
#[derive(Debug)]
pub struct ExternalRecord {
    /// The key.
    pub key: ExternalKey,
    /// When it is no longer good.
    pub expires: UnixMillis,
}
