//! Whether an address leads anywhere from a reader's own device.

use std::net::Ipv6Addr;

use url::{Host, Url};

/// Whether people can open the address: it is whole, and not of the machine that they read it on. An empty or relative one
/// is what a missing setting leaves.
pub(super) fn is_reachable(address: &str) -> bool {
    let Ok(url) = Url::parse(address.trim()) else { return false };
    match url.host() {
        Some(Host::Domain(name)) => {
            let name = name.trim_end_matches('.').to_ascii_lowercase();
            !name.is_empty() && name != "localhost" && !name.ends_with(".localhost")
        }
        Some(Host::Ipv4(address)) => !address.is_loopback() && !address.is_unspecified(),
        Some(Host::Ipv6(address)) => !is_own(address),
        None => false,
    }
}

fn is_own(address: Ipv6Addr) -> bool {
    let mapped = address.to_ipv4_mapped().is_some_and(|own| own.is_loopback() || own.is_unspecified());
    address.is_loopback() || address.is_unspecified() || mapped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn o180_addresses_of_the_own_machine_and_empty_ones_lead_nowhere() {
        for nowhere in [
            "",
            "/acme/projects/1/",
            "http://localhost:8091/acme/",
            "http://LOCALHOST/",
            "https://git.localhost/x",
            "http://127.0.0.1:3000",
            "http://127.1/x",
            "http://0.0.0.0:8091/",
            "http://[::1]:8091/",
            "http://[::]/",
            "http://[::ffff:127.0.0.1]/",
            "https://",
        ] {
            assert!(!is_reachable(nowhere), "{nowhere}");
        }
        for somewhere in [
            "https://plane.example.org/acme/",
            "http://192.168.1.7:3000/x",
            "https://localhost.example.org",
            "tg://user?id=42",
            "http://[2001:db8::1]/",
        ] {
            assert!(is_reachable(somewhere), "{somewhere}");
        }
    }
}
