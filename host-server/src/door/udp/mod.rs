//! UDP: datagram links (PROTOCOL.md §9.3).
//!
//! Nobody has proved an address when the first datagram comes from it. So nothing is answered with more than three times
//! what came, and while strangers take places fast nothing is kept or computed for one before its cookie (PROTOCOL.md
//! §2.10).

mod mailbox;
mod peer;
mod table;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use futures_lite::future;
use moorline_core::cookie::{Cookies, Screened};
use moorline_core::reason::Reason;
use moorline_core::wire::{Line, M0_LEN, M1, MessageType};
pub(crate) use peer::UdpPeer;
use smol::net::UdpSocket;
use table::{Caller, Table};

use super::{ACCEPT_PAUSE, host};
use crate::audit::Kind;
use crate::clock;
use crate::entropy::SystemEntropy;
use crate::line::DATAGRAM_MTU;
use crate::session::serve;
use crate::shared::Shared;

/// Where a connection id stands in every datagram but M1.
const ID_AT: usize = 4;

/// The door.
struct Door {
    socket: UdpSocket,
    shared: Arc<Shared>,
    executor: Arc<smol::Executor<'static>>,
    table: Table,
    cookies: Cookies,
}

/// Serves peers on `socket` for ever.
pub(crate) async fn serve_udp(
    socket: UdpSocket,
    shared: Arc<Shared>,
    executor: Arc<smol::Executor<'static>>,
) {
    let cookies = match Cookies::new(clock::instant(), &mut SystemEntropy) {
        Ok(cookies) => cookies,
        Err(reason) => {
            tracing::error!(?reason, "no cookies, and no datagrams");
            return;
        }
    };
    let door = Door {
        socket,
        table: Table::default(),
        shared,
        executor,
        cookies,
    };
    door.serve().await;
}

impl Door {
    async fn serve(mut self) {
        // One byte more than is taken: what is too long shows.
        let mut buffer = vec![0; usize::from(DATAGRAM_MTU) + 1];
        loop {
            match self.socket.recv_from(&mut buffer).await {
                Ok((len, address)) => {
                    let datagram = buffer.get(..len).unwrap_or_default();
                    if len <= usize::from(DATAGRAM_MTU) {
                        self.take(datagram, address).await;
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot receive");
                    smol::Timer::after(ACCEPT_PAUSE).await;
                }
            }
            // A socket that always has a datagram more is not the only one on its thread.
            future::yield_now().await;
        }
    }

    /// Hands a datagram to whom it is for. What is for nobody is dropped, but for an M1.
    async fn take(&mut self, datagram: &[u8], address: SocketAddr) {
        if datagram.first() == Some(&MessageType::M1.code()) {
            self.take_m1(datagram, address).await;
        } else if let Some(id) = id_of(datagram) {
            self.table.hand_on(id, address, datagram);
        }
    }

    async fn take_m1(&mut self, datagram: &[u8], address: SocketAddr) {
        let Ok(M1 { id, .. }) = M1::parse(datagram, Line::Datagram) else {
            return;
        };
        let caller = Caller { address, id };
        if self.table.hand_on_again(caller, datagram) {
            return;
        }
        let mut out = [0; M0_LEN];
        match self.screen(datagram, address, &mut out) {
            Ok(Screened::Pass) => self.let_in(datagram, caller),
            Ok(Screened::Challenge(m0)) => {
                // One that is lost is asked for again.
                let _ = self.socket.send_to(m0, address).await;
            }
            Err(reason) => self.shared.note_stranger(
                Kind::StrangerRefused,
                &caller,
                &format!("refused: {reason:?}"),
            ),
        }
    }

    fn screen<'o>(
        &mut self,
        m1: &[u8],
        address: SocketAddr,
        out: &'o mut [u8],
    ) -> Result<Screened<'o>, Reason> {
        let is_under_load = self.shared.budget.is_under_load(address.ip());
        self.cookies.screen(
            m1,
            &bytes_of(address),
            is_under_load,
            clock::instant(),
            &mut SystemEntropy,
            out,
        )
    }

    /// Gives a stranger a place and a task of its own, and M1 to it.
    fn let_in(&mut self, m1: &[u8], caller: Caller) {
        let Caller { address, .. } = caller;
        let most = self.shared.config().limits.connections;
        if self.table.has(most) {
            self.shared
                .note_stranger(Kind::LimitHit, &caller, &"all places are taken");
            return;
        }
        let place = match self.shared.budget.enter(address) {
            Ok(place) => place,
            Err(why) => return self.shared.budget.note(&caller, &why),
        };
        let place = Arc::new(place);
        let entry = self.table.enter(caller, Arc::clone(place.meter()));
        self.table.hand_on_again(caller, m1);
        let transport = UdpPeer::new(self.socket.clone(), entry);
        let (shared, own) = (Arc::clone(&self.shared), Arc::clone(&place));
        let served = async move {
            serve(&shared, transport, &caller.to_string(), &own).await;
        };
        // On datagrams a stranger that has to go is told nothing: a REJECT would be dropped.
        let send_away = |_| async {};
        host(
            &self.executor,
            &self.shared,
            caller,
            place,
            served,
            send_away,
        );
    }
}

/// Returns the connection id that `datagram`, which is no M1, is for.
fn id_of(datagram: &[u8]) -> Option<u32> {
    let bytes = datagram.get(ID_AT..)?.first_chunk()?;
    Some(u32::from_be_bytes(*bytes))
}

/// Returns the address as a cookie is made for it: 16 bytes of address and 2 of port.
fn bytes_of(address: SocketAddr) -> [u8; 18] {
    let ip = match address.ip() {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    };
    let mut bytes = [0; 18];
    let parts = ip.octets().into_iter().chain(address.port().to_be_bytes());
    for (to, from) in bytes.iter_mut().zip(parts) {
        *to = from;
    }
    bytes
}
