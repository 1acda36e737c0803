//! Why there is no connection, or no answer.

use std::time::Duration;

use moorline_core::connection::Closure;
use moorline_core::message::{OfflineRefusal, RouteRefusal};
use moorline_core::reason::Reason;

use super::offline;
use crate::store::StoreError;

/// Why there is no connection, or no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The address is none of a hub.
    #[error(
        "{0}: not an address of a hub; `ws://HOST:PORT/ws`, `wss://HOST:PORT/ws` or `udp://HOST:PORT` is expected"
    )]
    Address(String),
    /// The hub is not reached.
    #[error("{place}: {error}")]
    Unreachable {
        /// Where it was looked for.
        place: String,
        /// Why.
        error: std::io::Error,
    },
    /// What answers there opens no WebSocket.
    #[error("{place}: this is not a Moorline hub: {error}")]
    NotAHub {
        /// Where.
        place: String,
        /// Why.
        error: String,
    },
    /// What answers there is not the hub whose key is trusted, nor one that follows it.
    #[error("this hub does not prove the key that is trusted ({0:?}): nothing was told to it")]
    WrongHub(Reason),
    /// The hub says of the issuer's keys what leads on from none that is known.
    #[error(
        "the hub shows an issuer's key that none vouches for which is known here ({0:?}); enrol again"
    )]
    WrongIssuer(Reason),
    /// The hub has another key, as it may, and that cannot be stored.
    #[error(
        "the hub has a new key, and it cannot be stored in the home folder: nothing was told to it"
    )]
    TrustNotStored,
    /// The hub refuses the token.
    #[error("the hub refuses this token: it is expired, revoked, or not this hub's")]
    CredentialRefused,
    /// The hub does not log anybody in so.
    #[error("the hub does not log you in: {0}")]
    NotLoggedIn(String),
    /// The system gives no random bytes.
    #[error("the system gives no random bytes")]
    NoEntropy,
    /// The hub opens a WebSocket only for who shows a token, and there is none to show, or no TLS to show it in.
    #[error(
        "this hub wants a token before it opens a WebSocket, which is shown in TLS (`wss://`) alone; \
         who has none, or one that is over, is let in by another of its doors, such as `udp://`"
    )]
    BearerWanted,
    /// The hub has too much to do.
    #[error("the hub is overloaded; try again")]
    Overloaded,
    /// The connection ended.
    #[error("the connection ended: {0:?}")]
    Ended(Closure),
    /// The stream ended without a last word.
    #[error("the connection was cut")]
    Cut,
    /// The stream failed.
    #[error("the connection failed: {0}")]
    Stream(#[from] std::io::Error),
    /// The hub did not carry the command.
    #[error("{}", refusal_text(.0))]
    NotCarried(RouteRefusal),
    /// The hub gives no newer token, or does not take it.
    #[error("the hub does not renew this token; the old one is good until it expires")]
    RenewalRefused,
    /// The commander may not ask this.
    #[error("this token does not permit it")]
    NotPermitted,
    /// The agent refuses the commander.
    #[error("the agent refuses this token: it does not reach it, or is expired or revoked")]
    RefusedByAgent,
    /// The agent does not know the time, and judges no token.
    #[error(
        "the agent does not know the time yet; try again when it has been connected for a while"
    )]
    AgentWithoutTime,
    /// The agent has answered too many commanders for the moment.
    #[error("the agent has answered many commanders just now; try again in ten seconds")]
    AgentBusy,
    /// What answers is not the agent.
    #[error("what answers does not prove to be this agent ({0:?}): nothing was told to it")]
    WrongAgent(Reason),
    /// The channel to the agent ended.
    #[error("the channel to the agent ended: {0:?}")]
    ChannelEnded(Closure),
    /// The answer did not come in time.
    #[error("no answer within {0:?}; whether the command ran is not known")]
    Late(Duration),
    /// The hub does not keep the command, or has no prekey for it.
    #[error("{}", offline::refusal_text(.0))]
    NotKept(OfflineRefusal),
    /// The prekey that the hub gives out is not the agent's, or is too old.
    #[error("the hub's prekey does not prove to be this agent's ({0:?}): nothing was sealed to it")]
    WrongPrekey(Reason),
    /// What the hub has for a reply is none. The right one may still come.
    #[error(
        "the hub's reply does not prove to be the agent's ({0:?}); the right one may still come"
    )]
    BadReply(Reason),
    /// Too many commands to this agent await their replies.
    #[error("too many commands to this agent await their replies; `moorline replies` fetches them")]
    TooManyOpen,
    /// The ledger has no such command.
    #[error("the ledger has no open command of this number")]
    NotInLedger,
    /// The ledger failed.
    #[error(transparent)]
    Ledger(#[from] StoreError),
    /// The command is too long.
    #[error("the command is longer than a message may be")]
    TooLong,
    /// The hub or the agent sent something that is no answer.
    #[error("the answer is malformed: {0:?}")]
    Malformed(Reason),
    /// This machine gives no random bytes, or the token is damaged.
    #[error("cannot start: {0:?}")]
    Own(moorline_core::reason::Error),
}

fn refusal_text(refusal: &RouteRefusal) -> &'static str {
    match refusal {
        RouteRefusal::UnknownAgent => "this token reaches no agent of that name",
        RouteRefusal::Offline => {
            "the agent is offline; with --offline the command is left for it, sealed"
        }
        RouteRefusal::NotPermitted => "this token does not permit that command",
        RouteRefusal::BadMessage => "the hub does not carry this message",
        RouteRefusal::Busy => "the agent or the hub is busy; try again",
    }
}
