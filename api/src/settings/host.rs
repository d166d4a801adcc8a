//! Names and addresses by which a server is spoken to.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use serde::Deserialize;

/// The longest name of a host.
const NAME_BYTES_MAX: usize = 253;

/// A host and, where one is named, its port: what the `Host` of a request says.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct HostPort {
    /// Who.
    pub host: Host,
    /// `None`: the one that the scheme means.
    pub port: Option<u16>,
}

/// A name or an address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Host {
    /// In small letters, without a dot at its end.
    Name(String),
    /// An address; of one that is written in two ways the shorter.
    Address(IpAddr),
}

/// What names no host.
#[derive(Debug, thiserror::Error)]
#[error("“{0}” names no host; write NAME or NAME:PORT, as in everfold.example.org")]
pub struct NoHost(String);

impl FromStr for HostPort {
    type Err = NoHost;

    fn from_str(text: &str) -> Result<Self, NoHost> {
        read(text).ok_or_else(|| NoHost(text.chars().take(100).collect()))
    }
}

impl TryFrom<String> for HostPort {
    type Error = NoHost;

    fn try_from(text: String) -> Result<Self, NoHost> {
        text.parse()
    }
}

fn read(text: &str) -> Option<HostPort> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (address, behind) = rest.split_once(']')?;
            let address = address.parse::<Ipv6Addr>().ok()?;
            let port = if behind.is_empty() { None } else { Some(behind.strip_prefix(':')?) };
            (Host::Address(IpAddr::from(address).to_canonical()), port)
        }
        None => {
            let (name, port) = text.split_once(':').map_or((text, None), |(name, port)| (name, Some(port)));
            (Host::read(name)?, port)
        }
    };
    let port = match port.filter(|port| !port.is_empty()) {
        // `+80` would be read as a number, too.
        Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => Some(port.parse().ok()?),
        Some(_) => return None,
        None => None,
    };
    Some(HostPort { host, port })
}

impl Host {
    fn read(text: &str) -> Option<Self> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return address.is_ipv4().then_some(Self::Address(address));
        }
        let name = text.strip_suffix('.').unwrap_or(text);
        let is_of_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        let is_name = !name.is_empty() && name.len() <= NAME_BYTES_MAX && name.bytes().all(is_of_name);
        is_name.then(|| Self::Name(name.to_ascii_lowercase()))
    }

    /// Whether it names this machine, whatever a name server answers.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        match self {
            Self::Name(name) => name == "localhost" || name.ends_with(".localhost"),
            Self::Address(address) => address.is_loopback(),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
            Self::Address(address) => write!(f, "{address}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_57_hosts_are_read_as_browsers_write_them() {
        let shown = |text: &str| {
            text.parse::<HostPort>().ok().map(|HostPort { host, port }| (host.to_string(), port))
        };
        for (text, host, port) in [
            ("LocalHost:7878", "localhost", Some(7878)),
            ("everfold.example.org.", "everfold.example.org", None),
            ("127.0.0.1:", "127.0.0.1", None),
            ("[::1]:80", "[::1]", Some(80)),
            ("[::ffff:127.0.0.1]", "127.0.0.1", None),
        ] {
            assert_eq!(shown(text), Some((host.to_owned(), port)), "{text}");
        }
        for text in [
            "", ".", ":80", "::1", "a b", "a@b", "a/b", "a:b", "a:+80", "a:70000", "[::1", "[::1]80", "[a]",
            "é",
        ] {
            assert_eq!(shown(text), None, "{text}");
        }
    }

    #[test]
    fn row_57_only_names_that_lead_nowhere_else_are_this_machine() {
        let is_loopback = |text: &str| text.parse::<HostPort>().unwrap().host.is_loopback();
        assert!(["localhost", "a.localhost", "127.0.0.1", "127.1.2.3", "[::1]"].into_iter().all(is_loopback));
        assert!(
            !["localhost.evil.example", "xlocalhost", "0.0.0.0", "10.0.0.1"].into_iter().any(is_loopback)
        );
    }
}
