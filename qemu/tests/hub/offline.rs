//! The hub's part, and a commander's, in commands that are left for the device while it is away.

use moorline_conformance::fixture::{FixedEntropy, HUB, agent_id};
use moorline_core::connection::Event;
use moorline_core::handshake::WantedAgent;
use moorline_core::limits::MAX_OFFLINE_COMMAND_LEN;
use moorline_core::message::{Command, FromHub, ToHub};
use moorline_core::offline::{AgentPrekey, Order, PendingReply, TokenForm, seal_command};
use moorline_core::token::{MAX_UNPACKED_LEN, UnpackedToken};

use super::{Hub, Peer};

impl Hub {
    /// Seals a command to `prekey`, as the commander of this hub, and asks for a signed reply.
    pub(crate) fn seal(
        &self,
        prekey: &[u8],
        counter: u64,
        name: &str,
        arguments: &[&str],
    ) -> (PendingReply, Vec<u8>) {
        let mut token = [0; MAX_UNPACKED_LEN];
        let token = self.world.agent_token(&mut token).expect("a token");
        let bundle = [prekey, token.as_bytes()].concat();
        let wanted = WantedAgent {
            id: agent_id(),
            anchors: &self.world.anchors,
            audience: HUB,
        };
        let now = self.clock.now();
        let prekey = AgentPrekey::check(&bundle, &wanted, &|_| false, None, &now);
        let prekey = prekey.expect("the device vouches for its prekey");
        let order = Order {
            key: &self.commander,
            token: UnpackedToken::parse_exact(&self.commander_token).expect("a token"),
            token_form: TokenForm::Full,
            command: &Command {
                name,
                arguments: arguments.iter().copied().collect(),
            },
            counter,
            not_after: now.unix.plus(600_000),
            wants_signature: true,
        };
        let mut entropy = FixedEntropy::new("a commander in a test");
        let mut out = [0; MAX_OFFLINE_COMMAND_LEN];
        let sealed = seal_command(&order, &prekey, now.unix, &mut entropy, &mut out);
        let (pending, frame) = sealed.expect("it can be sealed");
        (pending, frame.to_vec())
    }
}

impl Peer<'_> {
    /// Waits for what the device says to the hub, and returns what `take` makes of it.
    pub(crate) fn told<R>(&mut self, take: impl FnOnce(ToHub<'_>) -> R) -> R {
        let message = loop {
            let heard = self.step(|event| match event {
                Event::Application(message) => Some(message.to_vec()),
                _ => None,
            });
            if let Some(message) = heard.expect("the device is there").flatten() {
                break message;
            }
        };
        take(ToHub::decode(&message).expect("a message to the hub"))
    }

    /// Waits for the device's prekey.
    pub(crate) fn told_prekey(&mut self) -> Vec<u8> {
        self.told(|message| match message {
            ToHub::PublishPrekey { prekey, .. } => prekey.to_vec(),
            other => panic!("a prekey is expected, not {other:?}"),
        })
    }

    /// Waits until the device asks for a command; returns the one that it is done with.
    pub(crate) fn told_to_go_on(&mut self) -> Option<[u8; 16]> {
        self.told(|message| match message {
            ToHub::NextCommand { taken } => taken,
            other => panic!("a question is expected, not {other:?}"),
        })
    }

    /// Hands a command over and returns the reply.
    pub(crate) fn deliver(&mut self, frame: &[u8]) -> Vec<u8> {
        self.hand(frame);
        self.told(|message| match message {
            ToHub::GiveReply { reply } => reply.to_vec(),
            other => panic!("a reply is expected, not {other:?}"),
        })
    }

    /// Hands a command over.
    pub(crate) fn hand(&mut self, frame: &[u8]) {
        let mut message = [0; MAX_OFFLINE_COMMAND_LEN];
        let message = FromHub::Command { frame }.encode(&mut message);
        let mut out = [0; 1100];
        let message = message.expect("it fits");
        let sealed = self.connection.send_application(message, &mut out);
        let sealed = sealed.expect("the session is open").to_vec();
        self.send(sealed).expect("the line is there");
    }
}
