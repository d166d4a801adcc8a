//! What can happen to a run: the inputs of `decide`.

use std::collections::BTreeMap;

use crate::artefact::{Artefact, Usage, Workspace};
use crate::event::{
    AdmissionEvidence, AnswerSaved, AttemptNotes, AttemptStarted, BreakpointsSet, CancelRequested, ClockRead,
    EffectLimits, FundsAnswered, FundsRequested, NoteAdded, NoticeFailed, NoticeSent, Origin, Parent,
    ProbeFailed, ProgressReported, QuestionAnswered, RecheckRequested, RunAbandoned, RunAdmitted, RunHalted,
    RunNumber, RunPaused, RunReleased, RunResumed, SearchSet, SeenPart, SignalReceived, SpendReported, Spent,
    StepCancelRequested, TimerFired, UnblockDecision, UsageRecorded, VoteCast, WorkSpared, WorkspaceRemoved,
    WorkspaceShared,
};
use everfold_base::actor::Actor;
use everfold_base::failure::Failure;
use everfold_base::id::{AttemptId, InputId, RunId, StepId, StepPath};
use everfold_base::json::{Hash, JsonText, Payload};
use everfold_base::time::Timestamp;
use everfold_language::definition::OnLost;

/// Something that happened, with everything `decide` may know of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// Makes a repeated one recognisable.
    pub id: InputId,
    /// When: the clock, or the run's last time if that is later.
    pub at: Timestamp,
    /// The actor that caused it.
    pub actor: Actor,
    /// What happened.
    pub kind: InputKind,
}

/// What happened.
///
/// An input whose fact says all of it carries the fact's struct, and `decide` records that. Values in it are
/// inline, whatever their size: `decide` makes a blob of what is too large for an event. A variant with fields
/// of its own says less than its fact, or has several facts; its comment says which.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InputKind {
    /// A run begins. The fact also names the pipeline that the state is pinned to.
    Start(Start),
    /// Work really began. The fact of an attempt whose work is a run is `ChildStarted`.
    AttemptStarted(AttemptStarted),
    /// Work ended. Its facts: `AttemptSucceeded`, `AttemptFailed`, `AttemptAsked`, `ChildFinished`, `ChildStopped`.
    AttemptFinished {
        /// The attempt.
        id: AttemptId,
        /// Its output, or how it failed.
        result: Result<JsonText, Failure>,
        /// The worktree's head afterwards.
        commit: Option<String>,
        /// Kept files.
        artefacts: Vec<Artefact>,
        /// When the work itself ended.
        ended_at: Timestamp,
        /// What it said beside its output.
        notes: AttemptNotes,
        /// It ended with a question to people, `{text, options, items}`; the result does not count.
        ask: Option<JsonText>,
    },
    /// Work vanished without a record. Its facts: `AttemptLost`, `ChildStopped`.
    AttemptLost {
        /// The attempt.
        id: AttemptId,
        /// How that is known.
        reason: String,
        /// What follows where the step does not say.
        fallback: OnLost,
    },
    /// Work says how far it is.
    Progress(ProgressReported),
    /// Work says what its run is found by.
    SetSearch(SearchSet),
    /// Work of a fork is not done.
    Spare(WorkSpared),
    /// Something was used up.
    Usage(UsageRecorded),
    /// All that an attempt has used up so far of one model. The fact is a `UsageRecorded` with what is new of it.
    UsageSoFar {
        /// The attempt.
        id: AttemptId,
        /// Its total so far.
        usage: Usage,
        /// The attempt has ended, and its program says itself what it cost: that counts, also where it is less.
        is_billed: bool,
    },
    /// The workspace was made, or could not be: exactly one of both, which the fact's two options do not express. Each
    /// preparation reports under an id of its own.
    WorkspacePrepared(Result<Workspace, Failure>),
    /// The workspace is that of the run that started this one.
    WorkspaceShared(WorkspaceShared),
    /// The run has ended, and its workspace is gone.
    WorkspaceRemoved(WorkspaceRemoved),
    /// A probe returned evidence. The fact is the judgement on it, `GateEvaluated`, or `ProbeFailed` where it gives no
    /// verdict.
    ProbeFinished {
        /// The attempt that is judged.
        id: AttemptId,
        /// The gate.
        gate: String,
        /// The number of the probe.
        probe_no: u32,
        /// What was found.
        evidence: JsonText,
        /// How long it took.
        took_ms: u64,
    },
    /// A probe returned no evidence.
    ProbeFailed(ProbeFailed),
    /// Time has passed. A timer that was set anew is due at another time, and so another one.
    TimerFired(TimerFired),
    /// A person votes.
    Vote(VoteCast),
    /// A person votes, and what the task shows of the workspace was measured at that moment. The fact is the vote.
    MeasuredVote {
        /// The vote.
        vote: VoteCast,
        /// What lies there now, of what the task shows.
        found: Vec<SeenPart>,
    },
    /// A person saves a part of an answer. The fact's `answer` is merged with what was saved before.
    SaveAnswer(AnswerSaved),
    /// A person answers `{choice?, text?, items?}`. The fact's `answer` is completed with what was saved before.
    Answer(QuestionAnswered),
    /// A signal arrives.
    Signal(SignalReceived),
    /// A person requests that all gates of a step are judged again.
    Recheck(RecheckRequested),
    /// A person cancels a step.
    CancelStep(StepCancelRequested),
    /// The breakpoints of the run, all of them: the run pauses before each of these steps.
    Breakpoints(BreakpointsSet),
    /// The run holds all its slots.
    Admitted(RunAdmitted),
    /// A notice was sent.
    NoticeSent(NoticeSent),
    /// A notice will not be sent.
    NoticeFailed(NoticeFailed),
    /// The history so far is another run's; from here on this run goes its own way. The fact also lists the steps
    /// that begin anew.
    Fork(Box<Fork>),
    /// The run is cancelled.
    Cancel(CancelRequested),
    /// The run is paused: no further work starts. Its fact may ask that what runs is stopped, too.
    Pause(RunPaused),
    /// The run's pipeline, or the whole engine, is paused.
    Halt(RunHalted),
    /// The pause of the pipeline or of the engine is over.
    Release(RunReleased),
    /// The run's own pause is over. What is said to agents that were interrupted is inline.
    Resume(RunResumed),
    /// A person decides on a blocked step. The fact names the step.
    Unblock {
        /// The step or item; `None`: the only blocked one.
        path: Option<StepPath>,
        /// What to do.
        decision: UnblockDecision,
        /// The output that `proceed` gives the step.
        output: Option<JsonText>,
        /// Why.
        reason: Option<String>,
        /// What `recheck` judges by instead: policies by gate.
        policies: BTreeMap<String, String>,
        /// A retry keeps the items of the step that are done; false where former versions decided.
        keeps_items: bool,
    },
    /// A note is added.
    Note(NoteAdded),
    /// Paid work is about to start.
    FundsWanted(FundsRequested),
    /// The counters that the run shares with others say whether there is room.
    FundsAnswered(FundsAnswered),
    /// The counters that the run shares with others know of a use or a raise.
    SpendReported(SpendReported),
    /// A person raises a budget. The fact names the budget.
    RaiseBudget {
        /// Which; `None`: the only one.
        budget: Option<String>,
        /// By how much.
        add: Spent,
        /// Why.
        reason: Option<String>,
    },
    /// An operator abandons a run that cannot continue.
    Abandon(RunAbandoned),
    /// `decide` continues with its agenda, after it stopped at a bound or for values.
    Advance,
    /// The clock says less than what was recorded.
    ClockRead(ClockRead),
}

impl InputKind {
    /// What a person overrides by this input without saying why, in words. Recorded histories may hold such inputs of
    /// former releases: who takes a new one in refuses it.
    #[must_use]
    pub fn override_without_reason(&self) -> Option<&'static str> {
        let (what, reason) = match self {
            Self::Unblock { decision: UnblockDecision::Proceed, reason, .. } => {
                ("to proceed past a blocked step", reason)
            }
            Self::Unblock { policies, reason, .. } if !policies.is_empty() => {
                ("to judge by another policy", reason)
            }
            Self::Recheck(asked) if !asked.policies.is_empty() => {
                ("to judge by another policy", &asked.reason)
            }
            _no_override => return None,
        };
        let is_said = reason.as_ref().is_some_and(|reason| !reason.trim().is_empty());
        (!is_said).then_some(what)
    }

    /// The nesting depth of the value that the input carries, if it carries one.
    #[must_use]
    pub fn depth(&self) -> Option<usize> {
        match self {
            Self::Start(start) => Some(&start.options.input),
            Self::Fork(fork) => Some(&fork.input),
            Self::AttemptFinished { result, .. } => result.as_ref().ok(),
            Self::ProbeFinished { evidence, .. } => Some(evidence),
            Self::Vote(vote) | Self::MeasuredVote { vote, .. } => {
                vote.edited.as_ref().and_then(Payload::text)
            }
            Self::SaveAnswer(saved) => saved.answer.text(),
            Self::Answer(answered) => answered.answer.text(),
            Self::Signal(signal) => signal.payload.text(),
            Self::Unblock { output, .. } => output.as_ref(),
            Self::Resume(resumed) => resumed.prompt.as_ref().and_then(Payload::text),
            Self::AttemptStarted(_)
            | Self::AttemptLost { .. }
            | Self::Progress(_)
            | Self::SetSearch(_)
            | Self::Spare(_)
            | Self::Usage(_)
            | Self::UsageSoFar { .. }
            | Self::Abandon(_)
            | Self::WorkspacePrepared(_)
            | Self::WorkspaceShared(_)
            | Self::WorkspaceRemoved(_)
            | Self::ProbeFailed(_)
            | Self::TimerFired(_)
            | Self::Recheck(_)
            | Self::CancelStep(_)
            | Self::Breakpoints(_)
            | Self::Admitted(_)
            | Self::NoticeSent(_)
            | Self::NoticeFailed(_)
            | Self::Cancel(_)
            | Self::Pause(_)
            | Self::Halt(_)
            | Self::Release(_)
            | Self::Note(_)
            | Self::FundsWanted(_)
            | Self::FundsAnswered(_)
            | Self::SpendReported(_)
            | Self::RaiseBudget { .. }
            | Self::Advance
            | Self::ClockRead(_) => None,
        }
        .map(JsonText::depth)
    }
}

/// What the caller of a start says of the run. `RunStarted` records all of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StartOptions {
    /// The input, as given.
    pub input: JsonText,
    /// For readers.
    pub title: Option<String>,
    /// Labels beside the pipeline's own.
    pub labels: BTreeMap<String, String>,
    /// Where steps without a workspace work; `None`: a folder of the run's own.
    pub cwd: Option<String>,
    /// The step of another run that starts it.
    pub parent: Option<Parent>,
    /// The topmost run above it; without a parent it is not looked at.
    pub top: Option<RunId>,
    /// Who is behind the start, where that is not its actor.
    pub initiator: Option<Actor>,
    /// Higher goes first where runs wait for a slot.
    pub priority: i32,
}

impl StartOptions {
    /// Options with this input, and defaults for the rest.
    #[must_use]
    pub fn new(input: JsonText) -> Self {
        Self { input, ..Self::default() }
    }
}

/// A run begins: what its caller says, and what the runtime read and drew for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    /// The run.
    pub run: RunId,
    /// What the caller says.
    pub options: StartOptions,
    /// Drawn by the runtime; jitter follows from it.
    pub entropy: u64,
    /// The settings documents, merged: a map by name.
    pub config: Option<JsonText>,
    /// What `admit` is judged on.
    pub admission: Vec<AdmissionEvidence>,
    /// Its number, where the pipeline numbers its runs.
    pub number: Option<RunNumber>,
}

/// A run continues a copied history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fork {
    /// This run.
    pub run: RunId,
    /// Whose history it is, and up to where.
    pub origin: Origin,
    /// The definition from here on.
    pub definition: Hash,
    /// The input from here on.
    pub input: JsonText,
    /// The settings from here on.
    pub config: Option<JsonText>,
    /// The step that begins anew with all that depends on it; `None`: only what was in progress.
    pub from_step: Option<StepId>,
    /// For readers.
    pub title: Option<String>,
    /// Drawn by the runtime.
    pub entropy: u64,
    /// The step before which the run pauses.
    pub until_step: Option<StepId>,
    /// Who is behind the request, where that is not its actor.
    pub initiator: Option<Actor>,
    /// What of its work is not done; `None`: all is.
    pub effects: Option<EffectLimits>,
    /// What was in progress in the origin uses up no try of `retry`; false in forks that former versions made.
    pub keeps_tries: bool,
    /// Of each span that something waits for, as much is left as at the moment that is continued; false in forks that former
    /// versions made.
    pub keeps_spans: bool,
    /// The moment that is continued, where it is later than the last event that is copied.
    pub continued_at: Option<Timestamp>,
    /// A retry keeps the items that are done of the steps that begin anew; false in retries that former versions made.
    pub keeps_items: bool,
}
