//! `plane.sequence`: the name of an issue, such as `ORCH-018`.
//!
//! Law: the engine gives the name, and no other step has it; a step that has one keeps it, whatever Plane says when it is
//! asked again. Plane is asked once; where it does not say the number, the scope of the names counts on.

use std::collections::BTreeSet;

use everfold_base::json::Value;
use everfold_core::unique_names::{NAME_BYTES_MAX, USED_MAX, WantedName, WhenTaken};
use everfold_ports::{NameFailure, NameRequest, NameWish};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::client::{PlaneClient, issue_path};
use super::issue::{SEQUENCE_MAX, sequence_of};
use super::parameters::{IssuePlace, given, text_or_null};
use crate::function::{Call, StepError};

/// Digits of a number, where none are named.
const WIDTH: usize = 3;
/// The longest prefix.
const PREFIX_BYTES_MAX: usize = 64;

#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(description = "", deny_unknown_fields)]
pub(super) struct SequenceParameters {
    #[serde(flatten)]
    place: IssuePlace,
    /// what stands before the number: ORCH
    #[schemars(length(min = 1))]
    prefix: String,
    /// digits of the number, at least
    #[serde(default = "width")]
    #[schemars(range(min = 1, max = 12))]
    width: usize,
    /// a name is given once in a scope; default: the project
    #[serde(default)]
    #[schemars(schema_with = "text_or_null")]
    scope: Option<String>,
    /// names that are in use elsewhere
    #[serde(default)]
    used: BTreeSet<String>,
    /// its number, where that is known: Plane is not asked then
    #[serde(default)]
    #[schemars(schema_with = "number_or_null")]
    number: Value,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(description = "")]
pub(super) struct SequenceOutput {
    name: String,
    /// The number in it.
    number: u64,
    source: SequenceSource,
    /// Why it is another than Plane's.
    reason: Option<String>,
}

/// Where the number comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum SequenceSource {
    /// Plane counts the issues of a project.
    Plane,
    /// The numbers of the scope go on.
    Counter,
}

fn width() -> usize {
    WIDTH
}

fn number_or_null(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "anyOf": [{ "type": "integer", "minimum": 1 }, { "type": "string" }, { "type": "null" }] })
}

/// What a step of `plane.sequence` wishes, by which it finds the name that it was given with this prefix.
#[must_use]
pub fn sequence_wish(prefix: &str) -> String {
    format!("{prefix} by Plane")
}

/// Gives the name.
pub(super) async fn sequence(
    client: PlaneClient,
    call: Call,
    with: SequenceParameters,
) -> Result<SequenceOutput, StepError> {
    let order = NameOrder::of(&call, &with)?;
    let is_too_large = match with.number.as_u64() {
        Some(number) => number > SEQUENCE_MAX,
        None => with.number.as_f64().is_some_and(|number| number > SEQUENCE_MAX as f64),
    };
    if is_too_large {
        let message = format!("`with.number` is {}, and the highest number is {SEQUENCE_MAX}", with.number);
        return Err(StepError::validation(message).hint("name the issue's own number, or leave it out"));
    }
    if let Some(held) = order.held(&call).await? {
        return Ok(held);
    }
    match number_of(&client, &with).await {
        Ok(number) => order.by_number(&call, number).await,
        Err(reason) => {
            call.log(format!("the number of the issue is not known: {reason}"));
            order.by_counter(&call, reason).await
        }
    }
}

/// The number of the issue, or why it is not known.
async fn number_of(client: &PlaneClient, with: &SequenceParameters) -> Result<u64, String> {
    let known = with.number.as_u64().or_else(|| given(with.number.as_str())?.parse().ok());
    if let Some(number) = known.filter(|number| (1..=SEQUENCE_MAX).contains(number)) {
        return Ok(number);
    }
    let what = format!("issue {}", with.place.issue);
    let found = client.get(&with.place.site, &format!("{}/", issue_path(&with.place)), &what).await;
    let found = found.map_err(|error| error.to_string())?;
    sequence_of(&found).ok_or_else(|| "Plane says no number of the issue".to_owned())
}

/// A name that the engine is to give.
struct NameOrder<'a> {
    with: &'a SequenceParameters,
    prefix: &'a str,
    scope: String,
}

impl<'a> NameOrder<'a> {
    fn of(call: &Call, with: &'a SequenceParameters) -> Result<Self, StepError> {
        let prefix = with.prefix.trim();
        let IssuePlace { site, project, .. } = &with.place;
        let own = given(with.scope.as_deref()).map(str::to_owned);
        let scope = own.unwrap_or_else(|| format!("plane:{}/{project}", site.workspace));
        for (what, text, bytes_max) in
            [("prefix", prefix, PREFIX_BYTES_MAX), ("scope", scope.as_str(), NAME_BYTES_MAX)]
        {
            if text.is_empty() || text.len() > bytes_max {
                let message = format!("`with.{what}` has 1 to {bytes_max} bytes, not {}", text.len());
                return Err(StepError::validation(message));
            }
            if call.holds_secret(text) {
                let message = format!("`with.{what}` holds a secret, and names are recorded");
                return Err(
                    StepError::validation(message).hint("make the name of something that is not secret")
                );
            }
        }
        if with.used.len() > USED_MAX {
            let message = format!("`with.used` holds {} names, and may hold {USED_MAX}", with.used.len());
            return Err(StepError::validation(message));
        }
        Ok(Self { with, prefix, scope })
    }

    fn name(&self, number: u64) -> String {
        format!("{}-{number:0width$}", self.prefix, width = self.with.width)
    }

    /// What the step wishes, by which a repeat finds what it was given.
    fn wish(&self, source: SequenceSource) -> String {
        match source {
            SequenceSource::Plane => sequence_wish(self.prefix),
            SequenceSource::Counter => format!("{} by counter", self.prefix),
        }
    }

    /// The name that the step was given before.
    async fn held(&self, call: &Call) -> Result<Option<SequenceOutput>, StepError> {
        for source in [SequenceSource::Plane, SequenceSource::Counter] {
            let wish = NameWish { scope: self.scope.clone(), wish: self.wish(source) };
            let held = call.held_name(wish).await.map_err(|error| self.failed(error))?;
            if let Some(name) = held {
                let reason = "the step was given this name before".to_owned();
                return Ok(Some(self.output(name, source, Some(reason))));
            }
        }
        Ok(None)
    }

    async fn by_number(&self, call: &Call, number: u64) -> Result<SequenceOutput, StepError> {
        let wanted = self.name(number);
        let source = SequenceSource::Plane;
        let name = self.take(call, wanted.clone(), source, WhenTaken::Next).await?;
        let reason = (name != wanted).then(|| format!("{wanted} is taken"));
        Ok(self.output(name, source, reason))
    }

    async fn by_counter(&self, call: &Call, reason: String) -> Result<SequenceOutput, StepError> {
        let source = SequenceSource::Counter;
        let name = self.take(call, self.name(1), source, WhenTaken::AfterLast).await?;
        Ok(self.output(name, source, Some(format!("{reason}; the number follows the last one of the scope"))))
    }

    async fn take(
        &self,
        call: &Call,
        name: String,
        source: SequenceSource,
        when_taken: WhenTaken,
    ) -> Result<String, StepError> {
        let wish = Some(self.wish(source));
        let wanted = WantedName {
            name,
            wish,
            others: Vec::new(),
            used: self.with.used.clone(),
            when_taken,
            is_path: false,
        };
        let given = call.unique_name(NameRequest { scope: self.scope.clone(), wanted }).await;
        given.map_err(|error| self.failed(error))
    }

    fn output(&self, name: String, source: SequenceSource, reason: Option<String>) -> SequenceOutput {
        let digits = name.strip_prefix(self.prefix).map(|rest| rest.trim_start_matches('-'));
        let number = digits.and_then(|digits| digits.parse().ok()).unwrap_or_default();
        SequenceOutput { name, number, source, reason }
    }

    fn failed(&self, error: NameFailure) -> StepError {
        match error {
            NameFailure::Full(_) => StepError::conflict(format!("{}: {error}", self.scope))
                .code("SCOPE_FULL")
                .hint("choose another `scope`, such as one for each year"),
            other => StepError::new(other.to_string()),
        }
    }
}
