//! Why sessions end.

use moorline_core::connection::Closure;
use moorline_core::message::{Alert, AlertCode};
use moorline_core::reason::Reason;

use crate::audit::{Kind, NotRecorded};

/// Why a session ended, for logs.
#[derive(Debug, thiserror::Error)]
pub(super) enum End {
    #[error("the peer said goodbye: {0:?}")]
    ByPeer(Alert),
    #[error("refused: {0:?}")]
    Refused(Reason),
    #[error("ended by the hub: {0:?}")]
    ByHub(AlertCode),
    #[error("the stream ended without a last word")]
    Truncated,
    #[error("the stream failed: {0}")]
    Stream(#[from] std::io::Error),
    #[error("the message cannot be sealed: {0:?}")]
    Own(moorline_core::reason::Error),
    #[error(transparent)]
    NotRecorded(#[from] NotRecorded),
}

impl End {
    /// Returns whether the peer has come to a limit.
    pub(super) fn is_limit(&self) -> bool {
        match self {
            Self::Refused(reason) => matches!(
                reason,
                Reason::RenewalRate | Reason::KeyUpdateRate | Reason::Forgeries | Reason::TooLong
            ),
            Self::ByHub(code) => *code == AlertCode::Limit,
            // More bytes than messages need, or a message that is too long.
            Self::Stream(error) => error.kind() == std::io::ErrorKind::InvalidData,
            _ => false,
        }
    }

    /// Returns what is recorded of a stranger that ends so.
    pub(super) fn kind_of_stranger(&self) -> Kind {
        match self {
            _ if self.is_limit() => Kind::LimitHit,
            Self::Refused(_) => Kind::StrangerRefused,
            _ => Kind::StrangerGone,
        }
    }
}

impl From<Closure> for End {
    fn from(closure: Closure) -> Self {
        match closure {
            Closure::ByPeer(alert) => Self::ByPeer(alert),
            Closure::Refused(reason) => Self::Refused(reason),
        }
    }
}
