//! How a commander seals a command and opens the reply (PROTOCOL.md §12.2, §12.3).

use super::agent::{KIND_SIGNED_REPLY, KIND_TOKEN_HASH, MIN_REPLY_LEN};
use super::keys::CommandSecret;
use super::layout::{COMMAND_HEAD_LEN, CommandHead, REPLY_HEAD_LEN, RefusalCode, ReplyKind};
use super::prekey::AgentPrekey;
use crate::crypto::{
    EphemeralKey, HASH_LEN, Hash, PUBLIC_KEY_LEN, PublicKey, SIGNATURE_LEN, Secret, Signature,
    SigningKey, TAG_LEN,
};
use crate::entropy::{Entropy, draw};
use crate::handshake::{Label, sign, verify};
use crate::message::{Command, Reply, codec};
use crate::reason::{Error, Reason};
use crate::time::UnixMillis;
use crate::token::UnpackedToken;
use crate::wire::{Reader, TooSmall, Writer};

/// A command that is to be given, and by whom.
#[derive(Debug, Clone, Copy)]
pub struct Order<'a> {
    /// The commander's key.
    pub key: &'a SigningKey,
    /// Its token.
    pub token: UnpackedToken<'a>,
    /// How the token is presented.
    pub token_form: TokenForm,
    /// What the agent is to do.
    pub command: &'a Command<'a>,
    /// The key's number for this command, above that of every command that this key has sealed for the agent: it is in
    /// storage before the command is sent. A command that is sent again keeps its number, so that it runs once at most.
    pub counter: u64,
    /// When the command has lost its meaning; at most the end of the token.
    pub not_after: UnixMillis,
    /// Whether the reply is to be signed: it is then the agent's even if the prekey's private half was stolen.
    pub wants_signature: bool,
}

/// How a command presents its sender's token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum TokenForm {
    /// All of it.
    Full,
    /// Its hash: the agent is thought to have it.
    Hash,
}

/// What a commander keeps of a command until its reply, or until it has expired. The private half of the command's share
/// is not part of it.
#[derive(Debug)]
pub struct PendingReply {
    secret: CommandSecret,
    frame: Hash,
    agent_key: PublicKey,
    counter: u64,
    token_form: TokenForm,
    wants_signature: bool,
}

/// What a reply says.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "it is made once a command and taken apart at once"
)]
pub enum ReplyOutcome<'m> {
    /// The command ran, and this is what it gave. The wait is over.
    Result(Reply<'m>),
    /// The command was taken, and what it gave is lost. It is not known whether it ran to its end.
    Lost,
    /// The agent has taken a command of this counter or a higher one. It is not known whether it was this one.
    Stale {
        /// The counter of the last command that it took.
        counter: u64,
    },
    /// The agent does not have the token. The command is to be sealed again with the token in full **and the same
    /// counter**: the first frame may yet run, and one counter runs once.
    TokenNeeded,
    /// The agent did not take this copy. It is not known whether another one ran.
    Refused(RefusalCode),
}

/// Seals `order` to `prekey` at `now`, writes the frame to `out`, and returns what opens the reply.
///
/// # Errors
///
/// [`Error::PrekeyExpired`]; [`Error::ZeroSharedSecret`] for a prekey that is none; [`Error::OutputTooSmall`];
/// [`Error::Entropy`].
pub fn seal_command<'o>(
    order: &Order<'_>,
    prekey: &AgentPrekey,
    now: UnixMillis,
    entropy: &mut dyn Entropy,
    out: &'o mut [u8],
) -> Result<(PendingReply, &'o [u8]), Error> {
    if prekey.prekey.expires <= now {
        return Err(Error::PrekeyExpired);
    }
    let ephemeral = EphemeralKey::generate(entropy)?;
    let hedge = draw::<32>(entropy)?;
    let head = CommandHead {
        agent: prekey.prekey.agent,
        prekey: prekey.prekey.id,
        key_name: order.key.public_key().hash().prefix(),
        counter: order.counter,
        not_after: order.not_after,
        share: ephemeral.share(),
    }
    .emit();
    let secret = CommandSecret::agree(
        prekey.prekey.suite,
        &ephemeral,
        &prekey.prekey.share,
        &head,
        &prekey.prefix,
        &prekey.agent_key,
    )
    .map_err(|_| Error::ZeroSharedSecret)?;
    drop(ephemeral);
    let token_hash = order.token.hash();
    let (token_bit, token) = match order.token_form {
        TokenForm::Full => (0, order.token.as_bytes()),
        TokenForm::Hash => (KIND_TOKEN_HASH, token_hash.as_bytes().as_slice()),
    };
    let signature_bit = if order.wants_signature {
        KIND_SIGNED_REPLY
    } else {
        0
    };
    let mut writer = Writer::new(out);
    writer
        .bytes(&head)
        .u8(token_bit | signature_bit)
        .bytes(token);
    let command_at = writer.finish()?.len();
    let rest = out.get_mut(command_at..).unwrap_or_default();
    let command_len = codec::encode_versioned(order.command, rest)
        .map_err(|error| too_small(command_at + error.needed))?
        .len();
    let len = command_at + command_len + SIGNATURE_LEN + TAG_LEN;
    let frame = out.get_mut(..len).ok_or(too_small(len))?;
    seal(frame, &secret, &token_hash, order.key, &*hedge).ok_or(too_small(len))?;
    let pending = PendingReply {
        secret,
        frame: Hash::of(&[frame]),
        agent_key: prekey.agent_key,
        counter: order.counter,
        token_form: order.token_form,
        wants_signature: order.wants_signature,
    };
    Ok((pending, frame))
}

/// Signs and seals the frame, whose plaintext is written; nothing for one that is too short, which it is not.
fn seal(
    frame: &mut [u8],
    secret: &CommandSecret,
    token: &Hash,
    key: &SigningKey,
    hedge: &[u8],
) -> Option<()> {
    let (head, sealed) = frame.split_first_chunk_mut::<COMMAND_HEAD_LEN>()?;
    let (plaintext, tag) = sealed.split_last_chunk_mut::<TAG_LEN>()?;
    let (signed_part, signature) = plaintext.split_last_chunk_mut::<SIGNATURE_LEN>()?;
    let statement = secret.command_statement(token, signed_part);
    *signature = sign(key, Label::Command, &statement, hedge).0;
    *tag = secret.command_key().seal_in_place(0, head, plaintext)?.0;
    Some(())
}

fn too_small(needed: usize) -> Error {
    TooSmall { needed }.into()
}

/// Length of a [`PendingReply`] in storage in bytes.
pub const PENDING_REPLY_LEN: usize = CommandSecret::LEN + HASH_LEN + PUBLIC_KEY_LEN + 8 + 1;

impl PendingReply {
    /// Writes what opens the reply, for storage that only its owner reads.
    #[must_use]
    pub fn to_bytes(&self) -> Secret<PENDING_REPLY_LEN> {
        let token_bit = match self.token_form {
            TokenForm::Full => 0,
            TokenForm::Hash => KIND_TOKEN_HASH,
        };
        let signature_bit = if self.wants_signature {
            KIND_SIGNED_REPLY
        } else {
            0
        };
        Secret::filled_by(|bytes| {
            let mut writer = Writer::new(bytes);
            self.secret.emit(&mut writer);
            writer
                .bytes(self.frame.as_bytes())
                .bytes(&self.agent_key.to_bytes())
                .u64(self.counter)
                .u8(token_bit | signature_bit);
            debug_assert!(writer.finish().is_ok());
        })
    }

    /// Reads what opens a reply from storage.
    ///
    /// # Errors
    ///
    /// [`Reason::Malformed`] when it is none.
    pub fn from_bytes(bytes: &Secret<PENDING_REPLY_LEN>) -> Result<Self, Reason> {
        let mut reader = Reader::new(bytes.expose());
        let secret = CommandSecret::parse(&mut reader)?;
        let frame = Hash(*reader.array()?);
        let agent_key = PublicKey::from_bytes(reader.array()?).ok_or(Reason::Malformed)?;
        let counter = reader.u64()?;
        let bits = reader.u8()?;
        reader.finish()?;
        if bits & !(KIND_TOKEN_HASH | KIND_SIGNED_REPLY) != 0 {
            return Err(Reason::Malformed);
        }
        let token_form = if bits & KIND_TOKEN_HASH == 0 {
            TokenForm::Full
        } else {
            TokenForm::Hash
        };
        Ok(Self {
            secret,
            frame,
            agent_key,
            counter,
            token_form,
            wants_signature: bits & KIND_SIGNED_REPLY != 0,
        })
    }

    /// Returns the hash of the frame, by which whoever carries it knows it again.
    #[must_use]
    pub fn frame(&self) -> &Hash {
        &self.frame
    }

    /// Opens a reply in the order of PROTOCOL.md §12.5. `message` is decrypted where it stands.
    ///
    /// A message that is refused changes nothing: the right reply may still come.
    ///
    /// # Errors
    ///
    /// [`Reason`] of the first check that fails.
    pub fn open<'m>(&self, message: &'m mut [u8]) -> Result<ReplyOutcome<'m>, Reason> {
        if message.len() < MIN_REPLY_LEN {
            return Err(Reason::Length);
        }
        let (head, body) = message
            .split_first_chunk_mut::<REPLY_HEAD_LEN>()
            .ok_or(Reason::Length)?;
        let kind = ReplyKind::parse(head, &self.frame)?;
        let plaintext = self.secret.open_reply(head, &self.frame, body)?;
        if let ReplyKind::Result(code) = kind {
            return self.open_result(&Secret::new(code), plaintext);
        }
        if *plaintext != [0] {
            return Err(Reason::Malformed);
        }
        match kind {
            ReplyKind::Result(_) | ReplyKind::Lost => Ok(ReplyOutcome::Lost),
            ReplyKind::Stale(counter) if counter >= self.counter => {
                Ok(ReplyOutcome::Stale { counter })
            }
            ReplyKind::Stale(_) => Err(Reason::Malformed),
            ReplyKind::TokenNeeded if self.token_form == TokenForm::Hash => {
                Ok(ReplyOutcome::TokenNeeded)
            }
            ReplyKind::TokenNeeded => Err(Reason::OutOfPlace),
            ReplyKind::Refused(code) => Ok(ReplyOutcome::Refused(code)),
        }
    }

    fn open_result<'m>(
        &self,
        code: &Secret<8>,
        plaintext: &'m [u8],
    ) -> Result<ReplyOutcome<'m>, Reason> {
        let own = self.secret.result_code(plaintext);
        let own = own.as_bytes().first_chunk().ok_or(Reason::Length)?;
        if !Secret::new(*own).same_as(code) {
            return Err(Reason::ReplyCode);
        }
        let result = if self.wants_signature {
            let (result, signature) = plaintext
                .split_last_chunk::<SIGNATURE_LEN>()
                .ok_or(Reason::ReplySignature)?;
            let statement = self.secret.reply_statement(&self.frame, result);
            verify(
                &self.agent_key,
                Label::Reply,
                &statement,
                &Signature(*signature),
            )
            .map_err(|_| Reason::ReplySignature)?;
            result
        } else {
            plaintext
        };
        codec::decode_versioned(result).map(ReplyOutcome::Result)
    }
}
