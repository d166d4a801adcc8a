//! The difference between two moments of a run.
//!
//! Law: both moments are folds of the same history, so the difference is what the events between them changed; the live
//! state of the run has no part in it.

use std::collections::BTreeMap;

use everfold_engine::envelope::{Envelope, StreamId};
use everfold_engine::expr::ValueRef;
use everfold_engine::id::StepId;
use everfold_engine::id::{RunId, Version};
use everfold_engine::state::{RunState, RunStatus, StoredValue};
use everfold_engine::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::cursor::CursorOf;
use super::handle::Node;
use super::runs_diff::RoundPair;
use crate::body::event::event_body;
use crate::compare::{ValueDifference, differences};
use crate::fault::{Code, Fault};
use crate::schema;
use crate::view::whole;

/// Events that are listed one by one.
const EVENTS_MAX: usize = 1_000;
/// Fields of a run that change with every event, or are compared elsewhere.
const APART: [&str; 5] = ["version", "updated_at", "driven", "steps", "next_steps"];

/// What is different between two moments of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub(crate) struct RunDiff {
    /// The run.
    #[schema(value_type = schema::RunIdSchema)]
    pub(crate) run: RunId,
    pub(crate) short_id: String,
    /// The earlier moment.
    pub(crate) from: Moment,
    /// The later one.
    pub(crate) to: Moment,
    /// What changed of the run itself: status, values, what it awaits.
    pub(crate) changes: Vec<ValueDifference>,
    /// The steps that changed, in the order of the file.
    pub(crate) steps: Vec<StepDiff>,
    /// The rounds of steps that began, were judged or ended between, in the order in which they began; the first thousand.
    #[serde(default)]
    pub(crate) rounds: Vec<RoundPair>,
    /// The events behind the earlier moment up to the later one, the first thousand of them.
    pub(crate) events: Vec<EventBrief>,
    /// How many there are.
    pub(crate) events_total: u64,
    /// Where the others begin, for `GET /runs/{run}/events`.
    pub(crate) next_cursor: Option<String>,
}

/// A moment of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub(crate) struct Moment {
    #[schema(value_type = u64)]
    pub(crate) version: Version,
    #[schema(value_type = schema::TimeSchema)]
    pub(crate) at: Timestamp,
    #[schema(value_type = schema::RunStatusSchema)]
    pub(crate) status: RunStatus,
}

/// What changed of a step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub(crate) struct StepDiff {
    pub(crate) step: String,
    /// `status`, `round`, `gates.tests.verdict`, `output`, ….
    pub(crate) changes: Vec<ValueDifference>,
}

/// An event by its name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub(crate) struct EventBrief {
    /// Its place in the run.
    #[schema(value_type = u64)]
    pub(crate) version: Version,
    /// When it was recorded.
    #[schema(value_type = schema::TimeSchema)]
    pub(crate) at: Timestamp,
    /// Who caused it.
    pub(crate) actor: String,
    /// Its name.
    #[serde(rename = "type")]
    pub(crate) kind: String,
    /// The step, or an item of it, that it is about.
    pub(crate) step: Option<String>,
}

impl Node {
    /// Compares a run at two versions, the earlier one first; without `to` as it is now.
    ///
    /// # Errors
    /// There is no such run, or it has not come that far.
    pub(crate) async fn compared(
        &self,
        run: RunId,
        from: Version,
        to: Option<Version>,
    ) -> Result<RunDiff, Fault> {
        let to = match to {
            Some(to) => to,
            None => self.engine.with_state(run, RunState::version).await?,
        };
        if from == Version::ZERO || to == Version::ZERO {
            let fault = Fault::new(Code::NotYet, "versions count from 1");
            return Err(fault.hint("`everfold events RUN` shows them"));
        }
        // In the order of time, whichever version the caller named first.
        let (from, to) = (from.min(to), from.max(to));
        let (before, after) = (self.engine.state_at(run, from).await?, self.engine.state_at(run, to).await?);
        let (earlier, later) = (self.view_at(run, from).await?, self.view_at(run, to).await?);
        let moment = |view: &crate::view::RunView| Moment {
            version: view.version,
            at: view.updated_at,
            status: view.status,
        };
        let (from, to) = (moment(&earlier), moment(&later));
        let (mut earlier, mut later) = (written(&earlier)?, written(&later)?);
        let (mut old, mut new) = (steps_of(&mut earlier), steps_of(&mut later));
        for (step, facts) in after.steps() {
            let former = before.step(&step.id).map_or(&StoredValue::Null, |(_, facts)| &facts.output);
            if *former != facts.output {
                let id = step.id.to_string();
                for (steps, kept) in [(&mut old, former), (&mut new, &facts.output)] {
                    let value = self.shown_value(run, kept).await?;
                    if let Some(of_step) = steps.get_mut(&id) {
                        of_step["output"] = value;
                    }
                }
            }
        }
        let steps = after.steps().map(|(step, _)| &step.id).filter_map(|id| step_diff(id, &old, &new));
        let rounds = self.rounds_between(run, from.version, to.version).await?;
        let (events, next_cursor) = self.between(run, from.version, to.version).await?;
        Ok(RunDiff {
            run,
            short_id: run.short(),
            changes: differences(&earlier, &later),
            steps: steps.collect(),
            rounds,
            events,
            events_total: to.version.get() - from.version.get(),
            next_cursor,
            from,
            to,
        })
    }

    /// The events of a run behind a version up to another, by their names.
    async fn between(
        &self,
        run: RunId,
        from: Version,
        to: Version,
    ) -> Result<(Vec<EventBrief>, Option<String>), Fault> {
        let count = usize::try_from(to.get() - from.get()).unwrap_or(usize::MAX).min(EVENTS_MAX);
        if count == 0 {
            return Ok((Vec::new(), None));
        }
        let events = self.store.read(&StreamId::run(run), from.next(), count).await?;
        let last = events.last().map_or(from, |event| event.header.version);
        let next = (last < to).then(|| last.next().get());
        let next = self.list_cursor(CursorOf::RunEvents.with(&[Some(&run.to_string())]), next);
        Ok((events.iter().map(brief).collect(), next))
    }

    /// The value, or its reference where it is too large to be shown.
    async fn shown_value(&self, run: RunId, kept: &StoredValue) -> Result<Value, Fault> {
        if let Some(reference) = kept.reference() {
            let loaded = self.loaded(run, Some(reference)).await?;
            return Ok(whole(kept, &loaded.unwrap_or_else(|| stub(reference))));
        }
        Ok(whole(kept, &Value::Null))
    }
}

fn stub(reference: ValueRef) -> Value {
    json!({ "hash": reference.hash, "size_bytes": reference.size_bytes })
}

fn written(view: &crate::view::RunView) -> Result<Value, Fault> {
    serde_json::to_value(view).map_err(|error| Fault::new(Code::Internal, error.to_string()))
}

/// Removes the steps and the fields of [`APART`] from a run's view.
fn steps_of(view: &mut Value) -> BTreeMap<String, Value> {
    let steps = view["steps"].take();
    if let Some(fields) = view.as_object_mut() {
        fields.retain(|name, _| !APART.contains(&name.as_str()));
    }
    let steps = steps.as_array().cloned().unwrap_or_default();
    steps.into_iter().filter_map(|step| Some((step["id"].as_str()?.to_owned(), step))).collect()
}

fn step_diff(
    id: &StepId,
    before: &BTreeMap<String, Value>,
    after: &BTreeMap<String, Value>,
) -> Option<StepDiff> {
    let step = id.to_string();
    let none = json!({});
    let changes = differences(before.get(&step).unwrap_or(&none), after.get(&step).unwrap_or(&none));
    (!changes.is_empty()).then_some(StepDiff { step, changes })
}

pub(super) fn brief(envelope: &Envelope) -> EventBrief {
    let event = &event_body(envelope)["event"];
    let path = [&event["id"]["path"], &event["path"]].into_iter().find(|path| path["step"].is_string());
    let step = path.map(|path| {
        let step = path["step"].as_str().unwrap_or_default();
        path["item"].as_u64().map_or_else(|| step.to_owned(), |item| format!("{step}.{item}"))
    });
    EventBrief {
        version: envelope.header.version,
        at: envelope.header.recorded_at,
        actor: envelope.header.actor.to_string(),
        kind: event["type"].as_str().unwrap_or_default().to_owned(),
        step,
    }
}
