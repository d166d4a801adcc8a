//! What tasks wait for in which nothing goes on but a gate that is asked again.

use everfold_engine::policy::Verdict;
use everfold_engine::state::{RunState, VerdictNote};

use super::scan::ShownMoment;
use crate::body::orch::{StagedTask, StagedVerdict};
use crate::fault::Fault;
use crate::http::app::App;

/// Whether only a timer brings the task on.
pub(super) fn is_timed_alone(task: &StagedTask) -> bool {
    task.ended_at.is_none() && task.next_at.is_some() && task.work.is_empty() && task.waits.is_empty()
}

/// Adds what the gates of such tasks said last; of a past moment nothing is added.
pub(super) async fn with_pending(
    app: &App,
    moment: ShownMoment,
    tasks: &mut [StagedTask],
) -> Result<(), Fault> {
    if moment.at.is_some() {
        return Ok(());
    }
    for task in tasks.iter_mut().filter(|task| is_timed_alone(task)) {
        // One that cannot be read now has a reason of its own in `set_aside`.
        task.pending = app.engine().with_state(task.run, pending).await.ok().flatten();
    }
    Ok(())
}

/// What the gate said last that has no verdict yet.
fn pending(state: &RunState) -> Option<StagedVerdict> {
    let last: &VerdictNote = state.verdicts().last()?;
    (last.verdict == Verdict::Pending && !last.reason.is_empty()).then(|| StagedVerdict {
        step: last.step.to_string(),
        gate: last.gate.clone(),
        round: last.round.get(),
        verdict: last.verdict.as_str().to_owned(),
        reason: last.reason.clone(),
        at: last.at,
    })
}
