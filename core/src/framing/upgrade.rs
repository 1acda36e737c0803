//! The opening handshake of a WebSocket, the client's side (RFC 6455 §4.1).

use base64ct::{Base64, Encoding};
use httparse::{EMPTY_HEADER, Response, Status};
use sha1::{Digest, Sha1};

use crate::entropy::{Entropy, EntropyError, draw};
use crate::wire::{TooSmall, Writer};

/// Longest response that is read, in bytes.
pub const MAX_RESPONSE_LEN: usize = 512;

/// Most headers of a response.
const MAX_HEADERS: usize = 16;

/// Length of a key and of its answer in base64.
const KEY_LEN: usize = 24;
const ACCEPT_LEN: usize = 28;

/// What the answer is hashed with (RFC 6455 §1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The subprotocol that is asked for (PROTOCOL.md §9.2).
const SUBPROTOCOL: &str = "moorline.v1";

/// The nonce of one opening handshake, in base64. It proves that the answer is to this question, and nothing more.
#[derive(Debug, Clone)]
pub struct UpgradeKey([u8; KEY_LEN]);

/// Why a server's answer does not open a WebSocket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum UpgradeError {
    /// The answer is not HTTP, or too long.
    NotHttp,
    /// The server answered with another status than 101.
    Status(u16),
    /// A header that RFC 6455 §4.1 asks for is missing or wrong.
    Header,
    /// The answer is not to this question.
    Accept,
    /// No answer came in time.
    NoAnswer,
}

impl UpgradeKey {
    /// Makes a key.
    ///
    /// # Errors
    ///
    /// [`EntropyError`] when the source does not answer.
    pub fn generate(entropy: &mut dyn Entropy) -> Result<Self, EntropyError> {
        Ok(Self::from_nonce(&*draw::<16>(entropy)?))
    }

    fn from_nonce(nonce: &[u8; 16]) -> Self {
        let mut key = [0; KEY_LEN];
        // 16 bytes are 24 characters; there is no other error.
        let _ = Base64::encode(nonce, &mut key);
        Self(key)
    }

    fn accept(&self) -> [u8; ACCEPT_LEN] {
        let digest: [u8; 20] = Sha1::new()
            .chain_update(self.0)
            .chain_update(GUID)
            .finalize()
            .into();
        let mut accept = [0; ACCEPT_LEN];
        let _ = Base64::encode(&digest, &mut accept);
        accept
    }
}

/// Writes the request for `/ws` of `host` to `out`. 256 bytes take it for a host of up to 64.
///
/// # Errors
///
/// [`TooSmall`] when `out` does not take it.
pub fn emit_request<'o>(
    host: &str,
    key: &UpgradeKey,
    out: &'o mut [u8],
) -> Result<&'o [u8], TooSmall> {
    let mut writer = Writer::new(out);
    writer
        .bytes(b"GET /ws HTTP/1.1\r\nHost: ")
        .bytes(host.as_bytes())
        .bytes(b"\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: ")
        .bytes(SUBPROTOCOL.as_bytes())
        .bytes(b"\r\nSec-WebSocket-Key: ")
        .bytes(&key.0)
        .bytes(b"\r\n\r\n");
    writer.finish().map(|bytes| &*bytes)
}

/// Checks the response at the front of `bytes`. Returns its length once it is whole, or nothing while more is needed.
///
/// # Errors
///
/// The [`UpgradeError`] for which no WebSocket is open.
pub fn parse_response(bytes: &[u8], key: &UpgradeKey) -> Result<Option<usize>, UpgradeError> {
    let mut headers = [EMPTY_HEADER; MAX_HEADERS];
    let mut response = Response::new(&mut headers);
    let len = match response.parse(bytes) {
        Ok(Status::Complete(len)) => len,
        Ok(Status::Partial) if bytes.len() < MAX_RESPONSE_LEN => return Ok(None),
        _ => return Err(UpgradeError::NotHttp),
    };
    if response.code != Some(101) {
        return Err(UpgradeError::Status(response.code.unwrap_or(0)));
    }
    let value = |name: &str| {
        response
            .headers
            .iter()
            .find(|header| header.name.eq_ignore_ascii_case(name))
            .map_or(&b""[..], |header| header.value)
    };
    let upgrades = value("upgrade").eq_ignore_ascii_case(b"websocket")
        && value("connection").eq_ignore_ascii_case(b"upgrade");
    let subprotocol = value("sec-websocket-protocol") == SUBPROTOCOL.as_bytes();
    // Extensions would change what the frames mean; none was asked for.
    if !upgrades || !subprotocol || !value("sec-websocket-extensions").is_empty() {
        return Err(UpgradeError::Header);
    }
    if value("sec-websocket-accept") != key.accept() {
        return Err(UpgradeError::Accept);
    }
    Ok(Some(len))
}

#[cfg(test)]
mod tests {
    use super::{UpgradeError, UpgradeKey, emit_request, parse_response};

    /// The nonce of RFC 6455 §1.3.
    fn key() -> UpgradeKey {
        UpgradeKey::from_nonce(b"the sample nonce")
    }

    const RESPONSE: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nconnection: upgrade\r\n\
        Sec-WebSocket-Protocol: moorline.v1\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

    #[test]
    fn the_key_and_its_answer_are_those_of_the_standard() {
        assert_eq!(&key().0, b"dGhlIHNhbXBsZSBub25jZQ==");
        assert_eq!(&key().accept(), b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn a_whole_response_is_taken_and_what_follows_is_left() {
        let mut bytes = [0; 300];
        bytes[..RESPONSE.len()].copy_from_slice(RESPONSE);
        assert_eq!(parse_response(&bytes, &key()), Ok(Some(RESPONSE.len())));
    }

    #[test]
    fn a_response_that_is_not_whole_asks_for_more() {
        for len in 0..RESPONSE.len() {
            assert_eq!(parse_response(&RESPONSE[..len], &key()), Ok(None), "{len}");
        }
    }

    #[test]
    fn every_fault_of_a_response_is_named() {
        let faults: [(&str, &str, UpgradeError); 7] = [
            ("101 Switching", "400 Bad", UpgradeError::Status(400)),
            ("HTTP/1.1", "SPDY/1.1", UpgradeError::NotHttp),
            ("Upgrade: websocket", "Upgrade: h2c", UpgradeError::Header),
            (
                "connection: upgrade",
                "connection: close",
                UpgradeError::Header,
            ),
            ("moorline.v1", "moorline.v2", UpgradeError::Header),
            ("s3pPLM", "t3pPLM", UpgradeError::Accept),
            (
                "\r\n\r\n",
                "\r\nSec-WebSocket-Extensions: x\r\n\r\n",
                UpgradeError::Header,
            ),
        ];
        for (from, to, error) in faults {
            let mut bytes = [0; 400];
            let at = RESPONSE
                .windows(from.len())
                .position(|part| part == from.as_bytes());
            let at = at.expect("the fault is in the response");
            let rest = &RESPONSE[at + from.len()..];
            bytes[..at].copy_from_slice(&RESPONSE[..at]);
            bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
            bytes[at + to.len()..][..rest.len()].copy_from_slice(rest);
            let len = at + to.len() + rest.len();
            assert_eq!(parse_response(&bytes[..len], &key()), Err(error), "{to}");
        }
    }

    #[test]
    fn an_endless_response_is_refused() {
        let mut bytes = [b'a'; 512];
        bytes[..RESPONSE.len() - 4].copy_from_slice(&RESPONSE[..RESPONSE.len() - 4]);
        assert_eq!(parse_response(&bytes, &key()), Err(UpgradeError::NotHttp));
    }

    #[test]
    fn the_request_is_what_a_server_expects() {
        let mut out = [0; 256];
        let request = emit_request("hub.example:7443", &key(), &mut out).expect("it fits");
        let text = core::str::from_utf8(request).expect("it is text");
        assert!(text.starts_with("GET /ws HTTP/1.1\r\nHost: hub.example:7443\r\n"));
        assert!(text.ends_with("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"));
    }
}
