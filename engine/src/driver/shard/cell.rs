//! One run in a shard: its folded state, what waits for it, what it has in progress.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use tokio::task::AbortHandle;

use super::commit::Chunk;
use super::notice::Telling;
use super::outcome::WantedBy;
use super::settle::Settling;
use super::timers::TimerKey;
use crate::actor::Actor;
use crate::decide::Loaded;
use crate::driver::limits::Class;
use crate::driver::line::{Grant, Needs, Ticket};
use crate::driver::load::Folded;
use crate::driver::message::{Look, Queued};
use crate::effect::Touched;
use crate::envelope::StreamId;
use crate::event::TimerId;
use crate::execution::{AttemptRequest, Executor, ProbeRequest, Prober, Traits};
use crate::id::{AttemptId, Position, RunId, Version};
use crate::input::InputKind;
use crate::json::Hash;
use crate::state::RunState;
use crate::time::Timestamp;
use crate::trace::Workspace;

/// What can be done with a run at this moment.
#[derive(Debug)]
pub(super) enum Phase {
    /// Its history is being read.
    Loading,
    /// Its state is durable; inputs are decided at once.
    Ready,
    /// The state is ahead of the store until an append ends.
    Appending,
    /// A value that a decision needs is being read.
    Fetching,
    /// The disk is full; it goes on when there is room. Without a state it is read first.
    Stalled,
    /// It cannot be gone on with; inputs are kept.
    Aside(String),
}

/// What waits for a run.
pub(super) enum Item {
    Input(Box<Queued>),
    Look(Look),
}

/// One run.
pub(super) struct Cell {
    pub(super) run: RunId,
    pub(super) stream: StreamId,
    pub(super) phase: Phase,
    /// Absent while it is loaded, and in a run that is set aside.
    pub(super) state: Option<RunState>,
    /// The last folded event, durable or on its way.
    pub(super) version: Version,
    pub(super) hash: Hash,
    /// The last durable event.
    pub(super) position: Position,
    pub(super) queue: VecDeque<Item>,
    pub(super) outbox: VecDeque<Chunk>,
    /// Values that plans have asked for.
    pub(super) loaded: Loaded,
    /// What the first waiting input asked for.
    pub(super) known: Loaded,
    /// Reads of such values in progress.
    pub(super) fetching: usize,
    /// Whether its effects are started; a mere look at a run starts nothing.
    pub(super) driven: bool,
    /// Its effects are to be listed in full: it was loaded.
    pub(super) unlisted: bool,
    /// Appends in a row that another writer came before, or whose outcome is unknown.
    pub(super) tries: u32,
    /// The disk was full when it was appended to last.
    pub(super) is_stalled: bool,
    /// The outcome of the last append is unknown; the load that follows tells.
    pub(super) is_in_doubt: bool,
    pub(super) work: HashMap<AttemptId, Work>,
    /// Attempts that were listed when the run was loaded and have not begun since: processes of a former
    /// engine may be at work on them.
    pub(super) doubtful: HashSet<AttemptId>,
    /// Attempts that are to be planned.
    pub(super) fresh: VecDeque<AttemptId>,
    /// What could be started while the state was ahead of the store: it is looked at when it is durable.
    pub(super) later: Vec<WantedBy>,
    /// Why it is to be set aside when the append in flight has ended.
    pub(super) doom: Option<String>,
    pub(super) probes: BTreeMap<ProbeKey, Probing>,
    /// The notice of each channel whose turn it is.
    pub(super) notices: BTreeMap<String, Telling>,
    pub(super) preparing: bool,
    /// Attempts that were given copies of the worktree; `None`: there may be some of a former engine.
    pub(super) copies: Option<BTreeSet<AttemptId>>,
    pub(super) advancing: bool,
    /// It was told to stand still, or to go on; that is not yet decided.
    pub(super) aligning: bool,
    pub(super) released: bool,
    /// Its workspace is being given back.
    pub(super) releasing: bool,
    /// A workspace that was made, and that the run did not take: it had ended, or was about to.
    pub(super) unwanted: Option<Workspace>,
    /// The desk knows that it waits for its slots.
    pub(super) wanting: bool,
    /// It stood still when the desk was told, or since.
    pub(super) wanting_still: bool,
    /// Attempts that the treasury knows of, and since which event they ask.
    pub(super) asked: HashMap<AttemptId, Version>,
    /// What the treasury was told, and has not confirmed.
    pub(super) reported: BTreeSet<Version>,
    /// The desk knows that it has ended.
    pub(super) returned: bool,
    pub(super) timers: BTreeMap<Touched, Vec<(TimerId, Timestamp, TimerKey)>>,
    pub(super) settling: Option<Settling>,
    /// Who waits for it to be loaded.
    pub(super) awaited: Vec<tokio::sync::oneshot::Sender<bool>>,
    /// Payload bytes folded so far: a bound for the state's size.
    pub(super) bytes: u64,
    pub(super) since: SinceSnapshot,
    /// It stands on the list of runs to look at in this turn.
    pub(super) is_dirty: bool,
}

/// What was appended since the last snapshot.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct SinceSnapshot {
    pub(super) events: u64,
    pub(super) bytes: u64,
    /// The state's size when it was last measured.
    pub(super) state_bytes: u64,
}

/// What becomes of an attempt that is listed.
pub(super) enum Work {
    /// It is to be planned.
    Fresh,
    /// It waits for its turn; the ticket is its place in the line.
    Waiting { _ticket: Ticket },
    /// Values for its plan are being read; whether its turn had come.
    Planning(Option<Grant>),
    /// It starts when `AttemptStarted` is durable.
    Recording(Box<Prepared>, Grant),
    /// The system had too little for it, or for looking at it; it is tried again. What may live keeps its
    /// place.
    HeldBack { is_recorded: bool, grant: Option<Grant> },
    /// It cannot be seen, and may live: it keeps its place until its run is gone on with.
    Unseen(Option<Grant>),
    /// It is in progress.
    Running(Box<Running>),
    /// It ended; that is not yet decided.
    Reported,
}

impl Work {
    /// Whether it is in progress, or may be.
    pub(super) fn may_live(&self) -> bool {
        match self {
            Self::Running(_) | Self::HeldBack { .. } | Self::Unseen(_) => true,
            Self::Fresh | Self::Waiting { .. } | Self::Planning(_) | Self::Recording(..) | Self::Reported => {
                false
            }
        }
    }
}

/// An attempt about to start.
pub(super) struct Prepared {
    pub(super) executor: Arc<dyn Executor>,
    pub(super) request: AttemptRequest,
    pub(super) traits: Traits,
    pub(super) class: Class,
    pub(super) needs: Needs,
    pub(super) priority: i32,
}

/// A probe in progress, or whose end is to be decided.
pub(super) struct Probing {
    /// How to end it; `None` where it has ended, or was asked to.
    pub(super) stop: Option<(Arc<dyn Prober>, ProbeRequest)>,
}

/// The attempt that is judged, the gate, the number of the probe. There may be several of one attempt: a
/// recheck asks anew while the former probe is still ending.
pub(super) type ProbeKey = (AttemptId, String, u32);

/// An attempt in progress.
pub(super) struct Running {
    pub(super) executor: Arc<dyn Executor>,
    pub(super) request: AttemptRequest,
    pub(super) traits: Traits,
    pub(super) task: AbortHandle,
    /// Closed when nothing of the work is left in this process.
    pub(super) gone: Option<tokio::sync::oneshot::Receiver<()>>,
    pub(super) stopping: bool,
    /// `AttemptStarted` is in the history.
    pub(super) is_recorded: bool,
    /// What it holds while it runs; `None`: it is stopped without having been known.
    pub(super) grant: Option<Grant>,
}

impl Cell {
    pub(super) fn new(run: RunId, phase: Phase, state: Option<RunState>) -> Box<Self> {
        Box::new(Self {
            run,
            stream: StreamId::run(run),
            phase,
            state,
            version: Version::ZERO,
            hash: Hash::ZERO,
            position: Position::ZERO,
            queue: VecDeque::new(),
            outbox: VecDeque::new(),
            loaded: Loaded::default(),
            known: Loaded::default(),
            fetching: 0,
            driven: false,
            unlisted: true,
            tries: 0,
            is_stalled: false,
            is_in_doubt: false,
            work: HashMap::new(),
            doubtful: HashSet::new(),
            fresh: VecDeque::new(),
            later: Vec::new(),
            doom: None,
            probes: BTreeMap::new(),
            notices: BTreeMap::new(),
            preparing: false,
            copies: None,
            advancing: false,
            aligning: false,
            released: false,
            releasing: false,
            unwanted: None,
            wanting: false,
            wanting_still: false,
            asked: HashMap::new(),
            reported: BTreeSet::new(),
            returned: false,
            timers: BTreeMap::new(),
            settling: None,
            awaited: Vec::new(),
            bytes: 0,
            since: SinceSnapshot::default(),
            is_dirty: false,
        })
    }

    /// Takes over a loaded history.
    pub(super) fn adopt(&mut self, folded: Folded) {
        let is_known = self.position > Position::ZERO || self.is_in_doubt;
        if std::mem::take(&mut self.is_in_doubt) && folded.position > self.position {
            self.tries = 0; // It was kept after all.
        }
        let has_ended = folded.state.is_ended() && folded.state.run() == Some(self.run);
        if has_ended && !is_known {
            // What a former engine did not tell the desk, it finds out by itself; and what that left
            // behind is swept at the start.
            (self.released, self.returned) = (true, true);
        }
        self.version = folded.version;
        self.hash = folded.hash;
        self.position = folded.position;
        self.bytes = folded.bytes;
        self.since = SinceSnapshot { events: folded.events_since, bytes: folded.bytes_since, state_bytes: 0 };
        self.state = Some(folded.state);
        self.phase = Phase::Ready;
        self.unlisted = true;
        self.note_own();
    }

    /// What the driver itself asked of the run, and still waits, is not asked a second time: its id would be the same.
    pub(super) fn note_own(&mut self) {
        let waits = |is_one: fn(&InputKind) -> bool| {
            self.queue.iter().any(|item| matches!(item, Item::Input(queued) if is_one(&queued.kind)))
        };
        let advancing = waits(|kind| matches!(kind, InputKind::Advance));
        let aligning = waits(|kind| matches!(kind, InputKind::Halt { .. } | InputKind::Release { .. }));
        (self.advancing, self.aligning) = (advancing, aligning);
    }

    /// Whether the run is over, as far as it is known here.
    pub(super) fn has_ended(&self) -> bool {
        self.state.as_ref().is_some_and(RunState::is_ended)
    }

    /// Gives back the room that only a run at work needs, once it has ended.
    ///
    /// Answers with about how many bytes it holds now.
    pub(super) fn rest(&mut self) -> u64 {
        if self.has_ended() {
            self.queue.shrink_to_fit();
            self.outbox.shrink_to_fit();
            self.fresh.shrink_to_fit();
            self.work.shrink_to_fit();
            self.asked.shrink_to_fit();
            self.doubtful.shrink_to_fit();
        }
        let state = self.state.as_ref().map_or(0, RunState::fixed_bytes);
        self.bytes + (std::mem::size_of::<Self>() + state) as u64
    }

    /// Whether what somebody asked of it is still to be decided.
    pub(super) fn has_order(&self) -> bool {
        let is_order = |item: &Item| matches!(item, Item::Input(queued) if queued.actor != Actor::Engine);
        matches!(self.phase, Phase::Ready) && self.queue.iter().any(is_order)
    }

    /// Queues an input of the engine's own.
    pub(super) fn push(&mut self, queued: Queued) {
        self.queue.push_back(Item::Input(Box::new(queued)));
    }

    /// Whether the history is a copy of another run's that nothing has made a run of.
    pub(super) fn is_copy(&self) -> bool {
        self.state.as_ref().and_then(RunState::run).is_some_and(|run| run != self.run)
    }

    /// Whether the input that makes a run of a copied history waits for it.
    pub(super) fn is_forking(&self) -> bool {
        self.queue.iter().any(|item| match item {
            Item::Input(queued) => matches!(queued.kind, InputKind::Fork(_)),
            Item::Look(_) => false,
        })
    }

    /// Whether there is no such run, and nobody who wants to start it.
    pub(super) fn is_nothing(&self) -> bool {
        matches!(self.phase, Phase::Ready) && self.version == Version::ZERO && self.queue.is_empty()
    }

    /// The end of a piece of work is decided, durably: what the state lists from now on is new.
    pub(super) fn settle_work(&mut self, kind: &InputKind) {
        match kind {
            InputKind::AttemptFinished { id, .. } | InputKind::AttemptLost { id, .. }
                if matches!(self.work.get(id), Some(Work::Reported)) =>
            {
                self.work.remove(id);
            }
            InputKind::ProbeFinished { id, gate, probe_no, .. }
            | InputKind::ProbeFailed { id, gate, probe_no, .. } => {
                self.probes.remove(&(id.clone(), gate.clone(), *probe_no));
            }
            InputKind::WorkspacePrepared(prepared) => {
                self.preparing = false;
                let taken = self.state.as_ref().and_then(RunState::workspace);
                self.unwanted = prepared.as_ref().ok().filter(|made| Some(*made) != taken).cloned();
            }
            InputKind::WorkspaceShared(_) => self.preparing = false,
            InputKind::NoticeFinished { version, notice, .. } => self.settle_notice(*version, notice),
            _no_end_of_work => {}
        }
    }

    /// Whether it must stay in memory.
    pub(super) fn is_pinned(&self) -> bool {
        !matches!(self.phase, Phase::Ready)
            || !self.queue.is_empty()
            || !self.work.is_empty()
            || !self.probes.is_empty()
            || self.notices.values().any(|telling| !telling.is_at_rest())
            || self.preparing
            || self.releasing
            || self.fetching > 0
            || self.settling.is_some()
    }

    /// Whether work inside this process is in progress.
    pub(super) fn has_in_process_work(&self) -> bool {
        self.work.values().any(|work| matches!(work, Work::Running(running) if !running.traits.supervised))
            || self.notices.values().any(Telling::is_going)
    }
}
