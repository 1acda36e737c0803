//! What a record can be about.

use serde::{Deserialize, Serialize};

macro_rules! closed_list {
    ($(#[$about:meta])* $list:ident { $($(#[$doc:meta])* $name:ident = $text:literal,)* }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $list {
            $($(#[$doc])* #[serde(rename = $text)] $name,)*
        }

        impl $list {
            /// All of them, in the order of the list.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Returns the name in records and on the command line.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }

            /// Returns what is called `name`.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|known| known.name() == name)
            }
        }

        impl std::fmt::Display for $list {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.pad(self.name())
            }
        }
    };
}

closed_list! {
    /// How much something matters to the operator.
    Severity {
        /// It belongs to the ordinary run.
        Info = "info",
        /// It is worth a look.
        Warning = "warning",
        /// It is worth a look at once.
        Critical = "critical",
        /// The hub, or who relies on it, is in danger.
        Emergency = "emergency",
    }
}

closed_list! {
    /// What came of it.
    Outcome {
        /// It was done.
        Done = "done",
        /// The hub refused it.
        Refused = "refused",
        /// It went wrong.
        Failed = "failed",
    }
}

closed_list! {
    /// What a record is about.
    Kind {
        /// The daemon serves from here on.
        Started = "started",
        /// The daemon ended as it should.
        Stopped = "stopped",
        /// The log did not end as it should, and goes on behind its last whole record.
        Recovered = "recovered",
        /// Records were lost: more came than could be written.
        Lost = "lost",
        /// Old files of the log were removed.
        Pruned = "pruned",
        /// A peer is authenticated.
        SessionOpened = "session_opened",
        /// The session of a peer is over.
        SessionClosed = "session_closed",
        /// A stranger was not authenticated: what it showed was refused.
        StrangerRefused = "stranger_refused",
        /// A stranger is gone before anything was refused: it left, or its time was over.
        StrangerGone = "stranger_gone",
        /// A session rests on a newer token.
        TokenRenewed = "token_renewed",
        /// A peer was given no newer token, or showed one that is not taken.
        TokenRefused = "token_refused",
        /// A peer has another key.
        Rekeyed = "rekeyed",
        /// The hub has another key: its own, the issuer's, or the one that tickets are sealed under.
        KeyRotated = "key_rotated",
        /// A peer is enrolled.
        Enrolled = "enrolled",
        /// A commander has logged in over HTTP.
        LoggedIn = "logged_in",
        /// A login over HTTP is over before its time.
        LoggedOut = "logged_out",
        /// Somebody is not logged in, or asks over HTTP without being so.
        LoginRefused = "login_refused",
        /// The operator changed by what a commander logs in.
        AccountChanged = "account_changed",
        /// A code or an external key was given out.
        Invited = "invited",
        /// An invitation is over before it was used.
        Withdrawn = "withdrawn",
        /// A peer is shut out.
        Revoked = "revoked",
        /// Tokens are revoked, and their holder is not shut out.
        TokensRevoked = "tokens_revoked",
        /// The operator changed who may do what.
        AccessChanged = "access_changed",
        /// The operator ended connections.
        ConnectionsEnded = "connections_ended",
        /// The operator asked for something that is not done.
        OperatorRefused = "operator_refused",
        /// A peer asked for what it may not do, or for an agent that it does not reach.
        PermissionDenied = "permission_denied",
        /// A commander speaks with an agent: the first message of a channel.
        ChannelOpened = "channel_opened",
        /// A command is kept for an agent.
        CommandKept = "command_kept",
        /// A command is not kept.
        CommandRefused = "command_refused",
        /// A command that was kept is handed to its agent.
        CommandDelivered = "command_delivered",
        /// A reply is kept for its commander.
        ReplyKept = "reply_kept",
        /// A reply is handed to its commander.
        ReplyFetched = "reply_fetched",
        /// Somebody has come to a limit.
        LimitHit = "limit_hit",
        /// An address is not listened to.
        AddressBlocked = "address_blocked",
        /// A threshold of the watch is reached.
        Alert = "alert",
    }
}

impl Kind {
    /// Returns how much it matters unless it is said otherwise.
    #[must_use]
    pub fn severity(self) -> Severity {
        match self {
            Self::Recovered
            | Self::StrangerRefused
            | Self::TokenRefused
            | Self::LoginRefused
            | Self::Revoked
            | Self::TokensRevoked
            | Self::OperatorRefused
            | Self::PermissionDenied
            | Self::CommandRefused
            | Self::LimitHit
            | Self::AddressBlocked => Severity::Warning,
            Self::Lost => Severity::Critical,
            _ => Severity::Info,
        }
    }

    /// Returns what comes of it unless it is said otherwise.
    #[must_use]
    pub fn outcome(self) -> Outcome {
        match self {
            Self::StrangerRefused
            | Self::TokenRefused
            | Self::LoginRefused
            | Self::OperatorRefused
            | Self::PermissionDenied
            | Self::CommandRefused
            | Self::LimitHit => Outcome::Refused,
            Self::Lost | Self::StrangerGone => Outcome::Failed,
            _ => Outcome::Done,
        }
    }

    /// Returns whether it is never lost: who is at it waits until it is on the disk.
    #[must_use]
    pub fn is_durable(self) -> bool {
        matches!(
            self,
            Self::Started
                | Self::Stopped
                | Self::Recovered
                | Self::Lost
                | Self::Pruned
                | Self::Rekeyed
                | Self::KeyRotated
                | Self::Enrolled
                | Self::Invited
                | Self::Withdrawn
                | Self::Revoked
                | Self::AccessChanged
                | Self::LoggedIn
                | Self::LoggedOut
                | Self::AccountChanged
                | Self::TokensRevoked
        )
    }
}
