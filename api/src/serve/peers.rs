//! The address of a caller behind proxies.
//!
//! Law: only the headers of a proxy that the settings name count. Any other client has its own address, whatever
//! headers it sends, and from another machine it has to speak TLS.

use std::net::{IpAddr, SocketAddr};

use crate::settings::Proxies;
use axum::http::HeaderMap;

use crate::fault::{Code, Fault};

const FORWARDED_FOR: &str = "x-forwarded-for";
const FORWARDED_PROTO: &str = "x-forwarded-proto";

/// The proxies that are trusted, and whether the server speaks TLS.
pub(super) struct Peers {
    proxies: Proxies,
    is_tls: bool,
}

impl Peers {
    pub(super) fn new(proxies: Proxies, is_tls: bool) -> Self {
        Self { proxies, is_tls }
    }

    /// Where a request comes from: the last address that no proxy has, of those that proxies name.
    pub(super) fn origin(&self, peer: SocketAddr, headers: &HeaderMap) -> IpAddr {
        let mut from = peer.ip().to_canonical();
        let values = headers.get_all(FORWARDED_FOR).iter().rev();
        let mut named = values.flat_map(|value| value.to_str().unwrap_or("?").rsplit(','));
        // The caller itself may have written the addresses further to the left.
        while self.proxies.contains(from)
            && let Some(next) = named.next().and_then(|text| address(text.trim()))
        {
            from = next;
        }
        from
    }

    /// Whether the request came by TLS all the way.
    pub(super) fn is_secure(&self, peer: SocketAddr, headers: &HeaderMap) -> bool {
        if self.is_tls {
            return true;
        }
        // Where several proxies add what they saw, each of them must have seen TLS.
        let values = headers.get_all(FORWARDED_PROTO).iter();
        let mut seen = values.flat_map(|value| value.to_str().unwrap_or("?").split(',')).peekable();
        self.proxies.contains(peer.ip())
            && seen.peek().is_some()
            && seen.all(|proto| proto.trim().eq_ignore_ascii_case("https"))
    }

    /// Refuses a client of another machine that comes in the clear and is no proxy.
    ///
    /// # Errors
    /// The client is one of these.
    pub(super) fn let_near(&self, peer: SocketAddr) -> Result<(), Fault> {
        let address = peer.ip().to_canonical();
        if self.is_tls || address.is_loopback() || self.proxies.contains(address) {
            return Ok(());
        }
        Err(Fault::new(Code::NoProxy, format!("{address} comes in the clear and is no proxy that is believed"))
            .hint(format!(
                "go by the proxy; where {address} is the proxy, name it: --behind-proxy {address}, or `behind_proxy` of [serve] in everfold.toml"
            )))
    }
}

/// An address as proxies write it: some with a port.
fn address(text: &str) -> Option<IpAddr> {
    let address = text.parse::<IpAddr>().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|at| at.ip()));
    let in_brackets = || text.strip_prefix('[')?.strip_suffix(']')?.parse::<IpAddr>().ok();
    address.or_else(in_brackets).map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn peers(proxies: &str) -> Peers {
        Peers::new(Proxies::listed(proxies.split_whitespace()).unwrap(), false)
    }

    fn said(name: &'static str, values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        values.iter().for_each(|value| _ = headers.append(name, HeaderValue::from_str(value).unwrap()));
        headers
    }

    fn at(address: &str) -> SocketAddr {
        SocketAddr::new(address.parse().unwrap(), 4711)
    }

    #[test]
    fn row_57_who_calls_is_read_from_the_right_past_proxies_only() {
        for (proxies, peer, values, from) in [
            ("", "192.0.2.1", &["1.1.1.1"][..], "192.0.2.1"),
            ("10.0.0.0/8", "192.0.2.1", &["1.1.1.1"], "192.0.2.1"),
            ("10.0.0.0/8", "10.0.0.2", &[], "10.0.0.2"),
            ("10.0.0.0/8", "10.0.0.2", &["1.1.1.1"], "1.1.1.1"),
            ("10.0.0.0/8", "::ffff:10.0.0.2", &["1.1.1.1"], "1.1.1.1"),
            // The caller's own entries are to the left of the proxy's.
            ("10.0.0.0/8", "10.0.0.2", &["6.6.6.6, 1.1.1.1"], "1.1.1.1"),
            ("10.0.0.0/8", "10.0.0.2", &["6.6.6.6", "1.1.1.1, 10.0.0.3"], "1.1.1.1"),
            ("10.0.0.0/8", "10.0.0.2", &["10.0.0.4, 10.0.0.3"], "10.0.0.4"),
            ("10.0.0.0/8", "10.0.0.2", &["1.1.1.1, unknown"], "10.0.0.2"),
            ("10.0.0.0/8", "10.0.0.2", &["1.1.1.1:80"], "1.1.1.1"),
            ("loopback", "127.0.0.1", &["[2001:db8::1]:80"], "2001:db8::1"),
            ("loopback", "::1", &["[2001:db8::1]"], "2001:db8::1"),
        ] {
            let origin = peers(proxies).origin(at(peer), &said(FORWARDED_FOR, values));
            assert_eq!(origin, from.parse::<IpAddr>().unwrap(), "{proxies} {peer} {values:?}");
        }
    }

    #[test]
    fn row_57_only_a_proxy_is_believed_that_its_caller_speaks_tls() {
        for (proxies, peer, values, is_secure) in [
            ("", "127.0.0.1", &["https"][..], false),
            ("10.0.0.2", "127.0.0.1", &["https"], false),
            ("loopback", "127.0.0.1", &["https"], true),
            ("loopback", "127.0.0.1", &["HTTPS , https"], true),
            ("loopback", "127.0.0.1", &["https, http"], false),
            ("loopback", "127.0.0.1", &["https", "http"], false),
            ("loopback", "127.0.0.1", &["http"], false),
            ("loopback", "127.0.0.1", &[], false),
        ] {
            let found = peers(proxies).is_secure(at(peer), &said(FORWARDED_PROTO, values));
            assert_eq!(found, is_secure, "{proxies} {peer} {values:?}");
        }
        assert!(Peers::new(Proxies::default(), true).is_secure(at("192.0.2.1"), &HeaderMap::new()));
    }

    #[test]
    fn row_57_who_comes_from_afar_in_the_clear_is_a_proxy_or_is_refused() {
        let may = |proxies: &str, peer: &str| peers(proxies).let_near(at(peer)).map_err(|fault| fault.code);
        for peer in ["127.0.0.1", "::1", "10.0.0.2", "::ffff:10.0.0.2"] {
            assert_eq!(may("10.0.0.2", peer), Ok(()), "{peer}");
        }
        for proxies in ["10.0.0.2", "loopback"] {
            assert_eq!(may(proxies, "10.0.0.3"), Err(Code::NoProxy), "{proxies}");
        }
        assert!(Peers::new(Proxies::default(), true).let_near(at("192.0.2.1")).is_ok());
    }
}
