//! What can happen to a run: the inputs of `decide`.

use std::collections::BTreeMap;

use crate::artefact::{Artefact, Usage, Workspace};
use crate::event::{
    AdmissionEvidence, BudgetReading, BudgetRefusal, Comment, HaltScope, Origin, Parent, Spent, TimerId,
    Told, UnblockDecision,
};
use everfold_base::actor::Actor;
use everfold_base::failure::Failure;
use everfold_base::id::{AttemptId, InputId, RunId, StepId, StepPath, Version};
use everfold_base::json::{Hash, JsonText};
use everfold_base::time::Timestamp;
use everfold_language::definition::{OnLost, Save, Vote};

/// Something that happened, with everything `decide` may know of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// Makes a repeated one recognisable.
    pub id: InputId,
    /// When: the clock, or the run's last time if that is later.
    pub at: Timestamp,
    /// Who caused it.
    pub actor: Actor,
    /// What happened.
    pub kind: InputKind,
}

/// A workspace that is another run's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedFrom {
    /// Where it is, and its head at this moment.
    pub workspace: Workspace,
    /// Whose it is.
    pub owner: RunId,
    /// Whether leftovers are committed there after each attempt.
    pub save: Save,
    /// The author of such commits; `None`: the settings'.
    pub author: Option<String>,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InputKind {
    /// A run begins.
    Start(Start),
    /// Work really began.
    AttemptStarted {
        /// The attempt.
        id: AttemptId,
    },
    /// Work ended.
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
        told: Told,
        /// It ended with a question to people, `{text, options, items}`; the result does not count.
        ask: Option<JsonText>,
    },
    /// Work vanished without a record.
    AttemptLost {
        /// The attempt.
        id: AttemptId,
        /// How that is known.
        reason: String,
        /// What follows where the step does not say.
        fallback: OnLost,
    },
    /// Something was used up.
    Usage {
        /// By whom.
        id: AttemptId,
        /// The number of the report within the attempt, 1-based.
        seq: u32,
        /// What.
        usage: Usage,
    },
    /// All that an attempt has used up so far of one model: what is new of it is recorded.
    UsageSoFar {
        /// By whom.
        id: AttemptId,
        /// What.
        usage: Usage,
    },
    /// The workspace is there, or cannot be had. Each preparation reports under an id of its own.
    WorkspacePrepared(Result<Workspace, Failure>),
    /// The workspace is that of the run that started this one.
    WorkspaceShared(SharedFrom),
    /// The run has ended, and its workspace is gone.
    WorkspaceRemoved {
        /// Where it was.
        path: String,
    },
    /// Evidence is there.
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
    /// Evidence could not be had.
    ProbeFailed {
        /// The attempt that is judged.
        id: AttemptId,
        /// The gate.
        gate: String,
        /// The number of the probe.
        probe_no: u32,
        /// What happened.
        message: String,
        /// Asking again cannot help.
        permanent: bool,
        /// How long it took.
        took_ms: u64,
        /// The gate itself cannot be judged.
        broken: bool,
    },
    /// Time has passed.
    TimerFired {
        /// Which timer.
        timer: TimerId,
        /// When it was due: a timer that was set anew is another one.
        due: Timestamp,
    },
    /// Someone votes.
    Vote {
        /// The task.
        id: AttemptId,
        /// What is said.
        vote: Vote,
        /// With which words.
        comment: Option<String>,
        /// The voter's roles.
        roles: Vec<String>,
        /// Remarks on what was shown.
        comments: Vec<Comment>,
        /// What is put in the place of the shown value.
        edited: Option<JsonText>,
    },
    /// Someone saves a part of an answer.
    SaveAnswer {
        /// The task.
        id: AttemptId,
        /// `{choice?, text?, items?}`.
        answer: JsonText,
        /// Their roles.
        roles: Vec<String>,
    },
    /// Someone answers.
    Answer {
        /// The task.
        id: AttemptId,
        /// `{choice?, text?, items?}`; what is left out stands in what was saved.
        answer: JsonText,
        /// Their roles.
        roles: Vec<String>,
    },
    /// A signal comes.
    Signal {
        /// Its name.
        name: String,
        /// What it says.
        payload: JsonText,
        /// The delivery that it comes with.
        delivery: Option<String>,
    },
    /// All gates of a step are to be judged again.
    Recheck {
        /// The step.
        path: StepPath,
        /// Policies that judge instead of the pipeline's, by gate.
        policies: BTreeMap<String, String>,
        /// Why.
        reason: Option<String>,
    },
    /// A step is to end as cancelled.
    CancelStep {
        /// The step, or an item of it.
        path: StepPath,
        /// Why.
        reason: Option<String>,
    },
    /// These steps are not to begin before a person says so.
    Breakpoints {
        /// All of them.
        steps: Vec<StepId>,
    },
    /// The run holds all its slots.
    Admitted {
        /// What `admit` is judged on at this moment.
        admission: Vec<AdmissionEvidence>,
        /// It waited for nothing since its start, where `admit` was judged; it is not judged again.
        at_once: bool,
    },
    /// A notice was sent, or will not be.
    NoticeFinished {
        /// The event's version.
        version: Version,
        /// The notice.
        notice: String,
        /// Tries in all.
        tries: u32,
        /// Why the notice was not delivered.
        failure: Option<String>,
    },
    /// The history so far is another run's; from here on this run goes its own way.
    Fork(Box<Fork>),
    /// The run is to end.
    Cancel {
        /// Why.
        reason: Option<String>,
    },
    /// Nothing more is to start.
    Pause {
        /// Why.
        reason: Option<String>,
    },
    /// The run's pipeline, or the whole engine, is paused.
    Halt {
        /// What is paused.
        scope: HaltScope,
        /// Why.
        reason: Option<String>,
    },
    /// What was paused goes on.
    Release {
        /// What was paused.
        scope: HaltScope,
    },
    /// The pause is over.
    Resume {
        /// Why.
        reason: Option<String>,
    },
    /// A person decides on a blocked step.
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
    },
    /// Someone leaves a note.
    Note {
        /// What it says.
        text: String,
    },
    /// Paid work is about to start.
    FundsWanted {
        /// The attempt.
        id: AttemptId,
    },
    /// The counters that the run shares with others say whether there is room.
    FundsAnswered {
        /// The attempt.
        id: AttemptId,
        /// The budget that has none.
        refused: Option<BudgetRefusal>,
        /// How full each is.
        readings: Vec<BudgetReading>,
    },
    /// The counters that the run shares with others know of a use or a raise.
    SpendReported {
        /// The version of the event that it followed from.
        version: Version,
        /// How full each is now.
        readings: Vec<BudgetReading>,
    },
    /// A person raises a budget.
    RaiseBudget {
        /// Which; `None`: the only one.
        budget: Option<String>,
        /// By how much.
        add: Spent,
        /// Why.
        reason: Option<String>,
    },
    /// The run cannot be gone on with, and is given up where it stands.
    Abandon {
        /// Why.
        reason: Option<String>,
    },
    /// What was left undone is gone on with.
    Advance,
    /// The clock says less than what was recorded.
    ClockRead {
        /// What it says.
        clock: Timestamp,
    },
}

impl InputKind {
    /// How deep the value is nested that it brings, if it brings one.
    #[must_use]
    pub fn depth(&self) -> Option<usize> {
        match self {
            Self::Start(start) => Some(&start.input),
            Self::Fork(fork) => Some(&fork.input),
            Self::AttemptFinished { result, .. } => result.as_ref().ok(),
            Self::ProbeFinished { evidence, .. } => Some(evidence),
            Self::Vote { edited, .. } => edited.as_ref(),
            Self::SaveAnswer { answer, .. } | Self::Answer { answer, .. } => Some(answer),
            Self::Signal { payload, .. } => Some(payload),
            Self::Unblock { output, .. } => output.as_ref(),
            Self::AttemptStarted { .. }
            | Self::AttemptLost { .. }
            | Self::Usage { .. }
            | Self::UsageSoFar { .. }
            | Self::Abandon { .. }
            | Self::WorkspacePrepared(_)
            | Self::WorkspaceShared(_)
            | Self::WorkspaceRemoved { .. }
            | Self::ProbeFailed { .. }
            | Self::TimerFired { .. }
            | Self::Recheck { .. }
            | Self::CancelStep { .. }
            | Self::Breakpoints { .. }
            | Self::Admitted { .. }
            | Self::NoticeFinished { .. }
            | Self::Cancel { .. }
            | Self::Pause { .. }
            | Self::Halt { .. }
            | Self::Release { .. }
            | Self::Resume { .. }
            | Self::Note { .. }
            | Self::FundsWanted { .. }
            | Self::FundsAnswered { .. }
            | Self::SpendReported { .. }
            | Self::RaiseBudget { .. }
            | Self::Advance
            | Self::ClockRead { .. } => None,
        }
        .map(JsonText::depth)
    }
}

/// A run begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    /// The run.
    pub run: RunId,
    /// The input, as given.
    pub input: JsonText,
    /// For readers.
    pub title: Option<String>,
    /// Labels beside the pipeline's own.
    pub labels: BTreeMap<String, String>,
    /// Where steps without a workspace work.
    pub cwd: Option<String>,
    /// Drawn by the driver; jitter follows from it.
    pub entropy: u64,
    /// The settings documents, merged: a map by name.
    pub config: Option<JsonText>,
    /// The step of another run that starts it.
    pub parent: Option<Parent>,
    /// Higher goes first where runs wait for a slot.
    pub priority: i32,
    /// What `admit` is judged on.
    pub admission: Vec<AdmissionEvidence>,
}

/// A run goes on from a copied history.
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
    /// Drawn by the driver.
    pub entropy: u64,
    /// The step before which the run pauses.
    pub until_step: Option<StepId>,
}
