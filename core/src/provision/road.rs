//! By which road a device reaches its hub.

/// The road from a device to its hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Road {
    /// A network: TCP to the host, and a WebSocket on it (PROTOCOL.md §9.2).
    Network,
    /// A serial line that leads to the hub's port for bare streams: delimited messages (PROTOCOL.md §9.1).
    SerialLine,
}

impl Road {
    /// Returns how the image names it. A byte of zeros or of erased flash names none.
    pub(super) const fn to_byte(self) -> u8 {
        match self {
            Self::Network => 1,
            Self::SerialLine => 2,
        }
    }

    /// Returns what the image names by `byte`.
    pub(super) const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Network),
            2 => Some(Self::SerialLine),
            _ => None,
        }
    }
}

/// Splits `HOST`, `HOST:PORT`, `[IPV6]` or `[IPV6]:PORT`; without a port it is [`USUAL_PORT`] (RFC 3986 §3.2).
///
/// Returns `None` when a part is empty, the port is no number from 1 to 65535, or there are colons to spare.
pub(super) fn split_host(host: &str) -> Option<(&str, u16)> {
    let bracketed = host
        .strip_prefix('[')
        .map(|rest| rest.split_once(']'))
        .map_or(Some(None), |split| split.map(Some))?;
    let (name, port) = match bracketed {
        Some((name, "")) => (name, None),
        Some((name, rest)) => (name, Some(rest.strip_prefix(':')?)),
        None => match host.split_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (host, None),
        },
    };
    let port = match port {
        None => USUAL_PORT,
        // `parse` takes a sign.
        Some(digits) if digits.bytes().all(|digit| digit.is_ascii_digit()) => {
            digits.parse().ok().filter(|port| *port != 0)?
        }
        Some(_) => return None,
    };
    (!name.is_empty()).then_some((name, port))
}

/// The port of HTTP (RFC 9110 §4.2.1), where a WebSocket without a port is (RFC 6455 §3).
const USUAL_PORT: u16 = 80;
