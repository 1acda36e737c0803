//! Strangers that come in datagrams: there is none before M1.

use std::net::{SocketAddr, UdpSocket};

use moorline_core::connection::Settings;
use moorline_core::crypto::EphemeralKey;
use moorline_core::handshake::{Initiator, Offer, Wanted};
use moorline_core::link::{InitiatorLink, MAX_SPLIT_LEN};
use moorline_core::token::MAX_UNPACKED_LEN;
use moorline_core::wire::Form;
use moorline_server::clock;
use moorline_server::entropy::SystemEntropy;

use crate::world::Peer;

/// Longest datagram in bytes.
const MTU: u16 = 1_232;

/// Sends M1 to `hub`, waits for M2, and goes no further for as long as the socket is held.
pub(crate) fn begin(hub: SocketAddr, peer: &Peer) -> UdpSocket {
    let (trust, mut buffer) = (peer.trust(), [0; MAX_UNPACKED_LEN]);
    let part = peer.initiator(&trust, &mut buffer);
    let initiator = Initiator {
        wanted: Wanted::Hub(&trust, Form::Datagram),
        offer: Offer {
            mtu: MTU,
            ..part.offer
        },
        ..part
    };
    let ephemeral = EphemeralKey::generate(&mut SystemEntropy).expect("random bytes");
    let mut out = [0; MAX_SPLIT_LEN];
    let entropy = &mut SystemEntropy;
    let (settings, now) = (Settings::default(), clock::now());
    let begun = InitiatorLink::initiate(initiator, ephemeral, settings, &now, entropy, &mut out);
    let (_, m1) = begun.expect("it begins");
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    socket.connect(hub).expect("the hub is there");
    socket.send(m1).expect("it is sent");
    assert!(socket.recv(&mut [0; 2_048]).expect("M2") > 0);
    socket
}
