//! A task as the list of REST has it, and what its card says.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::visible::visible;

/// A task.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct TaskCard {
    pub(super) short_id: String,
    pub(super) item: Option<String>,
    pub(super) title: Option<String>,
    pub(super) pipeline: String,
    pub(super) project: Option<String>,
    pub(super) repo: Option<String>,
    pub(super) status: String,
    pub(super) stage: Option<String>,
    pub(super) stage_since: Option<String>,
    pub(super) tracker: String,
    pub(super) work: Vec<CardWork>,
    pub(super) waits: Vec<CardWait>,
    pub(super) pauses: Vec<CardPause>,
    pub(super) next_at: Option<String>,
    pub(super) rounds: Vec<CardRounds>,
    pub(super) sent_back: Option<CardSentBack>,
    pub(super) reviews: Vec<CardReview>,
    pub(super) cost_usd: String,
    pub(super) in_production: Option<bool>,
    pub(super) stuck: bool,
    pub(super) set_aside: Option<String>,
    pub(super) note: Option<String>,
    pub(super) started_at: String,
    pub(super) ended_at: Option<String>,
    pub(super) version: u64,
}

/// An attempt that has not ended.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct CardWork {
    pub(super) step: String,
    pub(super) round: u32,
    pub(super) attempt: u32,
    pub(super) since: String,
    pub(super) started_at: Option<String>,
}

/// Whom it waits for.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct CardWait {
    pub(super) kind: String,
    pub(super) roles: Vec<String>,
    pub(super) since: String,
    pub(super) why: Option<String>,
}

/// What goes on by itself.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct CardPause {
    step: String,
    kind: String,
    pub(super) at: String,
    why: Option<String>,
}

impl CardPause {
    /// What goes on, and why it waits.
    pub(super) fn words(&self) -> String {
        let again = if self.kind == "wait" { "goes on" } else { "again" };
        let why = self.why.as_ref().map(|why| format!(" ({why})")).unwrap_or_default();
        visible(&format!("{} {again}{why}", self.step)).into_owned()
    }
}

/// The rounds of a step.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct CardRounds {
    pub(super) step: String,
    pub(super) used: u32,
    pub(super) max: Option<u32>,
    pub(super) causes: BTreeMap<String, u32>,
}

/// What was sent back last.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct CardSentBack {
    pub(super) cause: String,
    pub(super) reason: Option<String>,
    pub(super) to: String,
    pub(super) at: String,
}

/// A review clock.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct CardReview {
    pub(super) open_since: Option<String>,
    pub(super) elapsed_ms: i64,
}

impl TaskCard {
    /// The path of its run's page.
    pub(super) fn path(&self) -> String {
        format!("/runs/{}", self.short_id)
    }

    /// What it is about; never empty.
    pub(super) fn name(&self) -> &str {
        let title = self.title.as_deref().filter(|title| !title.is_empty());
        title.or(self.item.as_deref()).unwrap_or(&self.pipeline)
    }

    /// Whether it has ended.
    pub(super) fn is_ended(&self) -> bool {
        self.ended_at.is_some()
    }

    /// The state of the tracker in words.
    pub(super) fn tracker_words(&self) -> String {
        let words = self.tracker.replace('_', " ");
        let mut chars = words.chars();
        chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
    }

    /// Why it stands still though nobody stopped it.
    pub(super) fn stuck_words(&self) -> &str {
        self.set_aside.as_deref().unwrap_or("nobody is at work, nobody is asked, and no timer is set")
    }

    /// Whether what was sent back last is news: an open task whose wait does not give the same reason.
    pub(super) fn shows_sent_back(&self, back: &CardSentBack) -> bool {
        let reason = back.reason.as_deref().unwrap_or(&back.cause);
        let is_said =
            self.waits.iter().filter_map(|wait| wait.why.as_deref()).any(|why| why.contains(reason));
        !self.is_ended() && !is_said
    }

    /// The steps whose rounds are limited.
    pub(super) fn limited(&self) -> impl Iterator<Item = &CardRounds> {
        self.rounds.iter().filter(|rounds| rounds.max.is_some())
    }

    /// Whether the line of rounds, reviews and production says something.
    pub(super) fn has_figures(&self) -> bool {
        self.limited().next().is_some() || !self.reviews.is_empty() || self.in_production.is_some()
    }

    /// Whether it used up what costs.
    pub(super) fn has_cost(&self) -> bool {
        self.cost_usd.parse::<f64>().is_ok_and(|cost| cost > 0.0)
    }

    /// How long people had its approvals in their hands; none: they were not asked.
    pub(super) fn review(&self) -> Option<String> {
        let total = self.reviews.iter().map(|review| review.elapsed_ms).sum();
        (!self.reviews.is_empty()).then(|| crate::words::duration(total))
    }

    /// Whether people have one in their hands.
    pub(super) fn is_in_review(&self) -> bool {
        self.reviews.iter().any(|review| review.open_since.is_some())
    }
}

impl CardWait {
    /// What is to be done.
    pub(super) fn verb(&self) -> &'static str {
        match self.kind.as_str() {
            "approval" => "approve",
            "question" => "answer",
            "budget" => "raise the budget",
            _blocked => "unblock",
        }
    }

    /// Who may.
    pub(super) fn whom(&self) -> String {
        if self.roles.is_empty() { "anyone".to_owned() } else { visible(&self.roles.join(", ")).into_owned() }
    }

    /// The sign of what is asked.
    pub(super) fn glyph(&self) -> &'static str {
        if matches!(self.kind.as_str(), "approval" | "question") { "◷" } else { "◆" }
    }
}

impl CardWork {
    /// Since when it works, or waits in line.
    pub(super) fn from(&self) -> &str {
        self.started_at.as_deref().unwrap_or(&self.since)
    }
}

impl CardRounds {
    /// `2/3`.
    pub(super) fn used_of(&self) -> String {
        self.max.map_or_else(|| self.used.to_string(), |max| format!("{}/{max}", self.used))
    }

    /// Whether none is left.
    pub(super) fn is_used_up(&self) -> bool {
        self.max.is_some_and(|max| self.used >= max)
    }

    /// Why it began anew, with counts.
    pub(super) fn words(&self) -> String {
        let causes: Vec<String> =
            self.causes.iter().map(|(cause, count)| format!("{cause} {count}")).collect();
        let why = if causes.is_empty() { "the first round".to_owned() } else { causes.join(", ") };
        visible(&format!("rounds of {}: {why}", self.step)).into_owned()
    }
}
