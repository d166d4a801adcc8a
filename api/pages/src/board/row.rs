//! A run as lists have it, and what a card and a row say of it.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::filter::RunFilter;
use super::search::RunAttribute;
use crate::frame::Who;

/// A run in a list.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct RunRow {
    pub(crate) id: String,
    pub(crate) short_id: String,
    pub(crate) pipeline: String,
    pub(crate) number: Option<u64>,
    pub(crate) title: Option<String>,
    pub(crate) started_by: String,
    pub(crate) started_at: String,
    pub(crate) status: String,
    pub(crate) moved_at: String,
    pub(crate) active_steps: Vec<String>,
    pub(crate) step_counts: Option<StepCounts>,
    pub(crate) failure: Option<RowFailure>,
    pub(crate) note: Option<String>,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) search: BTreeMap<String, Value>,
    pub(crate) awaits: Vec<Awaited>,
    pub(crate) ended_at: Option<String>,
    pub(crate) usage: RowUsage,
    pub(crate) progress: Option<Progress>,
    pub(crate) version: u64,
    pub(crate) parent: Option<Parent>,
    pub(crate) set_aside: Option<String>,
}

/// How many steps of a run are how far, as lists have it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct StepCounts {
    pub(crate) total: usize,
    pub(crate) pending: usize,
    pub(crate) open: usize,
    pub(crate) succeeded: usize,
    pub(crate) failed: usize,
    pub(crate) skipped: usize,
    pub(crate) cancelled: usize,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct RowFailure {
    pub(crate) message: String,
    pub(crate) step: Option<String>,
}

/// A person that a run waits for.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Awaited {
    pub(crate) step: String,
    pub(crate) kind: String,
    pub(crate) roles: Vec<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct RowUsage {
    pub(crate) input_tokens: u64,
    pub(crate) output_tokens: u64,
    pub(crate) cost_usd: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Progress {
    pub(crate) step: String,
    pub(crate) done: u64,
    pub(crate) of: u64,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Parent {
    pub(crate) short_id: String,
    pub(crate) step: String,
}

/// Part of a list of runs.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct RunList {
    pub(crate) items: Vec<RunRow>,
    pub(crate) next_cursor: Option<String>,
    pub(crate) sort: Option<SortedRows>,
    pub(crate) filter: Option<FilteredRows>,
}

/// How an expression found the runs of a list.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct FilteredRows {
    /// Looking ended at its bound: the next part goes on there.
    more: bool,
    undecided: Option<UndecidedRuns>,
}

/// Runs of which an expression is neither true nor false.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct UndecidedRuns {
    pub(crate) rows: u64,
    /// Why, of the first.
    pub(crate) why: String,
}

/// How many rows were sorted by a field.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default)]
pub(crate) struct SortedRows {
    pub(crate) looked_at: u64,
    pub(crate) complete: bool,
}

impl RunList {
    /// How many runs are sorted, where these are only the newest of those that may fit.
    pub(crate) fn sorted_newest(&self) -> Option<u64> {
        self.sort.filter(|sorted| !sorted.complete).map(|sorted| sorted.looked_at)
    }

    /// Whether an expression was not asked of every run, and the next part goes on.
    pub(crate) fn goes_on(&self) -> bool {
        self.next_cursor.is_some() && self.filter.as_ref().is_some_and(|found| found.more)
    }

    /// The runs of which the expression is neither true nor false.
    pub(crate) fn undecided(&self) -> Option<UndecidedRuns> {
        self.filter.as_ref().and_then(|found| found.undecided.clone())
    }
}

impl RunRow {
    /// Its search attributes.
    pub(crate) fn search_attributes(&self) -> Vec<RunAttribute> {
        RunAttribute::all(&self.search)
    }

    /// Its labels, each with the table of the runs that have it, too.
    pub(crate) fn labels(&self) -> Vec<(String, String)> {
        RunFilter::label_tables(&self.labels)
    }

    /// The title, or the pipeline's name with its number.
    pub(crate) fn name(&self) -> String {
        match (&self.title, self.number) {
            (Some(title), _) if !title.trim().is_empty() => visible(title),
            (_, Some(number)) => format!("{} #{number}", visible(&self.pipeline)),
            _nothing_else => visible(&self.pipeline),
        }
    }

    /// Whether it has ended.
    pub(crate) fn is_ended(&self) -> bool {
        self.ended_at.is_some()
    }

    /// Whether it used up money.
    pub(crate) fn has_cost(&self) -> bool {
        self.usage.cost_usd.parse::<f64>().is_ok_and(|cost| cost > 0.0)
    }

    /// How long it took, or takes up to a moment.
    pub(crate) fn took(&self, now: &str) -> String {
        crate::words::took(&self.started_at, Some(self.ended_at.as_deref().unwrap_or(now)))
    }

    /// How many of its steps are done, of how many: `5 of 7`.
    pub(crate) fn steps_done(&self) -> Option<String> {
        let counts = self.step_counts.filter(|counts| counts.total > 0)?;
        Some(format!("{} of {}", counts.succeeded, counts.total))
    }

    /// The step that it stands at: the first that goes on, an item without its place in the list.
    pub(crate) fn step(&self) -> Option<&str> {
        let awaited = self.awaits.first().map(|awaited| awaited.step.as_str());
        let failed = self.failure.as_ref().and_then(|failure| failure.step.as_deref());
        awaited.or(self.active_steps.first().map(String::as_str)).or(failed).map(step_of)
    }

    /// What is said of it in one line where it failed or was ended.
    pub(crate) fn remark(&self) -> Option<String> {
        let failed = self.failure.as_ref().and_then(|failure| failure.step.as_deref());
        let said = self.set_aside.as_deref().or(self.note.as_deref())?;
        Some(visible(&match failed {
            Some(step) => format!("{step}: {said}"),
            None => said.to_owned(),
        }))
    }

    /// How far it is, where its work says so: `12 of 60`.
    pub(crate) fn progress_text(&self) -> Option<String> {
        let progress = self.progress.as_ref().filter(|_| !self.is_ended())?;
        Some(match progress.of {
            0 => format!("{} done", progress.done),
            of => format!("{} of {of}", progress.done),
        })
    }
}

impl Parent {
    /// The path of its page.
    pub(crate) fn path(&self) -> String {
        format!("/runs/{}", self.short_id)
    }
}

impl Awaited {
    /// What is asked of a person, as the command is called.
    pub(crate) fn verb(&self) -> &'static str {
        match self.kind.as_str() {
            "approval" => "approve",
            "question" => "answer",
            "unblock" => "unblock",
            _other => "decide",
        }
    }

    /// Whether this caller may do it.
    pub(crate) fn is_of(&self, who: &Who) -> bool {
        who.decides(matches!(self.kind.as_str(), "unblock" | "budget"), &self.roles)
    }

    /// Who is asked.
    pub(crate) fn whom(&self) -> String {
        if self.roles.is_empty() { "anyone".to_owned() } else { visible(&self.roles.join(", ")) }
    }
}

/// The step of an item: `children.0` is of `children`.
pub(crate) fn step_of(step: &str) -> &str {
    step.split_once('.').map_or(step, |(step, _)| step)
}

/// A user's text in one line: control characters and marks of direction are named.
pub(crate) fn visible(text: &str) -> String {
    let in_line = |sign: char| if matches!(sign, '\n' | '\r' | '\t') { ' ' } else { sign };
    // A card shows two lines; the rest of a huge text is on the run's page.
    let line: String = text.chars().take(300).map(in_line).collect();
    crate::visible::visible(&line).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_of_direction_and_escapes_are_shown() {
        assert_eq!(visible("a\u{202e}b\u{1b}[31m\nc"), "a⟨U+202E⟩b c");
    }
}
