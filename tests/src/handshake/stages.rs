//! Every stage and message of one undisturbed handshake, so that one stage serves many broken messages.

use moorline_core::crypto::EphemeralKey;
use moorline_core::handshake::{AwaitM2, AwaitM3, AwaitM4, Established, M2Answer, M3Answer};
use moorline_core::limits::MAX_HANDSHAKE_LEN;
use moorline_core::reason::Reason;
use moorline_core::token::UnpackedToken;
use moorline_core::trust::NoKeeper;

use crate::fixture::{Door, FixedEntropy, NOW, World, at, ephemeral_key};
use crate::pair::{Message, copy};
use crate::{Failure, ensure};

/// The waits of both ends, and the messages that end them.
pub(crate) struct Stages<'k> {
    pub(crate) world: &'k World,
    pub(crate) await_m2: AwaitM2<'k>,
    pub(crate) await_m3: AwaitM3,
    pub(crate) await_m4: AwaitM4,
    pub(crate) m1: Message,
    pub(crate) m2: Message,
    pub(crate) m3: Message,
    pub(crate) m4: Message,
    /// What the responder's session runs on.
    pub(crate) responder: Established,
}

/// What became of an M3.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "a verdict is looked at where it was made; there is no heap on the device"
)]
pub(crate) enum Verdict {
    /// M4 was sent.
    Open,
    /// This REFUSE was sent, and this is logged.
    Refused(Message, Reason),
    /// Nothing was sent.
    Dropped(Reason),
}

impl<'k> Stages<'k> {
    /// Runs the handshake of the holder of `token`.
    pub(crate) fn new(world: &'k World, token: UnpackedToken<'k>) -> Result<Self, Failure> {
        let mut out = [0; MAX_HANDSHAKE_LEN];
        let ephemeral = ephemeral_key("initiator ephemeral");
        let started = AwaitM2::start(
            world.initiator(token),
            ephemeral.into(),
            &at(0),
            &mut FixedEntropy::new("initiator"),
            &mut out,
        );
        ensure!(started.is_ok());
        let Ok((await_m2, m1)) = started else {
            return Err(impossible());
        };
        let m1 = copy(m1);
        let (await_m3, m2) = answer(world, &m1).map_err(|_| impossible())?;
        let mut bytes = m2.clone();
        let next = await_m2.handle_m2(
            &mut bytes,
            &at(0),
            &mut NoKeeper,
            &mut FixedEntropy::new("initiator"),
            &mut out,
        );
        let (M2Answer::Full(await_m4), m3) = next.map_err(|_| impossible())? else {
            return Err(impossible());
        };
        let m3 = copy(m3);
        let mut bytes = m3.clone();
        let mut door = Door::default();
        let mut out = [0; MAX_HANDSHAKE_LEN];
        let answer = await_m3.handle_m3(
            &mut bytes,
            &world.responder(),
            &at(0),
            &mut door,
            &mut FixedEntropy::new("tickets"),
            &mut out,
        );
        let Ok(M3Answer::Open {
            m4: Some(m4),
            established,
            ..
        }) = answer
        else {
            return Err(impossible());
        };
        let m4 = copy(m4);
        Ok(Self {
            world,
            await_m2,
            await_m3,
            await_m4,
            m1,
            m2,
            m3,
            m4,
            responder: established,
        })
    }

    /// Returns why the initiator refuses `message` for M2, or nothing when it takes it.
    pub(crate) fn refusal_of_m2(&self, message: &[u8]) -> Option<Reason> {
        let mut out = [0; MAX_HANDSHAKE_LEN];
        let mut entropy = FixedEntropy::new("initiator");
        let bytes = &mut copy(message);
        self.await_m2
            .handle_m2(bytes, &at(0), &mut NoKeeper, &mut entropy, &mut out)
            .err()
    }

    /// Returns what the responder makes of `message` for M3 behind `door`.
    pub(crate) fn verdict_on_m3(&self, message: &[u8], door: &mut Door) -> Verdict {
        let mut out = [0; MAX_HANDSHAKE_LEN];
        let mut message = copy(message);
        let responder = self.world.responder();
        match self.await_m3.handle_m3(
            &mut message,
            &responder,
            &at(0),
            door,
            &mut FixedEntropy::new("tickets"),
            &mut out,
        ) {
            Ok(M3Answer::Open { .. }) => Verdict::Open,
            Ok(M3Answer::Refused { refuse, reason }) => Verdict::Refused(copy(refuse), reason),
            Err(reason) => Verdict::Dropped(reason),
        }
    }

    /// Returns why the initiator refuses `message` for M4, or nothing when it takes it.
    pub(crate) fn refusal_of_m4(&self, message: &[u8]) -> Option<Reason> {
        self.await_m4.handle_m4(&mut copy(message), NOW).err()
    }
}

/// Returns what the responder of `world` answers to `m1`.
pub(crate) fn answer(world: &World, m1: &[u8]) -> Result<(AwaitM3, Message), Reason> {
    let mut out = [0; MAX_HANDSHAKE_LEN];
    let mut entropy = FixedEntropy::new("responder");
    let ephemeral = EphemeralKey::generate(&mut entropy).map_err(|_| Reason::Entropy)?;
    let (wait, m2) = world.responder().handle_m1(
        m1,
        &at(0),
        &mut Some(ephemeral),
        &Door::default(),
        &mut entropy,
        &mut out,
    )?;
    Ok((wait, copy(m2)))
}

fn impossible() -> Failure {
    Failure {
        condition: "the undisturbed handshake goes through",
        file: file!(),
        line: line!(),
        step: 0,
    }
}
