//! The datagrams of one peer, as a session's transport.

use std::io;

use moorline_core::wire::{Form, datagrams};
use smol::net::UdpSocket;

use super::table::Entry;
use crate::transport::Transport;

/// One peer on the door's socket.
#[derive(Debug)]
pub(crate) struct UdpPeer {
    socket: UdpSocket,
    entry: Entry,
}

impl UdpPeer {
    pub(super) fn new(socket: UdpSocket, entry: Entry) -> Self {
        Self { socket, entry }
    }
}

impl Transport for UdpPeer {
    const FORM: Form = Form::Datagram;
    const NAME: &'static str = "udp";

    fn answer_to(&mut self, id: u32) {
        self.entry.answer_to(id);
    }

    async fn receive(&mut self) -> io::Result<Option<Vec<u8>>> {
        Ok(self.entry.inbox.next().await)
    }

    async fn send(&mut self, message: &[u8]) -> io::Result<()> {
        for datagram in datagrams(message) {
            // What the system does not send is lost, as a line may lose it.
            let _ = self.socket.send_to(datagram, self.entry.address()).await;
        }
        Ok(())
    }

    async fn end(&mut self) {}
}
