//! Where a key update stands (PROTOCOL.md §5.4).
//!
//! ```text
//! starter   None --start--> Asked --KeyAck--> Switched --KeyDone--> None
//! answerer  None --KeyUpdate--> Answered --KeyDone--> None
//! ```
//!
//! Over datagrams any frame of the next epoch does what KeyDone does.

use super::frame_keys::{Contribution, EpochSecrets, NextEpoch};
use crate::crypto::{EphemeralKey, Secret};
use crate::entropy::Entropy;
use crate::limits::UPDATE_REPEAT_MILLIS;
use crate::reason::Reason;
use crate::time::Instant;

/// The stage of a key update.
#[derive(Debug)]
pub(super) enum Update {
    /// None is under way.
    None,
    /// This end asked and goes on in the old epoch.
    Asked {
        /// How often it asked.
        sends: u8,
        /// When it asks again.
        again: Instant,
        /// The key whose share it sent, if any.
        ephemeral: Option<EphemeralKey>,
        /// That share.
        share: Option<[u8; 32]>,
    },
    /// This end answered: it opens the next epoch and goes on sending in the old one.
    Answered {
        /// The peer's share, if any.
        asked: Option<[u8; 32]>,
        /// This end's share, if any.
        answered: Option<[u8; 32]>,
        /// The secrets of the next epoch.
        next: NextEpoch,
        /// When this end gives up waiting for the peer's first frame of the next epoch.
        until: Instant,
    },
    /// This end sends in the next epoch and waits for the peer to do so.
    Switched {
        /// The secret that the peer will send under.
        receive: Secret<32>,
        /// The peer's share, if fresh ones went into it.
        answered: Option<[u8; 32]>,
        /// Over datagrams, when this end says again that it has switched.
        again: Option<Instant>,
        /// When this end gives up waiting for the peer's first frame of the next epoch.
        until: Instant,
    },
}

impl Update {
    /// Returns the stage after asking, and the share to send.
    pub(super) fn ask(
        now: Instant,
        fresh: bool,
        entropy: &mut dyn Entropy,
    ) -> Result<(Self, Option<[u8; 32]>), Reason> {
        let ephemeral = if fresh {
            Some(EphemeralKey::generate(entropy)?)
        } else {
            None
        };
        let share = ephemeral.as_ref().map(|key| key.share().0);
        let again = now.plus(UPDATE_REPEAT_MILLIS);
        Ok((
            Self::Asked {
                sends: 1,
                again,
                ephemeral,
                share,
            },
            share,
        ))
    }

    /// Returns the stage after answering a question with the share `asked`, and the share to answer with.
    pub(super) fn answer(
        secrets: EpochSecrets<'_>,
        epoch: u32,
        asked: Option<[u8; 32]>,
        until: Instant,
        entropy: &mut dyn Entropy,
    ) -> Result<(Self, Option<[u8; 32]>), Reason> {
        let own = if asked.is_some() {
            Some(EphemeralKey::generate(entropy)?)
        } else {
            None
        };
        let answered = own.as_ref().map(|key| key.share().0);
        let contribution = Contribution {
            asked,
            answered,
            own: own.as_ref(),
            peer: asked,
        };
        let next = secrets.next(epoch, &contribution)?;
        Ok((
            Self::Answered {
                asked,
                answered,
                next,
                until,
            },
            answered,
        ))
    }

    /// Returns when something is due, if an update is under way.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self {
            Self::None => None,
            Self::Asked { again, .. } => Some(*again),
            Self::Answered { until, .. } => Some(*until),
            Self::Switched { again, until, .. } => {
                Some(again.map_or(*until, |again| again.min(*until)))
            }
        }
    }

    /// Returns the secrets of the next epoch when the peer's answer is to this end's question.
    pub(super) fn acknowledged(
        &self,
        secrets: EpochSecrets<'_>,
        epoch: u32,
        answered: Option<[u8; 32]>,
    ) -> Result<Option<NextEpoch>, Reason> {
        let Self::Asked {
            ephemeral, share, ..
        } = self
        else {
            return Ok(None);
        };
        let contribution = Contribution {
            asked: *share,
            answered,
            own: ephemeral.as_ref(),
            peer: answered,
        };
        secrets.next(epoch, &contribution).map(Some)
    }

    /// Returns the secret of the next epoch's receiving direction, when frames of it may arrive.
    pub(super) fn next_epoch(&self) -> Option<&Secret<32>> {
        match self {
            Self::None | Self::Asked { .. } => None,
            Self::Answered { next, .. } => Some(&next.receive),
            Self::Switched { receive, .. } => Some(receive),
        }
    }
}
