//! The rounds of two runs laid beside each other by step and round, and what may be different between two of them.

use std::collections::{BTreeMap, BTreeSet};

use everfold_engine::id::{StepPath, Version};
use everfold_engine::why::skip_message;
use everfold_projections::{RoundEndKind, RoundRow, RoundsOfRun};

use crate::node::runs_diff::{ComparedGate, ComparedRound, RoundPair};
use crate::text::plain;
use crate::view::usd;

/// What is known of both runs as a whole.
pub(super) struct Common {
    pub(super) same_input: bool,
    pub(super) same_definition: bool,
    /// Whether nothing can follow in either.
    pub(super) is_over: (bool, bool),
    /// The steps of the pipeline of each.
    pub(super) steps: (BTreeSet<String>, BTreeSet<String>),
}

impl Common {
    /// The run whose pipeline has no such step, which the other one's has.
    pub(super) fn lacks(&self, step: &str) -> Option<&'static str> {
        let path = step.parse::<StepPath>();
        let step = path.as_ref().map_or(step, |path| path.step.as_str());
        match (self.steps.0.contains(step), self.steps.1.contains(step)) {
            (false, true) => Some("first"),
            (true, false) => Some("second"),
            _both_or_none => None,
        }
    }

    pub(super) fn given(&self) -> &'static str {
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
pub(super) struct AlignedRound<'a> {
    pub(super) from: Option<&'a RoundRow>,
    pub(super) to: Option<&'a RoundRow>,
    /// Where each is from.
    pub(super) of: (&'a RoundsOfRun, &'a RoundsOfRun),
}

/// What may be different between two rounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RoundPart {
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

    pub(super) const fn as_str(self) -> &'static str {
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
    pub(super) const fn makes_runs_part(self) -> bool {
        match self {
            Self::Ran | Self::Attempts | Self::Output | Self::Gates | Self::End => true,
            Self::Work | Self::Evidence | Self::Policy => false,
        }
    }

    fn is_same(self, one: &RoundRow, other: &RoundRow) -> bool {
        match self {
            Self::Ran => true,
            Self::Attempts => one.attempts.len() == other.attempts.len(),
            Self::Output => {
                let is_end = fails_without(one, other) || fails_without(other, one);
                is_end || one.output.map(|it| it.hash) == other.output.map(|it| it.hash)
            }
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
            // Of a side without an output it is the end that left none.
            Self::Output => own.output.map(|it| it.version).or(own.end.map(|it| it.version)),
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

/// Whether a round ended otherwise than the other one, without the output that this has: its end is what is different, and
/// no output of it.
fn fails_without(round: &RoundRow, other: &RoundRow) -> bool {
    let ends_otherwise = round.end.zip(other.end).is_some_and(|(end, other)| end.kind != other.kind);
    round.output.is_none() && other.output.is_some() && ends_otherwise
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
    pub(super) fn parts(&self) -> Vec<RoundPart> {
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
    pub(super) fn versions(&self, part: RoundPart) -> (Option<Version>, Option<Version>) {
        match (self.from, self.to) {
            (Some(from), Some(to)) => (part.version(from, to), part.version(to, from)),
            (from, to) => (from.map(|row| row.version), to.map(|row| row.version)),
        }
    }

    /// One side has not come so far, and goes on.
    pub(super) fn is_open(&self, part: RoundPart, common: &Common) -> bool {
        let goes_on = match self.versions(part) {
            (None, Some(_)) => !common.is_over.0,
            (Some(_), None) => !common.is_over.1,
            _both => false,
        };
        // A pipeline without the step never comes to it.
        goes_on && common.lacks(&self.name().0).is_none()
    }

    pub(super) fn name(&self) -> (String, u32) {
        let row = self.from.or(self.to);
        row.map_or((String::new(), 0), |row| (row.step.clone(), row.round.get()))
    }

    pub(super) fn pair(&self) -> RoundPair {
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
pub(super) fn is_passed(row: &RoundRow) -> bool {
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
pub(super) fn aligned<'a>(one: &'a RoundsOfRun, other: &'a RoundsOfRun) -> Vec<AlignedRound<'a>> {
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

pub(super) fn milliseconds(span: std::time::Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
