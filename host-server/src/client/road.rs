//! The ways to a hub: its address, and the socket that leads there.

use std::io;
use std::net::SocketAddr;

use async_tungstenite::tungstenite::Error;
use async_tungstenite::tungstenite::client::IntoClientRequest;
use async_tungstenite::tungstenite::http::{HeaderValue, StatusCode};
use async_tungstenite::tungstenite::protocol::WebSocketConfig;
use futures_lite::future;
use moorline_core::limits::MIN_MTU;
use moorline_core::wire::{Form, datagrams};
use smol::net::{TcpStream, UdpSocket, resolve};

use super::ClientError;
use super::link::PAYLOAD_LEN;
use crate::line::DATAGRAM_MTU;
use crate::tls::{self, Skin};
use crate::transport::{Transport, WebSocket, max_message_len};

/// What a hub's address begins with that is reached over datagrams.
const UDP: &str = "udp://";

/// Where a hub is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place<'u> {
    /// `ws://HOST:PORT/ws`, or `wss://HOST:PORT/ws` in TLS.
    WebSocket(&'u str),
    /// `udp://HOST:PORT`, or `udp://HOST:PORT?mtu=BYTES`.
    Udp {
        host: &'u str,
        port: u16,
        /// Longest datagram that is sent and taken, in bytes.
        mtu: u16,
    },
}

impl<'u> Place<'u> {
    /// Reads the address `url`. What is wrong with one of a WebSocket shows when it is opened.
    ///
    /// # Errors
    ///
    /// [`ClientError::Address`].
    pub(super) fn parse(url: &'u str) -> Result<Self, ClientError> {
        match url.strip_prefix(UDP) {
            Some(rest) => Self::parse_udp(rest).ok_or_else(|| ClientError::Address(url.into())),
            None => Ok(Self::WebSocket(url)),
        }
    }

    fn parse_udp(rest: &'u str) -> Option<Self> {
        let (place, query) = match rest.split_once('?') {
            Some((place, query)) => (place, Some(query)),
            None => (rest, None),
        };
        let mtu = match query {
            Some(query) => query.strip_prefix("mtu=")?.parse().ok()?,
            None => DATAGRAM_MTU,
        };
        let place = place.strip_suffix('/').unwrap_or(place);
        let (host, port) = place.rsplit_once(':')?;
        let bare = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        let host = bare.unwrap_or(host);
        let is_host = !host.is_empty() && !host.contains(['/', '[', ']', '@']);
        let port = port.parse().ok()?;
        ((MIN_MTU..=DATAGRAM_MTU).contains(&mtu) && is_host && port != 0).then_some(Self::Udp {
            host,
            port,
            mtu,
        })
    }

    /// Returns the form of links there.
    pub(super) fn form(&self) -> Form {
        match self {
            Self::WebSocket(_) => Form::Stream,
            Self::Udp { .. } => Form::Datagram,
        }
    }

    /// Returns the largest transport unit in bytes: streams have none, so the field has its highest value.
    pub(super) fn mtu(&self) -> u16 {
        match self {
            Self::WebSocket(_) => u16::MAX,
            Self::Udp { mtu, .. } => *mtu,
        }
    }
}

/// A socket to a hub.
#[derive(Debug)]
pub(super) enum Road {
    WebSocket(Box<WebSocket<Skin<TcpStream>>>),
    Udp {
        socket: UdpSocket,
        /// Whether the hub has proved itself at the socket's other end. From then on nothing that is not sealed ends
        /// this: anyone can tell this machine that nobody is there.
        is_proved: bool,
    },
}

impl Road {
    /// Opens a WebSocket at `url`. In TLS the token `bearer` is shown with the request.
    pub(super) async fn open_websocket(
        url: &str,
        bearer: Option<&str>,
    ) -> Result<Self, ClientError> {
        let socket = open_websocket(url, bearer).await?;
        Ok(Self::WebSocket(Box::new(socket)))
    }

    /// Returns a socket for the datagrams of `address` alone.
    pub(super) async fn open_udp(address: SocketAddr) -> io::Result<Self> {
        let any: SocketAddr = if address.is_ipv4() {
            ([0, 0, 0, 0], 0).into()
        } else {
            ([0_u16; 8], 0).into()
        };
        let socket = UdpSocket::bind(any).await?;
        socket.connect(address).await?;
        Ok(Self::Udp {
            socket,
            is_proved: false,
        })
    }

    /// Notes that the hub has proved itself.
    pub(super) fn note_proof(&mut self) {
        if let Self::Udp { is_proved, .. } = self {
            *is_proved = true;
        }
    }

    /// Waits for the next message; nothing stands for the end of a stream.
    pub(super) async fn receive(&mut self) -> io::Result<Option<Vec<u8>>> {
        let (socket, is_proved) = match self {
            Self::WebSocket(socket) => return socket.receive().await,
            Self::Udp { socket, is_proved } => (socket, *is_proved),
        };
        let mut buffer = [0; DATAGRAM_ROOM];
        loop {
            match socket.recv(&mut buffer).await {
                Ok(len) => return Ok(buffer.get(..len).map(<[u8]>::to_vec)),
                Err(error) if !is_proved => return Err(error),
                Err(_) => future::yield_now().await,
            }
        }
    }

    /// Sends `message`; of datagrams one or several, one after the other.
    pub(super) async fn send(&mut self, message: &[u8]) -> io::Result<()> {
        let (socket, is_proved) = match self {
            Self::WebSocket(socket) => return socket.send(message).await,
            Self::Udp { socket, is_proved } => (socket, *is_proved),
        };
        for datagram in datagrams(message) {
            match socket.send(datagram).await {
                Err(error) if !is_proved => return Err(error),
                // What the system does not send is lost, as a line may lose it.
                _ => {}
            }
        }
        Ok(())
    }

    /// Ends a stream.
    pub(super) async fn end(&mut self) {
        if let Self::WebSocket(socket) = self {
            socket.end().await;
        }
    }
}

/// Room for a datagram; the rest of a longer one is cut off, and what is left does not open.
const DATAGRAM_ROOM: usize = 1_500;

/// Returns the addresses that `host` has, in the system's order.
pub(super) async fn addresses(host: &str, port: u16) -> Result<Vec<SocketAddr>, ClientError> {
    resolve((host, port))
        .await
        .map_err(|error| ClientError::Unreachable {
            place: format!("{host}:{port}"),
            error,
        })
}

async fn open_websocket(
    url: &str,
    bearer: Option<&str>,
) -> Result<WebSocket<Skin<TcpStream>>, ClientError> {
    let address = || ClientError::Address(url.into());
    let mut request = url.into_client_request().map_err(|_| address())?;
    let (is_secure, usual_port) = match request.uri().scheme_str() {
        Some("ws") => (false, 80),
        Some("wss") => (true, 443),
        _ => return Err(address()),
    };
    let host = request.uri().host().ok_or_else(address)?.to_owned();
    let port = request.uri().port_u16().unwrap_or(usual_port);
    let place = format!("{host}:{port}");
    let unreachable = |error| ClientError::Unreachable {
        place: place.clone(),
        error,
    };
    let stream = TcpStream::connect((host.as_str(), port))
        .await
        .map_err(unreachable)?;
    stream.set_nodelay(true)?;
    let stream = if is_secure {
        let bare = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        let opened = tls::connect(bare.unwrap_or(&host), stream).await;
        opened.map_err(unreachable)?
    } else {
        Skin::Plain(stream)
    };
    let subprotocol = HeaderValue::from_static("moorline.v1");
    request
        .headers_mut()
        .insert("sec-websocket-protocol", subprotocol);
    // Without TLS whoever listens would read who this is, which the handshake hides.
    let bearer = bearer.filter(|_| is_secure);
    if let Some(token) = bearer {
        let value = HeaderValue::from_str(&format!("Bearer {token}"));
        let mut value = value.map_err(|_| address())?;
        value.set_sensitive(true);
        request.headers_mut().insert("authorization", value);
    }
    let max_len = max_message_len(PAYLOAD_LEN);
    let config = WebSocketConfig::default()
        .read_buffer_size(4096)
        .max_message_size(Some(max_len))
        .max_frame_size(Some(max_len));
    let opened = async_tungstenite::client_async_with_config(request, stream, Some(config)).await;
    match opened {
        Ok((stream, _)) => Ok(WebSocket::new(stream)),
        Err(Error::Http(answer)) if answer.status() == StatusCode::UNAUTHORIZED => {
            Err(match bearer {
                Some(_) => ClientError::CredentialRefused,
                None => ClientError::BearerWanted,
            })
        }
        Err(error) => Err(ClientError::NotAHub {
            place,
            error: error.to_string(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use moorline_core::wire::Form;

    use super::Place;

    #[test]
    fn an_address_of_datagrams_has_a_host_a_port_and_perhaps_an_mtu() {
        for (url, host, port, mtu) in [
            ("udp://hub.example:7444", "hub.example", 7_444, 1_232),
            ("udp://127.0.0.1:1/", "127.0.0.1", 1, 1_232),
            ("udp://[::1]:7444?mtu=256", "::1", 7_444, 256),
            ("udp://hub:7444/?mtu=160", "hub", 7_444, 160),
        ] {
            let place = Place::parse(url).expect(url);
            assert_eq!(place, Place::Udp { host, port, mtu });
            assert_eq!((place.form(), place.mtu()), (Form::Datagram, mtu));
        }
        for url in [
            "udp://",
            "udp://hub",
            "udp://:7444",
            "udp://hub:0",
            "udp://hub:70000",
            "udp://hub:7444/ws",
            "udp://a@hub:7444",
            "udp://hub:7444?mtu=159",
            "udp://hub:7444?mtu=1233",
            "udp://hub:7444?mtu",
        ] {
            assert!(Place::parse(url).is_err(), "{url}");
        }
        let place = Place::parse("ws://hub:7443/ws").expect("it is looked at later");
        assert_eq!((place.form(), place.mtu()), (Form::Stream, u16::MAX));
    }
}
