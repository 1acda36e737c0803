//! An agent, a commander that may reach it, and what is between them.

use heapless::Vec;
use moorline_core::connection::{Closure, Context, Settings};
use moorline_core::crypto::{PublicKey, SigningKey};
use moorline_core::datagram::Datagram;
use moorline_core::handshake::{
    Initiator, Offer, OwnToken, RespondAs, Responder, Shown, SingleUse, Ticket, Wanted, WantedAgent,
};
use moorline_core::limits::MAX_HANDSHAKE_LEN;
use moorline_core::time::{Now, TimeQuality, UnixMillis};
use moorline_core::token::{
    AgentId, AgentScope, MAX_UNPACKED_LEN, NewClaims, Permissions, Role, TokenKind, TrustAnchor,
    TrustAnchors, UnpackedToken, mint,
};
use moorline_core::trust::NoKeeper;
use moorline_core::wire::SuiteList;

use crate::fixture::{
    Door, FixedEntropy, HUB, ISSUER, KID, LIMITS, NOW, at, ephemeral_key, signing_key,
};
use crate::pair::{LINE_LEN, Message, Seen, copy, responding, seen};
use crate::{Failure, ensure};

/// The agent's name.
pub(super) const AGENT: &str = "boiler-1";

/// The keys of both ends and of their issuer.
pub(crate) struct Site {
    pub(crate) issuer: SigningKey,
    pub(crate) agent: [SigningKey; 1],
    pub(crate) commander: SigningKey,
    pub(crate) anchors: TrustAnchors,
}

/// What a token of the cases says.
#[derive(Clone)]
pub(crate) struct Says<'a> {
    pub(super) role: Role,
    pub(super) subject: &'a str,
    pub(super) audience: &'a str,
    pub(super) agents: AgentScope,
    pub(super) key: PublicKey,
}

impl Site {
    pub(crate) fn new() -> Result<Self, Failure> {
        let issuer = signing_key("issuer")?;
        let mut anchors = TrustAnchors::new();
        let anchor = TrustAnchor::new(ISSUER, KID, *issuer.public_key());
        ensure!(anchor.is_ok_and(|anchor| anchors.insert(anchor).is_ok()));
        Ok(Self {
            issuer,
            agent: [signing_key("agent")?],
            commander: signing_key("commander")?,
            anchors,
        })
    }

    pub(crate) fn id() -> AgentId {
        AgentId::of(ISSUER, AGENT)
    }

    /// What the agent's token says.
    pub(crate) fn agent_says(&self) -> Says<'static> {
        Says {
            role: Role::Agent,
            subject: AGENT,
            audience: HUB,
            agents: AgentScope::None,
            key: *self.agent[0].public_key(),
        }
    }

    /// What the commander's token says: that it reaches this agent.
    pub(crate) fn commander_says(&self) -> Says<'static> {
        Says {
            role: Role::Commander,
            subject: "alice",
            audience: HUB,
            agents: AgentScope::of_agents(&[Self::id()]).unwrap_or_default(),
            key: *self.commander.public_key(),
        }
    }

    /// Writes the token that says so to `out`.
    pub(crate) fn token<'o>(
        &self,
        says: &Says<'_>,
        out: &'o mut [u8; MAX_UNPACKED_LEN],
    ) -> Result<UnpackedToken<'o>, Failure> {
        let permissions: &[&str] = match says.role {
            Role::Agent => &[],
            Role::Commander => &["agent.command.ping", "agent.command.led"],
        };
        let new = NewClaims {
            kind: TokenKind::Access,
            kid: KID,
            issuer: ISSUER,
            audience: &[says.audience],
            subject: says.subject,
            key: says.key,
            role: says.role,
            permissions,
            agents: says.agents.clone(),
            generation: 1,
            issued_at: NOW.secs(),
            not_before: None,
            expires_at: NOW.secs() + 3600,
            jti: [7; 16],
        };
        mint(&new, &self.issuer, &[], out).map_err(|_| Failure {
            condition: "the token can be minted",
            file: file!(),
            line: line!(),
            step: 0,
        })
    }

    /// The agent's side.
    pub(crate) fn responder<'k>(&'k self, token: UnpackedToken<'k>) -> Responder<'k> {
        Responder {
            keys: &self.agent,
            anchors: &self.anchors,
            audience: HUB,
            suites: SuiteList::AES_FIRST,
            limits: LIMITS,
            respond_as: RespondAs::Agent(OwnToken {
                id: Self::id(),
                token,
                group: Some("harbour"),
            }),
        }
    }

    /// The commander's side.
    pub(crate) fn initiator<'k>(&'k self, token: UnpackedToken<'k>) -> Initiator<'k> {
        Initiator {
            key: &self.commander,
            shows: Shown::Token(token),
            wanted: Wanted::Agent(WantedAgent {
                id: Self::id(),
                anchors: &self.anchors,
                audience: HUB,
            }),
            offer: Offer {
                suites: SuiteList::CHACHA_FIRST,
                mtu: 1500,
                max_payload_len: 1024,
                no_clock: false,
                wants_ticket: true,
            },
        }
    }
}

/// One end of a channel, or of a link over datagrams.
pub(crate) struct Side<'k> {
    pub(crate) datagram: Datagram<'k>,
    /// Who it is, if it is the responder.
    pub(crate) responder: Option<Responder<'k>>,
    pub(crate) entropy: FixedEntropy,
    pub(crate) door: Door,
    /// Whether it knows the time.
    pub(crate) has_clock: bool,
    /// How it ended.
    pub(crate) ended: Option<Closure>,
}

/// What one end takes a session for.
#[derive(Debug, PartialEq)]
pub(crate) struct View {
    session_id: [u8; 8],
    expires: UnixMillis,
    permissions: Permissions,
    secret: [u8; 32],
    pub(crate) resumed: bool,
}

impl<'k> Side<'k> {
    /// Returns the initiator's end and M1, at the time 0.
    pub(crate) fn commander(initiator: Initiator<'k>) -> Result<(Self, Message), Failure> {
        Self::resuming(initiator, None)
    }

    /// Returns the initiator's end and M1, which offers `ticket`.
    pub(crate) fn resuming(
        initiator: Initiator<'k>,
        ticket: Option<Ticket>,
    ) -> Result<(Self, Message), Failure> {
        let mut out = [0; MAX_HANDSHAKE_LEN];
        let mut entropy = FixedEntropy::new("commander");
        let started = Datagram::initiate(
            initiator,
            SingleUse {
                ephemeral: ephemeral_key("commander ephemeral"),
                ticket,
            },
            Settings::default(),
            &at(0),
            &mut entropy,
            &mut out,
        );
        let (datagram, m1) = started.map_err(|_| Failure {
            condition: "M1 can be written",
            file: file!(),
            line: line!(),
            step: 0,
        })?;
        let m1 = copy(m1);
        let side = Self {
            datagram,
            responder: None,
            entropy,
            door: Door::default(),
            has_clock: true,
            ended: None,
        };
        Ok((side, m1))
    }

    /// Returns the responder's end.
    pub(crate) fn agent(responder: Responder<'k>, name: &'static str) -> Self {
        let settings = Settings::default();
        Self {
            datagram: Datagram::respond(None, settings, at(0).instant),
            responder: Some(responder),
            entropy: FixedEntropy::new(name),
            door: Door::default(),
            has_clock: true,
            ended: None,
        }
    }

    fn now(&self, millis: u64) -> Now {
        let now = at(millis);
        if self.has_clock {
            now
        } else {
            Now {
                quality: TimeQuality::Unknown,
                ..now
            }
        }
    }

    /// Hands `message` in at `millis`, and returns what is to be sent and what was seen.
    pub(crate) fn hand(&mut self, message: &[u8], millis: u64) -> (Option<Message>, Seen) {
        let mut bytes = copy(message);
        let mut out = [0; LINE_LEN];
        let now = self.now(millis);
        let mut context = Context {
            now,
            entropy: &mut self.entropy,
            responding: responding(self.responder.as_ref(), &mut self.door),
            keeper: &mut NoKeeper,
        };
        let outcome = self
            .datagram
            .handle_message(&mut bytes, &mut context, &mut out);
        let (sent, seen) = (outcome.send.map(copy), seen(outcome.event));
        self.note(&seen);
        (sent, seen)
    }

    /// Lets time come to `millis`, and returns what is to be sent and what was seen.
    pub(crate) fn wait(&mut self, millis: u64) -> (Option<Message>, Seen) {
        let mut out = [0; LINE_LEN];
        let now = self.now(millis);
        let mut context = Context {
            now,
            entropy: &mut self.entropy,
            responding: responding(self.responder.as_ref(), &mut self.door),
            keeper: &mut NoKeeper,
        };
        let outcome = self.datagram.handle_deadline(&mut context, &mut out);
        let (sent, seen) = (outcome.send.map(copy), seen(outcome.event));
        self.note(&seen);
        (sent, seen)
    }

    fn note(&mut self, seen: &Seen) {
        if let Seen::Closed(closure) = seen {
            self.ended = Some(*closure);
        }
    }

    /// Returns what it takes the session for, when that is open.
    pub(crate) fn view(&self) -> Option<View> {
        let connection = self.datagram.connection();
        let secret = connection.session()?.exporter().export("view", b"");
        let facts = connection.facts()?;
        Some(View {
            session_id: facts.session_id,
            expires: facts.expires,
            permissions: facts.permissions,
            secret: *secret.expose(),
            resumed: facts.resumed,
        })
    }

    /// Starts a key update.
    pub(crate) fn update(&mut self, millis: u64) -> Result<Message, Failure> {
        let mut out = [0; LINE_LEN];
        let mut context = Context {
            now: self.now(millis),
            entropy: &mut self.entropy,
            responding: None,
            keeper: &mut NoKeeper,
        };
        let frame = self.datagram.update_keys(&mut context, &mut out).map(copy);
        frame.map_err(|_| Failure {
            condition: "a key update can be started",
            file: file!(),
            line: line!(),
            step: 0,
        })
    }

    /// Seals an application message.
    pub(crate) fn say(&mut self, payload: &[u8]) -> Result<Message, Failure> {
        let mut out = [0; LINE_LEN];
        let sealed = self.datagram.send_application(payload, &mut out).map(copy);
        sealed.map_err(|_| Failure {
            condition: "the message can be sealed",
            file: file!(),
            line: line!(),
            step: 0,
        })
    }
}

/// Returns the envelope that carries `inner` on `route`.
pub(super) fn envelope(route: u8, inner: &[u8]) -> Vec<u8, { LINE_LEN + 20 }> {
    let mut bytes = Vec::new();
    let parts: [&[u8]; 3] = [&[route; 16], &[0; 4], inner];
    for part in parts {
        let _ = bytes.extend_from_slice(part);
    }
    bytes
}
