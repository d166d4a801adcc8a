//! The server that mails go through: `[mail]`.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::secret::source::SettingsSecret;

/// How mails are sent.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MailSettings {
    /// `HOST` or `HOST:PORT`; the port is that of `tls` where none is named.
    pub server: String,
    /// How the way there is kept secret.
    #[serde(default)]
    pub tls: MailTls,
    /// Whose certificates are trusted besides those that this machine trusts, as PEM; relative to the settings.
    #[serde(default)]
    pub ca: Option<PathBuf>,
    /// Who they are from: `NAME <ADDRESS>` or `ADDRESS`.
    pub from: String,
    /// Who logs in.
    #[serde(default)]
    pub user: Option<String>,
    /// With what.
    #[serde(default)]
    pub password: Option<SettingsSecret>,
}

/// How the way to the mail server is kept secret.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MailTls {
    /// The server is asked to begin TLS, and nothing is sent if it does not; port 587.
    #[default]
    Starttls,
    /// TLS from the first byte on; port 465.
    Implicit,
    /// Not at all: for a server on this machine; port 25.
    None,
}

impl MailTls {
    fn port(self) -> u16 {
        match self {
            Self::Starttls => 587,
            Self::Implicit => 465,
            Self::None => 25,
        }
    }
}

impl MailSettings {
    /// Host and port.
    #[must_use]
    pub fn place(&self) -> (&str, u16) {
        match self.server.rsplit_once(':') {
            Some((host, port)) => (host, port.parse().unwrap_or(self.tls.port())),
            None => (&self.server, self.tls.port()),
        }
    }

    /// Whether it can be used; relative files count from `folder`.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn check(&mut self, folder: &Path) -> Result<(), String> {
        let (host, port) = match self.server.rsplit_once(':') {
            Some((host, port)) => (host, port.parse::<u16>().is_ok_and(|port| port > 0)),
            None => (self.server.as_str(), true),
        };
        if host.is_empty() || host.contains(['/', '@', ' ', ':']) || !port {
            return Err("server is written HOST or HOST:PORT".to_owned());
        }
        if self.from.parse::<lettre::message::Mailbox>().is_err() {
            return Err(format!("from: “{}” is no address: NAME <ADDRESS> or ADDRESS", self.from));
        }
        if self.user.is_some() != self.password.is_some() {
            return Err("user and password go together".to_owned());
        }
        let is_near = matches!(host, "localhost" | "127.0.0.1" | "::1");
        if self.password.is_some() && self.tls == MailTls::None && !is_near {
            return Err(
                "a password is never sent without TLS: set tls = \"starttls\" or \"implicit\"".to_owned()
            );
        }
        if self.ca.is_some() && self.tls == MailTls::None {
            return Err("ca is for TLS: set tls = \"starttls\" or \"implicit\"".to_owned());
        }
        if let Some(ca) = &mut self.ca {
            *ca = folder.join(&*ca);
        }
        if let Some(password) = &mut self.password {
            password.settle(folder);
        }
        Ok(())
    }
}
