//! The proxies in front of the server whose headers are trusted.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::Deserialize;

/// The word for every address of this machine's loopback.
const LOOPBACK: &str = "loopback";

/// The peers whose headers name their callers; none by default.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(try_from = "ProxySetting")]
pub struct Proxies(Vec<Network>);

/// As settings write them.
#[derive(Deserialize)]
#[serde(untagged, expecting = "behind_proxy is true, false or a list of addresses and networks")]
enum ProxySetting {
    Flag(bool),
    One(String),
    Many(Vec<String>),
}

impl TryFrom<ProxySetting> for Proxies {
    type Error = ProxyError;

    fn try_from(written: ProxySetting) -> Result<Self, ProxyError> {
        match written {
            ProxySetting::Flag(false) => Ok(Self::default()),
            ProxySetting::Flag(true) => Ok(Self::loopback()),
            ProxySetting::One(text) => Self::listed([text.as_str()]),
            ProxySetting::Many(texts) => Self::listed(texts.iter().map(String::as_str)),
        }
    }
}

impl Proxies {
    /// A proxy on this machine: the default of `--behind-proxy` without an address, since any other client could send
    /// the same headers.
    #[must_use]
    pub fn loopback() -> Self {
        let of = |address: IpAddr, bits| Network { address, bits };
        Self(vec![of(Ipv4Addr::new(127, 0, 0, 0).into(), 8), of(Ipv6Addr::LOCALHOST.into(), 128)])
    }

    /// Addresses (`10.0.0.2`), networks (`10.0.0.0/8`, `fd00::/8`), and `loopback`.
    ///
    /// # Errors
    /// One of them is none of these.
    pub fn listed<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, ProxyError> {
        let mut networks = Vec::new();
        for text in texts.into_iter().map(str::trim) {
            match text {
                LOOPBACK => networks.extend(Self::loopback().0),
                _ => networks.push(text.parse()?),
            }
        }
        Ok(Self(networks))
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether an address is one of theirs.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(address))
    }
}

/// Addresses whose first bits are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Network {
    address: IpAddr,
    bits: u8,
}

/// What is neither an address nor a network.
#[derive(Debug, thiserror::Error)]
#[error("behind_proxy: “{text}” {what}; write an address (10.0.0.2), a network (10.0.0.0/8) or loopback")]
pub struct ProxyError {
    text: String,
    what: String,
}

impl Network {
    fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let differing = own.to_bits() ^ other.to_bits();
                differing.checked_shr(32 - u32::from(self.bits)).unwrap_or(0) == 0
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let differing = own.to_bits() ^ other.to_bits();
                differing.checked_shr(128 - u32::from(self.bits)).unwrap_or(0) == 0
            }
            _of_both_kinds => false,
        }
    }

    /// The first address of the network.
    fn first(&self) -> IpAddr {
        match self.address {
            IpAddr::V4(own) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.bits)).unwrap_or(0);
                Ipv4Addr::from_bits(own.to_bits() & mask).into()
            }
            IpAddr::V6(own) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.bits)).unwrap_or(0);
                Ipv6Addr::from_bits(own.to_bits() & mask).into()
            }
        }
    }
}

impl FromStr for Network {
    type Err = ProxyError;

    fn from_str(text: &str) -> Result<Self, ProxyError> {
        let wrong = |what: String| ProxyError { text: text.to_owned(), what };
        let (address, bits) = text.split_once('/').map_or((text, None), |(of, bits)| (of, Some(bits)));
        let address: IpAddr = address.parse().map_err(|_| wrong("is no address".to_owned()))?;
        let bits_max = if address.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            None => bits_max,
            Some(bits) => match bits.parse::<u8>() {
                Ok(bits) if bits <= bits_max => bits,
                _ => return Err(wrong(format!("has no length of 0 to {bits_max} bits"))),
            },
        };
        let network = Self { address, bits };
        // A slip of the keyboard would be a network that is larger than it looks.
        if network.first() != address {
            return Err(wrong(format!("is no network; that one begins at {}/{bits}", network.first())));
        }
        Ok(network)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(text: &str) -> Proxies {
        Proxies::listed(text.split(',')).unwrap()
    }

    #[test]
    fn row_57_a_proxy_is_an_address_or_a_network_and_no_other_peer_is_one() {
        for (proxies, inside, outside) in [
            ("10.0.0.2", "10.0.0.2 ::ffff:10.0.0.2", "10.0.0.3 ::1"),
            ("10.0.0.0/8", "10.0.0.0 10.255.255.255", "9.255.255.255 11.0.0.0"),
            ("192.0.2.128/25,fd00::/8", "192.0.2.128 192.0.2.255 fd00::1 fdff::1", "192.0.2.127 fe00::1"),
            ("2001:db8::1", "2001:db8::1", "2001:db8::2 1.2.3.4"),
            ("loopback", "127.0.0.1 127.9.9.9 ::1", "10.0.0.1 ::2 0.0.0.0"),
            ("0.0.0.0/0", "1.2.3.4 255.255.255.255", "::1"),
            ("::/0", "::1 ffff::", "1.2.3.4"),
        ] {
            let found = listed(proxies);
            let is_in = |address: &str| found.contains(address.parse().unwrap());
            assert!(inside.split(' ').all(is_in), "{proxies}: {inside}");
            assert!(!outside.split(' ').any(is_in), "{proxies}: {outside}");
        }
        assert!(!Proxies::default().contains(Ipv4Addr::LOCALHOST.into()));
    }

    #[test]
    fn row_57_what_is_no_network_is_refused_with_what_was_meant() {
        for (text, part) in [
            ("", "is no address"),
            ("proxy.example", "is no address"),
            ("10.0.0.1/33", "0 to 32 bits"),
            ("::1/129", "0 to 128 bits"),
            ("10.0.0.0/-1", "0 to 32 bits"),
            ("10.1.2.3/8", "begins at 10.0.0.0/8"),
            ("fd00::1/64", "begins at fd00::/64"),
        ] {
            let error = Proxies::listed([text]).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
