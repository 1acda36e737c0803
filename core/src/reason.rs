//! Why something was refused.
//!
//! A [`Reason`] is the peer's fault, an [`Error`] the caller's. The peer is told neither: it sees an alert, a
//! refusal with one code for every cause, or silence.

use crate::entropy::EntropyError;
use crate::token::TokenReason;
use crate::wire::{TooSmall, Truncated};

/// The one cause for which bytes of a peer were refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Reason {
    /// A message or frame does not have exactly the length that its fields give.
    Length,
    /// The first byte names no message.
    UnknownType,
    /// The message or frame has no place in this state.
    OutOfPlace,
    /// The version is not spoken here.
    Version,
    /// Both ends speak a higher version than the one offered.
    Downgrade,
    /// A reserved field or bit is set.
    Reserved,
    /// The list of suites is empty, too long, repeats one or is not padded with zeros.
    SuiteList,
    /// No suite offered is allowed here, or the one chosen was not offered.
    Suite,
    /// The mode is unknown, not offered or not allowed here.
    Mode,
    /// The form, stream or datagram, is not that of the transport.
    Form,
    /// The transport unit announced is under the least one.
    Mtu,
    /// A connection id is wrong for the form or for this end.
    ConnectionId,
    /// A fragment is malformed, or does not fit what has come before it.
    Fragment,
    /// The result of the Diffie-Hellman is zero.
    ZeroSharedSecret,
    /// A sealed part does not open.
    Unsealed,
    /// The kind of credential is unknown or not allowed here.
    CredentialKind,
    /// The responder's key is not trusted.
    NotPinned,
    /// The statement about the responder's key is not that of the root key or of the key expected.
    RotationSignature,
    /// The statement about the responder's key is not newer than the last one of its signer.
    RotationOld,
    /// The statement names a key that was revoked or needs no word, or another one than the message.
    RotationKey,
    /// The statement about an issuer's key is that of another key than the newest one.
    RotationSigner,
    /// The responder's signature is not right.
    ResponderSignature,
    /// The initiator's signature is not right.
    InitiatorSignature,
    /// Padding is too long or not zero.
    Padding,
    /// The responder's clock has a quality that does not exist.
    TimeQuality,
    /// A limit announced by the peer is too small or too large.
    PeerLimit,
    /// The confirmation of the other end is not right.
    Confirmation,
    /// The proof that the initiator has the ticket's secret is not right.
    Binder,
    /// The ticket was used up, revoked or dropped while the handshake went on.
    TicketGone,
    /// The token or the message is that of another agent than the one that is wanted.
    OtherAgent,
    /// The token does not reach this agent.
    OutOfScope,
    /// The time of a message is not near enough.
    Stale,
    /// The code of a message is not right.
    MessageMac,
    /// This end does not know the time, and judges no token without it.
    NoTime,
    /// The session would have ended before it began.
    SessionExpired,
    /// The token was refused.
    Token(TokenReason),
    /// The token, its holder, its key or its issuer's key is revoked, or the holder is not enrolled.
    Revoked,
    /// Policy or a quota does not admit the peer.
    NotAdmitted,
    /// The responder refused the credential.
    RefusedCredential,
    /// The responder is overloaded.
    RefusedOverload,
    /// The responder does not know the time.
    RefusedNoTime,
    /// The responder sent a hint that it does not take this handshake; nobody vouches for the hint.
    Rejected,
    /// The handshake took too long.
    HandshakeTimeout,
    /// The epoch is not one whose keys are held.
    Epoch,
    /// The sequence number is not the next one.
    Sequence,
    /// The sequence number was used before.
    Replayed,
    /// The sequence number is left of the replay window.
    TooOld,
    /// So many frames did not open under one key that somebody tries to forge one.
    Forgeries,
    /// The payload is longer than this end announced that it takes.
    TooLong,
    /// A message inside a frame is malformed, not canonical or of an unknown kind.
    Malformed,
    /// The version of a message inside a frame is not spoken here.
    MessageVersion,
    /// A key update breaks the rules of its order.
    KeyUpdate,
    /// The peer's count of its frames differs from the frames that arrived: some were cut out.
    FrameCount,
    /// The peer asks for new keys too often.
    KeyUpdateRate,
    /// The peer did not answer a key update.
    KeyUpdateTimeout,
    /// The session has no epoch left.
    LastEpoch,
    /// The peer was silent for too long.
    Silent,
    /// The token of the session has expired.
    Expired,
    /// The source of entropy of this end does not answer.
    Entropy,
    /// The key is not a point of the curve.
    PublicKey,
    /// The code opens no enrolment: it is wrong, used or over, or no enrolment is open.
    EnrolmentCode,
    /// A peer shows its key alone, and it is none that is enrolled.
    UnknownKey,
    /// The external key is not known, or not good any more.
    ExternalKey,
    /// The key of a new token is not proved, or proved where none is due.
    KeyProof,
    /// The peer shows tokens too often.
    RenewalRate,
    /// The list of what is revoked is not its issuer's.
    RevocationSignature,
    /// The list of what is revoked is not newer than the one that is here.
    RevocationOld,
    /// The prekey is not signed by the agent.
    PrekeySignature,
    /// The prekey has expired, or lives longer than it may.
    PrekeyExpiry,
    /// The prekey is older than the last but one that was seen, or of an earlier key of the agent.
    PrekeyId,
    /// The prekey is not held, or not any more.
    PrekeyUnknown,
    /// More commands come than this agent takes.
    CommandRate,
    /// The command was taken before, and its reply is gone.
    CommandRepeated,
    /// A command of this counter or a higher one was taken before.
    CounterStale,
    /// The counter is too far above the last one.
    CounterTooFar,
    /// The token is named by a hash that is not known.
    TokenNeeded,
    /// The token is not that of the key that the command names.
    OtherKey,
    /// The commander's signature is not right.
    CommandSignature,
    /// The command has expired, or would live longer than its token.
    NotAfter,
    /// The commander may not give this command.
    NotPermitted,
    /// There is no room for one more commander.
    NoRoom,
    /// What must be stored before anything else is done could not be.
    Storage,
    /// The reply is to another command.
    OtherCommand,
    /// The head of the reply names another result.
    ReplyCode,
    /// The agent's signature of a reply is missing or not right.
    ReplySignature,
}

impl From<Truncated> for Reason {
    fn from(_: Truncated) -> Self {
        Self::Length
    }
}

impl From<TokenReason> for Reason {
    fn from(reason: TokenReason) -> Self {
        Self::Token(reason)
    }
}

impl From<EntropyError> for Reason {
    fn from(_: EntropyError) -> Self {
        Self::Entropy
    }
}

/// What a caller did wrong, or what its machine lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Error {
    /// The buffer lent for output is too small.
    OutputTooSmall(TooSmall),
    /// The payload is longer than the peer takes; the limit is in bytes.
    PayloadTooLong {
        /// Longest payload that the peer takes, in bytes.
        limit: usize,
    },
    /// The session is not open.
    NotOpen,
    /// This is for the initiator to do.
    NotInitiator,
    /// This is for the hub to do, with a newcomer.
    NotEnrolling,
    /// This is for links.
    NotALink,
    /// A key update is not possible at this moment: one is under way, or the last one is too near.
    NotSettled,
    /// The key has sealed all it may; a key update must come first.
    KeyExhausted,
    /// The token to present is not one that the responder could accept.
    OwnToken(TokenReason),
    /// A responder must know the time.
    NoClock,
    /// The source of entropy does not answer.
    Entropy,
    /// The prekey has expired: a newer one is to be asked for.
    PrekeyExpired,
    /// The prekey gives no shared secret.
    ZeroSharedSecret,
}

impl From<TooSmall> for Error {
    fn from(error: TooSmall) -> Self {
        Self::OutputTooSmall(error)
    }
}

impl From<EntropyError> for Error {
    fn from(_: EntropyError) -> Self {
        Self::Entropy
    }
}

const _: () = assert!(
    size_of::<Reason>() <= 4,
    "a reason is passed by value everywhere"
);
