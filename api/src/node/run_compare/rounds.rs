//! Two runs, or two moments of one, aligned by step and round, and where they part first.
//!
//! Law: rounds are compared by what was recorded of them. Whether they ran, how they ended, their attempts, verdicts and
//! outputs make two runs part; what they were given, the evidence and policies of gates are named as causes, and how long
//! they took and what they cost is shown.

use std::collections::{BTreeMap, BTreeSet};

use everfold_engine::envelope::StreamId;
use everfold_engine::event::SkipReason;
use everfold_engine::id::{Position, RunId, StepPath, Version};
use everfold_engine::why::{of_condition, skip_message};
use everfold_projections::{RoundEnd, RoundEndKind, RoundRow, RoundsOfRun};
use serde_json::Value;

use super::gates_apart::{gates_cause, shortened};
use crate::compare::differences;
use crate::fault::{Code, Fault};
use crate::node::handle::Node;
use crate::node::runs_diff::{ComparedGate, ComparedRound, ComparedRun, Divergence, RoundPair, RunsDiff};
use crate::text::plain;
use crate::view::{RunView, usd};

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

fn milliseconds(span: std::time::Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
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

/// What is known of both runs as a whole.
struct Common {
    same_input: bool,
    same_definition: bool,
    /// Whether nothing can follow in either.
    is_over: (bool, bool),
    /// The steps of the pipeline of each.
    steps: (BTreeSet<String>, BTreeSet<String>),
}

fn names_of_steps(view: &RunView) -> BTreeSet<String> {
    view.steps.iter().map(|step| step.id.clone()).collect()
}

impl Common {
    /// The run whose pipeline has no such step, which the other one's has.
    fn lacks(&self, step: &str) -> Option<&'static str> {
        let path = step.parse::<StepPath>();
        let step = path.as_ref().map_or(step, |path| path.step.as_str());
        match (self.steps.0.contains(step), self.steps.1.contains(step)) {
            (false, true) => Some("first"),
            (true, false) => Some("second"),
            _both_or_none => None,
        }
    }

    fn given(&self) -> &'static str {
        match (self.same_input, self.same_definition) {
            (true, true) => "both had the same input and definition",
            (false, true) => "their inputs are different",
            (true, false) => "their definitions are different",
            (false, false) => "their inputs and definitions are different",
        }
    }
}

/// Where a round stands among those of each side.
type RoundPlaces = (Option<usize>, Option<usize>);

/// A round of a step on both sides; at least one has it.
struct AlignedRound<'a> {
    from: Option<&'a RoundRow>,
    to: Option<&'a RoundRow>,
    /// Where each is from.
    of: (&'a RoundsOfRun, &'a RoundsOfRun),
}

/// What may be different between two rounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RoundPart {
    Ran,
    Attempts,
    Output,
    Gates,
    End,
    Work,
    Evidence,
    Policy,
}

impl RoundPart {
    const ALL: [Self; 7] =
        [Self::Attempts, Self::Output, Self::Gates, Self::End, Self::Work, Self::Evidence, Self::Policy];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Ran => "ran",
            Self::Attempts => "attempts",
            Self::Output => "output",
            Self::Gates => "gates",
            Self::End => "end",
            Self::Work => "work",
            Self::Evidence => "evidence",
            Self::Policy => "policy",
        }
    }

    /// Whether runs part by it; else it is only named.
    const fn makes_runs_part(self) -> bool {
        match self {
            Self::Ran | Self::Attempts | Self::Output | Self::Gates | Self::End => true,
            Self::Work | Self::Evidence | Self::Policy => false,
        }
    }

    fn is_same(self, one: &RoundRow, other: &RoundRow) -> bool {
        match self {
            Self::Ran => true,
            Self::Attempts => one.attempts.len() == other.attempts.len(),
            Self::Output => one.output.map(|it| it.hash) == other.output.map(|it| it.hash),
            Self::Gates => of_gates(one, other, |one, other| one.verdict == other.verdict),
            Self::End => one.end.map(|it| it.kind) == other.end.map(|it| it.kind),
            Self::Work => one.work == other.work,
            Self::Evidence => of_gates(one, other, |one, other| one.evidence == other.evidence),
            Self::Policy => of_gates(one, other, |one, other| one.policy == other.policy),
        }
    }

    /// The event of one side from which on this part is another than on the other side.
    fn version(self, own: &RoundRow, other: &RoundRow) -> Option<Version> {
        match self {
            Self::Ran => Some(own.version),
            Self::Attempts => own.attempts.get(other.attempts.len()).copied(),
            Self::Output => own.output.map(|it| it.version),
            Self::Gates => own
                .gates
                .iter()
                .filter(|(gate, own)| other.gates.get(*gate).is_none_or(|it| it.verdict != own.verdict))
                .map(|(_, own)| own.version)
                .min(),
            Self::End => own.end.map(|it| it.version),
            Self::Work | Self::Evidence | Self::Policy => None,
        }
    }
}

/// Whether all gates are alike; one that only one side asked is not alike.
fn of_gates(
    one: &RoundRow,
    other: &RoundRow,
    is_alike: impl Fn(&everfold_projections::RoundVerdict, &everfold_projections::RoundVerdict) -> bool,
) -> bool {
    one.gates.len() == other.gates.len()
        && one.gates.iter().all(|(gate, own)| other.gates.get(gate).is_some_and(|other| is_alike(own, other)))
}

impl AlignedRound<'_> {
    /// What is different.
    fn parts(&self) -> Vec<RoundPart> {
        match (self.from, self.to) {
            // Nothing else of a round that never began can be compared with one that did.
            (Some(from), Some(to)) if is_passed(from) != is_passed(to) => vec![RoundPart::Ran],
            (Some(from), Some(to)) => {
                RoundPart::ALL.into_iter().filter(|part| !part.is_same(from, to)).collect()
            }
            _one_alone => vec![RoundPart::Ran],
        }
    }

    /// The event of each side from which on a part is different.
    fn versions(&self, part: RoundPart) -> (Option<Version>, Option<Version>) {
        match (self.from, self.to) {
            (Some(from), Some(to)) => (part.version(from, to), part.version(to, from)),
            (from, to) => (from.map(|row| row.version), to.map(|row| row.version)),
        }
    }

    /// One side has not come so far, and goes on.
    fn is_open(&self, part: RoundPart, common: &Common) -> bool {
        let goes_on = match self.versions(part) {
            (None, Some(_)) => !common.is_over.0,
            (Some(_), None) => !common.is_over.1,
            _both => false,
        };
        // A pipeline without the step never comes to it.
        goes_on && common.lacks(&self.name().0).is_none()
    }

    fn name(&self) -> (String, u32) {
        let row = self.from.or(self.to);
        row.map_or((String::new(), 0), |row| (row.step.clone(), row.round.get()))
    }

    fn pair(&self) -> RoundPair {
        let (step, round) = self.name();
        RoundPair {
            step,
            round,
            from: self.from.map(|row| compared_round(row, self.of.0)),
            to: self.to.map(|row| compared_round(row, self.of.1)),
            differs: self.parts().into_iter().map(|part| part.as_str().to_owned()).collect(),
        }
    }
}

/// Whether a round ended and had not begun.
fn is_passed(row: &RoundRow) -> bool {
    let is_without_work = row.end.is_some_and(|end| match end.kind {
        RoundEndKind::Skipped | RoundEndKind::Cancelled => true,
        RoundEndKind::Succeeded | RoundEndKind::Failed | RoundEndKind::Reworked | RoundEndKind::Blocked => {
            false
        }
    });
    !row.began && is_without_work
}

fn compared_round(row: &RoundRow, rounds: &RoundsOfRun) -> ComparedRound {
    let ended = row.end.filter(|end| end.kind != RoundEndKind::Blocked);
    let gates = row.gates.iter().map(|(gate, said)| {
        let gate_side = ComparedGate {
            verdict: said.verdict.as_str().to_owned(),
            reason: said.reason.clone(),
            evidence: said.evidence,
            policy: said.policy,
            version: said.version,
        };
        (gate.clone(), gate_side)
    });
    ComparedRound {
        version: row.version,
        end: row.end.map(|end| end.kind.as_str().to_owned()),
        skipped: row.skipped.map(|reason| skip_message(reason).to_owned()),
        attempts: u32::try_from(row.attempts.len()).unwrap_or(u32::MAX),
        work: row.work,
        output: row.output.map(|output| output.hash),
        gates: gates.collect(),
        failure: row.failure.as_ref().map(|failure| plain(&failure.message)),
        began_at: row.began_at,
        took_ms: ended.map(|end| {
            let idle = rounds.idle(row.version, end.version);
            milliseconds(end.at.since(row.began_at).saturating_sub(idle))
        }),
        cost_usd: usd(row.cost_micros),
    }
}

/// The rounds of both sides, in the order in which they began: a round stands where the side that came to it earlier has
/// it.
fn aligned<'a>(one: &'a RoundsOfRun, other: &'a RoundsOfRun) -> Vec<AlignedRound<'a>> {
    let (from, to, of) = (one.rows(), other.rows(), (one, other));
    let mut places: BTreeMap<(&str, u32), RoundPlaces> = BTreeMap::new();
    for (at, row) in from.iter().enumerate() {
        places.entry((row.step.as_str(), row.round.get())).or_default().0 = Some(at);
    }
    for (at, row) in to.iter().enumerate() {
        places.entry((row.step.as_str(), row.round.get())).or_default().1 = Some(at);
    }
    let mut ordered: Vec<_> = places.into_values().collect();
    ordered.sort_by_key(|(one, other)| (one.iter().chain(other).min().copied(), one.is_none()));
    let row = |rows: &'a [RoundRow], at: Option<usize>| at.and_then(|at| rows.get(at));
    ordered
        .into_iter()
        .map(|(one, other)| AlignedRound { from: row(from, one), to: row(to, other), of })
        .collect()
}

/// The earliest event from which on both runs are different; where there is none, how far one of them has not come.
fn divergence(rounds: &[AlignedRound<'_>], common: &Common) -> Option<Divergence> {
    let parts = rounds.iter().flat_map(|round| {
        let parts = round.parts().into_iter().filter(|part| part.makes_runs_part());
        parts.map(move |part| (round, part))
    });
    let (round, part) = parts.min_by_key(|(round, part)| {
        let (one, other) = round.versions(*part);
        (round.is_open(*part, common), one.into_iter().chain(other).min())
    })?;
    let (step, number) = round.name();
    let (from, to) = round.versions(part);
    let is_open = round.is_open(part, common);
    let cause = if is_open { not_so_far(from) } else { cause(round, part, common) };
    Some(Divergence {
        step,
        round: number,
        part: part.as_str().to_owned(),
        from,
        to,
        not_so_far: is_open,
        cause,
    })
}

fn not_so_far(from: Option<Version>) -> String {
    let side = if from.is_some() { "second" } else { "first" };
    format!("the {side} run has not come so far, and goes on")
}

/// Why a round is not the same in both runs, as far as the log says it.
fn cause(round: &AlignedRound<'_>, part: RoundPart, common: &Common) -> String {
    let given = common.given();
    let (Some(from), Some(to)) = (round.from, round.to) else {
        if let Some(side) = common.lacks(&round.name().0) {
            return format!("the pipeline of the {side} run has no such step; {given}");
        }
        let side = if round.from.is_some() { "first" } else { "second" };
        return format!("only the {side} run came to this round; {given}");
    };
    for (row, side, begun) in [(from, "first", "second"), (to, "second", "first")] {
        if part == RoundPart::Ran && is_passed(row) {
            let why = match row.skipped {
                Some(reason) => format!("was passed over in the {side} run: {}", skip_message(reason)),
                None => format!("had not begun when the {side} run ended or it was cancelled there"),
            };
            return format!("it began in the {begun} run, and {why}; {given}");
        }
    }
    let work = match (from.work == to.work, from.work.is_some()) {
        (true, true) => "work that was given the same values",
        (false, _) => "work that was given other values",
        (true, false) => "it",
    };
    match part {
        RoundPart::Gates => gates_cause(from, to),
        RoundPart::Attempts => {
            let (one, other) = (from.attempts.len(), to.attempts.len());
            let failed = if one > other { &from.failure } else { &to.failure };
            let failed =
                failed.as_ref().map(|failure| format!("; one failed: {}", shortened(&failure.message)));
            format!(
                "{work} took {one} attempts in the first run and {other} in the second{}",
                failed.unwrap_or_default()
            )
        }
        RoundPart::Output => format!("{work} gave another output; {given}"),
        RoundPart::End | RoundPart::Ran | RoundPart::Work | RoundPart::Evidence | RoundPart::Policy => {
            let word = |end: Option<RoundEnd>| end.map_or("not over", |end| end.kind.as_str());
            let failure = [(from, "first"), (to, "second")].into_iter().find_map(|(row, side)| {
                let has_failed = row.end.is_some_and(|end| end.kind == RoundEndKind::Failed);
                let failure = row.failure.as_ref().filter(|_| has_failed)?;
                Some(format!("; {work} failed in the {side}: {}", shortened(&failure.message)))
            });
            let (one, other) = (word(from.end), word(to.end));
            let why = failure.unwrap_or_else(|| format!("; {given}"));
            format!("it is {one} in the first run and {other} in the second{why}")
        }
    }
}
