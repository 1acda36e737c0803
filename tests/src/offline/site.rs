//! An agent with its storage, a commander that may command it, and their tokens.

use moorline_core::crypto::{Secret, SigningKey, Suite};
use moorline_core::handshake::WantedAgent;
use moorline_core::message::{Command, Reply, Status, Value};
use moorline_core::offline::{
    AgentPrekey, CommandAnswer, CounterEntry, Counters, Inbox, MAX_COUNTERS, OfflineAgent,
    OfflineContext, OfflineShell, Order, PREKEYS_LEN, PendingReply, Prekeys, SeenPrekey,
    StoreError, TokenForm, seal_command,
};
use moorline_core::reason::{Error, Reason};
use moorline_core::time::{Now, UnixMillis};
use moorline_core::token::{
    AgentId, AgentScope, Claims, MAX_UNPACKED_LEN, NewClaims, Permissions, Role, TokenKind,
    TrustAnchor, TrustAnchors, UnpackedToken, mint,
};

use crate::fixture::{FixedEntropy, ISSUER, KID, NOW, at, signing_key};
use crate::pair::{Message, copy};
use crate::reference::extend;
use crate::{Failure, ensure};

/// The agent's name.
pub(super) const AGENT: &str = "boiler-1";

/// The group to which both tokens are addressed.
pub(super) const SITE: &str = "site-1";

/// A day in milliseconds.
pub(super) const DAY: u64 = 24 * 60 * 60 * 1000;

/// Fails the case: what the cases themselves need is not there.
pub(super) fn missing(condition: &'static str) -> Failure {
    Failure {
        condition,
        file: file!(),
        line: line!(),
        step: 0,
    }
}

/// The keys of both ends and of their issuer.
pub(super) struct Site {
    pub(super) issuer: SigningKey,
    pub(super) agent: SigningKey,
    pub(super) commander: SigningKey,
    pub(super) anchors: TrustAnchors,
}

impl Site {
    pub(super) fn new() -> Result<Self, Failure> {
        let issuer = signing_key("issuer")?;
        let mut anchors = TrustAnchors::new();
        let anchor = TrustAnchor::new(ISSUER, KID, *issuer.public_key());
        ensure!(anchor.is_ok_and(|anchor| anchors.insert(anchor).is_ok()));
        Ok(Self {
            issuer,
            agent: signing_key("agent")?,
            commander: signing_key("commander")?,
            anchors,
        })
    }

    pub(super) fn id() -> AgentId {
        AgentId::of(ISSUER, AGENT)
    }

    pub(super) fn wanted(&self) -> WantedAgent<'_> {
        WantedAgent {
            id: Self::id(),
            anchors: &self.anchors,
            audience: SITE,
        }
    }

    pub(super) fn offline_agent(&self) -> OfflineAgent<'_> {
        OfflineAgent {
            id: Self::id(),
            key: &self.agent,
            anchors: &self.anchors,
            audience: SITE,
            group: Some("harbour"),
            allows: Permissions::for_command("led").union(Permissions::for_command("echo")),
        }
    }

    /// What the agent's token says, for an hour.
    pub(super) fn agent_says(&self) -> NewClaims<'static> {
        NewClaims {
            kind: TokenKind::Access,
            kid: KID,
            issuer: ISSUER,
            audience: &[SITE],
            subject: AGENT,
            key: *self.agent.public_key(),
            role: Role::Agent,
            permissions: &[],
            agents: AgentScope::None,
            generation: 1,
            issued_at: NOW.secs(),
            not_before: None,
            expires_at: NOW.secs() + 3600,
            jti: [7; 16],
        }
    }

    /// What the commander's offline token says, for two days.
    pub(super) fn commander_says(&self) -> NewClaims<'static> {
        NewClaims {
            kind: TokenKind::Offline,
            subject: "alice",
            key: *self.commander.public_key(),
            role: Role::Commander,
            permissions: &[
                "agent.command.led",
                "agent.command.echo",
                "agent.command.ping",
            ],
            agents: AgentScope::of_agents(&[Self::id()]).unwrap_or_default(),
            expires_at: NOW.secs() + 2 * 24 * 3600,
            jti: [9; 16],
            ..self.agent_says()
        }
    }

    /// Writes the token that says so to `out`, signed by the issuer.
    pub(super) fn token<'o>(
        &self,
        says: &NewClaims<'_>,
        out: &'o mut [u8; MAX_UNPACKED_LEN],
    ) -> Result<UnpackedToken<'o>, Failure> {
        mint(says, &self.issuer, &[], out).map_err(|_| missing("the token can be minted"))
    }
}

/// What an agent's machine does: it keeps counters, and runs commands that say so in their reply.
#[derive(Debug, Default)]
pub(super) struct Host {
    pub(super) revoked: bool,
    /// Whether storing fails; and whether it says so when it has succeeded.
    pub(super) fails: Option<Failing>,
    pub(super) stored: [Option<CounterEntry>; MAX_COUNTERS],
    /// How many commands ran.
    pub(super) runs: i64,
    /// How often an entry was to be stored.
    pub(super) stores: usize,
    /// Whether the reply is longer than any that is kept.
    pub(super) is_long: bool,
    /// The last argument of the last command.
    pub(super) last: Option<u8>,
}

/// How storage fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failing {
    Before,
    After,
}

impl OfflineShell for Host {
    fn is_revoked(&self, _: &Claims) -> bool {
        self.revoked
    }

    fn store(&mut self, place: usize, entry: &CounterEntry) -> Result<(), StoreError> {
        self.stores += 1;
        let slot = self.stored.get_mut(place).ok_or(StoreError)?;
        if self.fails != Some(Failing::Before) {
            // What goes to storage comes back from bytes.
            *slot = CounterEntry::from_bytes(&entry.to_bytes()).ok();
        }
        self.fails.map_or(Ok(()), |_| Err(StoreError))
    }

    fn run<'a>(&'a mut self, command: &'a Command<'a>, _: Permissions) -> Reply<'a> {
        self.runs += 1;
        let text = command.arguments.first().copied().unwrap_or_default();
        self.last = text.as_bytes().last().copied();
        let reply = Reply::bare(Status::Done)
            .with("echo", Value::Text(text))
            .with("run", Value::Int(self.runs));
        if self.is_long {
            reply.with("long", Value::Bytes(&[7; 300]))
        } else {
            reply
        }
    }
}

/// What an agent made of a command, without the borrowed parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Made {
    Ran,
    Repeated,
    Refused(Reason),
}

/// What is asked of an agent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ask {
    pub(super) counter: u64,
    pub(super) not_after: UnixMillis,
    pub(super) form: TokenForm,
    pub(super) is_signed: bool,
    pub(super) name: &'static str,
    pub(super) argument: &'static str,
}

impl Ask {
    /// A command of this number that may run, its token in full.
    pub(super) fn number(counter: u64) -> Self {
        Self {
            counter,
            not_after: UnixMillis(NOW.0 + DAY),
            form: TokenForm::Full,
            is_signed: false,
            name: "led",
            argument: "on",
        }
    }
}

/// Both ends.
pub(super) struct Ends<'s> {
    pub(super) site: &'s Site,
    pub(super) inbox: Inbox,
    pub(super) host: Host,
    pub(super) entropy: FixedEntropy,
    pub(super) now: Now,
    pub(super) floor: UnixMillis,
    /// The commander's token.
    pub(super) token: UnpackedToken<'s>,
    /// The agent's token.
    pub(super) agent_token: UnpackedToken<'s>,
    pub(super) prekey: AgentPrekey,
    pub(super) seen: SeenPrekey,
    /// What the agent has in storage for its prekeys.
    pub(super) kept: Secret<PREKEYS_LEN>,
}

/// Runs `case` with both ends; the agent's first prekey is of `suite`.
pub(super) fn with_ends(
    suite: Suite,
    case: impl FnOnce(&mut Ends<'_>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let site = Site::new()?;
    let (mut one, mut two) = ([0; MAX_UNPACKED_LEN], [0; MAX_UNPACKED_LEN]);
    let agent_token = site.token(&site.agent_says(), &mut one)?;
    let token = site.token(&site.commander_says(), &mut two)?;
    let mut prekeys = Prekeys::new();
    let mut entropy = FixedEntropy::new("offline");
    let signed = prekeys.rotate(suite, Site::id(), &site.agent, &at(0), &mut entropy);
    let signed = signed.map_err(|_| missing("the first prekey can be made"))?;
    let kept = prekeys.to_bytes();
    let bundle = bundle_of(&signed, &agent_token);
    let checked = AgentPrekey::check(&bundle, &site.wanted(), &|_| false, None, &at(0));
    let prekey = checked.map_err(|_| missing("the bundle is taken"))?;
    let mut ends = Ends {
        site: &site,
        inbox: Inbox::new(prekeys, Counters::new()),
        host: Host::default(),
        entropy,
        now: at(0),
        floor: UnixMillis(NOW.0 - DAY),
        token,
        agent_token,
        seen: prekey.seen(None),
        prekey,
        kept,
    };
    case(&mut ends)
}

/// Returns the bundle of a signed prekey and the agent's token.
pub(super) fn bundle_of(signed: &[u8], token: &UnpackedToken<'_>) -> Message {
    let mut bundle = copy(signed);
    extend(&mut bundle, token.as_bytes());
    bundle
}

impl Ends<'_> {
    /// Seals what is asked to the commander's newest prekey.
    pub(super) fn seal(&mut self, ask: &Ask) -> Result<(PendingReply, Message), Failure> {
        self.try_seal(ask)
            .map_err(|_| missing("the command can be sealed"))
    }

    pub(super) fn try_seal(&mut self, ask: &Ask) -> Result<(PendingReply, Message), Error> {
        let arguments = heapless::Vec::from_slice(&[ask.argument]).unwrap_or_default();
        let command = Command {
            name: ask.name,
            arguments,
        };
        let order = Order {
            key: &self.site.commander,
            token: self.token,
            token_form: ask.form,
            command: &command,
            counter: ask.counter,
            not_after: ask.not_after,
            wants_signature: ask.is_signed,
        };
        let mut out = [0; crate::pair::LINE_LEN];
        let (pending, frame) = seal_command(
            &order,
            &self.prekey,
            self.now.unix,
            &mut self.entropy,
            &mut out,
        )?;
        Ok((pending, copy(frame)))
    }

    /// Hands `frame` to the agent, rested, and returns what became of it and the reply.
    pub(super) fn hand(&mut self, frame: &[u8]) -> Result<(Made, Message), Reason> {
        self.now.instant = self.now.instant.plus(10_000);
        self.hand_at_once(frame)
    }

    /// Hands `frame` to the agent.
    pub(super) fn hand_at_once(&mut self, frame: &[u8]) -> Result<(Made, Message), Reason> {
        let mut bytes = copy(frame);
        let mut out = [0; crate::pair::LINE_LEN];
        let mut context = OfflineContext {
            now: self.now,
            floor: self.floor,
            entropy: &mut self.entropy,
            shell: &mut self.host,
        };
        let agent = self.site.offline_agent();
        let answer = self
            .inbox
            .handle_command(&mut bytes, &agent, &mut context, &mut out)?;
        let reply = copy(answer.reply());
        let made = match answer {
            CommandAnswer::Ran { .. } => Made::Ran,
            CommandAnswer::Repeated { .. } => Made::Repeated,
            CommandAnswer::Refused { reason, .. } => Made::Refused(reason),
        };
        Ok((made, reply))
    }

    /// Returns what the agent refuses `frame` for, in silence or not.
    pub(super) fn refusal(&mut self, frame: &[u8]) -> Option<Reason> {
        match self.hand(frame) {
            Ok((Made::Refused(reason), _)) | Err(reason) => Some(reason),
            Ok(_) => None,
        }
    }

    /// Cuts the agent's power: what is in storage is all that is left.
    pub(super) fn reboot(&mut self) -> Result<(), Failure> {
        let prekeys = Prekeys::from_bytes(&self.kept)
            .map_err(|_| missing("the prekeys can be read again"))?;
        let mut counters = Counters::new();
        for (place, entry) in self.host.stored.iter().enumerate() {
            let restored = entry.map_or(Ok(()), |entry| counters.restore(place, entry));
            ensure!(restored.is_ok(), place);
        }
        self.inbox = Inbox::new(prekeys, counters);
        Ok(())
    }

    /// Makes the agent's next prekey and stores it, and returns its bundle.
    pub(super) fn rotate(&mut self, suite: Suite) -> Result<Message, Failure> {
        let signed = self.inbox.prekeys.rotate(
            suite,
            Site::id(),
            &self.site.agent,
            &self.now,
            &mut self.entropy,
        );
        let signed = signed.map_err(|_| missing("a prekey can be made"))?;
        self.kept = self.inbox.prekeys.to_bytes();
        Ok(bundle_of(&signed, &self.agent_token))
    }

    /// Has the commander check `bundle`.
    pub(super) fn check(&self, bundle: &[u8]) -> Result<AgentPrekey, Reason> {
        let wanted = self.site.wanted();
        AgentPrekey::check(bundle, &wanted, &|_| false, Some(&self.seen), &self.now)
    }

    /// Has the commander check `bundle` and use it.
    pub(super) fn fetch(&mut self, bundle: &[u8]) -> Result<(), Failure> {
        self.prekey = self
            .check(bundle)
            .map_err(|_| missing("the bundle is taken"))?;
        self.seen = self.prekey.seen(Some(&self.seen));
        Ok(())
    }
}
