//! Whether a delivery comes from the sender that it names.
//!
//! Law: the bytes as they came are checked, before anything of them is read; digests and secrets are
//! compared in constant time; no message holds any of a secret or of what was expected.
//!
//! Called by the server that takes deliveries from a network.

use everfold_base::time::Timestamp;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::content::Headers;
use super::settings::{HookSettings, Scheme};
use crate::provider::TokenError;

/// Why a delivery is not believed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignatureError {
    /// The settings name no secret.
    #[error("the settings name no secret for this source")]
    NoSecret,
    /// The secret cannot be read.
    #[error("the secret of this source cannot be read")]
    Secret(#[source] TokenError),
    /// The delivery is not signed.
    #[error("the delivery has no {0}")]
    Missing(String),
    /// The signature is not one of this scheme.
    #[error("{0} holds no signature of this kind")]
    Malformed(String),
    /// The signature is another one's.
    #[error("the signature does not fit")]
    Wrong,
    /// The signed time is too far from now.
    #[error("the signed time is {0} s from now")]
    TooOld(u64),
}

impl SignatureError {
    /// Whether the sender is to blame: 401. Else the settings are: 500.
    #[must_use]
    pub fn is_of_sender(&self) -> bool {
        !matches!(self, Self::NoSecret | Self::Secret(_))
    }
}

/// Checks a delivery of a source.
///
/// # Errors
/// [`SignatureError`]: it is not to be taken.
pub fn check(
    settings: &HookSettings,
    headers: &Headers,
    raw: &[u8],
    now: Timestamp,
) -> Result<(), SignatureError> {
    let scheme = settings.scheme();
    if scheme == Scheme::None {
        return Ok(());
    }
    let secret = secret_of(settings)?;
    let secret = secret.as_bytes();
    let (name, given) = given(settings, headers)?;
    let malformed = || SignatureError::Malformed(name.to_owned());
    match scheme {
        Scheme::None => Ok(()),
        Scheme::Gitlab | Scheme::Telegram => same(secret, given.as_bytes()),
        Scheme::Gitea | Scheme::Github | Scheme::Plane | Scheme::Generic => {
            let digits = given.trim();
            let digits = digits.strip_prefix("sha256=").unwrap_or(digits);
            verified(secret, &[raw], &unhex(digits).ok_or_else(malformed)?)
        }
        Scheme::Timestamped => {
            let mut parts = given.split(',').filter_map(|part| part.trim().split_once('='));
            let at = parts.clone().find(|(key, _)| *key == "t").map(|(_, at)| at).ok_or_else(malformed)?;
            let seconds: i64 = at.parse().map_err(|_| malformed())?;
            let signed = Timestamp(seconds.saturating_mul(1_000));
            let away = now.since(signed).max(signed.since(now));
            // A service that changes its secret signs with both for a while.
            let fits = parts.any(|(key, digits)| {
                let digest = (key == "v1").then(|| unhex(digits)).flatten();
                digest.is_some_and(|digest| verified(secret, &[at.as_bytes(), b".", raw], &digest).is_ok())
            });
            match fits {
                false => Err(SignatureError::Wrong),
                true if away > settings.tolerance() => Err(SignatureError::TooOld(away.as_secs())),
                true => Ok(()),
            }
        }
    }
}

/// Whether the head of a delivery claims what [`check`] looks for: a signature of this kind. A secret that is sent
/// itself is compared already.
///
/// # Errors
/// [`SignatureError`]: it will not be taken, whatever its body holds.
pub fn is_claimed(settings: &HookSettings, headers: &Headers) -> Result<(), SignatureError> {
    let scheme = settings.scheme();
    if scheme == Scheme::None {
        return Ok(());
    }
    let secret = secret_of(settings)?;
    let (name, given) = given(settings, headers)?;
    let is_of_kind = match scheme {
        Scheme::None => true,
        Scheme::Gitlab | Scheme::Telegram => return same(secret.as_bytes(), given.as_bytes()),
        Scheme::Gitea | Scheme::Github | Scheme::Plane | Scheme::Generic => {
            let digits = given.trim();
            let digits = digits.strip_prefix("sha256=").unwrap_or(digits);
            unhex(digits).is_some_and(|digest| digest.len() == DIGEST_BYTES)
        }
        Scheme::Timestamped => {
            let mut parts = given.split(',').filter_map(|part| part.trim().split_once('='));
            parts.clone().any(|(key, at)| key == "t" && at.parse::<i64>().is_ok())
                && parts.any(|(key, digits)| key == "v1" && unhex(digits).is_some())
        }
    };
    if is_of_kind { Ok(()) } else { Err(SignatureError::Malformed(name.to_owned())) }
}

fn secret_of(settings: &HookSettings) -> Result<String, SignatureError> {
    let secret = settings.secret.as_ref().ok_or(SignatureError::NoSecret)?;
    secret.read().map_err(SignatureError::Secret)
}

/// What the head says, and where.
fn given<'a>(settings: &'a HookSettings, headers: &'a Headers) -> Result<(&'a str, &'a str), SignatureError> {
    let names: Vec<&str> = match &settings.header {
        Some(name) => vec![name],
        None => names(settings.scheme()).to_vec(),
    };
    let found = names.iter().find_map(|name| Some((*name, headers.get(*name)?.as_str())));
    found.ok_or_else(|| SignatureError::Missing(names.join(" or ")))
}

/// The bytes of a digest.
const DIGEST_BYTES: usize = 32;

fn names(scheme: Scheme) -> &'static [&'static str] {
    match scheme {
        Scheme::None => &[],
        Scheme::Generic => &["x-signature-256", "x-signature", "everfold-signature"],
        Scheme::Gitea => &["x-gitea-signature", "x-forgejo-signature", "x-hub-signature-256"],
        Scheme::Github => &["x-hub-signature-256"],
        Scheme::Gitlab => &["x-gitlab-token"],
        Scheme::Plane => &["x-plane-signature"],
        Scheme::Telegram => &["x-telegram-bot-api-secret-token"],
        Scheme::Timestamped => &["stripe-signature", "x-signature", "everfold-signature"],
    }
}

fn mac(secret: &[u8]) -> Hmac<Sha256> {
    Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes keys of any length")
}

fn verified(secret: &[u8], parts: &[&[u8]], digest: &[u8]) -> Result<(), SignatureError> {
    let mut mac = mac(secret);
    parts.iter().for_each(|part| mac.update(part));
    mac.verify_slice(digest).map_err(|_| SignatureError::Wrong)
}

/// Compares two texts of which one is secret: their digests are, so that their length tells nothing.
fn same(secret: &[u8], given: &[u8]) -> Result<(), SignatureError> {
    let mut expected = mac(b"everfold");
    expected.update(secret);
    verified(b"everfold", &[given], &expected.finalize().into_bytes())
}

fn unhex(digits: &str) -> Option<Vec<u8>> {
    if !digits.len().is_multiple_of(2) || !digits.is_ascii() {
        return None;
    }
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).ok()).collect()
}
