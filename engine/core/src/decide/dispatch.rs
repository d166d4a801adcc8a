//! One input at a time: its own fact first, then everything that the fact makes possible.

use super::decision::{Batch, Decision};
use super::draft::{Draft, Interrupt};
use super::refusal::Refusal;
use super::{
    admission, approval, attempt_report, breakpoint, cancel_step, completion, end, fork, gate, notice, pause,
    question, recheck, signal, spend, start, step_start,
};
use crate::event::Advanced;
use crate::input::{Input, InputKind};
use crate::state::{Agenda, RunState};
use everfold_language::expr::Loaded;

/// Decides what follows from an input, and folds it into the state in place.
///
/// `loaded` holds what an earlier call asked for with [`Decision::Needs`].
///
/// # Errors
/// [`Refusal`]: the input may not do that in this state. The state is unchanged.
pub fn decide(state: &mut RunState, input: &Input, loaded: &Loaded) -> Result<Decision, Refusal> {
    let is_start = matches!(input.kind, InputKind::Start(_));
    if !is_start && state.run().is_none() {
        return Err(Refusal::NotStarted);
    }
    if state.facts.inputs.contains(&input.id) {
        return Ok(Decision::Events(Batch::default())); // A repeated input: the first one is already history.
    }
    let wanted = notice::wants(state, loaded);
    if !wanted.is_empty() {
        return Ok(Decision::Needs(wanted));
    }
    let alone = match &input.kind {
        InputKind::ProbeFinished { .. } => notice::asked_for(state, loaded),
        _its_fact_is_the_input => Loaded::NONE,
    };
    let mut draft = Draft::new(state, input, loaded, &alone, notice::follow);
    let outcome = match accept(&mut draft, &input.kind)? {
        Ok(()) => follow(&mut draft),
        Err(interrupt) => Err(interrupt),
    };
    match outcome {
        // What is left stands on the agenda.
        Ok(()) => Ok(Decision::Events(finished(draft))),
        Err(Interrupt::Needs(values)) if draft.is_empty() => Ok(Decision::Needs(values)),
        Err(Interrupt::Needs(_)) => Ok(Decision::Events(finished(draft))),
    }
}

/// Records the input's own fact and what belongs to it.
fn accept(draft: &mut Draft<'_>, kind: &InputKind) -> Result<Result<(), Interrupt>, Refusal> {
    match kind {
        InputKind::Start(start) => return start::start(draft, start),
        InputKind::AttemptStarted { id } => attempt_report::started(draft, id),
        InputKind::AttemptFinished { id, result, commit, artefacts, ended_at, told, ask } => {
            let end =
                attempt_report::End { result, commit: commit.as_ref(), artefacts, ended_at: *ended_at, told };
            match ask {
                None => attempt_report::finished(draft, id, end),
                Some(ask) => question::asked_by_work(draft, id, ask, end),
            }
        }
        InputKind::AttemptLost { id, reason, fallback } => attempt_report::lost(draft, id, reason, *fallback),
        InputKind::Usage { id, seq, usage } => attempt_report::usage(draft, id, *seq, usage),
        InputKind::UsageSoFar { id, usage } => attempt_report::usage_so_far(draft, id, usage),
        InputKind::WorkspacePrepared(prepared) => attempt_report::workspace(draft, prepared),
        InputKind::WorkspaceShared(shared) => attempt_report::workspace_shared(draft, shared),
        InputKind::WorkspaceRemoved { path } => attempt_report::workspace_removed(draft, path),
        InputKind::ProbeFinished { id, gate, probe_no, evidence, took_ms } => {
            return Ok(attempt_report::probe_finished(draft, id, gate, *probe_no, evidence, *took_ms));
        }
        InputKind::ProbeFailed { id, gate, probe_no, message, permanent, took_ms, broken } => {
            let missing = attempt_report::Missing {
                message,
                permanent: *permanent,
                broken: *broken,
                took_ms: *took_ms,
            };
            attempt_report::probe_failed(draft, id, gate, *probe_no, &missing);
        }
        InputKind::TimerFired { timer, due } => attempt_report::timer_fired(draft, timer, *due),
        InputKind::Vote { id, vote, comment, roles, comments, edited } => {
            let ballot = approval::Ballot {
                vote: *vote,
                comment: comment.as_ref(),
                roles,
                comments,
                edited: edited.as_ref(),
            };
            return approval::vote(draft, id, &ballot);
        }
        InputKind::SaveAnswer { id, answer, roles } => return question::save(draft, id, answer, roles),
        InputKind::Answer { id, answer, roles } => return question::answer(draft, id, answer, roles),
        InputKind::Signal { name, payload, delivery } => {
            return signal::receive(draft, name, payload, delivery.as_ref());
        }
        InputKind::Recheck { path, policies, reason } => {
            recheck::recheck(draft, path, policies, reason.as_ref())?;
        }
        InputKind::CancelStep { path, reason } => cancel_step::cancel(draft, path, reason.as_ref())?,
        InputKind::Breakpoints { steps } => breakpoint::set(draft, steps)?,
        InputKind::Admitted { admission, at_once } => {
            return admission::admitted(draft, admission, *at_once);
        }
        InputKind::NoticeFinished { version, notice, tries, failure } => {
            notice::finished(draft, *version, notice, *tries, failure.as_ref());
        }
        InputKind::Fork(fork) => return fork::fork(draft, fork),
        InputKind::Cancel { reason } => approval::cancel(draft, reason.as_ref())?,
        InputKind::Abandon { reason } => approval::abandon(draft, reason.as_ref())?,
        InputKind::Pause { reason } => pause::pause(draft, reason.as_ref())?,
        InputKind::Resume { reason } => pause::resume(draft, reason.as_ref())?,
        InputKind::Halt { scope, reason } => pause::halt(draft, scope, reason.as_ref()),
        InputKind::Release { scope } => pause::release(draft, scope),
        InputKind::Unblock { path, decision, output, reason, policies } => {
            let unblocking = approval::Unblocking {
                decision: *decision,
                output: output.as_ref(),
                reason: reason.as_ref(),
                policies,
            };
            approval::unblock(draft, path.as_ref(), unblocking)?;
        }
        InputKind::FundsWanted { id } => return Ok(spend::wanted(draft, id)),
        InputKind::FundsAnswered { id, refused, readings } => {
            spend::answered(draft, id, refused.as_ref(), readings);
        }
        InputKind::SpendReported { version, readings } => spend::reported(draft, *version, readings),
        InputKind::RaiseBudget { budget, add, reason } => {
            spend::raise(draft, budget.as_ref(), *add, reason.as_ref())?;
        }
        InputKind::Note { text } => approval::note(draft, text)?,
        InputKind::Advance => draft.record_with_next(Advanced {}),
        InputKind::ClockRead { clock } => draft.read_clock(*clock),
    }
    Ok(Ok(()))
}

/// Goes on with everything that a fact made possible, budgets last.
fn follow(draft: &mut Draft<'_>) -> Result<(), Interrupt> {
    loop {
        advance(draft)?;
        let before = draft.len();
        if before > 0 {
            spend::tend(draft);
        }
        if draft.len() == before || draft.is_full() {
            return Ok(());
        }
    }
}

/// Goes on with what the agenda holds, until nothing follows or a bound is reached.
///
/// Only what a fact made possible is gone on with here: an input without a fact changes nothing.
fn advance(draft: &mut Draft<'_>) -> Result<(), Interrupt> {
    if draft.is_empty() && !draft.has_fact() {
        return Ok(());
    }
    while !draft.is_full() {
        let Some(item) = draft.state.next_agenda() else { break };
        let before = draft.len();
        match item {
            Agenda::Signal(place) => signal::take_up(draft, place)?,
            Agenda::Settle(key) => completion::settle(draft, key)?,
            Agenda::Judge(at) => gate::judge(draft, at)?,
            Agenda::Ready(at) => step_start::begin(draft, at)?,
            Agenda::Items(at) => step_start::next_item(draft, at)?,
            Agenda::End => end::end(draft)?,
        }
        assert!(
            draft.len() > before,
            "every thing on the agenda leads to a fact that takes it off: {item:?}"
        );
    }
    Ok(())
}

/// The batch, with the notices that its events called for behind them.
fn finished(mut draft: Draft<'_>) -> Batch {
    let wanted = draft.take_wanted();
    notice::queue_all(&mut draft, wanted);
    draft.into_batch()
}
