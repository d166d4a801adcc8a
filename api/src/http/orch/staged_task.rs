//! A task as answers show it: its row of `stages` and its row of `runs`, together.

use std::collections::BTreeSet;

use everfold_engine::id::{AttemptId, EffectId, RunId, StepId};
use everfold_engine::state::RunStatus;
use everfold_engine::time::Timestamp;
use everfold_projections::{
    ReviewClock, RunRow, SentBack, StagePause, StagePauseKind, StageRow, StageWait, StageWork, WorkKind, usd,
};
use everfold_workflows::agent::PreflightWait;

use super::tracker::tracker_state;
use crate::body::orch::{
    StagedPause, StagedPreflight, StagedRejection, StagedReview, StagedRounds, StagedTask, StagedVerdict,
    StagedWait, StagedWork,
};
use crate::orch_import::is_launch;

/// A task as of a moment; `set_aside` says why it cannot be gone on with, `held` which attempts do not begin.
pub(super) fn staged_task(
    stages: &StageRow,
    run: RunRow,
    set_aside: Option<String>,
    held: &[(EffectId, PreflightWait)],
    now: Timestamp,
) -> StagedTask {
    let (standing, shown) = (&stages.standing, &run.shown);
    let label = |key: &str| shown.labels.get(key).cloned();
    let is_idle = standing.work.is_empty() && standing.waits.is_empty() && !standing.is_timed();
    let is_still = is_idle && (shown.status == RunStatus::Waiting || shown.is_at_breakpoint());
    let stuck = set_aside.is_some() || is_still;
    StagedTask {
        run: run.id,
        short_id: run.short_id.clone(),
        pipeline: run.pipeline.clone(),
        item: label("item"),
        title: title_of(&run),
        project: label("project"),
        repo: label("repo"),
        branch: label("branch"),
        status: shown.status,
        stage: standing.stage.clone(),
        stage_since: standing.stage_since,
        tracker: tracker_state(standing, shown.status).to_owned(),
        work: standing.work.iter().map(|at_work| work(at_work, run.id, held)).collect(),
        waits: standing.waits.iter().map(|asked| wait(asked, &run)).collect(),
        pauses: standing.pauses().into_iter().map(pause).collect(),
        next_at: standing.next_at(),
        rounds: rounds(stages),
        sent_back: standing.sent_back.as_ref().filter(|it| !is_imported_launch(&it.cause)).map(rejection),
        reviews: standing.reviews.iter().map(|(step, clock)| review(step, clock, now)).collect(),
        gate: standing.judged.as_ref().map(|judged| StagedVerdict {
            step: judged.step.to_string(),
            gate: judged.gate.clone(),
            round: judged.round.get(),
            verdict: if judged.passed { "pass" } else { "fail" }.to_owned(),
            reason: judged.reason.clone(),
            at: judged.at,
        }),
        pending: None,
        cost_usd: usd(shown.usage.cost_micros),
        input_tokens: shown.usage.input_tokens,
        output_tokens: shown.usage.output_tokens,
        in_production: label("in_production").map(|text| text == "true"),
        stuck,
        set_aside,
        note: shown.note().map(str::to_owned),
        started_at: run.started_at,
        ended_at: shown.ended_at,
        updated_at: run.updated_at,
        version: run.version.get(),
    }
}

/// The title of its run, else the label `title`: of a task that was delivered by its id alone.
pub(super) fn title_of(run: &RunRow) -> Option<String> {
    let title = run.title.clone().filter(|title| !title.is_empty());
    title.or_else(|| run.shown.labels.get("title").cloned())
}

fn work(work: &StageWork, run: RunId, held: &[(EffectId, PreflightWait)]) -> StagedWork {
    let attempt = AttemptId { path: work.path.clone(), round: work.round, attempt: work.attempt };
    let id = EffectId { run, attempt };
    let wait = held.iter().find(|(held, _)| *held == id).map(|(_, wait)| wait.clone());
    StagedWork {
        step: work.path.to_string(),
        agent: work.kind == WorkKind::Agent,
        round: work.round.get(),
        attempt: work.attempt.get(),
        since: work.since,
        started_at: work.started_at,
        waits_for: wait.map(|wait| StagedPreflight {
            awaits: wait.awaits,
            since: wait.since,
            reason: wait.reason,
            hint: wait.hint,
        }),
    }
}

fn pause(pause: StagePause) -> StagedPause {
    let StagePause { path, kind, at, why } = pause;
    let kind = match kind {
        StagePauseKind::Retry => "retry",
        StagePauseKind::Poll => "poll",
        StagePauseKind::Wait => "wait",
    };
    StagedPause { step: path.to_string(), kind: kind.to_owned(), at, why }
}

/// Whom it waits for: who may do it is said by the run's row.
fn wait(wait: &StageWait, run: &RunRow) -> StagedWait {
    let step = wait.path.to_string();
    let kind = serde_json::to_value(wait.kind).ok().and_then(|word| word.as_str().map(str::to_owned));
    let awaited = run.shown.awaits.iter().find(|awaited| awaited.step == step);
    StagedWait {
        kind: kind.unwrap_or_default(),
        roles: awaited.map(|awaited| awaited.roles.clone()).unwrap_or_default(),
        step,
        since: wait.since,
        why: wait.why.clone(),
    }
}

/// The rounds of steps that are limited or began anew, in the order of their names.
fn rounds(stages: &StageRow) -> Vec<StagedRounds> {
    let standing = &stages.standing;
    let limited = standing.rounds.keys().filter(|step| stages.layout.rounds_max(step).is_some());
    let causes_of = |step: &StepId| {
        let mut causes = standing.causes.get(step).cloned().unwrap_or_default();
        causes.retain(|cause, _| !is_imported_launch(cause));
        causes
    };
    let caused = standing.causes.keys().filter(|step| !causes_of(step).is_empty());
    let steps: BTreeSet<&StepId> = limited.chain(caused).collect();
    let of = |step: &StepId| StagedRounds {
        step: step.to_string(),
        used: standing.rounds.get(step).copied().unwrap_or_default(),
        max: stages.layout.rounds_max(step),
        causes: causes_of(step),
    };
    steps.into_iter().map(of).collect()
}

/// Whether a round began because a history that was imported says so: nothing was sent back.
fn is_imported_launch(cause: &str) -> bool {
    cause.strip_prefix("signal:").is_some_and(is_launch)
}

fn rejection(sent_back: &SentBack) -> StagedRejection {
    let SentBack { at, step, gate, by, cause, reason, to } = sent_back.clone();
    StagedRejection { at, step: step.to_string(), gate, by, cause, reason, to: to.to_string() }
}

fn review(step: &StepId, clock: &ReviewClock, now: Timestamp) -> StagedReview {
    StagedReview {
        step: step.to_string(),
        started_at: clock.started_at,
        open_since: clock.open_since,
        ended_at: clock.ended_at,
        elapsed_ms: clock.elapsed_ms(now),
    }
}
