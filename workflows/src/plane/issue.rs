//! `plane.issue`: an issue, from what a delivery says of it and, where that is not enough, from Plane.
//!
//! Law: at most one request, and one more where the issue is named by its number. Where one fails, at the last of the
//! `tries`, the function gives what its caller knew before, with the reason, so that the step goes on. The first step of a
//! run takes what the run's admission has read: one request for both.

use everfold_base::failure::Failure;
use everfold_base::json::Value;
use everfold_core::decide::ADMIT;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::client::{PlaneClient, issue_path};
use super::error::PlaneError;
use super::issue_link::issue_link;
use super::issue_lookup::{find, number_in};
use super::issue_state::state_of;
use super::parameters::{IssuePlace, given, one_try, text_or_null};
use super::text::{plain_text, text_of_both, without_controls};
use crate::function::Call;

/// A shorter name, and a shorter description, are asked for.
const NAME_CHARS_MIN: usize = 3;
const DESCRIPTION_CHARS_MIN: usize = 20;
/// The highest number of an issue: higher ones lose digits in expressions.
pub(super) const SEQUENCE_MAX: u64 = i64::MAX as u64;
/// The name of an issue that has none.
const UNTITLED: &str = "untitled";
/// Of a description, as evidence of a gate of `admit`: with what JSON escapes it stays below the limit of such evidence.
const ADMITTED_BYTES_MAX: usize = 12 * 1024;
/// The longest description.
const DESCRIPTION_CHARS_MAX: usize = 200_000;

#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(description = "", deny_unknown_fields)]
pub(super) struct IssueParameters {
    #[serde(flatten)]
    place: IssuePlace,
    /// what is known of its name
    #[serde(default)]
    #[schemars(schema_with = "text_or_null")]
    name: Option<String>,
    /// what is known of its description, as text or HTML
    #[serde(default)]
    #[schemars(schema_with = "text_or_null")]
    description: Option<String>,
    /// whether its labels are wanted, too; Plane is asked for them even where nothing else is missing
    #[serde(default)]
    labels: bool,
    /// attempts of a round, with `retry`: before the last one a read that fails, and may go well later, is a failure
    #[serde(default = "one_try")]
    tries: u32,
    /// the address of Plane's pages; default: `url`
    #[serde(default)]
    #[schemars(schema_with = "text_or_null")]
    web_url: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(description = "")]
pub(super) struct IssueOutput {
    /// Its id; null where it was named by its number and not found.
    id: Option<String>,
    name: String,
    /// As text.
    description: String,
    /// Its number in the project; null unless it was asked for.
    sequence: Option<u64>,
    /// The id of its state; null unless it was asked for.
    state: Option<String>,
    /// The names of its labels, where they were asked for; else as Plane says them: ids, or names.
    labels: Vec<String>,
    /// Where people see it; null where that is this machine.
    url: Option<String>,
    /// Plane was asked, and answered.
    fetched: bool,
    /// Why Plane did not answer.
    reason: Option<String>,
    /// Whether that passes by itself: a limit, a fault of Plane's, no answer.
    passing: bool,
}

/// Gives the issue.
pub(super) async fn issue(
    client: PlaneClient,
    call: Call,
    mut with: IssueParameters,
) -> Result<IssueOutput, Failure> {
    let number = number_in(&with.place.issue);
    let name = given(with.name.as_deref()).map(without_controls).filter(|name| is_name(name));
    let description = given(with.description.as_deref()).map(text).unwrap_or_default();
    let mut output = IssueOutput {
        id: number.is_none().then(|| with.place.issue.clone()),
        name: name.clone().unwrap_or_else(|| UNTITLED.to_owned()),
        description,
        sequence: None,
        state: None,
        labels: Vec::new(),
        url: number.is_none().then(|| issue_link(given(with.web_url.as_deref()), &with.place)).flatten(),
        fetched: false,
        reason: None,
        passing: false,
    };
    let is_known = name.is_some() && output.description.chars().count() >= DESCRIPTION_CHARS_MIN;
    if is_known && number.is_none() && !with.labels {
        return Ok(output.shortened_for(&call));
    }
    match fetch(&client, &call, &mut with.place, (number, with.labels)).await {
        Ok(found) => {
            output.take(&found);
            output.url = issue_link(given(with.web_url.as_deref()), &with.place);
            output.id = Some(with.place.issue);
        }
        Err(error) if error.is_passing() && call.attempt() < with.tries => return Err(error.of(&call)),
        Err(error) => {
            output.passing = error.is_passing();
            output.reason = Some(error.to_string());
        }
    }
    Ok(output.shortened_for(&call))
}

/// Asks for the issue; one that is named by its number is looked for first.
async fn fetch(
    client: &PlaneClient,
    call: &Call,
    place: &mut IssuePlace,
    (number, with_labels): (Option<u64>, bool),
) -> Result<Value, PlaneError> {
    let is_admission = is_admission(call);
    if is_admission && let Some(left) = client.limits.left(&place.site) {
        return Err(PlaneError::Limited { after: Some(left) });
    }
    if let Some(number) = number {
        place.issue = find(client, place, number).await?;
    }
    if !is_admission && let Some(found) = client.admitted.take(call.run(), place, with_labels) {
        return Ok(found);
    }
    let what = format!("issue {}", place.issue);
    // Without that Plane gives the ids of labels alone.
    let query = if with_labels { "?expand=labels" } else { "" };
    let found = client.get(&place.site, &format!("{}/{query}", issue_path(place)), &what).await?;
    if is_admission {
        client.admitted.remember(call.run(), place, with_labels, &found);
    }
    Ok(found)
}

/// Whether the function is asked by a gate of `admit`.
fn is_admission(call: &Call) -> bool {
    call.step().step.as_str() == ADMIT
}

impl IssueOutput {
    /// The issue for a gate of `admit`, whose evidence has a limit: a long description is cut, and says so. The step that
    /// asks for the same gives it whole.
    fn shortened_for(mut self, call: &Call) -> Self {
        if is_admission(call) && self.description.len() > ADMITTED_BYTES_MAX {
            let chars = self.description.chars().count();
            let mut end = ADMITTED_BYTES_MAX;
            while !self.description.is_char_boundary(end) {
                end -= 1;
            }
            self.description.truncate(end);
            self.description
                .push_str(&format!("\n[cut here for the gate: the issue has {chars} characters]"));
        }
        self
    }

    /// Takes what Plane says: a name that is one, and the longer description.
    fn take(&mut self, found: &Value) {
        let name = given(found["name"].as_str()).map(without_controls);
        self.name = name.filter(|name| is_name(name)).unwrap_or_else(|| std::mem::take(&mut self.name));
        let description = description_of(found);
        if description.chars().count() >= self.description.chars().count() {
            self.description = description;
        }
        self.sequence = sequence_of(found);
        self.state = state_of(found);
        let label = |label: &Value| label.as_str().or(label["name"].as_str()).map(str::to_owned);
        self.labels = found["labels"].as_array().into_iter().flatten().filter_map(label).collect();
        self.fetched = true;
    }
}

fn is_name(name: &str) -> bool {
    name.chars().count() >= NAME_CHARS_MIN && !name.eq_ignore_ascii_case(UNTITLED)
}

/// The description of an issue as text: Plane's own, else that of its HTML.
fn description_of(found: &Value) -> String {
    let text = text_of_both(found["description_stripped"].as_str(), found["description_html"].as_str());
    cut(text.unwrap_or_default())
}

/// A description that was handed in: HTML begins with a tag.
fn text(description: &str) -> String {
    cut(if description.starts_with('<') { plain_text(description) } else { description.to_owned() })
}

fn cut(text: String) -> String {
    let text = without_controls(&text);
    match text.char_indices().nth(DESCRIPTION_CHARS_MAX) {
        None => text,
        Some((end, _)) => text[..end].to_owned(),
    }
}

/// The number of an issue in its project.
pub(super) fn sequence_of(issue: &Value) -> Option<u64> {
    issue["sequence_id"].as_u64().filter(|number| (1..=SEQUENCE_MAX).contains(number))
}
