//! Reads deliveries by the reader of their source.

use everfold_base::json::{self, Hash, JsonText, Value};
use everfold_core::hooks::{BODY_BYTES_MAX, DeliveryReceived, ID_BYTES_MAX};

use super::content::{Headers, is_secret};
use super::settings::{DeliveryPath, HookSettings, ReaderKind};
use super::{cloudevents, generic, gitea, github, gitlab, plane, telegram};
use crate::byte_order_mark::behind_mark;

/// The largest body of a delivery of a source with a secret. Of one that is larger than what is kept the long texts are cut.
pub const SIGNED_BYTES_MAX: usize = 4 * 1024 * 1024;
/// What is kept of a body that is cut, and of each of its long texts.
const CUT_BYTES_MAX: usize = BODY_BYTES_MAX / 2;
const CUT_TEXT_BYTES: usize = 32 * 1024;

/// Why a delivery cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeliveryReadError {
    /// It is too large.
    #[error("the body has {bytes} bytes, {allowed} are allowed")]
    TooLarge {
        /// What it has.
        bytes: usize,
        /// What it may have.
        allowed: usize,
    },
    /// It is too large also with its long texts cut.
    #[error("the body has {0} bytes also with its long texts cut, {CUT_BYTES_MAX} are allowed then")]
    TooLargeCut(usize),
    /// It is no JSON, or would be read as something else than it says.
    #[error("the body cannot be read as JSON: {0}")]
    NoJson(String),
    /// It is not what its source's reader reads.
    #[error("the reader `{reader}` cannot read it: {why}")]
    Foreign {
        /// The reader.
        reader: &'static str,
        /// Why.
        why: String,
    },
}

/// Reads a delivery as its source's settings say. `id`: what to call it, where its sender's word does not
/// count.
///
/// # Errors
/// [`DeliveryReadError`]
pub fn read(
    settings: &HookSettings,
    headers: &Headers,
    raw: &[u8],
    id: Option<&str>,
) -> Result<DeliveryReceived, DeliveryReadError> {
    let allowed = if settings.secret.is_some() { SIGNED_BYTES_MAX } else { BODY_BYTES_MAX };
    if raw.len() > allowed {
        return Err(DeliveryReadError::TooLarge { bytes: raw.len(), allowed });
    }
    let mut body: Value = match behind_mark(raw).iter().all(u8::is_ascii_whitespace) {
        true => Value::Null,
        false if settings.reader == ReaderKind::Cloudevents && cloudevents::is_bytes(headers) => {
            cloudevents::bytes(raw)
        }
        false => json::strict::value(behind_mark(raw)).map_err(DeliveryReadError::NoJson)?,
    };
    let mut found = match settings.reader {
        ReaderKind::Cloudevents => cloudevents::read(headers, &mut body)
            .map_err(|why| DeliveryReadError::Foreign { reader: "cloudevents", why })?,
        ReaderKind::Generic => generic::read(headers, &body),
        ReaderKind::Gitea => gitea::read(headers, &body),
        ReaderKind::Github => github::read(headers, &body),
        ReaderKind::Gitlab => gitlab::read(headers, &body),
        ReaderKind::Plane => plane::read(headers, &body),
        ReaderKind::Telegram => telegram::read(&body),
    };
    if raw.len() > BODY_BYTES_MAX {
        cut_texts(&mut body);
        let bytes = body.to_string().len();
        if bytes > CUT_BYTES_MAX {
            return Err(DeliveryReadError::TooLargeCut(bytes));
        }
    }
    let place = |place: &Option<DeliveryPath>| place.as_ref().and_then(|place| place.find(headers, &body));
    found.id = place(&settings.id).or(found.id);
    found.name = place(&settings.name).or(found.name);
    found.sender = place(&settings.sender).or(found.sender);
    let id = match id.map(str::to_owned).or(found.id).filter(|id| !id.is_empty()) {
        Some(id) if is_id(&id) => id,
        // One that is too long still tells deliveries of the same content apart.
        Some(unusable) => short_hash(unusable.as_bytes()),
        // A delivery without an id gets one from its content.
        None => short_hash(raw),
    };
    Ok(DeliveryReceived {
        id,
        name: found.name,
        sender: found.sender,
        headers: shown(settings, headers),
        body: JsonText::new(&body),
        about: JsonText::new(&Value::Object(found.about)),
    })
}

/// Cuts each long text of a body, and says so at its end.
fn cut_texts(value: &mut Value) {
    match value {
        Value::String(text) if text.len() > CUT_TEXT_BYTES => {
            let end = (0..=CUT_TEXT_BYTES).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default();
            let left = text.len() - end;
            text.truncate(end);
            text.push_str(&format!(" […{left} bytes cut]"));
        }
        Value::Array(items) => items.iter_mut().for_each(cut_texts),
        Value::Object(fields) => fields.values_mut().for_each(cut_texts),
        _short => {}
    }
}

fn short_hash(of: &[u8]) -> String {
    Hash::of(of).to_string()[..32].to_owned()
}

fn owned((name, value): (&String, &String)) -> (String, String) {
    (name.clone(), value.clone())
}

/// Whether a text can be the id of a delivery.
#[must_use]
pub fn is_id(id: &str) -> bool {
    !id.is_empty() && id.len() <= ID_BYTES_MAX && !id.chars().any(char::is_control)
}

/// The headers that are kept: those that hold nothing that lets their reader act as the sender.
fn shown(settings: &HookSettings, headers: &Headers) -> Headers {
    let secret = settings.secret.as_ref().and_then(|secret| secret.read().ok());
    let is_shown = |(name, value): &(&String, &String)| {
        may_be_shown(settings, name) && !secret.as_ref().is_some_and(|secret| holds(value, secret))
    };
    headers.iter().filter(is_shown).map(owned).collect()
}

/// Whether the name of a header says of no secret. A header that the settings read an id, an event or a sender from is
/// recorded as that, so that it is shown by its own name, too.
fn may_be_shown(settings: &HookSettings, name: &str) -> bool {
    let is_read =
        |place: &Option<DeliveryPath>| matches!(place, Some(DeliveryPath::Header(own)) if own == name);
    let is_named = [&settings.id, &settings.name, &settings.sender].into_iter().any(is_read);
    settings.header.as_deref() != Some(name) && (is_named || !is_secret(name))
}

/// Whether a value is the source's secret, or holds it beside other words; a short one may stand in any text.
fn holds(value: &str, secret: &str) -> bool {
    const SHORT: usize = 8;
    value.trim() == secret || (secret.len() >= SHORT && value.contains(secret))
}
