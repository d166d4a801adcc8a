//! What follows from an input.
//!
//! Law: pure and total. `decide` knows no clock, no IO and no randomness; equal state and input give
//! equal events. Refusals come before the first event. It goes on until nothing more follows, or a
//! bound is reached, or a value must be loaded: what is left then stands in the state's agenda and
//! is an [`crate::effect::Effect::Advance`].
//!
//! Called by the shard for every input, and by replay for every recorded fact.

mod admission;
pub mod begin;
mod breakpoint;
mod cut;
mod draft;
mod end;
mod fit;
mod fork;
mod gate;
mod members;
mod notice;
mod once_more;
mod pause;
mod people;
pub mod plan;
mod poll;
mod question;
mod readers;
mod ready;
mod recheck;
mod refusal;
mod rejudge;
mod route;
mod scope;
mod settle;
mod signal;
mod spend;
mod start;
mod wait;
mod work;

pub use admission::{ADMIT, admission_id};
pub use fit::Misfit;
pub use people::TEXT_BYTES_MAX;
pub use recheck::check_policy;
pub use refusal::Refusal;
pub use rejudge::rejudge;
pub use signal::SIGNAL_BYTES_MAX;
pub use start::{INPUT_BYTES_MAX, LABELS_BYTES_MAX, TITLE_BYTES_MAX};

use std::collections::BTreeMap;

use draft::{Draft, Interrupt};

use crate::event::{Advanced, RunEvent};
use crate::expr::ValueRef;
use crate::id::Version;
use crate::input::{Input, InputKind};
use crate::json::{BlobRef, Hash, JsonText};
use crate::state::{Agenda, RunState};

/// What `decide` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// These facts follow, already applied to the state; none for a late duplicate.
    Events(Batch),
    /// These values must be loaded first; the state is unchanged. Load them, and decide again.
    Needs(Vec<ValueRef>),
}

/// The facts of one input.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    /// In order; the first one is the input's own fact.
    pub events: Vec<RunEvent>,
    /// Values that the events name instead of holding; to be durable before the events.
    pub blobs: Vec<(BlobRef, JsonText)>,
}

/// Values that were loaded for `decide`.
#[derive(Debug, Clone, Default)]
pub struct Loaded(BTreeMap<(Version, Hash), JsonText>);

impl Loaded {
    /// No values.
    pub(crate) const NONE: Self = Self(BTreeMap::new());

    /// Adds a value.
    pub fn insert(&mut self, value: &ValueRef, text: JsonText) {
        self.0.insert((value.version, value.hash), text);
    }

    /// A loaded value.
    #[must_use]
    pub fn get(&self, value: &ValueRef) -> Option<&JsonText> {
        self.0.get(&(value.version, value.hash))
    }
}

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
    let mut draft = Draft::new(state, input, loaded, &alone);
    let outcome = match accept(&mut draft, &input.kind)? {
        Ok(()) => follow(&mut draft),
        Err(interrupt) => Err(interrupt),
    };
    match outcome {
        // What is left stands on the agenda.
        Ok(()) => Ok(Decision::Events(draft.into_batch())),
        Err(Interrupt::Needs(values)) if draft.is_empty() => Ok(Decision::Needs(values)),
        Err(Interrupt::Needs(_)) => Ok(Decision::Events(draft.into_batch())),
    }
}

/// Records the input's own fact and what belongs to it.
fn accept(draft: &mut Draft<'_>, kind: &InputKind) -> Result<Result<(), Interrupt>, Refusal> {
    match kind {
        InputKind::Start(start) => return start::start(draft, start),
        InputKind::AttemptStarted { id } => work::started(draft, id),
        InputKind::AttemptFinished { id, result, commit, artefacts, ended_at, told, ask } => {
            let end = work::End { result, commit: commit.as_ref(), artefacts, ended_at: *ended_at, told };
            match ask {
                None => work::finished(draft, id, end),
                Some(ask) => question::asked_by_work(draft, id, ask, end),
            }
        }
        InputKind::AttemptLost { id, reason, fallback } => work::lost(draft, id, reason, *fallback),
        InputKind::Usage { id, seq, usage } => work::usage(draft, id, *seq, usage),
        InputKind::UsageSoFar { id, usage } => work::usage_so_far(draft, id, usage),
        InputKind::WorkspacePrepared(prepared) => work::workspace(draft, prepared),
        InputKind::WorkspaceShared(shared) => work::workspace_shared(draft, shared),
        InputKind::WorkspaceRemoved { path } => work::workspace_removed(draft, path),
        InputKind::ProbeFinished { id, gate, probe_no, evidence, took_ms } => {
            return Ok(work::probe_finished(draft, id, gate, *probe_no, evidence, *took_ms));
        }
        InputKind::ProbeFailed { id, gate, probe_no, message, permanent, took_ms, broken } => {
            let missing =
                work::Missing { message, permanent: *permanent, broken: *broken, took_ms: *took_ms };
            work::probe_failed(draft, id, gate, *probe_no, &missing);
        }
        InputKind::TimerFired { timer, due } => work::timer_fired(draft, timer, *due),
        InputKind::Vote { id, vote, comment, roles, comments, edited } => {
            let ballot = people::Ballot {
                vote: *vote,
                comment: comment.as_ref(),
                roles,
                comments,
                edited: edited.as_ref(),
            };
            return people::vote(draft, id, &ballot);
        }
        InputKind::SaveAnswer { id, answer, roles } => return question::save(draft, id, answer, roles),
        InputKind::Answer { id, answer, roles } => return question::answer(draft, id, answer, roles),
        InputKind::Signal { name, payload, delivery } => {
            return signal::receive(draft, name, payload, delivery.as_ref());
        }
        InputKind::Recheck { path, policies, reason } => {
            gate::recheck(draft, path, policies, reason.as_ref())?;
        }
        InputKind::CancelStep { path, reason } => cut::cancel(draft, path, reason.as_ref())?,
        InputKind::Breakpoints { steps } => breakpoint::set(draft, steps)?,
        InputKind::Admitted { admission, at_once } => {
            return admission::admitted(draft, admission, *at_once);
        }
        InputKind::NoticeFinished { version, notice, tries, failure } => {
            notice::finished(draft, *version, notice, *tries, failure.as_ref());
        }
        InputKind::Fork(fork) => return fork::fork(draft, fork),
        InputKind::Cancel { reason } => people::cancel(draft, reason.as_ref())?,
        InputKind::Abandon { reason } => people::abandon(draft, reason.as_ref())?,
        InputKind::Pause { reason } => pause::pause(draft, reason.as_ref())?,
        InputKind::Resume { reason } => pause::resume(draft, reason.as_ref())?,
        InputKind::Halt { scope, reason } => pause::halt(draft, scope, reason.as_ref()),
        InputKind::Release { scope } => pause::release(draft, scope),
        InputKind::Unblock { path, decision, output, reason, policies } => {
            let unblocking = people::Unblocking {
                decision: *decision,
                output: output.as_ref(),
                reason: reason.as_ref(),
                policies,
            };
            people::unblock(draft, path.as_ref(), unblocking)?;
        }
        InputKind::FundsWanted { id } => return Ok(spend::wanted(draft, id)),
        InputKind::FundsAnswered { id, refused, readings } => {
            spend::answered(draft, id, refused.as_ref(), readings);
        }
        InputKind::SpendReported { version, readings } => spend::reported(draft, *version, readings),
        InputKind::RaiseBudget { budget, add, reason } => {
            spend::raise(draft, budget.as_ref(), *add, reason.as_ref())?;
        }
        InputKind::Note { text } => people::note(draft, text)?,
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
            Agenda::Settle(key) => settle::settle(draft, key)?,
            Agenda::Judge(at) => gate::judge(draft, at)?,
            Agenda::Ready(at) => ready::begin(draft, at)?,
            Agenda::Items(at) => ready::next_item(draft, at)?,
            Agenda::End => end::end(draft)?,
        }
        assert!(
            draft.len() > before,
            "every thing on the agenda leads to a fact that takes it off: {item:?}"
        );
    }
    Ok(())
}
