//! A run as lists have it, and what a card and a row say of it.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::steps::StepOfPipeline;
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
    pub(crate) failure: Option<RowFailure>,
    pub(crate) note: Option<String>,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) awaits: Vec<Awaited>,
    pub(crate) ended_at: Option<String>,
    pub(crate) usage: RowUsage,
    pub(crate) progress: Option<Progress>,
    pub(crate) version: u64,
    pub(crate) parent: Option<Parent>,
    pub(crate) set_aside: Option<String>,
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
}

impl Cell {
    /// What it says in words.
    pub(crate) fn words(&self) -> String {
        let state = match self.state {
            "is-behind" => "behind",
            "is-to-come" => "to come",
            "is-running" => "goes on",
            "is-asking" => "waits for people",
            "is-waiting" => "waits",
            "is-paused" => "paused",
            "is-blocked" => "blocked",
            "is-failed" => "failed",
            _ => "not said here",
        };
        format!("{}: {state}", visible(&self.step))
    }
}

impl RunRow {
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

/// One cell of the bar of steps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cell {
    /// The class of its state.
    pub(crate) state: &'static str,
    pub(crate) step: String,
}

/// The most cells of a bar; with more a card says the step only.
const CELLS_MAX: usize = 80;

/// The bar of a run: a cell for each step of its pipeline; empty where nothing says where the run stands.
///
/// A list tells the steps in which something goes on, and the one that failed, not how the others ended. What those need
/// is behind, skipped or done; what needs them is to come; of every other step the list says nothing, and neither does
/// its cell.
pub(crate) fn bar(run: &RunRow, steps: &[StepOfPipeline]) -> Vec<Cell> {
    let failed = run.failure.as_ref().and_then(|failure| failure.step.as_deref()).map(step_of);
    let active: BTreeSet<&str> = run.active_steps.iter().map(|step| step_of(step)).collect();
    let here: BTreeSet<&str> = if active.is_empty() { failed.into_iter().collect() } else { active.clone() };
    let is_known = |step: &&&str| steps.iter().any(|known| known.id == **step);
    let whole = match run.status.as_str() {
        "succeeded" => Some("is-behind"),
        "queued" => Some("is-to-come"),
        _ => None,
    };
    // The run may be of another version than the list, or have stopped where nothing says.
    let is_somewhere = whole.is_some() || !here.is_empty();
    if steps.len() > CELLS_MAX || !is_somewhere || here.iter().any(|step| !is_known(&step)) {
        return Vec::new();
    }
    let (before, after) = (before(&here, steps), after(&here, steps));
    let state = |step: &str| match whole {
        Some(state) => state,
        None if active.contains(step) => state_here(run, step),
        None if here.contains(step) => "is-failed",
        None if before.contains(step) => "is-behind",
        None if after.contains(step) => "is-to-come",
        None => "is-unknown",
    };
    steps.iter().map(|step| Cell { state: state(&step.id), step: step.id.clone() }).collect()
}

fn state_here(run: &RunRow, step: &str) -> &'static str {
    let awaited = run.awaits.iter().find(|awaited| step_of(&awaited.step) == step);
    match (awaited, run.status.as_str()) {
        (Some(awaited), _) if awaited.kind == "unblock" => "is-blocked",
        (Some(_), _) => "is-asking",
        (None, "paused") => "is-paused",
        (None, "waiting") => "is-waiting",
        (None, "blocked") => "is-blocked",
        _goes_on => "is-running",
    }
}

/// The steps that some steps need, and those that these need.
fn before<'a>(here: &BTreeSet<&str>, steps: &'a [StepOfPipeline]) -> BTreeSet<&'a str> {
    let mut before: BTreeSet<&str> = BTreeSet::new();
    loop {
        let known = before.len();
        for step in steps.iter().filter(|step| here.contains(step.id.as_str())) {
            before.extend(step.needs.iter().map(String::as_str));
        }
        for step in steps {
            if before.contains(step.id.as_str()) {
                before.extend(step.needs.iter().map(String::as_str));
            }
        }
        if before.len() == known {
            return before;
        }
    }
}

/// The steps that come after some steps.
fn after<'a>(here: &BTreeSet<&str>, steps: &'a [StepOfPipeline]) -> BTreeSet<&'a str> {
    let mut after: BTreeSet<&str> = BTreeSet::new();
    // Steps are listed in an order in which each follows what it needs, but for written files that differ.
    loop {
        let before = after.len();
        for step in steps {
            if step.needs.iter().any(|need| here.contains(need.as_str()) || after.contains(need.as_str())) {
                after.insert(&step.id);
            }
        }
        if after.len() == before {
            return after;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(of: &[(&str, &[&str])]) -> Vec<StepOfPipeline> {
        let step = |(id, needs): &(&str, &[&str])| StepOfPipeline {
            id: (*id).to_owned(),
            needs: needs.iter().map(|need| (*need).to_owned()).collect(),
            stage: None,
        };
        of.iter().map(step).collect()
    }

    fn states(run: &RunRow) -> Vec<&'static str> {
        let steps =
            steps(&[("build", &[]), ("unit", &["build"]), ("lint", &["build"]), ("ask", &["unit", "lint"])]);
        bar(run, &steps).into_iter().map(|cell| cell.state).collect()
    }

    #[test]
    fn what_the_current_step_needs_is_behind_and_of_the_rest_nothing_is_said() {
        let run =
            RunRow { status: "running".into(), active_steps: vec!["unit.3".into()], ..RunRow::default() };
        assert_eq!(states(&run), ["is-behind", "is-running", "is-unknown", "is-to-come"]);
        let run = RunRow { status: "paused".into(), ..run };
        assert_eq!(states(&run), ["is-behind", "is-paused", "is-unknown", "is-to-come"]);
    }

    #[test]
    fn a_failed_run_shows_where() {
        let failure = Some(RowFailure { message: "exit 1".into(), step: Some("unit".into()) });
        let run = RunRow { status: "failed".into(), failure, ..RunRow::default() };
        assert_eq!(states(&run), ["is-behind", "is-failed", "is-unknown", "is-to-come"]);
    }

    #[test]
    fn a_run_of_which_nothing_says_where_it_stands_has_no_bar() {
        for status in ["cancelled", "paused"] {
            let run = RunRow { status: status.into(), ..RunRow::default() };
            assert!(states(&run).is_empty(), "{status}");
        }
        let run = RunRow { status: "succeeded".into(), ..RunRow::default() };
        assert_eq!(states(&run), ["is-behind"; 4]);
    }

    #[test]
    fn a_run_of_another_version_has_no_bar() {
        let run = RunRow { status: "running".into(), active_steps: vec!["gone".into()], ..RunRow::default() };
        assert!(states(&run).is_empty());
    }

    #[test]
    fn marks_of_direction_and_escapes_are_shown() {
        assert_eq!(visible("a\u{202e}b\u{1b}[31m\nc"), "a⟨U+202E⟩b␛[31m c");
    }
}
