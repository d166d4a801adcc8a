//! One input at a time: its own fact first, then everything that the fact makes possible.

use super::decision::{Batch, Decision};
use super::draft::{Draft, Interrupt};
use super::refusal::Refusal;
use super::{
    admission, approval, attempt_report, breakpoint, cancel, cancel_step, completion, end, fork, gate, note,
    notice, pause, question, recheck, reminders, signal, spend, start, step_start, unblock,
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
        // The agenda holds what is left.
        Ok(()) => Ok(Decision::Events(finished(draft))),
        Err(Interrupt::Needs(values)) if draft.is_empty() => Ok(Decision::Needs(values)),
        Err(Interrupt::Needs(_)) => Ok(Decision::Events(finished(draft))),
    }
}

/// Records the input's own fact and what belongs to it.
fn accept(draft: &mut Draft<'_>, kind: &InputKind) -> Result<Result<(), Interrupt>, Refusal> {
    match kind {
        InputKind::Start(start) => return start::start(draft, start),
        InputKind::AttemptStarted(started) => attempt_report::started(draft, started),
        InputKind::AttemptFinished { id, result, commit, artefacts, ended_at, notes, ask } => {
            let end = attempt_report::ReportedEnd {
                result,
                commit: commit.as_ref(),
                artefacts,
                ended_at: *ended_at,
                notes,
            };
            match ask {
                None => attempt_report::finished(draft, id, end),
                Some(ask) => question::asked_by_work(draft, id, ask, end),
            }
        }
        InputKind::AttemptLost { id, reason, fallback } => attempt_report::lost(draft, id, reason, *fallback),
        InputKind::Progress(reported) => attempt_report::progress(draft, reported),
        InputKind::SetSearch(set) => attempt_report::search(draft, set),
        InputKind::Spare(spared) => attempt_report::spared(draft, spared),
        InputKind::Usage(usage) => attempt_report::usage(draft, usage),
        InputKind::UsageSoFar { id, usage, is_billed } => {
            attempt_report::usage_so_far(draft, id, usage, *is_billed)
        }
        InputKind::WorkspacePrepared(prepared) => attempt_report::workspace(draft, prepared),
        InputKind::WorkspaceShared(shared) => attempt_report::workspace_shared(draft, shared),
        InputKind::WorkspaceRemoved(removed) => attempt_report::workspace_removed(draft, removed),
        InputKind::ProbeFinished { id, gate, probe_no, evidence, took_ms } => {
            return Ok(attempt_report::probe_finished(draft, id, gate, *probe_no, evidence, *took_ms));
        }
        InputKind::ProbeFailed(failed) => attempt_report::probe_failed(draft, failed),
        InputKind::TimerFired(fired) => attempt_report::timer_fired(draft, fired),
        InputKind::Vote(vote) => return approval::vote(draft, vote, None),
        InputKind::MeasuredVote { vote, found } => return approval::vote(draft, vote, Some(found)),
        InputKind::SaveAnswer(part) => return question::save(draft, part),
        InputKind::Answer(answer) => return question::answer(draft, answer),
        InputKind::Signal(signal) => return signal::receive(draft, signal),
        InputKind::Recheck(request) => recheck::recheck(draft, request)?,
        InputKind::CancelStep(request) => cancel_step::cancel(draft, request)?,
        InputKind::Breakpoints(breakpoints) => breakpoint::set(draft, &breakpoints.steps)?,
        InputKind::Admitted(admitted) => return admission::admitted(draft, admitted),
        InputKind::NoticeSent(sent) => notice::sent(draft, sent),
        InputKind::NoticeFailed(failed) => notice::failed(draft, failed),
        InputKind::Fork(fork) => return fork::fork(draft, fork),
        InputKind::Cancel(request) => cancel::cancel(draft, request)?,
        InputKind::Abandon(abandoned) => cancel::abandon(draft, abandoned)?,
        InputKind::Pause(paused) => pause::pause(draft, paused)?,
        InputKind::Resume(resumed) => pause::resume(draft, resumed)?,
        InputKind::Halt(halted) => pause::halt(draft, halted),
        InputKind::Release(released) => pause::release(draft, released),
        InputKind::Unblock { path, decision, output, reason, policies, keeps_items } => {
            let unblocking = unblock::Unblocking {
                decision: *decision,
                output: output.as_ref(),
                reason: reason.as_ref(),
                policies,
                keeps_items: *keeps_items,
            };
            unblock::unblock(draft, path.as_ref(), unblocking)?;
        }
        InputKind::FundsWanted(request) => return Ok(spend::wanted(draft, request)),
        InputKind::FundsAnswered(answer) => spend::answered(draft, answer),
        InputKind::SpendReported(report) => spend::reported(draft, report),
        InputKind::RaiseBudget { budget, add, reason } => {
            spend::raise(draft, budget.as_ref(), *add, reason.as_ref())?;
        }
        InputKind::Note(note) => note::note(draft, note)?,
        InputKind::Advance => draft.record_with_next(Advanced {}),
        InputKind::ClockRead(reading) => draft.read_clock(reading),
    }
    Ok(Ok(()))
}

/// Decides everything that a fact made possible, budgets last.
fn follow(draft: &mut Draft<'_>) -> Result<(), Interrupt> {
    loop {
        advance(draft)?;
        let before = draft.len();
        if before > 0 {
            spend::tend(draft);
        }
        if before > 0 || draft.has_fact() {
            reminders::tend(draft);
        }
        if draft.len() == before || draft.is_full() {
            return Ok(());
        }
    }
}

/// Works off the agenda, until nothing follows or a bound is reached.
///
/// Continues only what a fact made possible: an input without a fact changes nothing.
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
