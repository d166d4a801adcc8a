//! The hosts that are served, and the pages that may write.
//!
//! Law: a request must name a host that is served here, so that a page under a foreign name that resolves to this
//! address (DNS rebinding) reaches nothing. Pages of other hosts write nothing, whatever token or session their browser
//! has.

use crate::settings::{Host, HostPort, ServeSettings};
use axum::http::{HeaderMap, Uri, header};
use tokio_rustls::rustls::client::verify_server_name;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::server::ParsedCertificate;

use crate::fault::{Code, Fault};

/// The header by which a browser says how the page's site relates to the asked one; no page can set it.
const FETCH_SITE: &str = "sec-fetch-site";

/// The hosts that are served.
pub(super) struct Hosts {
    /// Those that the settings name, with the scheme where it is known.
    named: Vec<(Option<String>, HostPort)>,
    /// Whether only this machine can call, so that only names of this machine are served.
    is_loopback: bool,
    certificate: Option<CertificateDer<'static>>,
}

impl Hosts {
    pub(super) fn new(
        settings: &ServeSettings,
        is_loopback: bool,
        certificate: Option<CertificateDer<'static>>,
    ) -> Self {
        let url = settings.origin().map(|(scheme, host)| (Some(scheme.to_owned()), host));
        let listen = settings.listen.parse().ok().map(|host| (None, host));
        let hosts = settings.hosts.iter().map(|host| (None, host.clone()));
        Self { named: url.into_iter().chain(listen).chain(hosts).collect(), is_loopback, certificate }
    }

    /// The host that a request names, where it is served here.
    ///
    /// # Errors
    /// It names none, several, or another one.
    pub(super) fn asked(&self, uri: &Uri, headers: &HeaderMap) -> Result<HostPort, Fault> {
        let of_uri = uri.authority().map(|authority| authority.as_str());
        let of_headers = headers.get_all(header::HOST).iter().map(|value| value.to_str().unwrap_or("?"));
        // RFC 9112, 3.2: what is sent twice a proxy and a server may read differently.
        if headers.get_all(header::HOST).iter().nth(1).is_some() {
            return Err(Fault::new(Code::Unreadable, "the request has several headers Host").hint("send one"));
        }
        let mut asked: Option<HostPort> = None;
        for text in of_uri.into_iter().chain(of_headers) {
            let host = text.parse::<HostPort>().ok().filter(|host| self.serves(&host.host));
            let Some(host) = host else { return Err(not_served(text)) };
            if asked.as_ref().is_some_and(|before| before.host != host.host) {
                return Err(not_served(text));
            }
            asked = Some(host);
        }
        asked.ok_or_else(|| {
            Fault::new(Code::NotServed, "the request names no host").hint("send the header Host")
        })
    }

    fn serves(&self, host: &Host) -> bool {
        if host.is_loopback() || self.named.iter().any(|(_, named)| named.host == *host) {
            return true;
        }
        match host {
            // An address was not looked up, so no name server can have redirected it.
            Host::Address(_) => !self.is_loopback,
            Host::Name(name) => self.is_certified(name),
        }
    }

    fn is_certified(&self, name: &str) -> bool {
        let certificate = self.certificate.as_ref().map(ParsedCertificate::try_from);
        let (Some(Ok(certificate)), Ok(name)) = (certificate, ServerName::try_from(name)) else {
            return false;
        };
        verify_server_name(&certificate, &name).is_ok()
    }

    /// Refuses a write that a browser sends for a page of another host.
    ///
    /// # Errors
    /// Its `Origin` is not the host that is asked nor another one that is served, or the browser says that it
    /// comes from another site.
    pub(super) fn may_write(
        &self,
        asked: &HostPort,
        headers: &HeaderMap,
        is_secure: bool,
    ) -> Result<(), Fault> {
        let site = headers.get(FETCH_SITE).map(|site| site.to_str().unwrap_or("?"));
        let mut origins = headers.get_all(header::ORIGIN).iter().map(|origin| origin.to_str().unwrap_or("?"));
        let is_own = match (origins.next(), origins.next()) {
            // No browser, or one that only sends `Sec-Fetch-Site`.
            (None, _) => matches!(site, None | Some("same-origin" | "none")),
            // A page that hides its origin, which the browser says to be of the same origin.
            (Some("null"), None) => site == Some("same-origin"),
            (Some(origin), None) => self.is_own(origin, asked, is_secure) && site != Some("cross-site"),
            (Some(_), Some(_)) => false,
        };
        if is_own {
            return Ok(());
        }
        let page = match headers.get(header::ORIGIN) {
            Some(origin) => format!("“{}”", shown(origin.to_str().unwrap_or("?"))),
            None => "another site".to_owned(),
        };
        Err(Fault::new(Code::NoCsrf, format!("the browser sends this for a page of {page}"))
            .hint("pages write to the server that they come from; `serve.url` or `serve.hosts` in everfold.toml names it where a proxy calls it otherwise"))
    }

    /// Whether an origin is the very one that is asked, or one that the settings name.
    fn is_own(&self, origin: &str, asked: &HostPort, is_secure: bool) -> bool {
        let Some((scheme, host)) = origin.split_once("://") else { return false };
        let default = match scheme {
            "https" => 443,
            // A machine in between could have forged a page that came in the clear.
            "http" if !is_secure => 80,
            _ => return false,
        };
        let Ok(origin) = host.parse::<HostPort>() else { return false };
        let is = |other: &HostPort| {
            other.host == origin.host && other.port.unwrap_or(default) == origin.port.unwrap_or(default)
        };
        let named =
            |(of, host): &(Option<String>, HostPort)| of.as_ref().is_none_or(|of| of == scheme) && is(host);
        is(asked) || self.named.iter().any(named)
    }
}

fn not_served(text: &str) -> Fault {
    Fault::new(Code::NotServed, format!("“{}” is no host that is served here", shown(text)))
        .hint("ask by the address that `everfold serve` prints; further names stand in everfold.toml: [serve] url, or hosts = [\"NAME\"]")
}

/// A text of an unknown caller, shortened and without control characters.
fn shown(text: &str) -> String {
    const CHARS_MAX: usize = 100;
    everfold_engine::text::one_line(text).chars().take(CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};
    use tokio_rustls::rustls::pki_types::pem::PemObject as _;

    use super::*;

    fn hosts(is_loopback: bool, change: impl FnOnce(&mut ServeSettings)) -> Hosts {
        let mut settings = ServeSettings::default();
        change(&mut settings);
        Hosts::new(&settings, is_loopback, None)
    }

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let pairs = pairs.iter().map(|(name, value)| {
            (HeaderName::try_from(*name).unwrap(), HeaderValue::from_str(value).unwrap())
        });
        let mut headers = HeaderMap::new();
        pairs.for_each(|(name, value)| _ = headers.append(name, value));
        headers
    }

    fn asks(hosts: &Hosts, host: &str) -> bool {
        hosts.asked(&Uri::from_static("/"), &headers(&[("host", host)])).is_ok()
    }

    #[test]
    fn row_57_on_this_machine_only_its_own_names_are_served() {
        let own = hosts(true, |_| {});
        for host in
            ["127.0.0.1:7878", "localhost", "LOCALHOST.:1", "[::1]:7878", "app.localhost:80", "127.8.8.8"]
        {
            assert!(asks(&own, host), "{host}");
        }
        for host in
            ["evil.example", "localhost.evil.example", "10.0.0.1", "0.0.0.0", "", "x:y", "a@localhost"]
        {
            assert!(!asks(&own, host), "{host}");
        }
        let named = hosts(true, |settings| {
            settings.url = Some("https://everfold.example.org/flow/".into());
            settings.hosts = vec!["everfold.internal:8443".parse().unwrap(), "10.0.0.1".parse().unwrap()];
        });
        for host in ["everfold.example.org", "everfold.internal", "everfold.internal:1", "10.0.0.1:7"] {
            assert!(asks(&named, host) && !asks(&own, host), "{host}");
        }
    }

    #[test]
    fn row_57_to_other_machines_addresses_are_served_and_names_of_the_settings_and_the_certificate() {
        let open = hosts(false, |settings| settings.listen = "build-7:7878".into());
        for host in ["10.0.0.1:7878", "[fd00::1]", "build-7:7878", "localhost:7878"] {
            assert!(asks(&open, host), "{host}");
        }
        assert!(!asks(&open, "evil.example:7878"));
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/certificates/good.pem");
        let certificate = Some(CertificateDer::from_pem_file(file).unwrap());
        let certified = Hosts::new(&ServeSettings::default(), false, certificate);
        assert!(!asks(&certified, "evil.example"));
        assert!(certified.is_certified("localhost"), "the certificate's name");
    }

    #[test]
    fn row_57_each_host_that_a_request_names_must_be_the_one_that_is_served() {
        let own = hosts(true, |_| {});
        let both =
            |uri: &str, pairs: &[(&str, &str)]| own.asked(&uri.parse().unwrap(), &headers(pairs)).is_ok();
        assert!(both("http://localhost:7878/", &[("host", "localhost:7878")]));
        assert!(both("http://localhost:7878/", &[]), "as HTTP/2 says it");
        assert!(!both("http://evil.example/", &[("host", "localhost")]));
        assert!(!both("http://localhost/", &[("host", "evil.example")]));
        assert!(!both("/", &[("host", "localhost"), ("host", "evil.example")]));
        assert!(!both("/", &[("host", "localhost"), ("host", "localhost")]), "one twice is refused, too");
        assert!(!both("/", &[]));
    }

    #[test]
    fn row_57_a_page_writes_to_its_own_server_and_to_no_other() {
        let own = hosts(true, |settings| {
            settings.url = Some("https://e.example".into());
            settings.hosts = vec!["inside:8443".parse().unwrap()];
        });
        let writes = |host: &str, is_secure, pairs: &[(&str, &str)]| {
            own.may_write(&host.parse().unwrap(), &headers(pairs), is_secure).is_ok()
        };
        for (host, is_secure, pairs) in [
            ("127.0.0.1:7878", false, &[][..]),
            (
                "127.0.0.1:7878",
                false,
                &[("origin", "http://127.0.0.1:7878"), ("sec-fetch-site", "same-origin")],
            ),
            ("[::1]:7878", false, &[("origin", "http://[::1]:7878")]),
            ("localhost", false, &[("origin", "http://localhost:80")]),
            ("e.example", true, &[("origin", "https://e.example")]),
            // A proxy calls it by another name, and by http.
            ("127.0.0.1:7878", false, &[("origin", "https://e.example")]),
            ("127.0.0.1:7878", false, &[("origin", "https://inside:8443")]),
            ("localhost", false, &[("origin", "null"), ("sec-fetch-site", "same-origin")]),
            ("localhost", false, &[("sec-fetch-site", "none")]),
        ] {
            assert!(writes(host, is_secure, pairs), "{host} {pairs:?}");
        }
        for (host, is_secure, pairs) in [
            ("localhost", false, &[("origin", "http://evil.example")][..]),
            ("localhost:7878", false, &[("origin", "http://localhost:3000")]),
            ("localhost:7878", false, &[("origin", "http://127.0.0.1:3000")]),
            ("localhost", false, &[("origin", "null")]),
            ("localhost", false, &[("origin", "null"), ("sec-fetch-site", "cross-site")]),
            ("localhost", false, &[("sec-fetch-site", "cross-site")]),
            ("localhost", false, &[("sec-fetch-site", "same-site")]),
            ("localhost", false, &[("origin", "http://localhost"), ("sec-fetch-site", "cross-site")]),
            ("localhost", false, &[("origin", "http://localhost"), ("origin", "http://evil.example")]),
            ("localhost", false, &[("origin", "file://localhost")]),
            ("e.example", true, &[("origin", "http://e.example")]),
            ("127.0.0.1:7878", false, &[("origin", "http://e.example")]),
            ("127.0.0.1:7878", false, &[("origin", "https://inside")]),
        ] {
            assert!(!writes(host, is_secure, pairs), "{host} {pairs:?}");
        }
    }
}
