//! One run in a shard: its folded state, its queue of inputs and queries, its work in progress.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use crate::error::SubmitError;
use crate::load::FoldedRun;
use crate::messages::{Query, Queued};
use crate::run::append_batch::AppendBatch;
use crate::run::attempt::phase::AttemptPhase;
use crate::run::attempt::table::AttemptTable;
use crate::run::notice_progress::NoticeProgress;
use crate::run::reattachment::Reattachment;
use crate::shard::job_done::WantedBy;
use crate::shard::timers::TimerKey;
use crate::work::spare::EffectRules;
use everfold_base::actor::Actor;
use everfold_base::envelope::StreamId;
use everfold_base::id::{AttemptId, Position, RunId, Version};
use everfold_base::json::Hash;
use everfold_base::time::Timestamp;
use everfold_core::artefact::Workspace;
use everfold_core::effect::Touched;
use everfold_core::event::TimerId;
use everfold_core::input::InputKind;
use everfold_core::state::RunState;
use everfold_language::expr::Loaded;
use everfold_ports::{ProbeRequest, Prober};

/// What can be done with a run at this moment.
#[derive(Debug)]
pub(crate) enum RunPhase {
    /// Its history is being read.
    Loading,
    /// Its state is durable; inputs are decided at once.
    Ready,
    /// The state is ahead of the store until an append ends.
    Appending,
    /// A value that a decision needs is being read.
    Fetching,
    /// The disk is full; the run resumes when the store is writable. Without a state it is loaded first.
    Stalled,
    /// It is excluded from all work; inputs are kept.
    Quarantined(String),
}

/// What waits for a run.
pub(crate) enum Item {
    Input(Box<Queued>),
    Query(Query),
}

/// One run.
pub(crate) struct LoadedRun {
    pub(crate) run: RunId,
    pub(crate) stream: StreamId,
    pub(crate) phase: RunPhase,
    /// `None` while it is being loaded, and in a run that is quarantined.
    pub(crate) state: Option<RunState>,
    /// The last folded event, durable or on its way.
    pub(crate) version: Version,
    pub(crate) hash: Hash,
    /// The last durable event.
    pub(crate) position: Position,
    /// Inputs and queries that wait for a decision.
    pub(crate) queue: VecDeque<Item>,
    /// What was decided and is not durable yet.
    pub(crate) batches: VecDeque<AppendBatch>,
    pub(crate) append: AppendState,
    pub(crate) dispatching: Dispatching,
    pub(crate) values: RunValues,
    /// How far each attempt is that the state lists.
    pub(crate) attempts: AttemptTable,
    pub(crate) unstarted: Unstarted,
    /// The re-attached attempts whose reports are waited for before anything else is decided.
    pub(crate) reattachment: Option<Reattachment>,
    pub(crate) probes: BTreeMap<ProbeKey, Probing>,
    /// The notice of each channel whose turn it is.
    pub(crate) notices: BTreeMap<String, NoticeProgress>,
    pub(crate) workspace: WorkspaceProgress,
    pub(crate) slots: SlotProgress,
    pub(crate) own_inputs: OwnInputs,
    pub(crate) budgets: BudgetRequests,
    pub(crate) timers: BTreeMap<Touched, Vec<(TimerId, Timestamp, TimerKey)>>,
    /// Requests that wait for it to be loaded.
    pub(crate) awaited: Vec<tokio::sync::oneshot::Sender<bool>>,
    pub(crate) size: FoldedSize,
    /// It is in the shard's list of runs to process in this turn.
    pub(crate) is_dirty: bool,
}

/// The state of its appends.
#[derive(Debug, Default)]
pub(crate) struct AppendState {
    /// Appends in a row that another writer came before, or whose outcome is unknown.
    pub(crate) tries: u32,
    /// The disk was full when it was appended to last.
    pub(crate) is_stalled: bool,
    /// The outcome of the last append is unknown; the load that follows shows it.
    pub(crate) is_in_doubt: bool,
    /// An append of unknown outcome was not found by that load, and none went well since: what it brought may be on the
    /// disk all the same, and count when the store is opened again.
    pub(crate) may_be_stored: bool,
    /// Why it is quarantined when the append or load in flight has ended.
    pub(crate) pending_quarantine: Option<String>,
}

impl AppendState {
    /// What a caller learns whose input the store does not take.
    pub(crate) fn refusal(&self, refused: SubmitError) -> SubmitError {
        if !self.may_be_stored {
            return refused;
        }
        SubmitError::Store(format!(
            "an append failed, and only the next start of the engine shows whether it is recorded ({refused}); repeat the request then, with the same idempotency key"
        ))
    }
}

/// Which of its effects are to be started.
pub(crate) struct Dispatching {
    /// Whether its effects are started; a query alone starts nothing.
    pub(crate) driven: bool,
    /// Its effects are to be listed in full: it was loaded.
    pub(crate) unlisted: bool,
    /// What could be started while the state was ahead of the store; dispatched when the state is durable.
    pub(crate) later: Vec<WantedBy>,
}

/// Values that are kept outside of the state.
#[derive(Default)]
pub(crate) struct RunValues {
    /// Values that plans need.
    pub(crate) of_plans: Loaded,
    /// Values that the first input of the queue needs.
    pub(crate) of_decision: Loaded,
    /// Reads in progress.
    pub(crate) fetching: usize,
    /// Which of its work is done; `None`: that was not asked yet.
    pub(crate) effect_rules: Option<Arc<EffectRules>>,
}

/// Attempts that the state lists and that have not begun here.
#[derive(Default)]
pub(crate) struct Unstarted {
    /// Attempts that have not begun here, though a process of them may live: a former engine may have started them, or
    /// they were held back.
    pub(crate) may_be_left: HashSet<AttemptId>,
    /// Those that are to be planned, in their order.
    pub(crate) queue: VecDeque<AttemptId>,
}

/// What is being done with its workspace.
#[derive(Default)]
pub(crate) struct WorkspaceProgress {
    pub(crate) stage: WorkspaceStage,
    /// A workspace that was made and not used: the run had ended, or was about to.
    pub(crate) unwanted: Option<Workspace>,
    /// Attempts that have copies of the worktree; `None`: a former engine may have left some.
    pub(crate) copies: Option<BTreeSet<AttemptId>>,
}

/// How far its workspace is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum WorkspaceStage {
    /// Nothing is in progress.
    #[default]
    AtRest,
    /// It is being made, or the end of that is not yet decided.
    Preparing,
    /// The run has ended, and its workspace is being released.
    Releasing,
    /// The run has ended, and its workspace is released.
    Released,
}

/// What the slot allocator knows of the run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum SlotProgress {
    /// Nothing.
    #[default]
    Unknown,
    /// It waits for its slots; `still`: the run was paused when the allocator was informed, or has been since.
    Waiting { still: bool },
    /// It has ended.
    Returned,
}

/// Inputs of the runtime's own that are queued and not yet decided.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct OwnInputs {
    /// An `Advance`.
    pub(crate) advancing: bool,
    /// A pause of the run, or its end.
    pub(crate) aligning: bool,
}

/// Requests to the budget allocator.
#[derive(Default)]
pub(crate) struct BudgetRequests {
    /// Attempts that it knows of, and since which event they ask.
    pub(crate) asked: HashMap<AttemptId, Version>,
    /// Reports that it has not confirmed.
    pub(crate) reported: BTreeSet<Version>,
}

/// How much was folded.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct FoldedSize {
    /// Payload bytes folded so far: a bound for the state's size.
    pub(crate) bytes: u64,
    pub(crate) since_snapshot: SinceSnapshot,
}

/// What was appended since the last snapshot.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct SinceSnapshot {
    pub(crate) events: u64,
    pub(crate) bytes: u64,
    /// The state's size when it was last measured.
    pub(crate) state_bytes: u64,
}

/// A probe in progress, or whose end is to be decided.
pub(crate) struct Probing {
    /// How to stop it; `None` where it has ended, or was asked to stop.
    pub(crate) stop: Option<ProbeStop>,
}

/// How to stop a probe.
pub(crate) struct ProbeStop {
    pub(crate) prober: Arc<dyn Prober>,
    pub(crate) request: ProbeRequest,
    /// While it is open, the probe may wait for its place.
    pub(crate) _wait: tokio::sync::oneshot::Sender<()>,
}

/// The attempt that is judged, the gate, the number of the probe. There may be several of one attempt: a
/// recheck asks anew while the former probe is still ending.
pub(crate) type ProbeKey = (AttemptId, String, u32);

impl LoadedRun {
    pub(crate) fn new(run: RunId, phase: RunPhase, state: Option<RunState>) -> Box<Self> {
        Box::new(Self {
            run,
            stream: StreamId::run(run),
            phase,
            state,
            version: Version::ZERO,
            hash: Hash::ZERO,
            position: Position::ZERO,
            queue: VecDeque::new(),
            batches: VecDeque::new(),
            append: AppendState::default(),
            dispatching: Dispatching { driven: false, unlisted: true, later: Vec::new() },
            values: RunValues::default(),
            attempts: AttemptTable::default(),
            unstarted: Unstarted::default(),
            reattachment: None,
            probes: BTreeMap::new(),
            notices: BTreeMap::new(),
            workspace: WorkspaceProgress::default(),
            slots: SlotProgress::default(),
            own_inputs: OwnInputs::default(),
            budgets: BudgetRequests::default(),
            timers: BTreeMap::new(),
            awaited: Vec::new(),
            size: FoldedSize::default(),
            is_dirty: false,
        })
    }

    /// Takes over a loaded history.
    pub(crate) fn adopt(&mut self, folded: FoldedRun) {
        let is_known = self.position > Position::ZERO || self.append.is_in_doubt;
        if std::mem::take(&mut self.append.is_in_doubt) && folded.position > self.position {
            // The append in doubt was durable.
            (self.append.tries, self.append.may_be_stored) = (0, false);
        }
        let has_ended = folded.state.is_ended() && folded.state.run() == Some(self.run);
        if has_ended && !is_known {
            // The slot allocator compares its slots with the runs at the start, and the sweep removes workspaces that a
            // former engine left.
            (self.workspace.stage, self.slots) = (WorkspaceStage::Released, SlotProgress::Returned);
        }
        self.version = folded.version;
        self.hash = folded.hash;
        self.position = folded.position;
        self.size.bytes = folded.bytes;
        self.size.since_snapshot =
            SinceSnapshot { events: folded.events_since, bytes: folded.bytes_since, state_bytes: 0 };
        self.state = Some(folded.state);
        self.phase = RunPhase::Ready;
        self.dispatching.unlisted = true;
        self.note_own();
    }

    /// Notes which of the runtime's own inputs wait in the queue: one is not queued a second time under the same id.
    pub(crate) fn note_own(&mut self) {
        let waits = |is_one: fn(&InputKind) -> bool| {
            self.queue.iter().any(|item| matches!(item, Item::Input(queued) if is_one(&queued.kind)))
        };
        let advancing = waits(|kind| matches!(kind, InputKind::Advance));
        let aligning = waits(|kind| matches!(kind, InputKind::Halt(_) | InputKind::Release(_)));
        self.own_inputs = OwnInputs { advancing, aligning };
    }

    /// Whether the run has ended, as far as the loaded state shows.
    pub(crate) fn has_ended(&self) -> bool {
        self.state.as_ref().is_some_and(RunState::is_ended)
    }

    /// Frees the memory that only a run in progress needs, once it has ended.
    ///
    /// Answers with about how many bytes it holds now.
    pub(crate) fn rest(&mut self) -> u64 {
        if self.has_ended() {
            self.queue.shrink_to_fit();
            self.batches.shrink_to_fit();
            self.unstarted.queue.shrink_to_fit();
            self.attempts.shrink_to_fit();
            self.budgets.asked.shrink_to_fit();
            self.unstarted.may_be_left.shrink_to_fit();
        }
        let state = self.state.as_ref().map_or(0, RunState::fixed_bytes);
        self.size.bytes + (std::mem::size_of::<Self>() + state) as u64
    }

    /// Whether a request from outside is waiting to be decided.
    pub(crate) fn has_request(&self) -> bool {
        let is_request = |item: &Item| matches!(item, Item::Input(queued) if queued.actor != Actor::Engine);
        matches!(self.phase, RunPhase::Ready) && self.queue.iter().any(is_request)
    }

    /// Whether `limit` items of a kind wait already.
    pub(crate) fn has_waiting(&self, limit: usize, is_of_kind: fn(&Item) -> bool) -> bool {
        self.queue.len() >= limit && self.queue.iter().filter(|item| is_of_kind(item)).count() >= limit
    }

    /// Queues an input of the engine's own.
    pub(crate) fn push(&mut self, queued: Queued) {
        self.queue.push_back(Item::Input(Box::new(queued)));
    }

    /// Takes back what is queued of an attempt's progress: only the newest report counts, and while nothing can be
    /// appended a report that comes again would be the same input twice.
    pub(crate) fn drop_progress(&mut self, id: &AttemptId) {
        self.queue.retain(|item| match item {
            Item::Input(queued) => {
                !matches!(&queued.kind, InputKind::Progress(reported) if reported.id == *id)
            }
            Item::Query(_) => true,
        });
    }

    /// Whether the history is a copy of another run's, and no fork has made it a run.
    pub(crate) fn is_copy(&self) -> bool {
        self.state.as_ref().and_then(RunState::run).is_some_and(|run| run != self.run)
    }

    /// Takes back what is queued of the begin of these attempts, which are sorted.
    pub(crate) fn drop_starts(&mut self, sorted: &[AttemptId]) {
        let is_one = |kind: &InputKind| matches!(kind, InputKind::AttemptStarted(started) if sorted.binary_search(&started.id).is_ok());
        self.queue.retain(|item| match item {
            Item::Input(queued) => !is_one(&queued.kind),
            Item::Query(_) => true,
        });
    }

    /// Whether the input that makes a copied history a run is in the queue.
    pub(crate) fn is_forking(&self) -> bool {
        self.queue.iter().any(|item| match item {
            Item::Input(queued) => matches!(queued.kind, InputKind::Fork(_)),
            Item::Query(_) => false,
        })
    }

    /// Whether there is no such run, and no start waits.
    pub(crate) fn is_nothing(&self) -> bool {
        matches!(self.phase, RunPhase::Ready) && self.version == Version::ZERO && self.queue.is_empty()
    }

    /// The end of a piece of work is decided, durably: what the state lists from now on is new.
    pub(crate) fn settle_work(&mut self, kind: &InputKind) {
        match kind {
            InputKind::AttemptFinished { id, .. } | InputKind::AttemptLost { id, .. } => {
                self.attempts.end_decided(id);
            }
            InputKind::ProbeFinished { id, gate, probe_no, .. } => {
                self.probes.remove(&(id.clone(), gate.clone(), *probe_no));
            }
            InputKind::ProbeFailed(failed) => {
                self.probes.remove(&(failed.id.clone(), failed.gate.clone(), failed.probe_no));
            }
            InputKind::WorkspacePrepared(prepared) => {
                self.prepared();
                let taken = self.state.as_ref().and_then(RunState::workspace);
                self.workspace.unwanted = prepared.as_ref().ok().filter(|made| Some(*made) != taken).cloned();
            }
            InputKind::WorkspaceShared(_) => self.prepared(),
            InputKind::NoticeSent(sent) => self.settle_notice(sent.version, &sent.notice),
            InputKind::NoticeFailed(failed) => self.settle_notice(failed.version, &failed.notice),
            _no_end_of_work => {}
        }
    }

    /// Its workspace is not being made any more.
    pub(crate) fn prepared(&mut self) {
        if self.workspace.stage == WorkspaceStage::Preparing {
            self.workspace.stage = WorkspaceStage::AtRest;
        }
    }

    /// Whether it must stay in memory.
    pub(crate) fn is_pinned(&self) -> bool {
        !matches!(self.phase, RunPhase::Ready)
            || !self.queue.is_empty()
            || !self.attempts.is_empty()
            || !self.probes.is_empty()
            || self.notices.values().any(|progress| !progress.is_at_rest())
            || matches!(self.workspace.stage, WorkspaceStage::Preparing | WorkspaceStage::Releasing)
            || self.values.fetching > 0
            || self.reattachment.is_some()
    }

    /// Whether attempts inside this process are in progress.
    pub(crate) fn has_attempts_in_process(&self) -> bool {
        self.attempts.in_phase(AttemptPhase::is_in_process).next().is_some()
    }

    /// Whether notices are being sent, or their ends are being recorded.
    pub(crate) fn sends_notices(&self) -> bool {
        self.notices.values().any(NoticeProgress::is_going)
    }
}
