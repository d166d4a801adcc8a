//! Where a server is, as people write it.
//!
//! Law: a token goes to another machine over TLS only. So these URLs are read here, and not as those of
//! `everfold_workflows::http`, which may hold a name and password and may be of any machine.

use std::fmt;
use std::net::IpAddr;

use axum::http::uri::{Authority, Uri};

use crate::fault::{Code, Fault};

/// The URL of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServerAddress {
    pub(super) is_tls: bool,
    /// Without brackets.
    pub(super) host: String,
    pub(super) port: u16,
    /// What stands before the routes, without a slash at its end.
    base: String,
    /// As the `Host` of requests.
    pub(super) authority: String,
}

impl ServerAddress {
    /// Reads a URL.
    ///
    /// # Errors
    /// It is none, holds a name and password, or would have a token go to another machine in the clear.
    pub(crate) fn parse(text: &str) -> Result<Self, Fault> {
        let bad = |what: &str| {
            Fault::new(Code::Usage, what)
                .hint("write it as https://HOST[:PORT], or http://127.0.0.1:7878 on the server's own machine")
        };
        let text = text.trim();
        let (scheme, rest) = text.split_once("://").ok_or_else(|| {
            // Without a scheme nothing says whether it speaks TLS.
            bad(&format!("“{}” is no URL of a server", shown(text)))
        })?;
        let is_tls = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            other => return Err(bad(&format!("a server speaks http or https, not {other}"))),
        };
        if rest.split('/').next().is_some_and(|authority| authority.contains('@')) {
            return Err(Fault::new(Code::Usage, "the URL of a server holds no name and password")
                .hint("set EVERFOLD_TOKEN, or name where the token is with `everfold context add`"));
        }
        let uri: Uri =
            text.parse().map_err(|error| bad(&format!("“{text}” is no URL of a server: {error}")))?;
        let authority = uri.authority().filter(|authority| !authority.host().is_empty());
        let authority: &Authority = authority.ok_or_else(|| bad(&format!("“{text}” names no host")))?;
        if uri.query().is_some() || text.contains('#') {
            return Err(bad(&format!("“{text}”: the URL of a server has no ? and no #")));
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let behind_host = authority.as_str().rsplit(']').next().unwrap_or_default();
        let is_port_bad = behind_host.contains(':') && authority.port_u16().is_none();
        if is_port_bad {
            return Err(bad(&format!("“{text}” names no port that there could be")));
        }
        let port = authority.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        if !is_tls && !is_this_machine(&host) {
            return Err(Fault::new(
                Code::InTheClear,
                format!("{host} is another machine, and over http the token would go there in the clear"),
            )
            .hint(format!(
                "use https://, or a tunnel: `ssh -L 7878:127.0.0.1:{port} {host}` and --server http://127.0.0.1:7878"
            )));
        }
        let base = uri.path().trim_end_matches('/').to_owned();
        Ok(Self { is_tls, host, port, base, authority: authority.as_str().to_owned() })
    }

    /// The target of a request.
    pub(super) fn target(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// The same host, spoken to the other way.
    pub(super) fn other_scheme(&self) -> Self {
        Self { is_tls: !self.is_tls, ..self.clone() }
    }
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_tls { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority, self.base)
    }
}

/// A text without what may be a password.
fn shown(text: &str) -> &str {
    text.rsplit_once('@').map_or(text, |(_, rest)| rest)
}

fn is_this_machine(host: &str) -> bool {
    let name = host.to_ascii_lowercase();
    let is_loopback = host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    is_loopback || name == "localhost" || name.ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown_as(text: &str) -> Result<(String, String, u16), Code> {
        ServerAddress::parse(text)
            .map(|address| (address.to_string(), address.host.clone(), address.port))
            .map_err(|fault| fault.code)
    }

    #[test]
    fn a_url_is_read_with_its_port_and_what_stands_before_the_routes() {
        let of = |url: &str, host: &str, port| Ok((url.to_owned(), host.to_owned(), port));
        assert_eq!(shown_as("https://e.example"), of("https://e.example", "e.example", 443));
        assert_eq!(shown_as("https://e.example:8443/"), of("https://e.example:8443", "e.example", 8443));
        assert_eq!(shown_as("HTTP://localhost:7878"), of("http://localhost:7878", "localhost", 7878));
        assert_eq!(shown_as("http://[::1]:7878"), of("http://[::1]:7878", "::1", 7878));
        assert_eq!(shown_as("https://e.example/flow/"), of("https://e.example/flow", "e.example", 443));
        let address = ServerAddress::parse("https://e.example/flow/").unwrap();
        assert_eq!(address.target("/healthz"), "/flow/healthz");
    }

    #[test]
    fn what_is_no_url_or_would_tell_a_token_is_refused() {
        for bad in [
            "",
            "e.example",
            "localhost:7878",
            "ftp://e.example",
            "https://",
            "https://e.example:99999",
            "https://e.example:",
            "https://e.example/?a=b",
            "https://e.example/#x",
            "https://a b",
            "https://me:pw@e.example",
        ] {
            assert_eq!(shown_as(bad), Err(Code::Usage), "{bad}");
        }
        assert!(!ServerAddress::parse("ftp:/me:secret@e.example").unwrap_err().message.contains("secret"));
        for clear in ["http://e.example", "http://192.0.2.1:7878", "http://localhost.e.example"] {
            assert_eq!(shown_as(clear), Err(Code::InTheClear), "{clear}");
        }
    }
}
