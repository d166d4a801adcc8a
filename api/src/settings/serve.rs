//! How `everfold serve` listens.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::host::HostPort;
use super::proxies::Proxies;

/// Requests per second of an address without a token, on average.
pub(crate) const RATE_WITHOUT_TOKEN: u32 = 20;

/// How the server listens, and what it lets through.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServeSettings {
    /// `ADDRESS:PORT`; port 0 takes a free one.
    pub listen: String,
    /// Speaks TLS with this certificate.
    pub tls: Option<TlsFiles>,
    /// Proxies in front that speak TLS and say who calls (`X-Forwarded-For`, `X-Forwarded-Proto`); `true` means those
    /// on this machine.
    pub behind_proxy: Proxies,
    /// Further names by which people and programs reach it; requests to another host are refused.
    pub hosts: Vec<HostPort>,
    /// How people reach it, for links; else what it listens on.
    pub url: Option<String>,
    /// Requests per second of one token, on average.
    pub rate: u32,
    /// How many may come at once.
    pub burst: u32,
    /// Connections that may be open at once.
    pub connections: u32,
    /// Seconds that the head of a request may take; an idle connection ends after them.
    pub head_seconds: u64,
    /// Seconds that the body of a request may take.
    pub body_seconds: u64,
    /// Seconds between `/readyz` saying that it ends and the end of listening.
    pub drain_seconds: u64,
}

/// A certificate and its key, as PEM files; relative to the settings.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsFiles {
    /// The certificate, followed by those of its issuers.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

impl Default for ServeSettings {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:7878".to_owned(),
            tls: None,
            behind_proxy: Proxies::default(),
            hosts: Vec::new(),
            url: None,
            rate: 500,
            burst: 1_000,
            connections: 4_096,
            head_seconds: 30,
            body_seconds: 30,
            drain_seconds: 0,
        }
    }
}

impl ServeSettings {
    /// Makes paths absolute, and refuses what cannot be.
    pub(super) fn check(&mut self, folder: &Path) -> Result<(), String> {
        if self.rate == 0 || self.burst == 0 {
            return Err("rate and burst are at least 1".to_owned());
        }
        if let Some(tls) = &mut self.tls {
            tls.cert = folder.join(&tls.cert);
            tls.key = folder.join(&tls.key);
        }
        self.check_url()
    }

    /// Whether `url`, where there is one, is an address that a browser opens.
    ///
    /// # Errors
    /// The reason why it is none.
    pub(crate) fn check_url(&self) -> Result<(), String> {
        let is_url = |url: &String| url.starts_with("http://") || url.starts_with("https://");
        if self.url.as_ref().is_some_and(|url| !is_url(url)) {
            return Err("url begins with http:// or https://".to_owned());
        }
        if self.url.is_some() && self.origin().is_none() {
            return Err("url names no host".to_owned());
        }
        if self.url.as_ref().is_some_and(|url| url.contains(['?', '#'])) {
            return Err("url ends before a `?` or `#`: paths are put behind it".to_owned());
        }
        Ok(())
    }

    /// Scheme and host of `url`, where there is one.
    #[must_use]
    pub fn origin(&self) -> Option<(&str, HostPort)> {
        let (scheme, rest) = self.url.as_deref()?.split_once("://")?;
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        Some((scheme, authority.parse().ok()?))
    }
}
