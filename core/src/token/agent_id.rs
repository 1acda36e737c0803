//! The short name of an agent.

use core::fmt;
use core::str::FromStr;

use crate::crypto::Hash;

/// Length of an agent id in bytes.
pub const AGENT_ID_LEN: usize = 16;

/// What an agent id is derived under.
const CONTEXT: &[u8] = b"ML1 agent\0";

/// The short name of the agent `(issuer, subject)`: `H("ML1 agent" || 0x00 || iss || 0x00 || sub)[..16]`
/// (PROTOCOL.md §8). Its text is 32 lower-case hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct AgentId(pub [u8; AGENT_ID_LEN]);

impl AgentId {
    /// Returns the id of the agent that `issuer` calls `subject`. Neither has a zero byte (PROTOCOL.md §4).
    #[must_use]
    pub fn of(issuer: &str, subject: &str) -> Self {
        Self(Hash::of(&[CONTEXT, issuer.as_bytes(), b"\0", subject.as_bytes()]).prefix())
    }
}

impl fmt::Display for AgentId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

/// The text is not that of an agent id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AgentIdError;

impl FromStr for AgentId {
    type Err = AgentIdError;

    fn from_str(text: &str) -> Result<Self, AgentIdError> {
        let mut id = [0; AGENT_ID_LEN];
        let (pairs, []) = text.as_bytes().as_chunks::<2>() else {
            return Err(AgentIdError);
        };
        if pairs.len() != id.len() {
            return Err(AgentIdError);
        }
        for (byte, [high, low]) in id.iter_mut().zip(pairs) {
            *byte = nibble(*high).ok_or(AgentIdError)? << 4 | nibble(*low).ok_or(AgentIdError)?;
        }
        Ok(Self(id))
    }
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}
