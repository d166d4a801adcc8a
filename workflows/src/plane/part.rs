//! `plane.part`: an issue of its own below an issue.
//!
//! Law: a part carries its key (`external_id`), which its issue and its name make. It is looked for before it is made, and
//! Plane takes no second one with the same key: neither a lost answer nor another round makes it twice.

use everfold_base::failure::{Failure, FailureKind};
use everfold_base::json::{Hash, Value};
use hyper::Method;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::client::{PlaneClient, project_path};
use super::comment::SOURCE;
use super::error::PlaneError;
use super::parameters::{IssuePlace, given, text_or_null};
use crate::function::Call;
use crate::http::percent_encoded;

/// The longest name that Plane keeps.
const NAME_CHARS_MAX: usize = 255;
/// The longest description.
const HTML_CHARS_MAX: usize = 100_000;

#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(description = "", deny_unknown_fields)]
pub(super) struct PartParameters {
    #[serde(flatten)]
    place: IssuePlace,
    /// what the part is called; the issue has one part of the name
    name: String,
    /// what it is about
    #[serde(default)]
    #[schemars(schema_with = "text_or_null")]
    html: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(description = "")]
pub(super) struct PartOutput {
    /// Its id.
    issue: String,
    /// Its number in the project; null where Plane does not say it.
    sequence: Option<u64>,
    /// It was made by this call.
    changed: bool,
    /// Why it was not.
    reason: Option<String>,
}

/// Makes the part, unless it is there.
pub(super) async fn make(
    client: PlaneClient,
    call: Call,
    with: PartParameters,
) -> Result<PartOutput, Failure> {
    let html = given(with.html.as_deref()).unwrap_or_default();
    let name = checked(&with.name, html)?;
    let (place, key) = (&with.place, key(&with.place.issue, name));
    let path = format!("{}/issues/", project_path(&place.project));
    let what = format!("part “{name}” of issue {}", place.issue);
    if let Some(known) = find(&client, place, &path, &key, &what).await.map_err(|error| error.of(&call))? {
        return there(&known).map_err(|error| error.of(&call));
    }
    let body = json!({
        "name": name, "description_html": html, "parent": place.issue,
        "external_source": SOURCE, "external_id": key,
    });
    let made = client.send(Method::POST, &place.site, &place.site.token, &path, Some(&body), &what).await;
    let made = match made {
        Err(PlaneError::Refused { status: 409, id: Some(id), .. }) => there(&json!({ "id": id })),
        Ok(made) => {
            part(&made).map(|(issue, sequence)| PartOutput { issue, sequence, changed: true, reason: None })
        }
        Err(error) => Err(error),
    };
    made.map_err(|error| error.of(&call))
}

/// The name without blanks around it, where Plane takes it and the description.
fn checked<'a>(name: &'a str, html: &str) -> Result<&'a str, Failure> {
    let name = name.trim();
    let wrong = match (name.chars().count(), html.chars().count()) {
        (0, _) => "`with.name` is empty".to_owned(),
        (chars, _) if chars > NAME_CHARS_MAX => {
            format!("`with.name` is longer than {NAME_CHARS_MAX} characters")
        }
        (_, chars) if chars > HTML_CHARS_MAX => {
            format!("`with.html` is longer than {HTML_CHARS_MAX} characters")
        }
        _fits => return Ok(name),
    };
    Err(Failure::new(FailureKind::Validation, wrong).with_hint("Plane would not take the issue"))
}

/// What identifies the part in its project: upper and lower case and blanks make no other part.
fn key(issue: &str, name: &str) -> String {
    let plain = name.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ");
    format!("{issue}.{}", Hash::of(plain.as_bytes()))
}

/// The part with the key, where it is there. Plane gives the one issue; a list is looked through.
async fn find(
    client: &PlaneClient,
    place: &IssuePlace,
    path: &str,
    key: &str,
    what: &str,
) -> Result<Option<Value>, PlaneError> {
    let path = format!("{path}?external_source={SOURCE}&external_id={}", percent_encoded(key, b""));
    let found = match client.get(&place.site, &path, what).await {
        Err(PlaneError::NotFound { .. }) => return Ok(None),
        found_or_failed => found_or_failed?,
    };
    if found["id"].is_string() {
        return Ok(Some(found));
    }
    let list = found.as_array().or_else(|| found["results"].as_array());
    let is_it = |issue: &&Value| issue["external_id"] == key && issue["external_source"] == SOURCE;
    match list {
        Some(list) => Ok(list.iter().find(is_it).cloned()),
        None => Err(PlaneError::Foreign("what it gives for an external id is no issue".to_owned())),
    }
}

fn there(issue: &Value) -> Result<PartOutput, PlaneError> {
    let (issue, sequence) = part(issue)?;
    let reason = Some("it was made before, under the same name".to_owned());
    Ok(PartOutput { issue, sequence, changed: false, reason })
}

fn part(issue: &Value) -> Result<(String, Option<u64>), PlaneError> {
    let id = issue["id"].as_str().ok_or_else(|| PlaneError::Foreign("an issue has no id".to_owned()))?;
    Ok((id.to_owned(), issue["sequence_id"].as_u64()))
}
