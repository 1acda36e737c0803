//! What an agent does with a command (PROTOCOL.md §12.5).

use super::counters::{Counted, CounterEntry, Counters, MAX_COUNTERS, NoPlace, StoreError};
use super::keys::CommandSecret;
use super::layout::{
    COMMAND_HEAD_LEN, CommandHead, MIN_COMMAND_LEN, REPLY_HEAD_LEN, RefusalCode, ReplyKind,
};
use super::prekeys::Prekeys;
use super::replies::{REPLY_COUNT, Replies};
use super::tokens::{TOKEN_COUNT, Tokens};
use crate::crypto::{HASH_LEN, Hash, SIGNATURE_LEN, Signature, SigningKey, TAG_LEN};
use crate::entropy::{Entropy, draw};
use crate::handshake::{Label, sign, verify};
use crate::limits::{COMMAND_BURST, COMMAND_MILLIS};
use crate::message::{Command, Reply, codec};
use crate::reason::Reason;
use crate::time::{Instant, Now, TimeQuality, UnixMillis};
use crate::token::{
    AgentId, Candidate, Claims, Permissions, Policy, TokenReason, TrustAnchors, UnpackedToken,
    VerifiedClaims,
};
use crate::wire::{Reader, Writer};

/// Who an agent is and whose commands it takes.
#[derive(Debug, Clone, Copy)]
pub struct OfflineAgent<'k> {
    /// Its id.
    pub id: AgentId,
    /// Its key, which signs its prekeys and, where asked for, its replies.
    pub key: &'k SigningKey,
    /// The issuers whose tokens it takes.
    pub anchors: &'k TrustAnchors,
    /// The audience that a commander's token must name.
    pub audience: &'k str,
    /// The group that it belongs to.
    pub group: Option<&'k str>,
    /// What any commander may do at most.
    pub allows: Permissions,
}

/// The shell's part: what it has stored, what it stores, and what commands do.
pub trait OfflineShell {
    /// Returns whether the token, its holder, its key or its issuer's key is revoked.
    ///
    /// The claims may not yet be verified: the answer must have no effect.
    fn is_revoked(&self, claims: &Claims) -> bool;

    /// Stores `entry` at `place`, one of as many as the agent keeps counters, over what stood there, and returns when
    /// it is there to stay. After a loss of power the place has the old entry or the new one, whole.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when it may not have succeeded: the command is then not run, also when it comes again.
    fn store(&mut self, place: usize, entry: &CounterEntry) -> Result<(), StoreError>;

    /// Runs `command`, once, for a commander that may do what `permissions` say, and returns its reply.
    fn run<'a>(&'a mut self, command: &'a Command<'a>, permissions: Permissions) -> Reply<'a>;
}

/// What comes with one command.
pub struct OfflineContext<'c> {
    /// The time of the event.
    pub now: Now,
    /// The time that has certainly passed: it is kept in storage and never goes back.
    pub floor: UnixMillis,
    /// Where the randomness of a signature comes from.
    pub entropy: &'c mut dyn Entropy,
    /// The shell's part.
    pub shell: &'c mut dyn OfflineShell,
}

/// What an agent keeps for offline commands: so many counters, replies and tokens. Prekeys and counters are in storage
/// too, or are lost together; the rest may be lost.
#[derive(Debug)]
pub struct Inbox<
    const COUNTERS: usize = MAX_COUNTERS,
    const REPLIES: usize = REPLY_COUNT,
    const TOKENS: usize = TOKEN_COUNT,
> {
    /// The private halves of its prekeys.
    pub prekeys: Prekeys,
    counters: Counters<COUNTERS>,
    replies: Replies<REPLIES>,
    tokens: Tokens<TOKENS>,
    /// When a whole burst of commands is taken again.
    rested_at: Instant,
}

/// What became of a command that could be read. A reply is to be sent in every case.
#[derive(Debug)]
#[must_use]
pub enum CommandAnswer<'o> {
    /// It ran.
    Ran {
        /// The reply.
        reply: &'o [u8],
        /// The hash of the commander's key.
        commander: Hash,
    },
    /// It had run before, and gets the same reply.
    Repeated {
        /// The reply.
        reply: &'o [u8],
    },
    /// It did not run.
    Refused {
        /// The reply, which says so.
        reply: &'o [u8],
        /// Why, for this end's logs.
        reason: Reason,
    },
}

impl<'o> CommandAnswer<'o> {
    /// Returns the reply to send.
    #[must_use]
    pub fn reply(&self) -> &'o [u8] {
        match self {
            Self::Ran { reply, .. } | Self::Repeated { reply } | Self::Refused { reply, .. } => {
                reply
            }
        }
    }
}

impl<const COUNTERS: usize, const REPLIES: usize, const TOKENS: usize> Default
    for Inbox<COUNTERS, REPLIES, TOKENS>
{
    fn default() -> Self {
        Self::new(Prekeys::new(), Counters::new())
    }
}

impl<const COUNTERS: usize, const REPLIES: usize, const TOKENS: usize>
    Inbox<COUNTERS, REPLIES, TOKENS>
{
    /// Returns the state of an agent that starts with `prekeys` and `counters`, as they were stored.
    #[must_use]
    pub const fn new(prekeys: Prekeys, counters: Counters<COUNTERS>) -> Self {
        Self {
            prekeys,
            counters,
            replies: Replies::new(),
            tokens: Tokens::new(),
            rested_at: Instant(0),
        }
    }

    /// Returns how far each commander has counted.
    #[must_use]
    pub fn counters(&self) -> &Counters<COUNTERS> {
        &self.counters
    }

    /// Checks a command in the order of PROTOCOL.md §12.5, runs it if it is to run, and writes the reply to `out`.
    /// `frame` is decrypted where it stands.
    ///
    /// # Errors
    ///
    /// [`Reason`] of what fails before the command can be answered, or of who sends it: nothing is answered then. An
    /// `out` that takes no reply is [`Reason::Length`]; a result that it does not take is lost.
    pub fn handle_command<'o>(
        &mut self,
        frame: &mut [u8],
        agent: &OfflineAgent<'_>,
        context: &mut OfflineContext<'_>,
        out: &'o mut [u8],
    ) -> Result<CommandAnswer<'o>, Reason> {
        if frame.len() < MIN_COMMAND_LEN || out.len() < MIN_REPLY_LEN {
            return Err(Reason::Length);
        }
        let frame_hash = Hash::of(&[frame]);
        let (head_bytes, sealed) = frame
            .split_first_chunk_mut::<COMMAND_HEAD_LEN>()
            .ok_or(Reason::Length)?;
        let head = CommandHead::parse(head_bytes)?;
        if head.agent != agent.id {
            return Err(Reason::OtherAgent);
        }
        let time = context.time();
        let prekey = self
            .prekeys
            .find(head.prekey, agent.id, time)
            .ok_or(Reason::PrekeyUnknown)?;
        if !take_one(&mut self.rested_at, context.now.instant) {
            return Err(Reason::CommandRate);
        }
        if self.counters.is_last(&head.key_name, &frame_hash)
            && let Some(kept) = self.replies.find(&frame_hash)
        {
            let reply = out.get_mut(..kept.len()).ok_or(Reason::Length)?;
            reply.copy_from_slice(kept);
            return Ok(CommandAnswer::Repeated { reply });
        }
        let secret = CommandSecret::agree(
            prekey.suite,
            prekey.key,
            &head.share,
            head_bytes,
            &prekey.prefix,
            agent.key.public_key(),
        )?;
        let (plaintext, tag) = sealed
            .split_last_chunk_mut::<TAG_LEN>()
            .ok_or(Reason::Length)?;
        if !secret
            .command_key()
            .open_in_place(0, head_bytes, plaintext, tag)
        {
            return Err(Reason::Unsealed);
        }
        let opened = Opened {
            head,
            frame: frame_hash,
            secret: &secret,
            content: Content::parse(plaintext)?,
        };
        let accepted = match self.accept(&opened, agent, context) {
            Ok(accepted) => accepted,
            Err(Unaccepted::Silently(reason)) => return Err(reason),
            Err(Unaccepted::With(kind, reason)) => {
                let reply = opened.bare_reply(kind, out)?;
                return Ok(CommandAnswer::Refused { reply, reason });
            }
        };
        let result = context.shell.run(&accepted.command, accepted.permissions);
        let signer = accepted.hedge.as_deref().map(|hedge| (agent.key, hedge));
        let commander = accepted.commander;
        let Some(len) = opened.result(&result, signer, out) else {
            out.fill(0);
            let reply = opened.bare_reply(ReplyKind::Lost, out)?;
            return Ok(CommandAnswer::Ran { reply, commander });
        };
        let reply = out.get(..len).ok_or(Reason::Length)?;
        self.replies.keep(&frame_hash, reply);
        Ok(CommandAnswer::Ran { reply, commander })
    }

    /// Checks what the command says, and stores its counter: from here on it is run, and never again.
    fn accept<'m>(
        &mut self,
        opened: &Opened<'m, '_>,
        agent: &OfflineAgent<'_>,
        context: &mut OfflineContext<'_>,
    ) -> Result<Accepted<'m>, Unaccepted> {
        let Opened { head, content, .. } = opened;
        match self
            .counters
            .judge(&head.key_name, head.counter, &opened.frame)
        {
            Counted::Above => {}
            Counted::Last => {
                return Err(Unaccepted::With(ReplyKind::Lost, Reason::CommandRepeated));
            }
            Counted::Stale(last) => {
                return Err(Unaccepted::With(
                    ReplyKind::Stale(last),
                    Reason::CounterStale,
                ));
            }
        }
        if context.now.quality == TimeQuality::Unknown {
            return Err(RefusalCode::NoTime.into());
        }
        if head.not_after <= context.floor {
            return Err(RefusalCode::NotAfter.into());
        }
        let (verified, token) = self.check_token(content, agent, context)?;
        let claims = verified.claims();
        let commander = claims.key.hash();
        if commander.prefix() != head.key_name {
            return Err(Reason::OtherKey.into());
        }
        let statement = opened.secret.command_statement(&token, content.signed_part);
        verify(&claims.key, Label::Command, &statement, &content.signature)
            .map_err(|_| Reason::CommandSignature)?;
        if let PresentedToken::Full(token) = &content.token {
            self.tokens.keep(token, &verified.proof());
        }
        let expires = UnixMillis::from_secs(claims.expires_at);
        if head.not_after <= context.time() || head.not_after > expires {
            return Err(RefusalCode::NotAfter.into());
        }
        let command: Command<'_> =
            codec::decode_versioned(content.command).map_err(|_| RefusalCode::Malformed)?;
        let permissions = claims.permissions.intersection(agent.allows);
        if !permissions.contains(Permissions::for_command(command.name)) {
            return Err(RefusalCode::NotPermitted.into());
        }
        let entry = CounterEntry {
            key: commander,
            counter: head.counter,
            expires,
            frame: opened.frame.prefix(),
        };
        let (place, entry) = self.counters.place(entry, context.floor)?;
        let hedge = if content.wants_signature {
            Some(draw::<32>(context.entropy).map_err(Reason::from)?)
        } else {
            None
        };
        let stored = context.shell.store(place, &entry);
        // What may be in storage counts as stored: a counter that was there once never goes back.
        self.counters.commit(place, entry);
        stored.map_err(|StoreError| RefusalCode::Storage)?;
        Ok(Accepted {
            command,
            permissions,
            commander,
            hedge,
        })
    }

    /// Returns what the token says, and its hash.
    fn check_token(
        &self,
        content: &Content<'_>,
        agent: &OfflineAgent<'_>,
        context: &OfflineContext<'_>,
    ) -> Result<(VerifiedClaims, Hash), Unaccepted> {
        match &content.token {
            PresentedToken::Full(token) => {
                let candidate = agent.check_token(token, context)?;
                let claims = candidate.verify_signature().map_err(Reason::from)?;
                Ok((claims, token.hash()))
            }
            PresentedToken::Hash(hash) => {
                let needed = Unaccepted::With(ReplyKind::TokenNeeded, Reason::TokenNeeded);
                let Some((token, proof)) = self.tokens.find(hash) else {
                    return Err(needed);
                };
                match agent.check_token(&token, context)?.accept_verified(&proof) {
                    Ok(claims) => Ok((claims, *hash)),
                    // The issuer has another key of that name by now.
                    Err(TokenReason::ProofOfAnother) => Err(needed),
                    Err(reason) => Err(Reason::from(reason).into()),
                }
            }
        }
    }
}

impl OfflineAgent<'_> {
    /// Checks all of `token` but its issuer's signature.
    fn check_token<'t>(
        &self,
        token: &UnpackedToken<'t>,
        context: &OfflineContext<'_>,
    ) -> Result<Candidate<'t>, Reason> {
        let policy = Policy::offline_command(self.audience, context.time());
        let candidate = Candidate::check(token, self.anchors, &policy)?;
        let scope = &candidate.claims().agents;
        if !scope.reaches(&self.id, self.group.as_slice()) {
            return Err(Reason::OutOfScope);
        }
        if context.shell.is_revoked(candidate.claims()) {
            return Err(Reason::Revoked);
        }
        Ok(candidate)
    }
}

impl OfflineContext<'_> {
    /// Returns the time that commands, tokens and prekeys are judged by: never before the floor.
    fn time(&self) -> UnixMillis {
        match self.now.quality {
            TimeQuality::Unknown => self.floor,
            _ => self.now.unix.max(self.floor),
        }
    }
}

/// A command that could be opened: its sender knew the prekey, as everyone does.
struct Opened<'m, 's> {
    head: CommandHead,
    frame: Hash,
    secret: &'s CommandSecret,
    content: Content<'m>,
}

impl Opened<'_, '_> {
    /// Writes a reply without a result to `out`.
    fn bare_reply<'o>(&self, kind: ReplyKind, out: &'o mut [u8]) -> Result<&'o [u8], Reason> {
        let head = kind.emit(&self.frame);
        let mut writer = Writer::new(out);
        writer.bytes(&head).zeros(1 + TAG_LEN);
        let reply = writer.finish().map_err(|_| Reason::Length)?;
        let body = reply.get_mut(REPLY_HEAD_LEN..).ok_or(Reason::Length)?;
        self.secret.seal_reply(&head, &self.frame, body)?;
        Ok(reply)
    }

    /// Writes the reply with `result` to `out`, signed if there is a signer, and returns its length; nothing when `out`
    /// does not take it.
    fn result(
        &self,
        result: &Reply<'_>,
        signer: Option<(&SigningKey, &[u8; 32])>,
        out: &mut [u8],
    ) -> Option<usize> {
        let (head, body) = out.split_first_chunk_mut::<REPLY_HEAD_LEN>()?;
        let result_len = codec::encode_versioned(result, body).ok()?.len();
        let signature_len = signer.map_or(0, |_| SIGNATURE_LEN);
        let body = body.get_mut(..result_len + signature_len + TAG_LEN)?;
        let (plaintext, _) = body.split_last_chunk_mut::<TAG_LEN>()?;
        if let Some((key, hedge)) = signer {
            let (result, place) = plaintext.split_last_chunk_mut::<SIGNATURE_LEN>()?;
            let statement = self.secret.reply_statement(&self.frame, result);
            *place = sign(key, Label::Reply, &statement, hedge).0;
        }
        let code = self.secret.result_code(plaintext);
        *head = ReplyKind::Result(*code.as_bytes().first_chunk()?).emit(&self.frame);
        self.secret.seal_reply(head, &self.frame, body).ok()?;
        Some(REPLY_HEAD_LEN + body.len())
    }
}

/// What is sealed in a command.
struct Content<'m> {
    wants_signature: bool,
    token: PresentedToken<'m>,
    command: &'m [u8],
    /// P: all but the signature.
    signed_part: &'m [u8],
    signature: Signature,
}

/// How a command names the token under which it is given.
enum PresentedToken<'m> {
    Full(UnpackedToken<'m>),
    Hash(Hash),
}

impl<'m> Content<'m> {
    fn parse(plaintext: &'m [u8]) -> Result<Self, Reason> {
        let (signed_part, signature) = plaintext
            .split_last_chunk::<SIGNATURE_LEN>()
            .ok_or(Reason::Length)?;
        let mut reader = Reader::new(signed_part);
        let kind = reader.u8()?;
        if kind & !(KIND_TOKEN_HASH | KIND_SIGNED_REPLY) != 0 {
            return Err(Reason::Reserved);
        }
        let token = if kind & KIND_TOKEN_HASH != 0 {
            PresentedToken::Hash(Hash(*reader.array::<HASH_LEN>()?))
        } else {
            let (token, len) = UnpackedToken::parse(reader.clone().rest())?;
            reader.bytes(len)?;
            PresentedToken::Full(token)
        };
        Ok(Self {
            wants_signature: kind & KIND_SIGNED_REPLY != 0,
            token,
            command: reader.rest(),
            signed_part,
            signature: Signature(*signature),
        })
    }
}

/// A command that is run.
struct Accepted<'m> {
    command: Command<'m>,
    permissions: Permissions,
    /// The hash of the commander's key.
    commander: Hash,
    /// Fresh bytes for the signature of the reply, if it is to be signed: drawn while nothing has happened yet.
    hedge: Option<zeroize::Zeroizing<[u8; 32]>>,
}

/// Why a command is not run, and whether its sender hears of it.
#[derive(Debug, Clone, Copy)]
enum Unaccepted {
    Silently(Reason),
    With(ReplyKind, Reason),
}

impl From<Reason> for Unaccepted {
    fn from(reason: Reason) -> Self {
        Self::Silently(reason)
    }
}

impl From<RefusalCode> for Unaccepted {
    fn from(code: RefusalCode) -> Self {
        Self::With(ReplyKind::Refused(code), code.reason())
    }
}

impl From<NoPlace> for Unaccepted {
    fn from(cause: NoPlace) -> Self {
        match cause {
            NoPlace::TooFar => RefusalCode::Counter.into(),
            NoPlace::Full => RefusalCode::NoRoom.into(),
        }
    }
}

/// Takes one command out of the burst that is full again at `rested_at`; returns whether there was one.
fn take_one(rested_at: &mut Instant, now: Instant) -> bool {
    let next = (*rested_at).max(now).plus(COMMAND_MILLIS);
    let is_taken = next.since(now) <= COMMAND_BURST * COMMAND_MILLIS;
    if is_taken {
        *rested_at = next;
    }
    is_taken
}

/// Bit of the kind of a command: the token is named by its hash.
pub(super) const KIND_TOKEN_HASH: u8 = 1;

/// Bit of the kind of a command: the reply is to be signed.
pub(super) const KIND_SIGNED_REPLY: u8 = 1 << 1;

/// Length of a reply without a result in bytes.
pub const MIN_REPLY_LEN: usize = REPLY_HEAD_LEN + 1 + TAG_LEN;
