//! The state of a run: a fold of its events, nothing else.
//!
//! Law: [`RunState::apply`] neither fails nor chooses, and each event costs O(1) in the size of the
//! run (a rework costs what it resets). What is to be done next stands nowhere; it follows from the
//! state ([`crate::effect`]) or from its agenda, which is folded like everything else.
//!
//! Called by `decide`, which applies what it records, and by every load of a history.

mod agenda;
mod apply;
mod clock;
mod edge;
mod effects;
mod graph;
mod kept;
mod order;
mod outbox;
mod people;
mod queue;
mod runs;
mod shown;
mod snapshot;
pub(crate) mod spend;
mod step;
mod view;

pub(crate) use agenda::{Agenda, Ending};
pub(crate) use clock::ClockFacts;
pub use edge::SharedWorkspace;
pub(crate) use edge::{Continued, EdgeFacts};
pub(crate) use graph::{Graph, Shape};
pub use kept::Kept;
pub(crate) use order::{Cut, FailedOn, Heard, KEPT_MAX, Order, StepOrder};
pub use order::{Pause, PausedBy};
pub(crate) use outbox::Outbox;
pub use outbox::{NOTICES_MAX, Outstanding};
pub(crate) use people::AnsweredAsk;
pub use people::{ApprovalState, CastVote, People, QuestionState};
pub(crate) use queue::Queue;
pub use snapshot::{FOLD_VERSION, SnapshotError};
pub use spend::BudgetView;
pub use step::{
    AttemptEnding, GateVerdict, ItemEnd, Items, Judging, Last, Phase, Rework, Settling, Stage, StepState,
    Unit,
};
pub(crate) use step::{Judged, LateProbes};
pub use view::{Awaited, RunNote, RunStatus, StepStatus};

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::actor::Actor;
use crate::definition::{Definition, FinishStatus};
use crate::effect::Touched;
use crate::event::{Origin, Parent, StopReason, TimerId};
use crate::failure::Failure;
use crate::id::{AttemptId, InputId, RunId, StepId, StepPath, Version};
use crate::json::Hash;
use crate::time::Timestamp;
use crate::trace::Workspace;

/// What an event's envelope tells the fold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventMeta {
    /// The input's time.
    pub at: Timestamp,
    /// Who caused it.
    pub actor: Actor,
    /// The input.
    pub input: InputId,
}

/// The state of one run.
#[derive(Debug, Clone)]
pub struct RunState {
    pub(crate) graph: Graph,
    pub(crate) facts: Facts,
    /// When each timer is due, earliest first: `facts.timers` the other way round.
    due: BTreeSet<(Timestamp, TimerId)>,
    touched: Vec<Touched>,
    /// The definition that the next fork goes on by, where it is another one.
    next: Option<(Hash, Graph)>,
}

impl PartialEq for RunState {
    /// Equal histories: the notes on what was touched do not count.
    fn eq(&self, other: &Self) -> bool {
        self.facts == other.facts
    }
}

/// The folded part of the state.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Facts {
    pub(crate) version: Version,
    pub(crate) last_at: Timestamp,
    pub(crate) started: Option<Started>,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) input: Kept,
    /// The settings documents, by name.
    pub(crate) config: Kept,
    /// What the run waits for before it begins.
    pub(crate) queue: Queue,
    pub(crate) steps: Vec<StepState>,
    pub(crate) workspace: Option<Workspace>,
    /// The worktree's head as last recorded.
    pub(crate) commit: Option<String>,
    pub(crate) agenda: BTreeSet<Agenda>,
    /// Units with an attempt to start or in progress.
    pub(crate) attempts: BTreeSet<Key>,
    /// Steps whose current gate waits for a probe.
    pub(crate) probing: BTreeSet<usize>,
    /// Probes of rounds that were reset.
    pub(crate) late: LateProbes,
    /// Attempts to end; until their end is recorded.
    pub(crate) stops: BTreeMap<AttemptId, StopReason>,
    /// How many of them a rework caused: attempts that are scheduled meanwhile wait for these.
    pub(crate) rework_stops: usize,
    /// Units that wait so.
    pub(crate) held: BTreeSet<Key>,
    pub(crate) timers: BTreeMap<TimerId, Timestamp>,
    pub(crate) blocked: BTreeSet<Key>,
    /// Units whose approval or question is open.
    pub(crate) asking: BTreeSet<Key>,
    /// Main steps that have not ended.
    pub(crate) unended: usize,
    /// Uses of each route.
    pub(crate) routes: BTreeMap<String, RouteUse>,
    pub(crate) paused: bool,
    pub(crate) cancels: u32,
    /// How the run will end, once that is certain.
    pub(crate) outcome: Option<Outcome>,
    pub(crate) ended: Option<Ended>,
    /// Inputs of people, newest last: a repeated one is recognised.
    pub(crate) inputs: VecDeque<InputId>,
    pub(crate) usage: UsageTotal,
    pub(crate) outbox: Outbox,
    /// Signals, breakpoints, pauses.
    pub(crate) order: Order,
    /// Budgets; in a snapshot behind everything else, and only where there are any.
    #[serde(skip)]
    pub(crate) spend: spend::Spend,
    /// Written behind everything else, and only where there is something.
    #[serde(skip)]
    pub(crate) edge: EdgeFacts,
    /// Likewise.
    #[serde(skip)]
    pub(crate) clock: ClockFacts,
    /// Who had the run cancelled, and why; written like those.
    #[serde(skip)]
    pub(crate) cancelling: Option<Cancelling>,
}

/// Why a run is being cancelled, or was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cancelling {
    /// Who said so first.
    pub by: Actor,
    /// Why.
    pub reason: Option<String>,
    /// When.
    pub at: Timestamp,
}

/// What began the run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Started {
    pub(crate) run: RunId,
    pub(crate) pipeline: String,
    pub(crate) definition: Hash,
    pub(crate) title: Option<String>,
    pub(crate) cwd: Option<String>,
    pub(crate) entropy: u64,
    pub(crate) at: Timestamp,
    pub(crate) by: Actor,
    /// The step of another run that started it.
    pub(crate) parent: Option<Parent>,
    /// Higher goes first where runs wait for a slot.
    pub(crate) priority: i32,
    /// The run whose history this one began with.
    pub(crate) forked: Option<Forked>,
}

/// What a run took over from another one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Forked {
    pub(crate) origin: Origin,
    /// The head of its worktree at that moment.
    pub(crate) commit: Option<String>,
    /// Its branch.
    pub(crate) branch: Option<String>,
}

/// A step, or an item of one, by index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct Key {
    pub(crate) step: usize,
    pub(crate) item: Option<u32>,
}

impl Key {
    pub(crate) fn step(step: usize) -> Self {
        Self { step, item: None }
    }
}

/// How often a route was used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RouteUse {
    pub(crate) used: u32,
    pub(crate) max: Option<u32>,
}

/// How a run will end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Outcome {
    /// A step failed for good.
    Failed { path: Option<StepPath>, failure: Failure },
    /// Someone cancelled it.
    Cancelled,
    /// A `finish` route was taken, at this step or on the run's level.
    Finished { status: FinishStatus, path: Option<StepPath> },
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ended {
    pub(crate) status: FinishStatus,
    pub(crate) at: Timestamp,
    pub(crate) failure: Option<Failure>,
    pub(crate) path: Option<StepPath>,
    pub(crate) output: Kept,
}

/// What a run used up so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageTotal {
    /// Tokens read, cached ones included.
    pub input_tokens: u64,
    /// Tokens written.
    pub output_tokens: u64,
    /// Cost in millionths of a US dollar.
    pub cost_micros: u64,
}

impl RunState {
    /// The state before the first event of a run that is pinned to `definition`.
    #[must_use]
    pub fn new(definition: Arc<Definition>) -> Self {
        let graph = Graph::new(definition);
        let steps = (0..graph.len())
            .map(|at| StepState {
                unmet: u32::try_from(graph.needs(at).len()).unwrap_or(u32::MAX),
                ..StepState::default()
            })
            .collect();
        let facts = Facts { steps, unended: graph.main_len(), ..Facts::default() };
        Self { graph, facts, due: BTreeSet::new(), touched: Vec::new(), next: None }
    }

    /// Lays ready the definition by which a fork goes on: whoever folds a `RunForked` that names another
    /// one than the run had, or decides such a fork, does so first.
    pub fn goes_on_by(&mut self, hash: Hash, definition: Arc<Definition>) {
        self.next = Some((hash, Graph::new(definition)));
    }

    /// The graph by which a fork onto a definition goes on; `None`: it is another one, and not at hand.
    pub(crate) fn graph_of(&self, definition: Hash) -> Option<&Graph> {
        let known = self.next.as_ref().filter(|(hash, _)| *hash == definition).map(|(_, graph)| graph);
        let is_own = self.definition_hash() == Some(definition);
        if is_own { Some(&self.graph) } else { known }
    }

    /// The pinned definition.
    #[must_use]
    pub fn definition(&self) -> &Arc<Definition> {
        &self.graph.definition
    }

    /// The parts whose effects may have changed since the last call.
    pub fn take_touched(&mut self) -> Vec<Touched> {
        let mut touched = std::mem::take(&mut self.touched);
        touched.sort_unstable();
        touched.dedup();
        touched
    }

    pub(crate) fn key(&self, path: &StepPath) -> Option<Key> {
        let step = self.graph.find(&path.step)?;
        Some(Key { step, item: path.item })
    }

    pub(crate) fn path(&self, key: Key) -> StepPath {
        StepPath { step: self.step_id(key.step), item: key.item }
    }

    pub(crate) fn step_id(&self, at: usize) -> StepId {
        self.graph.step(at).id.clone()
    }

    pub(crate) fn unit_at(&self, key: Key) -> Option<&Unit> {
        let step = self.facts.steps.get(key.step)?;
        match key.item {
            None => Some(&step.unit),
            Some(item) => step.items.as_ref()?.units.get(item as usize),
        }
    }

    /// The id of a unit's current attempt.
    pub(crate) fn attempt_id(&self, key: Key) -> AttemptId {
        let attempt = self.unit_at(key).map_or(crate::id::Attempt::ZERO, |unit| unit.attempt);
        AttemptId { path: self.path(key), round: self.facts.steps[key.step].round, attempt }
    }

    /// The unit whose current attempt this is, if it is current.
    pub(crate) fn current(&self, id: &AttemptId) -> Option<Key> {
        let key = self.key(&id.path)?;
        let unit = self.unit_at(key)?;
        (self.facts.steps[key.step].round == id.round && unit.attempt == id.attempt).then_some(key)
    }
}
