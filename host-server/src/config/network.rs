//! Addresses that belong together.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The addresses that begin with the same bits: `10.0.0.0/8`, or `127.0.0.1` for one (RFC 4632 §3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Network {
    first: IpAddr,
    /// How many bits in front all have in common: 0 to 32, of IPv6 to 128.
    len: u8,
}

/// Why a text is no network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MalformedNetwork {
    /// It is no address, or no number of bits follows it.
    #[error("http.proxies: an address such as 127.0.0.1, or 10.0.0.0/8, is expected")]
    Address,
    /// The address goes on behind the bits that count.
    #[error("http.proxies: the bits of an address behind its length must be 0")]
    Bits,
}

impl Network {
    /// Returns whether `address` is one of these. An IPv4 address that is written as one of IPv6 is the same address.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.first, address.to_canonical()) {
            (IpAddr::V4(first), IpAddr::V4(address)) => {
                let differ = first.to_bits() ^ address.to_bits();
                differ.leading_zeros() >= u32::from(self.len)
            }
            (IpAddr::V6(first), IpAddr::V6(address)) => {
                let differ = first.to_bits() ^ address.to_bits();
                differ.leading_zeros() >= u32::from(self.len)
            }
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = MalformedNetwork;

    fn from_str(text: &str) -> Result<Self, MalformedNetwork> {
        let (address, len) = match text.split_once('/') {
            Some((address, len)) => (address, Some(len)),
            None => (text, None),
        };
        let first: IpAddr = address.parse().map_err(|_| MalformedNetwork::Address)?;
        if first != first.to_canonical() {
            return Err(MalformedNetwork::Address);
        }
        let most = if first.is_ipv4() { 32 } else { 128 };
        let len = match len {
            Some(len) if !len.bytes().all(|byte| byte.is_ascii_digit()) => None,
            Some(len) => len.parse().ok().filter(|len| *len <= most),
            None => Some(most),
        };
        let len = len.ok_or(MalformedNetwork::Address)?;
        let rest = match first {
            IpAddr::V4(first) => first.to_bits().trailing_zeros(),
            IpAddr::V6(first) => first.to_bits().trailing_zeros(),
        };
        if rest < u32::from(most - len) {
            return Err(MalformedNetwork::Bits);
        }
        Ok(Self { first, len })
    }
}

impl TryFrom<String> for Network {
    type Error = MalformedNetwork;

    fn try_from(text: String) -> Result<Self, MalformedNetwork> {
        text.parse()
    }
}

impl fmt::Display for Network {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.first, self.len)
    }
}

impl From<Network> for String {
    fn from(network: Network) -> Self {
        network.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::{MalformedNetwork, Network};

    #[test]
    fn a_network_has_the_addresses_that_begin_as_it_does() {
        for (network, inside, outside) in [
            ("127.0.0.1", "127.0.0.1", "127.0.0.2"),
            ("127.0.0.1", "::ffff:127.0.0.1", "::1"),
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.0"),
            ("10.0.0.0/9", "10.127.255.255", "10.128.0.0"),
            ("0.0.0.0/0", "255.255.255.255", "::1"),
            ("::/0", "2001:db8::1", "10.0.0.1"),
            ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::1"),
            ("::1", "::1", "::2"),
        ] {
            let parsed: Network = network.parse().expect(network);
            let contains = |address: &str| parsed.contains(address.parse().expect("an address"));
            assert!(contains(inside) && !contains(outside), "{network}");
        }
    }

    #[test]
    fn what_is_no_network_is_refused_with_its_reason() {
        use MalformedNetwork::{Address, Bits};
        for (text, reason) in [
            ("", Address),
            ("localhost", Address),
            ("10.0.0.0/33", Address),
            ("10.0.0.0/", Address),
            ("10.0.0.0/+8", Address),
            ("10.0.0.0/8/8", Address),
            ("::ffff:10.0.0.0/104", Address),
            ("10.0.0.1/8", Bits),
            ("2001:db8::1/64", Bits),
        ] {
            assert_eq!(text.parse::<Network>(), Err(reason), "{text}");
        }
    }
}
