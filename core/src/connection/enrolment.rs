//! A newcomer's session with the hub (PROTOCOL.md §2.9).

use super::Connection;
use crate::crypto::Hash;
use crate::message::{Control, Enrolled};
use crate::reason::Error;
use crate::token::Holder;

/// Whom a responder's session belongs to.
#[derive(Debug, Clone, Copy)]
pub(super) enum Standing {
    /// The holder of a token.
    Holder(Holder),
    /// The holder of this key, by its hash, who gets a token.
    Newcomer(Hash),
    /// The holder of an external key, who has no key of its own yet.
    External,
}

impl Connection<'_> {
    /// Gives a newcomer, or the holder of an external key, its first token, and writes the frame to `out`. The session is a peer's when the newcomer has
    /// shown it: [`Event::Renewed`](super::Event::Renewed).
    ///
    /// # Errors
    ///
    /// [`Error::NotOpen`]; [`Error::NotEnrolling`] when the peer is no newcomer; as
    /// [`Session::seal`](crate::session::Session::seal).
    pub fn enrol<'o>(
        &mut self,
        enrolled: &Enrolled<'_>,
        out: &'o mut [u8],
    ) -> Result<&'o [u8], Error> {
        let is_newcomer = matches!(
            self.standing,
            Some(Standing::Newcomer(_) | Standing::External)
        );
        let session = self.open_session()?;
        if !is_newcomer {
            return Err(Error::NotEnrolling);
        }
        session.seal_with_token(&Control::Enrolled(*enrolled), out)
    }
}
