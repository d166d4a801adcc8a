//! Schedules: listed, added, removed, paused, and triggered by hand.

use std::collections::BTreeMap;
use std::time::Duration;

use everfold_engine::definition::{self, OverlapBy, Schedule};
use everfold_engine::driver::{By, NewSchedule, Removal, ScheduleError, ScheduleRecord, ScheduleUpdate};
use everfold_engine::id::{Position, RunId};
use everfold_engine::json::JsonText;
use everfold_engine::schedules::{ScheduleOrigin, words};
use everfold_engine::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::handle::Node;
use super::hooks::OutcomeView;
use super::write_receipt::WriteReceipt;
use crate::fault::{Code, Fault};
use crate::schema;
use everfold_engine::triggers::Outcome;

/// How long an answer waits for the outcome of a triggered moment.
const OUTCOME: Duration = Duration::from_secs(30);

/// A schedule as answers show it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ScheduleView {
    /// Its name; `PIPELINE:N` is the Nth trigger of a pipeline.
    pub name: String,
    /// The pipeline.
    pub pipeline: String,
    /// Which of the pipeline's triggers it is, from 1; null: a person added it.
    pub trigger: Option<u32>,
    /// Its moments, in words.
    pub moments: String,
    /// Its moments, as the language writes them.
    pub schedule: Value,
    /// The input of the runs that it starts, where a person added it.
    pub input: Option<Value>,
    /// The title of the runs that it starts, where a person added it and gave one.
    #[serde(default)]
    pub title: Option<String>,
    /// `active` or `paused`.
    pub status: String,
    /// Since when it is paused.
    #[schema(value_type = Option<schema::TimeSchema>)]
    pub paused_at: Option<Timestamp>,
    /// Why.
    pub reason: Option<String>,
    /// When the next moment is due.
    #[schema(value_type = Option<schema::TimeSchema>)]
    pub next_at: Option<Timestamp>,
    /// Moments that have come and wait.
    pub waiting: usize,
    /// How many moments were passed over, by reason: `late`, `overlap`, `full`.
    pub passed: BTreeMap<String, u64>,
    /// More moments were passed over as `late` than are counted: of one long time without an engine, the newest 10,000 are.
    #[serde(default)]
    pub has_older: bool,
    /// The last moments that led to something, the newest first.
    pub ticks: Vec<TickView>,
    /// What an order to trigger it led to; absent in other answers, and where it waits still.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub triggered: Option<OutcomeView>,
    /// The runs that were cancelled with its removal; absent in other answers, and where that still goes on.
    #[schema(value_type = Option<Vec<schema::RunIdSchema>>)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancelled: Option<Vec<RunId>>,
    /// The runs that were to be cancelled with its removal and are set aside: each is to be cancelled by force.
    #[schema(value_type = Vec<schema::RunIdSchema>)]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_cancelled: Vec<RunId>,
}

/// A moment and what it led to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TickView {
    /// The moment.
    #[schema(value_type = schema::TimeSchema)]
    pub at: Timestamp,
    /// When it was settled.
    #[schema(value_type = schema::TimeSchema)]
    pub settled_at: Timestamp,
    /// A person asked for it.
    pub by_hand: bool,
    /// What it led to.
    #[serde(flatten)]
    pub outcome: OutcomeView,
}

impl ScheduleView {
    fn of(record: &ScheduleRecord) -> Self {
        let (pipeline, trigger, input, title) = match &record.origin {
            ScheduleOrigin::Trigger { pipeline, index } => (pipeline, Some(index + 1), None, None),
            ScheduleOrigin::Added { pipeline, input, title } => {
                (pipeline, None, Some(input.value()), title.clone())
            }
        };
        let ticks = record.settled.iter().rev().map(|settled| TickView {
            at: settled.tick.at,
            settled_at: settled.at,
            by_hand: settled.tick.by_hand,
            outcome: OutcomeView::of(&settled.outcome),
        });
        let paused = record.paused.as_ref();
        Self {
            name: record.name.clone(),
            pipeline: pipeline.clone(),
            trigger,
            moments: record.schedule.as_ref().map(words).unwrap_or_default(),
            schedule: record.schedule.as_ref().map_or(Value::Null, Schedule::written),
            input,
            title,
            status: if paused.is_some() { "paused" } else { "active" }.to_owned(),
            paused_at: paused.map(|(at, _)| *at),
            reason: paused.and_then(|(_, reason)| reason.clone()),
            next_at: record.next,
            waiting: record.waiting,
            passed: record.passed.clone(),
            has_older: record.has_older,
            ticks: ticks.collect(),
            triggered: None,
            cancelled: None,
            not_cancelled: Vec::new(),
        }
    }
}

/// A title that says something: a blank one is none.
fn stated(title: Option<String>) -> Option<String> {
    title.filter(|title| !title.trim().is_empty())
}

/// A schedule to add.
#[derive(Debug, Clone)]
pub(crate) struct Add {
    pub(crate) name: String,
    /// NAME, NAME@N, NAME@HASH.
    pub(crate) pipeline: String,
    /// As the language writes it.
    pub(crate) schedule: Value,
    pub(crate) input: Value,
    pub(crate) title: Option<String>,
}

/// What of a schedule becomes another one; `None` stays.
#[derive(Debug, Clone, Default)]
pub(crate) struct Update {
    pub(crate) name: String,
    pub(crate) pipeline: Option<String>,
    /// As the language writes it. Of a map each key takes the place of the former one, and null takes it away.
    pub(crate) schedule: Option<Value>,
    pub(crate) input: Option<Value>,
    pub(crate) title: Option<String>,
}

/// An order to remove a schedule.
#[derive(Debug, Clone)]
pub(crate) struct Remove {
    pub(crate) name: String,
    pub(crate) reason: Option<String>,
    /// The unended runs that it started are cancelled.
    pub(crate) cancels: bool,
}

impl Node {
    /// All schedules.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn schedules(&self) -> Result<Vec<ScheduleView>, Fault> {
        Ok(self.engine().schedules().await?.iter().map(ScheduleView::of).collect())
    }

    /// One schedule.
    ///
    /// # Errors
    /// There is none.
    pub async fn schedule(&self, name: &str) -> Result<ScheduleView, Fault> {
        let all = self.engine().schedules().await?;
        let found = all.iter().find(|record| record.name == name).map(ScheduleView::of);
        found.ok_or_else(|| {
            let near = definition::similar(name, all.iter().map(|record| record.name.as_str()));
            Fault::new(Code::NoSchedule, format!("there is no schedule “{name}”"))
                .hint("`everfold schedule list` shows them")
                .hinted(near.map(|near| format!("did you mean “{near}”?")))
        })
    }

    /// Adds a schedule.
    ///
    /// # Errors
    /// The schedule has no moments, its pipeline does not exist, or its input does not fit.
    pub(crate) async fn add_schedule(&self, add: Add, by: By) -> Result<(WriteReceipt, ScheduleView), Fault> {
        self.may_write()?;
        let schedule = self.fitting(&add.schedule, &add.pipeline, &add.input).await?;
        let origin = ScheduleOrigin::Added {
            pipeline: add.pipeline,
            input: JsonText::new(&add.input),
            title: stated(add.title),
        };
        let new = NewSchedule { name: add.name.clone(), schedule, origin };
        let change = self.engine().add_schedule(new, by).await?;
        Ok((change.into(), self.schedule_after(&add.name, change.position).await?))
    }

    /// A schedule as the language writes it, read, where it and an input fit a pipeline.
    async fn fitting(&self, schedule: &Value, pipeline: &str, input: &Value) -> Result<Schedule, Fault> {
        let bad = |errors| Fault::new(Code::BadSchedule, "the schedule cannot be used").errors(errors);
        let schedule = definition::schedule_of(schedule).map_err(|problems| {
            let errors =
                problems.0.iter().map(|problem| json!({ "message": problem.message, "hint": problem.hint }));
            bad(errors.collect())
        })?;
        let pipeline = self.pipeline(pipeline).await?;
        if let Some(schema) = &pipeline.input
            && let Err(problems) = definition::input::check(schema, input)
        {
            let errors = problems.iter().map(|problem| json!(problem)).collect();
            let message = format!("the input does not fit the schema of {}", pipeline.name);
            return Err(Fault::new(Code::BadInput, message).errors(errors));
        }
        if schedule.overlap_by == OverlapBy::Key && pipeline.key.is_none() {
            let message = format!("`overlap_by: key` judges nothing: runs of {} have no key", pipeline.name);
            let hint = "leave `overlap_by` out, or give the pipeline a `key`";
            return Err(bad(vec![json!({ "message": message, "hint": hint })]));
        }
        Ok(schedule)
    }

    /// Makes a schedule that was added another one.
    ///
    /// # Errors
    /// There is no such schedule, it belongs to a pipeline, what it would be has no moments or does not fit its pipeline,
    /// or it became another one meanwhile.
    pub(crate) async fn update_schedule(
        &self,
        update: Update,
        by: By,
    ) -> Result<(WriteReceipt, ScheduleView), Fault> {
        self.may_write()?;
        let name = update.name;
        let all = self.engine().schedules().await?;
        let Some(record) = all.into_iter().find(|record| record.name == name) else {
            return Err(self.refused(&name, ScheduleError::NotFound(name.clone())).await);
        };
        let (pipeline, input, title) = match &record.origin {
            ScheduleOrigin::Added { pipeline, input, title } => (pipeline, input.value(), title),
            ScheduleOrigin::Trigger { pipeline, .. } => {
                let pipeline = pipeline.clone();
                return Err(ScheduleError::OfPipeline { name, pipeline }.into());
            }
        };
        let former = record.schedule.clone().unwrap_or_else(Schedule::empty);
        let wanted = update.schedule.map(|changes| merged(former.written(), changes));
        let pipeline = update.pipeline.unwrap_or_else(|| pipeline.clone());
        let input = update.input.unwrap_or(input);
        let title = update.title.map_or_else(|| title.clone(), |title| stated(Some(title)));
        let wanted = wanted.unwrap_or_else(|| former.written());
        let schedule = self.fitting(&wanted, &pipeline, &input).await?;
        let origin = ScheduleOrigin::Added { pipeline, input: JsonText::new(&input), title };
        let seen = NewSchedule { name: name.clone(), schedule: former, origin: record.origin };
        let update = ScheduleUpdate { seen, schedule, origin };
        let change = match self.engine().update_schedule(update, by).await {
            Ok(change) => change,
            Err(error) => return Err(self.refused(&name, error).await),
        };
        Ok((change.into(), self.schedule_after(&name, change.position).await?))
    }

    /// Removes a schedule; gives it as it was.
    ///
    /// # Errors
    /// There is no such schedule, or it belongs to a pipeline.
    pub(crate) async fn remove_schedule(
        &self,
        remove: Remove,
        by: By,
    ) -> Result<(WriteReceipt, ScheduleView), Fault> {
        self.may_write()?;
        let name = remove.name.as_str();
        let known = self.schedule(name).await;
        let order = Removal { name: remove.name.clone(), reason: remove.reason, cancels: remove.cancels };
        let removed = match self.engine().take_schedule_away(order, by).await {
            Ok(removed) => removed,
            Err(error) => return Err(self.refused(name, error).await),
        };
        let change = removed.change;
        let cancelled = match remove.cancels {
            true => tokio::time::timeout(OUTCOME, removed.cancelled).await.ok().and_then(Result::ok),
            false => None,
        };
        for run in cancelled.iter().flatten() {
            self.note_driven(*run, true);
        }
        let not_cancelled = match cancelled {
            Some(_) => match self.engine().schedule_runs_set_aside(name).await {
                Ok(runs) => runs,
                Err(error) => return Err(self.refused(name, error).await),
            },
            None => Vec::new(),
        };
        let view = match known {
            Ok(view) => view,
            Err(_removed) => self.schedule_after(name, change.position).await?,
        };
        let status = "removed".to_owned();
        let view = ScheduleView { status, next_at: None, cancelled, not_cancelled, ..view };
        Ok((change.into(), view))
    }

    /// Pauses or resumes a schedule.
    ///
    /// # Errors
    /// There is no such schedule, or it already is paused or active as asked.
    pub(crate) async fn pause_schedule(
        &self,
        name: &str,
        pauses: bool,
        reason: Option<String>,
        by: By,
    ) -> Result<(WriteReceipt, ScheduleView), Fault> {
        self.may_write()?;
        match self.engine().pause_schedule(name, pauses, reason, by).await {
            Ok(change) => Ok((change.into(), self.schedule_after(name, change.position).await?)),
            Err(error) => Err(self.refused(name, error).await),
        }
    }

    /// Triggers a schedule as if one of its moments had come.
    ///
    /// # Errors
    /// There is none.
    pub(crate) async fn trigger_schedule(
        &self,
        name: &str,
        by: By,
    ) -> Result<(WriteReceipt, ScheduleView), Fault> {
        self.may_write()?;
        let ticked = match self.engine().trigger_schedule(name, by).await {
            Ok(ticked) => ticked,
            Err(error) => return Err(self.refused(name, error).await),
        };
        let outcome = tokio::time::timeout(OUTCOME, ticked.outcome).await.ok().and_then(Result::ok);
        for run in outcome.iter().flat_map(Outcome::runs) {
            self.note_driven(run, true);
        }
        let view = self.schedule_after(name, ticked.position).await?;
        let triggered = outcome.as_ref().map(OutcomeView::of);
        let went = WriteReceipt { position: ticked.position, replayed: ticked.repeated };
        Ok((went, ScheduleView { triggered, ..view }))
    }

    /// The schedule of a write that was done, also where the write is a repeat and the schedule was removed since.
    async fn schedule_after(&self, name: &str, position: Position) -> Result<ScheduleView, Fault> {
        match self.schedule(name).await {
            Err(fault) if fault.code == Code::NoSchedule => {
                let then = self.engine().schedule_then(name, position).await?;
                then.as_ref().map(ScheduleView::of).ok_or(fault)
            }
            known => known,
        }
    }

    /// The fault of a refused write; where the schedule does not exist, with the nearest name.
    async fn refused(&self, name: &str, error: ScheduleError) -> Fault {
        match (error, self.schedule(name).await) {
            (ScheduleError::NotFound(_), Err(fault)) => fault,
            (error, _) => error.into(),
        }
    }
}

/// A schedule with changes, both as the language writes them.
fn merged(mut written: Value, changes: Value) -> Value {
    match (&mut written, changes) {
        (Value::Object(written), Value::Object(changes)) => {
            for (key, value) in changes {
                if value.is_null() {
                    written.remove(&key);
                } else {
                    written.insert(key, value);
                }
            }
        }
        (written, whole) => *written = whole,
    }
    written
}
