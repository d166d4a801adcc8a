//! A run's attempts: the phase of each, and the handles that go with it.
//!
//! Law: a handle comes with the event that brings it, and is let go when a phase begins that does not hold it. What
//! an event brings that changes nothing is let go at once: a grant goes back to the scheduler.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::oneshot;
use tokio::task::AbortHandle;

use crate::limits::Class;
use crate::run::attempt::action::AttemptAction;
use crate::run::attempt::event::{AttemptEvent, WorkFacts};
use crate::run::attempt::phase::AttemptPhase;
use crate::scheduler::places::{Grant, Ticket};
use crate::scheduler::queue::WorkNeeds;
use crate::work::look::ApprovedWork;
use everfold_base::id::AttemptId;
use everfold_core::event::WorkSpared;
use everfold_ports::{AttemptRequest, Executor, Traits, WorkerReservation};

/// The attempts of a run that are not [absent](AttemptPhase::Absent).
#[derive(Default)]
pub(crate) struct AttemptTable {
    entries: HashMap<AttemptId, AttemptEntry>,
}

struct AttemptEntry {
    phase: AttemptPhase,
    handles: AttemptHandles,
}

/// What an attempt holds.
#[derive(Default)]
pub(crate) struct AttemptHandles {
    /// Its place in the scheduler's queue.
    pub(crate) ticket: Option<Ticket>,
    /// The right to run; `None` in phase `Running`: a superseded attempt, which is only stopped and needs no place.
    pub(crate) grant: Option<Grant>,
    pub(crate) planned: Option<Box<PlannedAttempt>>,
    pub(crate) task: Option<AttemptTask>,
}

/// An attempt whose plan is made.
pub(crate) struct PlannedAttempt {
    pub(crate) executor: Arc<dyn Executor>,
    pub(crate) request: AttemptRequest,
    pub(crate) traits: Traits,
    pub(crate) class: Class,
    pub(crate) needs: WorkNeeds,
    pub(crate) priority: i32,
    /// The approvals without which it does not start.
    pub(crate) approved: Vec<ApprovedWork>,
    /// It is not done, and why; its executor gives what stands in for it.
    pub(crate) spared: Option<WorkSpared>,
    /// The worker that waits for it.
    pub(crate) reservation: Option<WorkerReservation>,
}

/// The task of an attempt in progress.
pub(crate) struct AttemptTask {
    pub(crate) task: AbortHandle,
    /// Closed when nothing of the work is left in this process.
    pub(crate) gone: Option<oneshot::Receiver<()>>,
}

impl PlannedAttempt {
    /// What the life cycle needs to know of it.
    pub(crate) fn facts(&self) -> WorkFacts {
        WorkFacts { is_supervised: self.traits.supervised, is_idempotent: self.traits.loss.idempotent }
    }
}

impl AttemptHandles {
    pub(crate) fn of_grant(grant: Grant) -> Self {
        Self { grant: Some(grant), ..Self::default() }
    }

    pub(crate) fn of_plan(planned: Box<PlannedAttempt>) -> Self {
        Self { planned: Some(planned), ..Self::default() }
    }

    pub(crate) fn of_task(task: AttemptTask) -> Self {
        Self { task: Some(task), ..Self::default() }
    }

    /// Takes what is not there yet.
    fn take_from(&mut self, brought: Self) {
        let Self { ticket, grant, planned, task } = brought;
        self.ticket = self.ticket.take().or(ticket);
        self.grant = self.grant.take().or(grant);
        self.planned = self.planned.take().or(planned);
        self.task = self.task.take().or(task);
    }

    /// Keeps what the phase holds, and gives the rest.
    fn release(&mut self, phase: AttemptPhase) -> Self {
        Self {
            ticket: self.ticket.take_if(|_| phase != AttemptPhase::Waiting),
            grant: self.grant.take_if(|_| !phase.holds_place()),
            planned: self.planned.take_if(|_| !phase.holds_plan()),
            task: self.task.take_if(|_| !matches!(phase, AttemptPhase::Running(_))),
        }
    }
}

impl AttemptTable {
    /// Gives an event to an attempt. Answers with what is to be done and, where its work is over, with the handles that
    /// it held.
    pub(crate) fn next(
        &mut self,
        id: &AttemptId,
        event: AttemptEvent,
        brought: AttemptHandles,
    ) -> (Vec<AttemptAction>, AttemptHandles) {
        let before = self.phase(id);
        let (after, actions) = before.next(event);
        if after == before {
            return (actions, AttemptHandles::default());
        }
        let entry = self.entries.entry(id.clone()).or_insert_with(|| AttemptEntry {
            phase: AttemptPhase::Absent,
            handles: AttemptHandles::default(),
        });
        entry.phase = after;
        entry.handles.take_from(brought);
        let released = entry.handles.release(after);
        if after == AttemptPhase::Absent {
            self.entries.remove(id);
        }
        // Of an attempt that did no work the handles are dropped here: its place is free before the actions follow.
        (actions, if before.is_at_work() { released } else { AttemptHandles::default() })
    }

    /// The end of an attempt is decided, durably: what the state lists from now on is new.
    pub(crate) fn end_decided(&mut self, id: &AttemptId) {
        let (actions, _none) = self.next(id, AttemptEvent::EndDecided, AttemptHandles::default());
        debug_assert!(actions.is_empty(), "nothing is done about an attempt whose end is decided");
    }

    /// That an attempt in progress began is recorded, durably.
    pub(crate) fn start_recorded(&mut self, id: &AttemptId) {
        // What is not in progress yet starts by this when its run is dispatched.
        if self.phase(id).is_unrecorded() {
            let recorded = AttemptEvent::Listed { is_recorded: true };
            let (actions, _none) = self.next(id, recorded, AttemptHandles::default());
            debug_assert!(actions.is_empty(), "it is in progress already");
        }
    }

    pub(crate) fn phase(&self, id: &AttemptId) -> AttemptPhase {
        self.entries.get(id).map_or(AttemptPhase::Absent, |entry| entry.phase)
    }

    /// What an attempt holds that is not absent.
    pub(crate) fn handles(&mut self, id: &AttemptId) -> &mut AttemptHandles {
        &mut self.entries.get_mut(id).expect("an action is about an attempt with an entry").handles
    }

    /// The plan of an attempt in a phase that holds one.
    pub(crate) fn planned(&self, id: &AttemptId) -> &PlannedAttempt {
        let entry = self.entries.get(id).expect("an action is about an attempt with an entry");
        entry.handles.planned.as_deref().expect("its phase holds a plan")
    }

    pub(crate) fn contains(&self, id: &AttemptId) -> bool {
        self.entries.contains_key(id)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The attempts in a phase of some kind, in no order.
    pub(crate) fn in_phase(&self, is_one: fn(AttemptPhase) -> bool) -> impl Iterator<Item = &AttemptId> {
        self.entries.iter().filter(move |(_, entry)| is_one(entry.phase)).map(|(id, _)| id)
    }

    pub(crate) fn shrink_to_fit(&mut self) {
        self.entries.shrink_to_fit();
    }
}
