//! What the settings say of a source: `[hooks.NAME]`.

use everfold_base::duration;
use everfold_base::json::Value;
use everfold_core::hooks::is_source;
use serde::Deserialize;
use std::path::Path;
use std::time::Duration;

use super::content::{Headers, text};
use crate::provider::TokenSource;

/// A source of webhooks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HookSettings {
    /// How its deliveries are read.
    pub reader: ReaderKind,
    /// How they are signed; `None`: as the reader's services do.
    pub signature: Option<Scheme>,
    /// What they are signed with. Without one nothing is taken from a network, unless `signature` is `none`.
    pub secret: Option<TokenSource>,
    /// Which header holds the signature; `None`: the scheme's own.
    pub header: Option<String>,
    /// How old a delivery with a signed time may be; `None`: 5 minutes.
    pub tolerance: Option<String>,
    /// Where the delivery's id stands, where the reader does not know.
    pub id: Option<DeliveryPath>,
    /// Where the kind of event stands.
    pub name: Option<DeliveryPath>,
    /// Where the sender stands.
    pub sender: Option<DeliveryPath>,
    /// Senders that may deliver when they ask for it first (`WebHook-Request-Origin`): host names, or `*` for all.
    pub origins: Vec<String>,
}

/// How deliveries are read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReaderKind {
    /// Any service that posts JSON.
    #[default]
    Generic,
    /// Any service that sends CloudEvents.
    Cloudevents,
    /// Gitea and Forgejo.
    Gitea,
    /// GitHub.
    Github,
    /// GitLab.
    Gitlab,
    /// Plane.
    Plane,
    /// A bot of Telegram.
    Telegram,
}

/// How deliveries are signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scheme {
    /// Not at all: every caller that reaches the route is believed.
    None,
    /// `sha256=` and the HMAC-SHA256 of the body in hexadecimal digits, or the digits alone.
    Generic,
    /// The digits in `X-Gitea-Signature`.
    Gitea,
    /// `sha256=` and the digits in `X-Hub-Signature-256`.
    Github,
    /// The secret itself in `X-Gitlab-Token`.
    Gitlab,
    /// The digits in `X-Plane-Signature`.
    Plane,
    /// The secret itself in `X-Telegram-Bot-Api-Secret-Token`.
    Telegram,
    /// `t=SECONDS,v1=DIGITS` over `SECONDS.BODY`, with a window of time.
    Timestamped,
}

impl ReaderKind {
    /// How the reader's services sign.
    #[must_use]
    pub fn scheme(self) -> Scheme {
        match self {
            Self::Generic | Self::Cloudevents => Scheme::Generic,
            Self::Gitea => Scheme::Gitea,
            Self::Github => Scheme::Github,
            Self::Gitlab => Scheme::Gitlab,
            Self::Plane => Scheme::Plane,
            Self::Telegram => Scheme::Telegram,
        }
    }
}

/// Where a text stands in a delivery: `headers.NAME` or `body.PATH`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeliveryPath {
    /// A header, in lower case.
    Header(String),
    /// A field of the body; parts of the path are separated by dots.
    Body(String),
}

impl DeliveryPath {
    pub(super) fn find(&self, headers: &Headers, body: &Value) -> Option<String> {
        match self {
            Self::Header(name) => headers.get(name).filter(|value| !value.is_empty()).cloned(),
            Self::Body(path) => text(body, path),
        }
    }
}

impl<'de> Deserialize<'de> for DeliveryPath {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match text.split_once('.') {
            Some(("headers", name)) if !name.is_empty() => Ok(Self::Header(name.to_ascii_lowercase())),
            Some(("body", path)) if !path.is_empty() => Ok(Self::Body(path.to_owned())),
            _neither => Err(serde::de::Error::custom(format!(
                "“{text}” is no place: write \"headers.x-delivery\" or \"body.data.id\""
            ))),
        }
    }
}

/// Every sender.
const ANY_ORIGIN: &str = "*";

/// The window of a signed time where the settings name none.
const TOLERANCE: Duration = Duration::from_secs(5 * 60);

impl HookSettings {
    /// How its deliveries are signed.
    #[must_use]
    pub fn scheme(&self) -> Scheme {
        self.signature.unwrap_or_else(|| self.reader.scheme())
    }

    /// How old a delivery with a signed time may be.
    #[must_use]
    pub fn tolerance(&self) -> Duration {
        let given = self.tolerance.as_deref().and_then(|text| duration::parse(text).ok());
        given.unwrap_or(TOLERANCE)
    }

    /// What a sender is answered that asks whether it may deliver; `None`: it may not.
    #[must_use]
    pub fn granted_origin<'a>(&self, asked: &'a str) -> Option<&'a str> {
        let asked = asked.trim();
        let is_any = self.origins.iter().any(|origin| origin == ANY_ORIGIN);
        let is_named = self.origins.iter().any(|origin| origin.eq_ignore_ascii_case(asked));
        match (is_any, is_named) {
            (true, _) => Some(ANY_ORIGIN),
            (false, true) => Some(asked),
            (false, false) => None,
        }
    }

    /// Whether it can be used; relative paths count from `folder`.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn check(&mut self, name: &str, folder: &Path) -> Result<(), String> {
        if !is_source(name) {
            return Err("the name has lower-case letters, digits, - and _, at most 64".to_owned());
        }
        if let Some(text) = &self.tolerance {
            duration::parse(text).map_err(|error| format!("tolerance: {error}"))?;
        }
        let is_host = |sign: char| sign.is_ascii_alphanumeric() || matches!(sign, '.' | '-');
        let is_origin =
            |origin: &&String| *origin == ANY_ORIGIN || (!origin.is_empty() && origin.chars().all(is_host));
        if let Some(origin) = self.origins.iter().find(|origin| !is_origin(origin)) {
            return Err(format!(
                "origins: “{origin}” is no name of a host: write \"events.example.org\", or \"*\""
            ));
        }
        if let Some(header) = &mut self.header {
            *header = header.to_ascii_lowercase();
        }
        if let Some(TokenSource::File(path)) = &mut self.secret
            && path.is_relative()
        {
            *path = folder.join(&*path);
        }
        Ok(())
    }
}
