//! What only a session of a given age shows: its last epochs, and the times at which its keys are due.

use super::opener::Opener;
use super::sealer::Sealer;
use super::update::Update;
use super::{MAX_CONTROL_FRAME_LEN, Session, Shape};
use crate::crypto::{Secret, Suite};
use crate::entropy::{Entropy, EntropyError};
use crate::handshake::{Exporter, ResumptionSecret, Role};
use crate::limits::{EPOCH_MILLIS, HARD_SEALS, MAX_EPOCH, SETTLED_MILLIS, SOFT_SEALS};
use crate::reason::{Error, Reason};
use crate::time::Instant;
use crate::wire::{Form, FrameType};

/// Entropy that no test here draws on.
struct NoEntropy;

impl Entropy for NoEntropy {
    fn fill(&mut self, _: &mut [u8]) -> Result<(), EntropyError> {
        Err(EntropyError)
    }
}

fn session_in(epoch: u32) -> Session {
    let secret = || Secret::new([7; 32]);
    Session {
        role: Role::Initiator,
        shape: Shape::STREAM,
        sealer: Sealer::new(Suite::Aes256Gcm, secret(), epoch, Instant(0)),
        opener: Opener::new(Suite::Aes256Gcm, secret(), epoch, Form::Stream),
        resumption: ResumptionSecret(secret()),
        exporter: Exporter::of(secret()),
        peer_max_payload_len: 1024,
        own_max_payload_len: 1024,
        update: Update::None,
        settled_since: Instant(0),
        switched_at: None,
        left_count: 0,
        followed: false,
        healed: false,
        split_count: 0,
    }
}

fn wait(session: &mut Session, now: u64) -> Result<bool, Reason> {
    let mut out = [0; MAX_CONTROL_FRAME_LEN];
    session
        .handle_deadline(Instant(now), false, &mut NoEntropy, &mut out)
        .map(|frame| frame.is_some())
}

#[test]
fn the_last_epoch_ends_the_session_when_its_keys_are_due() {
    let mut session = session_in(MAX_EPOCH);
    assert_eq!(wait(&mut session, EPOCH_MILLIS - 1), Ok(false));
    assert_eq!(wait(&mut session, EPOCH_MILLIS), Err(Reason::LastEpoch));
    let mut session = session_in(MAX_EPOCH - 1);
    assert_eq!(wait(&mut session, EPOCH_MILLIS), Ok(true));
}

#[test]
fn no_key_update_leads_beyond_the_last_epoch() {
    let mut session = session_in(MAX_EPOCH);
    let mut out = [0; MAX_CONTROL_FRAME_LEN];
    let asked = session.update_keys(Instant(5000), false, &mut NoEntropy, &mut out);
    assert_eq!(asked, Err(Error::NotSettled));
    let next = MAX_EPOCH + 1;
    let answered = session.answer_update(next, None, Instant(5000), &mut NoEntropy);
    assert_eq!(answered, Err(Reason::KeyUpdateRate));
}

#[test]
fn worn_keys_are_replaced_as_soon_as_the_session_is_settled() {
    let mut session = session_in(0);
    assert_eq!(session.deadline(), Instant(EPOCH_MILLIS));
    session.sealer.wear(SOFT_SEALS);
    assert_eq!(session.deadline(), Instant(SETTLED_MILLIS));
    assert_eq!(wait(&mut session, SETTLED_MILLIS - 1), Ok(false));
    assert_eq!(wait(&mut session, SETTLED_MILLIS), Ok(true));
}

#[test]
fn a_payload_of_which_not_every_part_can_be_sealed_is_not_begun() {
    for (sealed, is_sealed) in [(HARD_SEALS - 2, false), (HARD_SEALS - 3, true)] {
        let mut session = session_in(0);
        session.shape = Shape {
            mtu: Some(256),
            ..Shape::DATAGRAM
        };
        session.sealer.wear(sealed);
        let mut out = [0; 1024];
        let parts = session.seal(FrameType::Application, &[&[0; 600]], &mut out);
        assert_eq!(parts.is_ok(), is_sealed);
        let count = if is_sealed { HARD_SEALS } else { sealed };
        assert_eq!(session.sealer.sealed_count(), count);
    }
}

#[test]
fn a_session_that_settles_late_has_no_deadline_in_the_past() {
    let mut session = session_in(0);
    session.settled_since = Instant(EPOCH_MILLIS);
    assert_eq!(session.deadline(), Instant(EPOCH_MILLIS + SETTLED_MILLIS));
}
