//! The bar of a card: a cell for each step of the run, those that are equally far side by side.
//!
//! Law: a cell stands for a step of the run as its row counts them; nothing is guessed from the pipeline as it is now.

use std::collections::BTreeSet;

use super::row::{RunRow, StepCounts, step_of, visible};

/// The bar of a run; empty where its row does not count steps.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct StepsBar {
    pub(crate) cells: Vec<Cell>,
    /// All of it in words.
    pub(crate) text: String,
}

/// One cell of the bar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cell {
    /// The class of its state.
    pub(crate) state: &'static str,
    /// What it stands for, with the others that are as far.
    pub(crate) words: String,
}

/// The most cells of a bar; each stands for several steps where there are more.
const CELLS_MAX: usize = 80;

/// Steps that are equally far.
struct Part {
    state: &'static str,
    count: usize,
    words: String,
}

impl StepsBar {
    /// The bar of a run.
    pub(crate) fn of(run: &RunRow) -> Self {
        let Some(counts) = run.step_counts.filter(|counts| counts.total > 0) else { return Self::default() };
        let parts = parts(run, &counts);
        let said: Vec<&str> = parts.iter().map(|part| part.words.as_str()).collect();
        let text = format!("{} steps: {}", counts.total, said.join(", "));
        let room = widths(&parts, counts.total);
        let cells = parts.iter().zip(room).flat_map(|(part, width)| {
            let cell = Cell { state: part.state, words: part.words.clone() };
            std::iter::repeat_n(cell, width)
        });
        Self { cells: cells.collect(), text }
    }
}

/// The steps of a run by how far they are, in the order of the bar.
fn parts(run: &RunRow, counts: &StepCounts) -> Vec<Part> {
    let ended = [
        ("is-done", counts.succeeded, "done"),
        ("is-skipped", counts.skipped, "skipped"),
        ("is-failed", counts.failed, "failed"),
        ("is-cancelled", counts.cancelled, "cancelled"),
    ];
    let part = |(state, count, word): (&'static str, usize, &str)| Part {
        state,
        count,
        words: format!("{count} {word}"),
    };
    let mut parts: Vec<Part> = ended.map(part).into();
    let active: BTreeSet<&str> = run.active_steps.iter().map(|step| step_of(step)).collect();
    let named = active.into_iter().take(counts.open).map(|step| {
        let (state, word) = state_of(run, step);
        Part { state, count: 1, words: format!("{} {word}", visible(step)) }
    });
    let named: Vec<Part> = named.collect();
    // The others are between two things that are done for them, as while the run is paused.
    let between = counts.open - named.len();
    parts.extend(named);
    let (state, word) = state_of(run, "");
    parts.push(Part { state, count: between, words: format!("{between} {word}") });
    parts.push(part(("is-to-come", counts.pending, if run.is_ended() { "not begun" } else { "to come" })));
    parts.retain(|part| part.count > 0);
    parts
}

/// What goes on at a step that has begun and not ended.
fn state_of(run: &RunRow, step: &str) -> (&'static str, &'static str) {
    let awaited = run.awaits.iter().find(|awaited| step_of(&awaited.step) == step);
    match (awaited, run.status.as_str()) {
        (Some(awaited), _) if awaited.kind == "unblock" => ("is-blocked", "is blocked"),
        (Some(_), _) => ("is-asking", "waits for people"),
        (None, "paused") => ("is-paused", "paused"),
        (None, "waiting") => ("is-waiting", "waits"),
        (None, "blocked") => ("is-blocked", "is blocked"),
        _goes_on => ("is-running", "goes on"),
    }
}

/// How many cells each part has: one a step while there is room, else its share, and one at least.
fn widths(parts: &[Part], total: usize) -> Vec<usize> {
    let share = |part: &Part| match total <= CELLS_MAX {
        true => part.count,
        false => (part.count * CELLS_MAX / total).max(1),
    };
    parts.iter().map(share).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::row::Awaited;

    fn run(status: &str, active: &[&str], counts: StepCounts) -> RunRow {
        RunRow {
            status: status.into(),
            active_steps: active.iter().map(|step| (*step).to_owned()).collect(),
            step_counts: Some(counts),
            ..RunRow::default()
        }
    }

    fn states(run: &RunRow) -> Vec<&'static str> {
        StepsBar::of(run).cells.iter().map(|cell| cell.state).collect()
    }

    #[test]
    fn every_step_of_the_run_has_a_cell_that_says_how_far_it_is() {
        let counts =
            StepCounts { total: 6, pending: 2, open: 2, succeeded: 1, skipped: 1, ..StepCounts::default() };
        let run = run("running", &["lint", "unit.3"], counts);
        let cells = ["is-done", "is-skipped", "is-running", "is-running", "is-to-come", "is-to-come"];
        assert_eq!(states(&run), cells);
        let text = "6 steps: 1 done, 1 skipped, lint goes on, unit goes on, 2 to come";
        assert_eq!(StepsBar::of(&run).text, text);
    }

    #[test]
    fn a_step_that_waits_for_people_is_told_from_one_at_work() {
        let counts = StepCounts { total: 3, open: 3, ..StepCounts::default() };
        let awaits =
            |step: &str, kind: &str| Awaited { step: step.into(), kind: kind.into(), ..Awaited::default() };
        let awaits = vec![awaits("ask", "approval"), awaits("try", "unblock")];
        let run = RunRow { awaits, ..run("running", &["ask", "build", "try"], counts) };
        assert_eq!(states(&run), ["is-asking", "is-running", "is-blocked"]);
    }

    #[test]
    fn a_step_of_a_paused_run_between_two_attempts_is_not_called_to_come() {
        let counts = StepCounts { total: 3, pending: 1, open: 1, succeeded: 1, ..StepCounts::default() };
        assert_eq!(states(&run("paused", &[], counts)), ["is-done", "is-paused", "is-to-come"]);
    }

    #[test]
    fn a_cancelled_run_shows_how_far_it_came() {
        let counts = StepCounts { total: 3, succeeded: 1, cancelled: 2, ..StepCounts::default() };
        assert_eq!(states(&run("cancelled", &[], counts)), ["is-done", "is-cancelled", "is-cancelled"]);
        let failed = StepCounts { total: 3, pending: 1, succeeded: 1, failed: 1, ..StepCounts::default() };
        let ended_at = Some("2026-11-22T16:00:00.000Z".to_owned());
        let failed = RunRow { ended_at, ..run("failed", &[], failed) };
        assert_eq!(StepsBar::of(&failed).text, "3 steps: 1 done, 1 failed, 1 not begun");
    }

    #[test]
    fn of_a_thousand_steps_each_part_keeps_a_cell() {
        let counts =
            StepCounts { total: 1_000, pending: 499, open: 1, succeeded: 500, ..StepCounts::default() };
        let cells = states(&run("running", &["one"], counts));
        assert!(cells.len() <= CELLS_MAX + 3, "{}", cells.len());
        assert_eq!(cells.iter().filter(|state| **state == "is-running").count(), 1);
    }

    #[test]
    fn a_row_that_does_not_count_steps_has_no_bar() {
        assert_eq!(StepsBar::of(&RunRow::default()), StepsBar::default());
    }
}
