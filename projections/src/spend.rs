//! What was used up: by run, step, role, model and day.
//!
//! Law: each report of an attempt counts once, where it was recorded; copied facts count for nobody.
//! Memory grows by one line for each run, step, role, model and day that used something, not by report.

use std::collections::{BTreeMap, HashMap};

use everfold_engine::event::{RunEvent, ScheduledTask, ScheduledWork};
use everfold_engine::id::{RunId, StepId};
use everfold_engine::json::Payload;
use serde::{Deserialize, Serialize};

use crate::{Fact, Projection};

/// Amounts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpendSum {
    /// Reports that were summed up.
    pub reports: u64,
    /// Tokens read, those from a cache left out.
    pub input_tokens: u64,
    /// Tokens read from a cache.
    pub cached_tokens: u64,
    /// Tokens written.
    pub output_tokens: u64,
    /// In millionths of a US dollar.
    pub cost_micros: u64,
}

impl SpendSum {
    fn add(&mut self, other: &Self) {
        self.reports += other.reports;
        self.input_tokens = self.input_tokens.saturating_add(other.input_tokens);
        self.cached_tokens = self.cached_tokens.saturating_add(other.cached_tokens);
        self.output_tokens = self.output_tokens.saturating_add(other.output_tokens);
        self.cost_micros = self.cost_micros.saturating_add(other.cost_micros);
    }
}

/// What amounts are grouped by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SpendBy {
    /// The run.
    Run,
    /// The step, of whichever run of its pipeline.
    Step,
    /// The agent's role.
    Role,
    /// The model.
    Model,
    /// The day, in UTC.
    Day,
    /// The pipeline.
    Pipeline,
}

impl SpendBy {
    /// Every one, with its word.
    pub const ALL: [(&'static str, Self); 6] = [
        ("run", Self::Run),
        ("step", Self::Step),
        ("role", Self::Role),
        ("model", Self::Model),
        ("day", Self::Day),
        ("pipeline", Self::Pipeline),
    ];

    /// Reads its word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(known, _)| *known == word).map(|(_, by)| by)
    }
}

/// Which amounts count.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SpendFilter {
    /// Of this run.
    pub run: Option<RunId>,
    /// Of this pipeline.
    pub pipeline: Option<String>,
    /// From this day on, `2026-11-20`.
    pub since: Option<String>,
}

/// A group and its amounts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpendRow {
    /// The group; empty where nothing is known: no role, no model.
    pub group: String,
    /// What was used up.
    #[serde(flatten)]
    pub sum: SpendSum,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Line {
    run: RunId,
    step: StepId,
    role: String,
    model: String,
    day: String,
}

/// The read model `spend`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SpendRows {
    lines: BTreeMap<Line, SpendSum>,
    pipelines: HashMap<RunId, String>,
    roles: HashMap<RunId, BTreeMap<StepId, String>>,
}

impl SpendRows {
    /// What was used up, in groups: days in their order, all others by cost, the largest first.
    #[must_use]
    pub fn by(&self, by: SpendBy, filter: &SpendFilter) -> Vec<SpendRow> {
        let mut groups: BTreeMap<String, SpendSum> = BTreeMap::new();
        for (line, sum) in self.lines.iter().filter(|(line, _)| self.counts(line, filter)) {
            let group = match by {
                SpendBy::Run => line.run.to_string(),
                SpendBy::Step => format!("{}/{}", self.pipeline(line.run), line.step),
                SpendBy::Role => line.role.clone(),
                SpendBy::Model => line.model.clone(),
                SpendBy::Day => line.day.clone(),
                SpendBy::Pipeline => self.pipeline(line.run).to_owned(),
            };
            groups.entry(group).or_default().add(sum);
        }
        let mut rows: Vec<SpendRow> =
            groups.into_iter().map(|(group, sum)| SpendRow { group, sum }).collect();
        if by != SpendBy::Day {
            rows.sort_by(|one, other| {
                let key =
                    |row: &SpendRow| (row.sum.cost_micros, row.sum.input_tokens + row.sum.output_tokens);
                key(other).cmp(&key(one)).then_with(|| one.group.cmp(&other.group))
            });
        }
        rows
    }

    /// All of it together.
    #[must_use]
    pub fn total(&self, filter: &SpendFilter) -> SpendSum {
        let mut total = SpendSum::default();
        self.lines.iter().filter(|(line, _)| self.counts(line, filter)).for_each(|(_, sum)| total.add(sum));
        total
    }

    fn counts(&self, line: &Line, filter: &SpendFilter) -> bool {
        filter.run.is_none_or(|run| line.run == run)
            && filter.pipeline.as_deref().is_none_or(|name| self.pipeline(line.run) == name)
            && filter.since.as_deref().is_none_or(|since| line.day.as_str() >= since)
    }

    fn pipeline(&self, run: RunId) -> &str {
        self.pipelines.get(&run).map_or("", String::as_str)
    }

    fn note_role(&mut self, run: RunId, step: &StepId, task: &ScheduledTask) {
        // A document that is too large for the event has its role in a blob; it counts for no role.
        let Payload::Inline(document) = &task.task else { return };
        if task.kind != "agent" {
            return;
        }
        if let Some(role) = document.value()["spec"]["role"].as_str() {
            self.roles.entry(run).or_default().insert(step.clone(), role.to_owned());
        }
    }
}

impl Projection for SpendRows {
    const NAME: &'static str = "spend";
    const SCHEMA: u32 = 1;

    fn apply(&mut self, fact: &Fact<'_>) {
        match fact.event {
            RunEvent::RunStarted(event) => drop(self.pipelines.insert(fact.run, event.pipeline.clone())),
            RunEvent::StepScheduled(event) => {
                if let ScheduledWork::Task(task) = &event.work {
                    self.note_role(fact.run, &event.id.path.step, task);
                }
            }
            RunEvent::RetryScheduled(event) => {
                if let Some(task) = &event.task {
                    self.note_role(fact.run, &event.id.path.step, task);
                }
            }
            // Only now is it certain that nothing comes of what was scheduled there.
            RunEvent::RunSucceeded(_) | RunEvent::RunFailed(_) | RunEvent::RunCancelled(_) => {
                self.roles.remove(&fact.run);
            }
            RunEvent::UsageRecorded(event) if !fact.is_copied() => {
                let step = event.id.path.step.clone();
                let role = self.roles.get(&fact.run).and_then(|roles| roles.get(&step)).cloned();
                let day = fact.envelope.header.recorded_at.to_string();
                let line = Line {
                    run: fact.run,
                    step,
                    role: role.unwrap_or_default(),
                    model: event.usage.model.clone().unwrap_or_default(),
                    day: day.split('T').next().unwrap_or_default().to_owned(),
                };
                self.lines.entry(line).or_default().add(&SpendSum {
                    reports: 1,
                    input_tokens: event.usage.input_tokens,
                    cached_tokens: event.usage.cached_tokens,
                    output_tokens: event.usage.output_tokens,
                    cost_micros: event.usage.cost_micros,
                });
            }
            _other => {}
        }
    }
}
