//! The device on its network: an interface on the Ethernet, with an address that DHCP leases, and one TCP connection.
//!
//! Nothing runs beside the main loop: whoever waits here polls, and sleeps until the controller interrupts or the clock
//! ticks. Everything it works in is static.

mod connect;
mod stream;

use moorline_core::entropy::{Entropy, EntropyError};
use smoltcp::iface::{
    Config, Interface, PollIngressSingleResult, PollResult, SocketHandle, SocketSet, SocketStorage,
};
use smoltcp::socket::dns::DnsQuery;
use smoltcp::socket::{dhcpv4, dns, tcp};
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetAddress, HardwareAddress, IpAddress, IpCidr, Ipv4Address, Ipv4Cidr};
use static_cell::{ConstStaticCell, StaticCell};

pub use self::connect::ConnectError;
pub use self::stream::{StreamError, TcpStream};
use crate::board::ethernet::Counters;
use crate::board::{Clock, Ethernet, EthernetError, EthernetPort};

/// The network, up or on its way.
pub struct Net {
    ethernet: Ethernet,
    clock: Clock,
    interface: Interface,
    sockets: SocketSet<'static>,
    dhcp: SocketHandle,
    dns: SocketHandle,
    tcp: SocketHandle,
    is_linked: bool,
    has_lease: bool,
    /// Until when an address is kept that no server has confirmed since the wire was plugged in again.
    unconfirmed_until_ms: Option<u64>,
}

/// Why there is no network to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, defmt::Format)]
pub enum NetError {
    /// There is no Ethernet.
    Ethernet(EthernetError),
    /// There are no random bytes for sequence numbers and names of queries.
    Entropy,
}

impl From<EntropyError> for NetError {
    fn from(_: EntropyError) -> Self {
        Self::Entropy
    }
}

impl Net {
    /// Starts the Ethernet and asks for an address. To be called once.
    ///
    /// # Errors
    ///
    /// The first [`NetError`].
    #[inline(never)]
    pub fn start(
        port: EthernetPort,
        clock: Clock,
        entropy: &mut impl Entropy,
    ) -> Result<&'static mut Self, NetError> {
        let mut seed = [0; 8];
        entropy.fill(&mut seed)?;
        let mut ethernet = port.start().map_err(NetError::Ethernet)?;
        let address = EthernetAddress(ethernet.address());
        let mut config = Config::new(HardwareAddress::Ethernet(address));
        config.random_seed = u64::from_be_bytes(seed);
        let interface = Interface::new(config, &mut ethernet, instant(clock));
        let Places { sockets, queries } = PLACES.init_with(|| Places {
            sockets: [SocketStorage::EMPTY; 3],
            queries: [const { None }],
        });
        let Windows { received, sending } = WINDOWS.take();
        let mut sockets = SocketSet::new(&mut sockets[..]);
        let dhcp = sockets.add(dhcpv4::Socket::new());
        let dns = sockets.add(dns::Socket::new(&[], &mut queries[..]));
        let received = tcp::SocketBuffer::new(&mut received[..]);
        let sending = tcp::SocketBuffer::new(&mut sending[..]);
        let tcp = sockets.add(tcp::Socket::new(received, sending));
        let is_linked = ethernet.is_linked();
        defmt::info!(
            "ethernet {=[u8; 6]:02x}, link {=bool}",
            address.0,
            is_linked
        );
        Ok(NET.init(Self {
            ethernet,
            clock,
            interface,
            sockets,
            dhcp,
            dns,
            tcp,
            is_linked,
            has_lease: false,
            unconfirmed_until_ms: None,
        }))
    }

    /// Returns what has become of frames since boot.
    pub fn counters(&self) -> Counters {
        self.ethernet.counters()
    }

    /// Makes the Ethernet controller report a fault: for the test of what follows.
    pub fn provoke_fault(&mut self) {
        self.ethernet.provoke_fault();
    }

    /// Sleeps until the clock has reached `deadline_ms`, and keeps the address meanwhile.
    pub fn rest_until(&mut self, deadline_ms: u64) {
        while self.clock.milliseconds() < deadline_ms {
            self.poll();
            self.sleep();
        }
    }

    /// Deals with what has come in and with what is due, a burst of frames at most.
    fn poll(&mut self) {
        self.ethernet.attend();
        self.look_at_wire();
        let now = instant(self.clock);
        self.interface.poll_maintenance(now);
        for _ in 0..BURST {
            let taken =
                self.interface
                    .poll_ingress_single(now, &mut self.ethernet, &mut self.sockets);
            if taken == PollIngressSingleResult::None {
                break;
            }
        }
        for _ in 0..BURST {
            let sent = self
                .interface
                .poll_egress(now, &mut self.ethernet, &mut self.sockets);
            if sent == PollResult::None {
                break;
            }
        }
        self.take_lease();
    }

    /// Sleeps until there may be something to do.
    fn sleep(&self) {
        self.ethernet.sleep();
    }

    /// Asks for an address again when the wire is plugged in again: it may be another network. The device keeps what it has
    /// for [`UNCONFIRMED_MS`], for mostly it is the same.
    fn look_at_wire(&mut self) {
        let is_linked = self.ethernet.is_linked();
        if is_linked == self.is_linked {
            return;
        }
        self.is_linked = is_linked;
        defmt::info!("ethernet link {=bool}", is_linked);
        if is_linked {
            let dhcp = self.sockets.get_mut::<dhcpv4::Socket<'_>>(self.dhcp);
            dhcp.reset();
            let _ = dhcp.poll();
            self.unconfirmed_until_ms = Some(self.clock.milliseconds() + UNCONFIRMED_MS);
        }
    }

    /// Takes over what the DHCP server says.
    fn take_lease(&mut self) {
        let dhcp = self.sockets.get_mut::<dhcpv4::Socket<'_>>(self.dhcp);
        let is_over = self
            .unconfirmed_until_ms
            .is_some_and(|until| self.clock.milliseconds() >= until);
        let (address, router, servers) = match dhcp.poll() {
            None if !is_over => return,
            None => (None, None, Default::default()),
            Some(dhcpv4::Event::Configured(config)) => {
                (Some(config.address), config.router, config.dns_servers)
            }
            Some(dhcpv4::Event::Deconfigured) => (None, None, Default::default()),
        };
        self.unconfirmed_until_ms = None;
        self.has_lease = address.is_some();
        match address {
            Some(address) => defmt::info!("address {}", Shown(address)),
            None => defmt::warn!("the address is over"),
        }
        self.interface.update_ip_addrs(|addresses| {
            addresses.clear();
            if let Some(address) = address {
                // There is room for one.
                let _ = addresses.push(IpCidr::Ipv4(address));
            }
        });
        let routes = self.interface.routes_mut();
        routes.remove_default_ipv4_route();
        if let Some(router) = router {
            // As above.
            let _ = routes.add_default_ipv4_route(router);
        }
        let mut known = heapless::Vec::<IpAddress, MAX_NAME_SERVERS>::new();
        for server in servers {
            if known.push(IpAddress::Ipv4(server)).is_err() {
                break;
            }
        }
        let dns = self.sockets.get_mut::<dns::Socket<'_>>(self.dns);
        dns.update_servers(&known);
    }
}

fn instant(clock: Clock) -> Instant {
    Instant::from_millis(i64::try_from(clock.milliseconds()).unwrap_or(i64::MAX))
}

/// An address as it is written.
struct Shown(Ipv4Cidr);

impl defmt::Format for Shown {
    fn format(&self, to: defmt::Formatter<'_>) {
        let [a, b, c, d] = Ipv4Address::octets(&self.0.address());
        let prefix = self.0.prefix_len();
        defmt::write!(to, "{}.{}.{}.{}/{}", a, b, c, d, prefix);
    }
}

/// Where the sockets are. Empty places are not zeros: made at the start, they need no flash.
struct Places {
    sockets: [SocketStorage<'static>; 3],
    queries: [Option<DnsQuery>; 1],
}

static PLACES: StaticCell<Places> = StaticCell::new();

/// What the connection works in.
struct Windows {
    received: [u8; WINDOW_LEN],
    sending: [u8; WINDOW_LEN],
}

static WINDOWS: ConstStaticCell<Windows> = ConstStaticCell::new(Windows {
    received: [0; WINDOW_LEN],
    sending: [0; WINDOW_LEN],
});

static NET: StaticCell<Net> = StaticCell::new();

/// What may be on its way in one direction, in bytes: three of the link's longest messages. The controller has room for
/// as much twice, so that nothing is dropped while the device computes.
const WINDOW_LEN: usize = 4096;
/// Three questions to a server, ten seconds apart.
const UNCONFIRMED_MS: u64 = 30_000;
/// Frames that are dealt with in each direction before the caller has its turn.
const BURST: usize = 16;
/// What smoltcp is built for.
const MAX_NAME_SERVERS: usize = 2;
