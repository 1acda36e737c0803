//! Two sessions on a bench: both ends, and every secret of theirs.

use moorline_core::handshake::Established;
use moorline_core::limits::MAX_HANDSHAKE_LEN;
use moorline_core::message::Alert;
use moorline_core::reason::{Error, Reason};
use moorline_core::session::{Delivery, Session};
use moorline_core::time::Instant;
use moorline_core::token::MAX_UNPACKED_LEN;
use moorline_core::wire::{ConnectionIds, Form, FrameType, Line};

use crate::fixture::{FixedEntropy, NOW, World};
use crate::handshake::stages::Stages;
use crate::pair::{LINE_LEN, Message, copy};
use crate::reference::{Block, datagram, frame};
use crate::vectors::Run;
use crate::{Failure, ensure};

/// The bytes that name the frames' types.
pub(super) const APPLICATION: u8 = 0x20;
pub(super) const CONTROL: u8 = 0x21;
pub(super) const ALERT: u8 = 0x22;
pub(super) const ENVELOPE: u8 = 0x23;

/// Longest payload that each end of the bench takes, in bytes.
pub(super) const MAX_PAYLOAD: usize = 1024;

/// The connection ids of a datagram line: the initiator's, the responder's.
pub(super) const DATAGRAM_IDS: [u32; 2] = [0x1122_3344, 0xA1B2_C3D4];

/// One end.
pub(super) struct End {
    pub(super) session: Session,
    pub(super) entropy: FixedEntropy,
    /// What this end sends under in epoch 0.
    pub(super) secret: Block,
    /// What it writes into its datagrams.
    peer_id: u32,
}

/// Both ends, in epoch 0 since the time 0.
pub(super) struct Bench {
    pub(super) initiator: End,
    pub(super) responder: End,
}

/// What a session made of a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Made {
    Nothing,
    Application(Message),
    Envelope(Message),
    Pong(u32),
    /// A part of a payload.
    Part,
    /// What a responder says of the session.
    Terms,
    Alert(Alert),
    Dropped(Reason),
}

impl Bench {
    /// Returns both ends of a stream.
    pub(super) fn new() -> Result<Self, Failure> {
        Self::over(Line::Stream, [ConnectionIds::NONE; 2], 1500)
    }

    /// Returns both ends of a datagram line.
    pub(super) fn over_datagrams() -> Result<Self, Failure> {
        Self::over_short_datagrams(1500)
    }

    /// Returns both ends of a datagram line that takes `mtu` bytes at a time.
    pub(super) fn over_short_datagrams(mtu: u16) -> Result<Self, Failure> {
        let [own, peer] = DATAGRAM_IDS;
        let ids = [
            ConnectionIds { own, peer },
            ConnectionIds {
                own: peer,
                peer: own,
            },
        ];
        Self::over(Line::Datagram, ids, mtu)
    }

    fn over(
        line: Line,
        [initiator_ids, responder_ids]: [ConnectionIds; 2],
        mtu: u16,
    ) -> Result<Self, Failure> {
        let world = World::new()?;
        let secrets = secrets(&world)?;
        let (established, responder) = established(&world)?;
        let established = Established {
            line,
            ids: initiator_ids,
            mtu,
            ..established
        };
        let responder = Established {
            line,
            ids: responder_ids,
            mtu,
            ..responder
        };
        Ok(Self {
            initiator: End {
                session: Session::new(established, 1024, Instant(0)),
                peer_id: initiator_ids.peer,
                entropy: FixedEntropy::new("initiator's session"),
                secret: secrets[0],
            },
            responder: End {
                session: Session::new(responder, 1024, Instant(0)),
                peer_id: responder_ids.peer,
                entropy: FixedEntropy::new("responder's session"),
                secret: secrets[1],
            },
        })
    }

    /// Carries `frame` to the responder and what it answers back, until nobody answers.
    pub(super) fn settle(&mut self, frame: Option<Message>, now: u64) -> Result<(), Failure> {
        let mut frame = frame;
        for turn in 0..6 {
            let Some(message) = frame else {
                return Ok(());
            };
            let end = if turn % 2 == 0 {
                &mut self.responder
            } else {
                &mut self.initiator
            };
            let handled = end.hand(&message, now);
            ensure!(handled.is_ok(), turn);
            frame = handled.ok().and_then(|(sent, _)| sent);
        }
        ensure!(false);
        Ok(())
    }

    /// Replaces the keys at `now`, asked for by the initiator.
    pub(super) fn update(&mut self, fresh: bool, now: u64) -> Result<(), Failure> {
        let asked = self.initiator.ask(fresh, now);
        ensure!(asked.is_ok());
        self.settle(asked.ok(), now)
    }
}

/// Returns the secrets of epoch 0, by the second derivation. Apart, so that its stack is free again afterwards.
#[inline(never)]
fn secrets(world: &World) -> Result<[Block; 3], Failure> {
    match &Run::new(world) {
        Ok(run) => Ok(run.epoch_0),
        Err(failure) => Err(*failure),
    }
}

/// Returns what the sessions of the initiator and of the responder run on. Apart for the same reason.
#[inline(never)]
fn established(world: &World) -> Result<(Established, Established), Failure> {
    let mut buffer = [0; MAX_UNPACKED_LEN];
    let mut stages = Stages::new(world, world.agent_token(&mut buffer)?);
    // Used where it is: `?` would make a second one.
    let initiator = match &mut stages {
        Ok(stages) => stages.await_m4.handle_m4(&mut stages.m4, NOW),
        Err(failure) => return Err(*failure),
    };
    match (initiator, stages) {
        (Ok((initiator, _)), Ok(Stages { responder, .. })) => Ok((initiator, responder)),
        _ => Err(Failure {
            condition: "M4 is taken",
            file: file!(),
            line: line!(),
            step: 0,
        }),
    }
}

impl End {
    /// Hands `frame` in at `now`; returns what is to be sent and what was made of it.
    pub(super) fn hand(
        &mut self,
        frame: &[u8],
        now: u64,
    ) -> Result<(Option<Message>, Made), Reason> {
        let mut frame = copy(frame);
        let mut out = [0; 128];
        let handled =
            self.session
                .handle_frame(&mut frame, Instant(now), &mut self.entropy, &mut out)?;
        let made = match handled.delivery {
            Delivery::Nothing => Made::Nothing,
            Delivery::Application(payload) => Made::Application(copy(payload)),
            Delivery::Envelope(payload) => Made::Envelope(copy(payload)),
            Delivery::Pong(number) => Made::Pong(number),
            Delivery::Part(_) => Made::Part,
            Delivery::Welcome(_)
            | Delivery::Ticket(_)
            | Delivery::TokenUpdate(..)
            | Delivery::Enrolled(_)
            | Delivery::TokenResult(_) => Made::Terms,
            Delivery::Alert(alert) => Made::Alert(alert),
            Delivery::Dropped(reason) => Made::Dropped(reason),
        };
        Ok((handled.send.map(copy), made))
    }

    /// Returns why `frame` is refused at the time 0, or nothing when it is taken.
    pub(super) fn refusal(&mut self, frame: &[u8]) -> Option<Reason> {
        self.hand(frame, 0).err()
    }

    /// Seals an application message.
    pub(super) fn say(&mut self, payload: &[u8]) -> Result<Message, Failure> {
        let mut out = [0; LINE_LEN];
        let sealed = self
            .session
            .seal(FrameType::Application, &[payload], &mut out)
            .map(copy);
        ensure!(sealed.is_ok());
        Ok(sealed.unwrap_or_default())
    }

    /// Asks for new keys.
    pub(super) fn ask(&mut self, fresh: bool, now: u64) -> Result<Message, Error> {
        let mut out = [0; 128];
        self.session
            .update_keys(Instant(now), fresh, &mut self.entropy, &mut out)
            .map(copy)
    }

    /// Lets time come to `now`; returns what is to be sent.
    pub(super) fn wait(&mut self, fresh: bool, now: u64) -> Result<Option<Message>, Reason> {
        let mut out = [0; MAX_HANDSHAKE_LEN];
        self.session
            .handle_deadline(Instant(now), fresh, &mut self.entropy, &mut out)
            .map(|sent| sent.map(copy))
    }

    /// Returns a frame of epoch 0 under this end's secret.
    pub(super) fn forge(&self, kind: u8, seq: u32, payload: &[u8]) -> Message {
        self.forge_in(0, &self.secret, kind, seq, payload)
    }

    /// Returns a frame of this end's in `epoch`, whose secret is `secret`.
    pub(super) fn forge_in(
        &self,
        epoch: u8,
        secret: &Block,
        kind: u8,
        seq: u32,
        payload: &[u8],
    ) -> Message {
        match self.session.form() {
            Form::Stream => frame(secret, kind, epoch, seq, payload),
            Form::Datagram => datagram(secret, kind, epoch, self.peer_id, seq, payload),
        }
    }
}

/// Returns the payload of a control message whose fields are one number.
pub(super) fn control(variant: u8, number: u32) -> Message {
    let mut payload = Message::new();
    let _ = payload.push(variant);
    let mut rest = number;
    while rest >= 0x80 {
        let _ = payload.push(u8::try_from(rest & 0x7F).unwrap_or(0) | 0x80);
        rest >>= 7;
    }
    let _ = payload.push(u8::try_from(rest).unwrap_or(0));
    payload
}

/// The numbers of the control messages.
pub(super) const KEY_UPDATE: u8 = 0;
pub(super) const KEY_ACK: u8 = 1;
pub(super) const KEY_DONE: u8 = 2;
pub(super) const PING: u8 = 3;
pub(super) const PONG: u8 = 4;

/// Returns the payload of a KeyUpdate or KeyAck.
pub(super) fn key_message(variant: u8, next: u32, dh: Option<&Block>) -> Message {
    let mut payload = control(variant, next);
    let _ = payload.push(u8::from(dh.is_some()));
    for byte in dh.into_iter().flatten() {
        let _ = payload.push(*byte);
    }
    payload
}
