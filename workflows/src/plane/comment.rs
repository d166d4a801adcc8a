//! `plane.comment`: a comment on an issue.
//!
//! Law: a comment carries its key (`external_id`), and Plane takes no second one with it: a comment whose answer was lost
//! is found, not written again.

use std::collections::BTreeMap;

use everfold_base::failure::{Failure, FailureKind};
use everfold_base::json::Hash;
use hyper::Method;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::client::{PlaneClient, issue_path};
use super::error::PlaneError;
use super::parameters::{IssuePlace, given, text_or_null, texts_or_null};
use crate::function::Call;

/// Whose comments these are, in `external_source`.
pub(super) const SOURCE: &str = "everfold";
/// The longest `external_id` that Plane keeps.
const KEY_CHARS_MAX: usize = 255;
/// The longest comment.
const HTML_CHARS_MAX: usize = 100_000;

#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(description = "", deny_unknown_fields)]
pub(super) struct CommentParameters {
    #[serde(flatten)]
    place: IssuePlace,
    /// what it says
    #[serde(default)]
    #[schemars(schema_with = "text_or_null")]
    html: Option<String>,
    /// what it says where `html` is empty or too long
    #[serde(default)]
    #[schemars(schema_with = "text_or_null")]
    short: Option<String>,
    /// the role that speaks; default: that in whose name a notice is sent
    #[serde(default)]
    #[schemars(schema_with = "text_or_null")]
    author: Option<String>,
    /// tokens by role, in place of `token`; secrets
    #[serde(default)]
    #[schemars(schema_with = "texts_or_null")]
    tokens: BTreeMap<String, Option<String>>,
    /// one comment of the run has this key; default: one of the notice, or of the round of the step
    #[serde(default)]
    #[schemars(schema_with = "text_or_null")]
    key: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(description = "")]
pub(super) struct CommentOutput {
    /// Its id.
    comment: String,
    /// It was written by this call.
    changed: bool,
    /// Why it was not, or why it says less.
    reason: Option<String>,
}

/// Writes the comment, unless one with its key is there.
pub(super) async fn post(
    client: PlaneClient,
    call: Call,
    with: CommentParameters,
) -> Result<CommentOutput, Failure> {
    let (html, reason) = text_of(&with)?;
    let body = json!({
        "comment_html": html,
        "external_source": SOURCE,
        "external_id": key(&call, given(with.key.as_deref())),
    });
    let sender = call.context()["as"].as_str().map(str::to_owned);
    let token = token(&with, sender.as_deref());
    let path = format!("{}/comments/", issue_path(&with.place));
    let what = format!("issue {}", with.place.issue);
    match client.send(Method::POST, &with.place.site, token, &path, Some(&body), &what).await {
        Ok(made) => match made["id"].as_str() {
            Some(id) => Ok(CommentOutput { comment: id.to_owned(), changed: true, reason }),
            None => Err(PlaneError::Foreign("a comment has no id".to_owned()).of(&call)),
        },
        Err(PlaneError::Refused { status: 409, id: Some(id), .. }) => {
            let reason = Some("it was written before, under the same key".to_owned());
            Ok(CommentOutput { comment: id, changed: false, reason })
        }
        Err(error) => Err(error.of(&call)),
    }
}

/// What is said: the whole, else the short text, with the reason.
fn text_of(with: &CommentParameters) -> Result<(&str, Option<String>), Failure> {
    let fits = |text: &&str| text.chars().count() <= HTML_CHARS_MAX;
    let (html, short) = (given(with.html.as_deref()), given(with.short.as_deref()).filter(fits));
    if let Some(html) = html.filter(fits) {
        return Ok((html, None));
    }
    let why = match html {
        None => "`with.html` is empty".to_owned(),
        Some(_) => format!("`with.html` is longer than {HTML_CHARS_MAX} characters"),
    };
    match short {
        Some(short) => Ok((short, Some(format!("{why}: the short text was written")))),
        None => Err(Failure::new(FailureKind::Validation, format!("{why}, and there is no short text"))
            .with_hint("`with.short` is said where `with.html` cannot be")),
    }
}

/// The token of the role that speaks, else the one for all.
fn token<'a>(with: &'a CommentParameters, sender: Option<&str>) -> &'a str {
    let role = given(with.author.as_deref()).or(sender);
    let own = role.and_then(|role| with.tokens.get(role));
    own.and_then(|token| given(token.as_deref())).unwrap_or(&with.place.site.token)
}

/// What identifies the comment in its project.
fn key(call: &Call, own: Option<&str>) -> String {
    let key = match own {
        Some(own) => format!("{}/{own}", call.run()),
        None => call.idempotency_key().to_owned(),
    };
    match key.chars().count() > KEY_CHARS_MAX {
        true => Hash::of(key.as_bytes()).to_string(),
        false => key,
    }
}
