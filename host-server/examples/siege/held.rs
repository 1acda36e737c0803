//! What each stranger costs the hub in resident memory for as long as it is held, by its kind.

use std::fmt;
use std::net::TcpStream;
use std::sync::Arc;

use futures_rustls::pki_types::pem::PemObject;
use futures_rustls::pki_types::{CertificateDer, ServerName};
use futures_rustls::rustls::crypto::ring;
use futures_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use moorline_server::store::{PeerRole, Reach};

use crate::hub::Hub;
use crate::kinds::{Doors, Kind};
use crate::world::Peer;

/// Strangers of one kind that pay for what all share.
const FIRST: usize = 32;

/// Strangers that come after them: enough that a page here or there does not show.
const STRANGERS: usize = 448;

/// What one stranger of a kind costs.
pub(crate) struct Cost {
    kind: Kind,
    is_in_tls: bool,
    pub(crate) kib: f64,
}

/// A stranger that is held until this is dropped.
#[expect(dead_code, reason = "it is there to be held")]
enum Stranger {
    Plain(TcpStream),
    InTls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

/// Returns what strangers of each kind cost a hub of their own, without TLS.
pub(crate) fn plain() -> Vec<Cost> {
    let kinds = Kind::ALL.into_iter();
    kinds
        .map(|kind| {
            let hub = Hub::start_for_many();
            let doors = doors(&hub);
            let peer = peer(&hub);
            cost(&hub, kind, false, || {
                Stranger::Plain(kind.hold(&doors, &peer))
            })
        })
        .collect()
}

/// Returns what those cost that come in TLS and have ended its handshake.
pub(crate) fn in_tls() -> Vec<Cost> {
    let kinds = [
        Kind::SilentHttp,
        Kind::HalfRequest,
        Kind::WebSocket,
        Kind::WebSocketParts,
    ];
    let costs = kinds.into_iter().map(|kind| {
        let hub = Hub::start_for_many();
        let (peer, config) = (peer(&hub), trusting(&hub));
        let address = hub.https.expect("it serves TLS");
        cost(&hub, kind, true, || {
            let name = ServerName::try_from("localhost").expect("a name");
            let tls = ClientConnection::new(Arc::clone(&config), name).expect("a client");
            let stream = TcpStream::connect(address).expect("the hub listens");
            let mut stream = StreamOwned::new(tls, stream);
            while stream.conn.is_handshaking() {
                stream.conn.complete_io(&mut stream.sock).expect("TLS");
            }
            kind.act(&mut stream, &peer);
            Stranger::InTls(Box::new(stream))
        })
    });
    costs.collect()
}

fn cost(hub: &Hub, kind: Kind, is_in_tls: bool, hold: impl Fn() -> Stranger) -> Cost {
    let hold = |count: usize| (0..count).map(|_| hold()).collect::<Vec<_>>();
    let _first = hold(FIRST);
    wait_until_taken(hub, FIRST);
    let before = hub.resident_kib();
    let _strangers = hold(STRANGERS);
    wait_until_taken(hub, FIRST + STRANGERS);
    let grown = hub.resident_kib().saturating_sub(before);
    let kib = f64::from(grown) / f64::from(u32::try_from(STRANGERS).unwrap_or(u32::MAX));
    Cost {
        kind,
        is_in_tls,
        kib,
    }
}

fn wait_until_taken(hub: &Hub, count: usize) {
    let doors = doors(hub);
    while hub.connections() != count || !doors.are_quiet() {
        std::thread::yield_now();
    }
}

fn doors(hub: &Hub) -> Doors {
    Doors {
        http: hub.http,
        tcp: hub.tcp,
        https: hub.https,
    }
}

fn peer(hub: &Hub) -> Peer {
    let reach = Reach::Agents(vec!["x".into()]);
    hub.enrol("mallory", PeerRole::Commander, reach)
}

fn trusting(hub: &Hub) -> Arc<ClientConfig> {
    let certificate = CertificateDer::from_pem_file(hub.certificate()).expect("a certificate");
    let mut roots = RootCertStore::empty();
    roots.add(certificate).expect("a certificate");
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
}

impl fmt::Display for Cost {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let skin = if self.is_in_tls { " in TLS" } else { "" };
        write!(formatter, "{:5.1} KiB: {}{skin}", self.kib, self.kind)
    }
}
