//! Two runs, or two moments of one, aligned by step and round, and where they part first.
//!
//! Law: rounds are compared by what was recorded of them. Whether they ran, how they ended, their attempts, verdicts and
//! outputs make two runs part; what they were given, the evidence and policies of gates are named as causes, and how long
//! they took and what they cost is shown.

use std::collections::BTreeSet;

use everfold_engine::envelope::StreamId;
use everfold_engine::event::SkipReason;
use everfold_engine::id::{Position, RunId, StepPath, Version};
use everfold_engine::why::{of_condition, skip_message};
use everfold_projections::RoundsOfRun;
use serde_json::Value;

use super::aligned::{AlignedRound, Common, aligned, milliseconds};
use super::divergence::divergence;
use crate::compare::differences;
use crate::fault::{Code, Fault};
use crate::node::handle::Node;
use crate::node::runs_diff::{ComparedRun, Divergence, RoundPair, RunsDiff};
use crate::view::RunView;

/// Events of a run that are read at once.
const CHUNK: usize = 1_000;
/// Rounds that one answer lists.
const ROUNDS_MAX: usize = 1_000;
/// Fields that are different in any two runs, or of every moment.
const OWN: [&str; 12] = [
    "id",
    "short_id",
    "version",
    "started_at",
    "updated_at",
    "ended_at",
    "driven",
    "origin",
    "parent",
    "cwd",
    "workspace",
    "commit",
];
/// Fields of a step that are different in any two runs.
const OWN_OF_STEP: [&str; 3] = ["started_at", "ended_at", "child"];

impl Node {
    /// Compares two runs, as they are now or were at a position of the log.
    ///
    /// # Errors
    /// There is no such run, it had not begun then, or it cannot be read.
    pub(crate) async fn compared_runs(
        &self,
        one: RunId,
        other: RunId,
        at: Option<Position>,
    ) -> Result<RunsDiff, Fault> {
        let (from, to) = (self.seen_run(one, at).await?, self.seen_run(other, at).await?);
        let (from_rounds, to_rounds) =
            (self.rounds_to(one, from.version).await?, self.rounds_to(other, to.version).await?);
        let common = Common {
            same_input: from.input == to.input,
            same_definition: from.definition == to.definition,
            is_over: (from.status.is_ended(), to.status.is_ended()),
            steps: (names_of_steps(&from), names_of_steps(&to)),
        };
        let aligned = aligned(&from_rounds, &to_rounds);
        let mut first = divergence(&aligned, &common);
        if let Some(first) = &mut first {
            self.say_condition(first, &aligned, (one, other)).await;
        }
        Ok(RunsDiff {
            from: from.short_id.clone(),
            to: to.short_id.clone(),
            runs: [compared_run(&from), compared_run(&to)],
            differences: differences(&comparable(&from)?, &comparable(&to)?),
            same_input: common.same_input,
            same_definition: common.same_definition,
            first,
            rounds_total: aligned.len(),
            rounds: aligned.iter().take(ROUNDS_MAX).map(AlignedRound::pair).collect(),
        })
    }

    /// Says by which values the `when` was false of a step that one run alone passed over.
    async fn say_condition(&self, first: &mut Divergence, rounds: &[AlignedRound<'_>], runs: (RunId, RunId)) {
        let is_it = |round: &&AlignedRound<'_>| round.name() == (first.step.clone(), first.round);
        let Some(round) = rounds.iter().find(is_it) else { return };
        let passed_over = [(round.from, runs.0), (round.to, runs.1)].into_iter().find_map(|(row, run)| {
            let row = row?;
            (row.skipped == Some(SkipReason::When)).then_some((row.version, run))
        });
        let (Some((version, run)), Ok(path)) = (passed_over, first.step.parse::<StepPath>()) else { return };
        // A copied part of a history may not fold by the definition of now: then the values stay unsaid.
        if let Ok(state) = self.engine().state_at(run, Version(version.get() - 1)).await {
            let said = of_condition(&state, &path.step).sentence;
            first.cause = first.cause.replacen(skip_message(SkipReason::When), &said, 1);
        }
    }

    async fn seen_run(&self, run: RunId, at: Option<Position>) -> Result<RunView, Fault> {
        match at {
            Some(at) => self.view_at(run, self.version_before(run, at).await?).await,
            None => self.view(run).await,
        }
    }

    /// The rounds of a run up to a version.
    async fn rounds_to(&self, run: RunId, to: Version) -> Result<RoundsOfRun, Fault> {
        let mut rounds = RoundsOfRun::default();
        self.fold_rounds(&mut rounds, run, Version::ZERO, to).await?;
        Ok(rounds)
    }

    /// Folds the events of a run behind a version up to another.
    async fn fold_rounds(
        &self,
        rounds: &mut RoundsOfRun,
        run: RunId,
        from: Version,
        to: Version,
    ) -> Result<(), Fault> {
        let (stream, mut next) = (StreamId::run(run), from.next());
        while next <= to {
            let events = self.store.read(&stream, next, CHUNK).await?;
            let Some(last) = events.last() else { break };
            next = last.header.version.next();
            events.iter().filter(|event| event.header.version <= to).for_each(|event| rounds.fold(event));
        }
        Ok(())
    }

    /// The rounds that are not the same at two moments of one run: those that began, ended or were judged between.
    pub(in crate::node) async fn rounds_between(
        &self,
        run: RunId,
        from: Version,
        to: Version,
    ) -> Result<Vec<RoundPair>, Fault> {
        let before = self.rounds_to(run, from).await?;
        let mut after = before.clone();
        self.fold_rounds(&mut after, run, from, to).await?;
        let aligned = aligned(&before, &after);
        let changed = aligned.iter().filter(|round| !round.parts().is_empty());
        Ok(changed.take(ROUNDS_MAX).map(AlignedRound::pair).collect())
    }
}

fn compared_run(view: &RunView) -> ComparedRun {
    let end = view.ended_at.unwrap_or(view.updated_at);
    ComparedRun {
        run: view.id,
        short_id: view.short_id.clone(),
        pipeline: view.pipeline.clone(),
        title: view.title.clone(),
        status: view.status,
        version: view.version,
        took_ms: milliseconds(end.since(view.started_at)),
        cost_usd: view.usage.cost_usd.clone(),
        definition: view.definition,
    }
}

/// What two runs have in common to be compared: times and places are each one's own.
fn comparable(view: &RunView) -> Result<Value, Fault> {
    let mut view =
        serde_json::to_value(view).map_err(|error| Fault::new(Code::Internal, error.to_string()))?;
    if let Some(fields) = view.as_object_mut() {
        fields.retain(|name, _| !OWN.contains(&name.as_str()));
    }
    for step in view["steps"].as_array_mut().into_iter().flatten() {
        if let Some(fields) = step.as_object_mut() {
            fields.retain(|name, _| !OWN_OF_STEP.contains(&name.as_str()));
        }
    }
    Ok(view)
}

fn names_of_steps(view: &RunView) -> BTreeSet<String> {
    view.steps.iter().map(|step| step.id.clone()).collect()
}
