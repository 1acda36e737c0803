//! A local network in this process, at the end of the device's Ethernet: it leases one address, resolves one name,
//! answers for every address, and refuses every connection.

use std::io;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

/// The name that is resolved.
pub(crate) const HOST: &str = "hub.example";
/// The address that it is resolved to.
const HOST_ADDRESS: [u8; 4] = [192, 0, 2, 77];

/// The network, before the emulator is plugged in.
pub(crate) struct Lan(TcpListener);

impl Lan {
    /// Makes a network.
    pub(crate) fn listen() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").expect("a free port"))
    }

    /// Returns where the emulator plugs in.
    pub(crate) fn address(&self) -> String {
        self.0.local_addr().expect("an address").to_string()
    }

    /// Waits until the emulator is plugged in.
    pub(crate) fn plug(&self) -> Wire {
        let (stream, _) = self.0.accept().expect("the emulator connects");
        let patience = Some(Duration::from_secs(30));
        stream.set_read_timeout(patience).expect("a timeout");
        Wire { stream }
    }
}

/// What the device asked the network for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Asked {
    /// An address.
    Lease,
    /// The address of this name.
    Name(String),
    /// A connection to this port of [`HOST`]; it was refused.
    Connection(u16),
    /// Something else, or of somebody else.
    Other,
}

/// The device's Ethernet.
pub(crate) struct Wire {
    stream: TcpStream,
}

impl Wire {
    /// Sends a frame, after its length as the emulator wants it.
    pub(crate) fn say(&mut self, frame: &[u8]) {
        let len = u32::try_from(frame.len()).expect("a frame is short");
        let unit = [&len.to_be_bytes(), frame].concat();
        self.stream.write_all(&unit).expect("the wire is there");
    }

    /// Waits until the device asks for `wanted`, and answers everything up to it.
    pub(crate) fn serve_until(&mut self, wanted: &Asked) {
        while self.serve() != *wanted {}
    }

    /// Answers one frame.
    fn serve(&mut self) -> Asked {
        let frame = self.hear().expect("the device says something");
        let device = field(&frame, 6);
        match u16::from_be_bytes(field(&frame, 12)) {
            0x0806 => {
                self.answer_arp(device, &frame);
                Asked::Other
            }
            0x0800 => self.answer_ip(device, frame.get(14..).expect("a header")),
            _ => Asked::Other,
        }
    }

    fn hear(&mut self) -> io::Result<Vec<u8>> {
        let mut len = [0; 4];
        self.stream.read_exact(&mut len)?;
        let mut frame = vec![0; usize::try_from(u32::from_be_bytes(len)).expect("it is short")];
        self.stream.read_exact(&mut frame)?;
        Ok(frame)
    }

    /// Says that every address but the device's own is here.
    fn answer_arp(&mut self, device: [u8; 6], frame: &[u8]) {
        let (sender, wanted): ([u8; 4], [u8; 4]) = (field(frame, 28), field(frame, 38));
        if wanted != LEASED {
            let head = [0, 1, 8, 0, 6, 4, 0, 2];
            let answer = [&head[..], &HERE, &wanted, &device, &sender].concat();
            self.say_typed(device, 0x0806, &answer);
        }
    }

    fn answer_ip(&mut self, device: [u8; 6], packet: &[u8]) -> Asked {
        let (from, to): ([u8; 4], [u8; 4]) = (field(packet, 12), field(packet, 16));
        let body = packet.get(20..).expect("a body");
        let port = u16::from_be_bytes(field(body, 2));
        match (field::<1>(packet, 9), port) {
            ([UDP], 67) => {
                self.lease(device, body.get(8..).expect("a message"));
                Asked::Lease
            }
            ([UDP], 53) => {
                let query = body.get(8..).expect("a query");
                let (name, answer) = resolve(query);
                self.say_udp(device, (to, 53), (from, field(body, 0)), &answer);
                Asked::Name(name)
            }
            ([TCP], port) if to == HOST_ADDRESS => {
                self.refuse(device, from, body);
                Asked::Connection(port)
            }
            _ => Asked::Other,
        }
    }

    /// Offers the address or acknowledges it (RFC 2131).
    fn lease(&mut self, device: [u8; 6], message: &[u8]) {
        let is_request = message.windows(3).any(|option| option == [53, 1, 3]);
        let mut answer = vec![0; 240];
        answer[..4].copy_from_slice(&[2, 1, 6, 0]);
        answer[4..8].copy_from_slice(&field::<4>(message, 4));
        answer[16..20].copy_from_slice(&LEASED);
        answer[28..44].copy_from_slice(&field::<16>(message, 28));
        answer[236..].copy_from_slice(&[99, 130, 83, 99]);
        answer.extend([53, 1, if is_request { 5 } else { 2 }]);
        for (option, value) in [(54, SERVER), (51, [0, 0, 14, 16]), (1, [255, 255, 255, 0])] {
            answer.extend([option, 4]);
            answer.extend(value);
        }
        for option in [3, 6] {
            answer.extend([option, 4]);
            answer.extend(SERVER);
        }
        answer.push(255);
        self.say_udp(
            device,
            (SERVER, 67),
            ([255; 4], 68_u16.to_be_bytes()),
            &answer,
        );
    }

    /// Resets a connection that is asked for (RFC 9293 §3.10.7.1).
    fn refuse(&mut self, device: [u8; 6], to: [u8; 4], segment: &[u8]) {
        let acknowledged = u32::from_be_bytes(field(segment, 4)).wrapping_add(1);
        let mut reset = Vec::new();
        reset.extend(field::<2>(segment, 2));
        reset.extend(field::<2>(segment, 0));
        reset.extend([0; 4]);
        reset.extend(acknowledged.to_be_bytes());
        reset.extend([5 << 4, 0x14, 0, 0, 0, 0, 0, 0]);
        let len = u16::try_from(reset.len()).expect("it is short");
        let pseudo = [
            &HOST_ADDRESS[..],
            &to,
            &[0, TCP],
            &len.to_be_bytes(),
            &reset,
        ]
        .concat();
        reset[16..18].copy_from_slice(&checksum(&pseudo));
        self.say_ip(device, TCP, HOST_ADDRESS, to, &reset);
    }

    fn say_udp(
        &mut self,
        device: [u8; 6],
        from: ([u8; 4], u16),
        to: ([u8; 4], [u8; 2]),
        body: &[u8],
    ) {
        let len = u16::try_from(8 + body.len()).expect("it is short");
        let (source, len) = (from.1.to_be_bytes(), len.to_be_bytes());
        // No checksum: it is optional over IPv4 (RFC 768).
        let datagram = [&source[..], &to.1, &len, &[0; 2], body].concat();
        self.say_ip(device, UDP, from.0, to.0, &datagram);
    }

    fn say_ip(&mut self, device: [u8; 6], protocol: u8, from: [u8; 4], to: [u8; 4], body: &[u8]) {
        let len = u16::try_from(20 + body.len()).expect("it is short");
        let [high, low] = len.to_be_bytes();
        let head = [0x45, 0, high, low, 0, 0, 0x40, 0, 64, protocol, 0, 0];
        let mut packet = [&head[..], &from, &to].concat();
        let sum = checksum(&packet);
        packet[10..12].copy_from_slice(&sum);
        packet.extend(body);
        self.say_typed(device, 0x0800, &packet);
    }

    fn say_typed(&mut self, device: [u8; 6], kind: u16, body: &[u8]) {
        let frame = [&device[..], &HERE, &kind.to_be_bytes(), body].concat();
        self.say(&frame);
    }
}

/// Returns the name that `query` asks for, and the answer (RFC 1035 §4).
fn resolve(query: &[u8]) -> (String, Vec<u8>) {
    let mut labels = Vec::new();
    let mut rest = query.get(12..).expect("a question");
    while let Some((len, after)) = rest.split_first().filter(|(len, _)| **len > 0) {
        let (label, after) = after.split_at(usize::from(*len));
        labels.push(String::from_utf8_lossy(label).into_owned());
        rest = after;
    }
    let name = labels.join(".");
    let is_known = name == HOST;
    let mut answer = field::<2>(query, 0).to_vec();
    answer.extend([0x81, if is_known { 0x80 } else { 0x83 }]);
    answer.extend([0, 1, 0, u8::from(is_known), 0, 0, 0, 0]);
    answer.extend(query.get(12..).expect("a question"));
    if is_known {
        answer.extend([0xC0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
        answer.extend(HOST_ADDRESS);
    }
    (name, answer)
}

/// Returns the checksum of the Internet (RFC 1071).
fn checksum(bytes: &[u8]) -> [u8; 2] {
    let words = bytes.chunks(2).map(|pair| match *pair {
        [high, low] => u32::from(u16::from_be_bytes([high, low])),
        [high] => u32::from(u16::from_be_bytes([high, 0])),
        _ => 0,
    });
    let mut sum: u32 = words.sum();
    while sum > 0xFFFF {
        sum = (sum & 0xFFFF) + (sum >> 16);
    }
    let sum = u16::try_from(sum).expect("it was folded");
    (!sum).to_be_bytes()
}

fn field<const LEN: usize>(bytes: &[u8], at: usize) -> [u8; LEN] {
    let rest = bytes.get(at..).and_then(|rest| rest.first_chunk());
    *rest.expect("the field is there")
}

/// The address of the router, and of the servers for addresses and names.
const SERVER: [u8; 4] = [192, 0, 2, 1];
/// The address that the device is given.
const LEASED: [u8; 4] = [192, 0, 2, 10];
/// The hardware address of everybody else.
const HERE: [u8; 6] = [2, 0, 0, 0, 0, 1];
const UDP: u8 = 17;
const TCP: u8 = 6;
