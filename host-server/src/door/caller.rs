//! Who is at the other end of a connection, as far as addresses tell.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

/// The address of who is at the other end: that of the socket, until a proxy says for whom it speaks.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    socket: SocketAddr,
    forwarded: Arc<Mutex<Option<IpAddr>>>,
}

impl Caller {
    pub(super) fn new(socket: SocketAddr) -> Self {
        Self {
            socket,
            forwarded: Arc::default(),
        }
    }

    /// Returns the address of the socket.
    pub(super) fn socket(&self) -> IpAddr {
        self.socket.ip()
    }

    /// Returns whether it is on this machine, and speaks for itself.
    pub(super) fn is_local(&self) -> bool {
        let forwarded = self
            .forwarded
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        forwarded.is_none() && self.socket.ip().is_loopback()
    }

    /// Notes that the socket is a proxy's, which speaks for `address`.
    pub(super) fn speaks_for(&self, address: IpAddr) {
        *self
            .forwarded
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(address);
    }
}

/// The port is always that of the socket: by it a proxy's log tells which connection it was.
impl fmt::Display for Caller {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let forwarded = self
            .forwarded
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let address = forwarded.unwrap_or(self.socket.ip());
        SocketAddr::new(address, self.socket.port()).fmt(formatter)
    }
}
