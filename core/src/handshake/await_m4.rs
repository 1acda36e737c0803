//! The initiator's waits after M3.

use super::key_schedule::{HandshakeSecret, Master};
use super::transcript::{AfterM2, AfterM2Clear};
use super::{Established, REFUSE_SEQ, Role, Terms, open_after_prefix};
use crate::crypto::Hash;
use crate::reason::Reason;
use crate::time::{TimeQuality, UnixMillis};
use crate::wire::{Announcement, ConnectionIds, Line, M4Sealed, MessageType, Refuse, RefuseCode};

/// What a REFUSE is opened with.
#[derive(Debug)]
pub(super) struct Refusals {
    pub(super) secret: HandshakeSecret,
    pub(super) th1: AfterM2Clear,
    pub(super) th3: AfterM2,
}

impl Refusals {
    fn open(&self, message: &mut [u8], id: u32) -> Result<Reason, Reason> {
        Refuse::check_prefix(message, id)?;
        let key = self.secret.responder_key(&self.th1);
        let (_, plaintext) = open_after_prefix(&key, REFUSE_SEQ, &self.th3.0, message)?;
        let refuse = Refuse::parse(plaintext)?;
        Ok(match refuse.code {
            RefuseCode::BadCredential => Reason::RefusedCredential,
            RefuseCode::Overload => Reason::RefusedOverload,
            RefuseCode::NoTime => Reason::RefusedNoTime,
        })
    }
}

/// The wait for M4, or for a REFUSE.
#[derive(Debug)]
pub struct AwaitM4 {
    pub(super) master: Master,
    pub(super) refusals: Refusals,
    pub(super) announcement: Announcement,
    pub(super) responder: Hash,
    pub(super) ids: ConnectionIds,
    pub(super) mtu: u16,
    pub(super) line: Line,
}

impl AwaitM4 {
    /// Returns the responder's clock as M2 had it. The responder is proved; the time may be taken.
    #[must_use]
    pub fn hub_time(&self) -> (UnixMillis, TimeQuality) {
        (self.announcement.time, self.announcement.quality)
    }

    /// Returns both ends' connection ids; 0 on a stream.
    #[must_use]
    pub fn ids(&self) -> ConnectionIds {
        self.ids
    }

    /// Returns the largest transport unit that both ends take, in bytes.
    #[must_use]
    pub fn mtu(&self) -> u16 {
        self.mtu
    }

    /// Checks M4 in the order of PROTOCOL.md §2.7. `message` is decrypted where it stands; `now` is the hub's time.
    ///
    /// # Errors
    ///
    /// [`Reason`] of the first check that fails; [`Reason::RefusedCredential`], [`Reason::RefusedOverload`] or
    /// [`Reason::RefusedNoTime`] when the responder refuses.
    pub fn handle_m4(
        &self,
        message: &mut [u8],
        now: UnixMillis,
    ) -> Result<(Established, Terms), Reason> {
        if message.first() == Some(&MessageType::Refuse.code()) {
            return Err(self.refusals.open(message, self.ids.own)?);
        }
        M4Sealed::check_prefix(message, self.ids.own)?;
        let th5 = self.master.transcript();
        let (_, plaintext) = open_after_prefix(&self.master.m4_key(), 0, &th5.0, message)?;
        let m4 = M4Sealed::parse(plaintext)?;
        if !self.master.fin().verifies(&m4.fin) {
            return Err(Reason::Confirmation);
        }
        m4.terms.check(now)?;
        let established = Established {
            role: Role::Initiator,
            suite: self.master.suite(),
            ids: self.ids,
            line: self.line,
            secrets: self.master.traffic(),
            mtu: self.mtu,
            peer_max_payload_len: self.announcement.limits.max_payload_len,
            responder: self.responder,
        };
        Ok((established, m4.terms))
    }
}

/// The wait for the session's first frame, a Welcome, or for a REFUSE.
#[derive(Debug)]
pub struct AwaitWelcome {
    pub(super) established: Established,
    pub(super) refusals: Refusals,
    pub(super) announcement: Announcement,
}

impl AwaitWelcome {
    /// Returns the responder's clock as M2 had it. The responder is proved; the time may be taken.
    #[must_use]
    pub fn hub_time(&self) -> (UnixMillis, TimeQuality) {
        (self.announcement.time, self.announcement.quality)
    }

    /// Returns what the session runs on, and what opens a REFUSE that comes in place of its first frame.
    #[must_use]
    pub fn into_session(self) -> (Established, AwaitRefusal) {
        let id = self.established.ids.own;
        let refusals = self.refusals;
        (self.established, AwaitRefusal { refusals, id })
    }
}

/// What opens the refusal of a resumption: the ticket may be used up by the time that M3 arrives.
#[derive(Debug)]
pub struct AwaitRefusal {
    refusals: Refusals,
    id: u32,
}

impl AwaitRefusal {
    /// Returns why the responder refuses.
    ///
    /// # Errors
    ///
    /// [`Reason`] of the first check that fails.
    pub fn handle_refuse(&self, message: &mut [u8]) -> Result<Reason, Reason> {
        self.refusals.open(message, self.id)
    }
}
