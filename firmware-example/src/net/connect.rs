//! From the name of a host to a connection.

use core::fmt;

use moorline_core::entropy::Entropy;
use smoltcp::socket::dns::{GetQueryResultError, StartQueryError};
use smoltcp::socket::{dns, tcp};
use smoltcp::time::Duration;
use smoltcp::wire::{DnsQueryType, IpAddress, Ipv4Address};

use super::{Net, TcpStream};

/// Why there is no connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, defmt::Format)]
pub enum ConnectError {
    /// Nobody is at the other end of the wire.
    NoWire,
    /// No DHCP server has given an address.
    NoAddress,
    /// The host is neither an IPv4 address nor a name.
    BadName,
    /// The name servers know no IPv4 address of the host, or there is no name server that answers.
    NoSuchHost,
    /// The host refuses the connection.
    Refused,
    /// The host does not answer.
    NoAnswer,
    /// There are no random bytes for the port.
    Entropy,
}

impl fmt::Display for ConnectError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::NoWire => "nobody is at the other end of the wire",
            Self::NoAddress => "no DHCP server has given an address",
            Self::BadName => "the host is neither an IPv4 address nor a name",
            Self::NoSuchHost => "no name server knows the host",
            Self::Refused => "the host refuses the connection",
            Self::NoAnswer => "the host does not answer",
            Self::Entropy => "there are no random bytes",
        })
    }
}

impl core::error::Error for ConnectError {}

impl Net {
    /// Connects to `port` of `host`, an IPv4 address or a name, from a random port. The whole takes ten seconds at most.
    ///
    /// Who answers to the name is not proved by anything here: that is up to the handshake.
    ///
    /// # Errors
    ///
    /// [`ConnectError`].
    #[inline(never)]
    pub fn connect(
        &mut self,
        host: &str,
        port: u16,
        entropy: &mut impl Entropy,
    ) -> Result<TcpStream<'_>, ConnectError> {
        let mut draw = [0; 2];
        entropy.fill(&mut draw).map_err(|_| ConnectError::Entropy)?;
        let own_port = FIRST_PORT | u16::from_be_bytes(draw);
        let give_up = self.clock.milliseconds() + CONNECT_MS;
        self.wait_for_lease(give_up)?;
        let address = match host.parse::<Ipv4Address>() {
            Ok(address) => IpAddress::Ipv4(address),
            Err(_) => self.resolve(host, give_up)?,
        };
        let socket = self.sockets.get_mut::<tcp::Socket<'_>>(self.tcp);
        socket.abort();
        // Each message is written whole, and waits for no other.
        socket.set_nagle_enabled(false);
        socket.set_keep_alive(None);
        socket.set_timeout(None);
        socket
            .connect(self.interface.context(), (address, port), own_port)
            .map_err(|_| ConnectError::NoAddress)?;
        loop {
            self.poll();
            let socket = self.sockets.get_mut::<tcp::Socket<'_>>(self.tcp);
            match socket.state() {
                tcp::State::SynSent | tcp::State::SynReceived => {}
                tcp::State::Closed => return Err(ConnectError::Refused),
                _ => {
                    socket.set_timeout(Some(Duration::from_millis(UNANSWERED_MS)));
                    socket.set_keep_alive(Some(Duration::from_millis(KEEP_ALIVE_MS)));
                    return Ok(TcpStream::new(self));
                }
            }
            if self.clock.milliseconds() >= give_up {
                socket.abort();
                self.poll();
                return Err(ConnectError::NoAnswer);
            }
            self.sleep();
        }
    }

    fn wait_for_lease(&mut self, give_up: u64) -> Result<(), ConnectError> {
        loop {
            self.poll();
            if self.has_lease && self.is_linked {
                return Ok(());
            }
            if self.clock.milliseconds() >= give_up {
                return Err(if self.is_linked {
                    ConnectError::NoAddress
                } else {
                    ConnectError::NoWire
                });
            }
            self.sleep();
        }
    }

    fn resolve(&mut self, host: &str, give_up: u64) -> Result<IpAddress, ConnectError> {
        let dns = self.sockets.get_mut::<dns::Socket<'_>>(self.dns);
        let query = dns
            .start_query(self.interface.context(), host, DnsQueryType::A)
            .map_err(|error| match error {
                StartQueryError::NoFreeSlot => ConnectError::NoSuchHost,
                StartQueryError::InvalidName | StartQueryError::NameTooLong => {
                    ConnectError::BadName
                }
            })?;
        loop {
            self.poll();
            let dns = self.sockets.get_mut::<dns::Socket<'_>>(self.dns);
            match dns.get_query_result(query) {
                Ok(addresses) => {
                    return addresses.first().copied().ok_or(ConnectError::NoSuchHost);
                }
                Err(GetQueryResultError::Failed) => return Err(ConnectError::NoSuchHost),
                Err(GetQueryResultError::Pending) => {}
            }
            if self.clock.milliseconds() >= give_up {
                dns.cancel_query(query);
                return Err(ConnectError::NoSuchHost);
            }
            self.sleep();
        }
    }
}

/// Milliseconds for the address, the name and the connection together.
const CONNECT_MS: u64 = 10_000;
/// Milliseconds for which the host may acknowledge nothing before it is given up.
pub(super) const UNANSWERED_MS: u64 = 10_000;
/// Milliseconds of silence after which the host is asked whether it is there.
const KEEP_ALIVE_MS: u64 = 5_000;
/// The first of the dynamic ports (RFC 6335 §6), a power of two.
const FIRST_PORT: u16 = 0xC000;
