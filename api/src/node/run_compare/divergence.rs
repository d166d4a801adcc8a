//! Where two runs part first, and why, as far as the log says it.

use everfold_engine::id::Version;
use everfold_engine::why::skip_message;
use everfold_projections::{RoundEnd, RoundEndKind};

use super::aligned::{AlignedRound, Common, RoundPart, is_passed};
use super::gates_apart::{gates_cause, shortened};
use crate::node::runs_diff::Divergence;

/// The earliest event from which on both runs are different; where there is none, how far one of them has not come.
pub(super) fn divergence(rounds: &[AlignedRound<'_>], common: &Common) -> Option<Divergence> {
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
        RoundPart::Output if from.output.is_some() != to.output.is_some() => {
            let side = if from.output.is_some() { "first" } else { "second" };
            format!("{work} gave an output in the {side} run alone; {given}")
        }
        RoundPart::Output => format!("{work} gave another output; {given}"),
        RoundPart::End | RoundPart::Ran | RoundPart::Work | RoundPart::Evidence | RoundPart::Policy => {
            let word = |end: Option<RoundEnd>| end.map_or("not over", |end| end.kind.as_str());
            let failure = [(from, "first"), (to, "second")].into_iter().find_map(|(row, side)| {
                let has_failed = row
                    .end
                    .is_some_and(|end| matches!(end.kind, RoundEndKind::Failed | RoundEndKind::Blocked));
                let failure = row.failure.as_ref().filter(|_| has_failed)?;
                Some(format!("; {work} failed in the {side}: {}", shortened(&failure.message)))
            });
            let (one, other) = (word(from.end), word(to.end));
            let why = failure.unwrap_or_else(|| format!("; {given}"));
            format!("it is {one} in the first run and {other} in the second{why}")
        }
    }
}
