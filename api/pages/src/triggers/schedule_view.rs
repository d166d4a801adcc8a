//! A schedule, as REST tells it.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::frame::Visit;
use crate::pipelines::{pipeline_path, segment};
use crate::problem::Problem;
use crate::triggers::outcome::TriggerOutcome;

/// A schedule.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct ScheduleView {
    pub(crate) name: String,
    pub(crate) pipeline: String,
    /// Which trigger of its pipeline it is; none: a person added it.
    pub(crate) trigger: Option<u32>,
    pub(crate) moments: String,
    #[serde(default)]
    pub(crate) schedule: Value,
    #[serde(default)]
    pub(crate) input: Value,
    /// The title of its runs.
    pub(crate) title: Option<String>,
    pub(crate) status: String,
    pub(crate) paused_at: Option<String>,
    pub(crate) reason: Option<String>,
    pub(crate) next_at: Option<String>,
    #[serde(default)]
    pub(crate) waiting: u64,
    #[serde(default)]
    pub(crate) passed: BTreeMap<String, u64>,
    #[serde(default)]
    pub(crate) has_older: bool,
    #[serde(default)]
    pub(crate) ticks: Vec<ScheduleTick>,
}

/// A moment that led to something.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct ScheduleTick {
    pub(crate) at: String,
    #[serde(default)]
    pub(crate) by_hand: bool,
    #[serde(flatten)]
    pub(crate) outcome: TriggerOutcome,
}

impl ScheduleView {
    /// Reads a schedule.
    pub(crate) async fn load(visit: &Visit, name: &str) -> Result<Self, Problem> {
        visit.rest.get(&format!("/schedules/{}", segment(name))).await
    }

    /// The address of its page, or of one below it.
    pub(crate) fn path(&self, below: &str) -> String {
        schedule_path(&self.name, below)
    }

    /// The address of its pipeline.
    pub(crate) fn pipeline_path(&self) -> String {
        pipeline_path(&self.pipeline, "")
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.status == "paused"
    }

    /// Whether a person added it, and may change and remove it.
    pub(crate) fn is_added(&self) -> bool {
        self.trigger.is_none() && self.status != "removed"
    }

    /// The newest moment that led to something.
    pub(crate) fn last(&self) -> Option<&ScheduleTick> {
        self.ticks.first()
    }

    /// A key of the schedule as a form shows it: lists as `mon, fri`.
    pub(crate) fn part(&self, key: &str) -> String {
        match self.schedule.get(key) {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Array(items)) => {
                items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
            }
            None | Some(Value::Null) => String::new(),
            Some(other) => other.to_string(),
        }
    }

    /// The keys of the schedule beside its moments, with their values.
    pub(crate) fn parts(&self) -> Vec<(&str, String)> {
        let keys = self.schedule.as_object();
        keys.into_iter().flatten().map(|(key, _)| (key.as_str(), self.part(key))).collect()
    }

    /// The moments that were passed over, by reason, in words.
    pub(crate) fn passed_over(&self) -> Vec<String> {
        let words = |(reason, count): (&String, &u64)| match reason.as_str() {
            "late" if self.has_older => format!("more than {count} came while nothing ran"),
            "late" => format!("{count} came while nothing ran"),
            "overlap" => format!("{count} came while the last run went on"),
            "full" => format!("{count} found too many that waited"),
            other => format!("{count} by {other}"),
        };
        self.passed.iter().filter(|(_, count)| **count > 0).map(words).collect()
    }
}

/// The address of a schedule's page, or of one below it.
pub(crate) fn schedule_path(name: &str, below: &str) -> String {
    format!("/schedules/{}{below}", segment(name))
}
