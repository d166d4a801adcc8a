//! A URL, taken apart.

use hyper::Uri;
use url::Url;

use super::request::HttpError;

/// A URL, taken apart.
#[derive(Debug, Clone)]
pub(super) struct Endpoint {
    pub(super) is_tls: bool,
    pub(super) host: String,
    pub(super) port: u16,
    /// `Basic …`, of `NAME:PASSWORD@`.
    pub(super) user: Option<String>,
    /// Path and query.
    pub(super) target: Uri,
}

impl Endpoint {
    pub(super) fn of(url: &str) -> Result<Self, HttpError> {
        // What is shown of a wrong one must not hold a password.
        let invalid = |what: &str| HttpError::Invalid(format!("the URL {what}"));
        let url = url.split('#').next().unwrap_or_default();
        let (scheme, rest) =
            url.split_once("://").ok_or_else(|| invalid("begins with http:// or https://"))?;
        let is_tls = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            _other => return Err(invalid("begins with http:// or https://")),
        };
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        let (user, authority) = match authority.rsplit_once('@') {
            Some((user, authority)) => (Some(user), authority),
            None => (None, authority),
        };
        let parsed: hyper::http::uri::Authority =
            authority.parse().map_err(|_| invalid("names no host that there could be"))?;
        if parsed.host().is_empty() {
            return Err(invalid("names no host"));
        }
        let port = match authority.rsplit_once(':') {
            Some((_, port)) if !port.contains(']') => {
                port.parse().map_err(|_| invalid("names no port that there could be"))?
            }
            _none => {
                if is_tls {
                    443
                } else {
                    80
                }
            }
        };
        let target = match target {
            "" => "/".to_owned(),
            query if query.starts_with('?') => format!("/{query}"),
            path => path.to_owned(),
        };
        let target = target.parse().map_err(|_| invalid("holds a character that must be written as %XX"))?;
        Ok(Self {
            is_tls,
            host: parsed.host().trim_start_matches('[').trim_end_matches(']').to_owned(),
            port,
            user: user.map(basic),
            target,
        })
    }

    /// What a reference of this place's answer names. The name and password stay with a place on the same host and port.
    pub(super) fn join(&self, reference: &str) -> Result<Self, HttpError> {
        let joined = Url::parse(&self.shown()).and_then(|own| own.join(reference));
        let joined = joined.map_err(|error| {
            HttpError::Invalid(format!("{} refers to no URL that there could be: {error}", self.shown()))
        })?;
        let mut place = Self::of(joined.as_str())?;
        if place.user.is_none() && place.is_tls == self.is_tls && place.authority() == self.authority() {
            place.user.clone_from(&self.user);
        }
        Ok(place)
    }

    /// Host and port.
    pub(super) fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// The same, without the scheme's own port.
    pub(super) fn host_header(&self) -> String {
        let own = if self.is_tls { ":443" } else { ":80" };
        let authority = self.authority();
        authority.strip_suffix(own).map_or(authority.clone(), str::to_owned)
    }

    pub(super) fn shown(&self) -> String {
        format!("{}://{}{}", if self.is_tls { "https" } else { "http" }, self.host_header(), self.target)
    }
}

fn basic(user: &str) -> String {
    use base64::Engine as _;
    let user = percent_decoded(user);
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(user))
}

fn percent_decoded(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = bytes.get(at + 1..at + 3).and_then(|hex| std::str::from_utf8(hex).ok());
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) if bytes[at] == b'%' => {
                decoded.push(byte);
                at += 3;
            }
            _plain => {
                decoded.push(bytes[at]);
                at += 1;
            }
        }
    }
    decoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart_and_shown_without_its_password() {
        let place = Endpoint::of("https://ada:s%40cret@example.org/a/b?q=1#part").unwrap();
        assert_eq!((place.is_tls, place.host.as_str(), place.port), (true, "example.org", 443));
        assert_eq!(place.user.as_deref(), Some("Basic YWRhOnNAY3JldA=="));
        assert_eq!(place.shown(), "https://example.org/a/b?q=1");
        assert_eq!(place.join("c").unwrap().shown(), "https://example.org/a/c");
        assert_eq!(place.join("/c?d").unwrap().shown(), "https://example.org/c?d");
        assert_eq!(place.join("//other.org/x").unwrap().shown(), "https://other.org/x");
        assert!(place.join("http://other.org").unwrap().user.is_none());
        assert!(place.join("https://example.org/moved").unwrap().user.is_some(), "the same host");
        assert!(place.join("http://example.org:443/moved").unwrap().user.is_none(), "in the clear");
        let local = Endpoint::of("http://[::1]:8080").unwrap();
        assert_eq!((local.host.as_str(), local.authority().as_str()), ("::1", "[::1]:8080"));
        assert_eq!(local.shown(), "http://[::1]:8080/");
        for wrong in [
            "",
            "example.org",
            "ftp://x/",
            "http://",
            "http:///x",
            "http://a b/",
            "http://a:99999/",
            "http://a/b c",
        ] {
            let Err(HttpError::Invalid(message)) = Endpoint::of(wrong) else { panic!("{wrong}") };
            assert!(message.starts_with("the URL "), "{message}");
        }
    }

    #[test]
    fn a_reference_is_resolved_as_rfc_3986_says() {
        let place = Endpoint::of("http://a/b/c/d?q").unwrap();
        for (reference, resolved) in [
            ("/login?next=https://a.b/", "http://a/login?next=https://a.b/"),
            ("g?y=//x", "http://a/b/c/g?y=//x"),
            ("?y", "http://a/b/c/d?y"),
            ("", "http://a/b/c/d?q"),
            ("#part", "http://a/b/c/d?q"),
            ("../g", "http://a/b/g"),
            ("../../../g", "http://a/g"),
            ("./g/../h", "http://a/b/c/h"),
            ("g h", "http://a/b/c/g%20h"),
            ("HTTPS://other:8443/x", "https://other:8443/x"),
        ] {
            assert_eq!(place.join(reference).unwrap().shown(), resolved, "{reference}");
        }
        for wrong in ["ftp://a/", "mailto:ada@example.org", "http://[", "//"] {
            assert!(matches!(place.join(wrong), Err(HttpError::Invalid(_))), "{wrong}");
        }
    }
}
