//! Triggers, which start or signal runs, and notices of what happens to a run.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::anchor::Anchor;
use super::control::is_default;
use super::setting::Span;
use crate::expr::{Expr, Template};

/// What starts or signals runs by itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trigger {
    /// What it listens to.
    pub on: TriggerSource,
    /// Whether it applies, over `event`, `actor` and `config`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<Expr>,
    /// The reason given where it does not apply.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub otherwise: Option<Template>,
    /// Whether it is asked again later where it does not apply.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub park_when: Option<Expr>,
    /// Starts a run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<TriggerStart>,
    /// Sends a signal of this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<Template>,
    /// The receivers of the signal; `None`: the holder of the key that the start would have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<SignalTarget>,
    /// What the signal says; `None`: the event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<Template>,
    /// A signal that no run takes is kept and offered again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub park: bool,
}

/// What a trigger listens to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TriggerSource {
    /// Deliveries of a source of webhooks.
    Hook(String),
    /// Moments.
    Schedule(Schedule),
}

/// Moments that come again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    /// A cron pattern of five or six fields; or `every`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cron: Option<String>,
    /// The span between two moments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<Span>,
    /// What `every` is counted from; `None`: 1970. With it a moment outside of the days and hours is put forward to
    /// the next full hour within them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anchor: Option<Anchor>,
    /// Only on these days, `mon` to `sun`; empty: on all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub weekdays: Vec<String>,
    /// Only from this hour until before that hour of the day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hours: Option<(u8, u8)>,
    /// The time zone; `None`: UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// Each moment is put off by at most so much.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jitter: Option<Span>,
    /// What becomes of moments that passed while nothing ran.
    #[serde(default, skip_serializing_if = "is_default")]
    pub catch_up: CatchUp,
    /// What becomes of a moment while a run of the last one has not ended.
    #[serde(default, skip_serializing_if = "is_default")]
    pub overlap: Overlap,
    /// Which run that has not ended counts for `overlap`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub overlap_by: OverlapBy,
}

impl Schedule {
    /// A schedule that says nothing yet.
    #[must_use]
    pub fn empty() -> Self {
        Self {
            cron: None,
            every: None,
            anchor: None,
            weekdays: Vec::new(),
            hours: None,
            zone: None,
            jitter: None,
            catch_up: CatchUp::default(),
            overlap: Overlap::default(),
            overlap_by: OverlapBy::default(),
        }
    }

    /// The schedule as the language writes it: a map that reads back as this schedule.
    #[must_use]
    pub fn written(&self) -> serde_json::Value {
        let mut written = serde_json::json!(self);
        if let (Some((from, until)), Some(map)) = (self.hours, written.as_object_mut()) {
            map.insert("hours".to_owned(), format!("{from}..{until}").into());
        }
        written
    }
}

/// What becomes of moments that passed while nothing ran.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CatchUp {
    /// They are passed over.
    #[default]
    None,
    /// The last one counts.
    One,
    /// Each counts.
    All,
}

/// What becomes of a moment while a run of the last one has not ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Overlap {
    /// It is passed over.
    #[default]
    Skip,
    /// It starts a run all the same.
    Allow,
    /// It starts one when the other has ended.
    Queue,
}

/// Which run that has not ended counts for `overlap`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OverlapBy {
    /// The run that the last moment started.
    #[default]
    Run,
    /// The holder of the key that the moment's own run would have, however it was started.
    Key,
}

/// A run that a trigger starts.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TriggerStart {
    /// Its input; `None`: the event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Template>,
    /// For readers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<Template>,
    /// A start that is refused for now is tried again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub park: bool,
}

/// The receivers of a signal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SignalTarget {
    /// The holder of a run key.
    Key(Template),
    /// All unended runs that have all these labels.
    Labels(BTreeMap<String, Template>),
    /// A run, by its id.
    Run(Template),
}

/// Stands for all types of events, except those of notices themselves.
pub const WILDCARD: &str = "*";

/// Most notices of one pipeline: each may follow each event, and a batch is bounded.
pub const NOTICES_OF_A_PIPELINE_MAX: usize = 50;

/// Sends notices of what happens to the run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Notice {
    /// Its name.
    pub id: String,
    /// Types of events; `*` stands for all.
    pub events: Vec<String>,
    /// Whether it applies, over `event` and `actor`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<Expr>,
    /// The function that sends it.
    pub function: String,
    /// Its parameters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub with: Option<Template>,
    /// Stand in for those of its parameters that cannot be computed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback: Option<Template>,
    /// In whose name.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "as")]
    pub sender: Option<Template>,
    /// Notices of one channel go one after the other; `None`: a channel of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<Template>,
    /// Of several that were not sent yet only the newest goes.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub collapse: bool,
    /// What it says holds until the next one of its channel: one that was given up is moot as soon as there is a newer one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub supersedes: bool,
    /// It does not go where it says what the last one sent said.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub changes_only: bool,
}
