//! The facts of a run.
//!
//! Law: a struct here is frozen once released. What changes gets a new schema number and an
//! upcaster in `codec`; kinds keep their numbers for ever, whatever their order.
//!
//! Values that may be large are [`Payload`]s; JSON is canonical text. The time, the actor and the
//! cause of an event stand in its envelope.

mod codec;
mod parts;

pub use codec::{CodecError, decode, encode};
pub use parts::{
    ApprovalTerms, BlockReason, ReworkSource, ScheduledTask, ScheduledWork, SkipReason, StopReason, TimerId,
    TimerKind, UnblockDecision, Unblocked,
};

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::definition::{FinishStatus, OnLost, Vote};
use crate::failure::Failure;
use crate::id::{AttemptId, Round, RunId, StepId, StepPath};
use crate::json::{BlobRef, Hash, JsonText, Payload};
use crate::policy::Verdict;
use crate::time::Timestamp;
use crate::trace::{Artefact, Usage, Workspace};

/// Declares the events: a frozen struct each, the enum over them, their numbers and names.
macro_rules! run_events {
    ($(
        $(#[$meta:meta])*
        $name:ident = $code:literal { $( $(#[$field_meta:meta])* $field:ident: $type:ty, )* }
    )*) => {
        $(
            $(#[$meta])*
            #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
            pub struct $name { $( $(#[$field_meta])* pub $field: $type, )* }

            impl From<$name> for RunEvent {
                fn from(event: $name) -> Self {
                    Self::$name(event)
                }
            }
        )*

        /// A fact of a run. In JSON `{"type": "StepScheduled", …}`.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(tag = "type")]
        pub enum RunEvent {
            $( $(#[$meta])* $name($name), )*
        }

        impl RunEvent {
            /// The kind's number in stored bytes.
            #[must_use]
            pub fn kind(&self) -> u16 {
                match self { $( Self::$name(_) => $code, )* }
            }

            /// The kind's name.
            #[must_use]
            pub fn name(&self) -> &'static str {
                match self { $( Self::$name(_) => stringify!($name), )* }
            }

            /// The name of a kind's number, where it is known.
            #[must_use]
            pub fn name_of(kind: u16) -> Option<&'static str> {
                match kind { $( $code => Some(stringify!($name)), )* _ => None }
            }

            /// Every kind's number and name.
            pub const KINDS: &'static [(u16, &'static str)] = &[ $( ($code, stringify!($name)), )* ];

            pub(crate) fn write(&self) -> Result<Vec<u8>, CodecError> {
                match self { $( Self::$name(event) => codec::write(stringify!($name), event), )* }
            }

            pub(crate) fn read(kind: u16, schema: u16, bytes: &[u8]) -> Result<Self, CodecError> {
                match kind {
                    $( $code => codec::read::<$name>(stringify!($name), schema, bytes).map(Self::$name), )*
                    unknown => Err(CodecError::UnknownKind(unknown)),
                }
            }
        }
    };
}

run_events! {
    /// The run exists. Fact of `start`.
    RunStarted = 1 {
        /// The run.
        run: RunId,
        /// The pipeline's name.
        pipeline: String,
        /// The pinned definition.
        definition: Hash,
        /// The checked input.
        input: Payload,
        /// For readers.
        title: Option<String>,
        /// Addresses and filters.
        labels: BTreeMap<String, String>,
        /// Where steps without a workspace work: the folder of the one who started it.
        cwd: Option<String>,
        /// Drawn at start; jitter follows from it.
        entropy: u64,
    }
    /// A step, or an item of one, begins a round.
    StepScheduled = 2 {
        /// The first attempt of the round.
        id: AttemptId,
        /// What is to be done.
        work: ScheduledWork,
    }
    /// The workspace is there, or cannot be had. Fact of `workspace prepared`.
    WorkspacePrepared = 3 {
        /// Where it is.
        workspace: Option<Workspace>,
        /// Why it is not.
        failure: Option<Failure>,
    }
    /// The items of a `foreach`.
    ItemsExpanded = 4 {
        /// The step.
        step: StepId,
        /// The round.
        round: Round,
        /// The items.
        items: Vec<Payload>,
        /// Items in progress at once.
        max_in_flight: Option<u32>,
    }
    /// Work really began. Fact of `attempt started`.
    AttemptStarted = 5 {
        /// The attempt.
        id: AttemptId,
    }
    /// Work ended well. Fact of `attempt finished`.
    AttemptSucceeded = 6 {
        /// The attempt.
        id: AttemptId,
        /// What came of it.
        output: Payload,
        /// The worktree's head afterwards.
        commit: Option<String>,
        /// Kept files.
        artefacts: Vec<Artefact>,
        /// When the work itself ended.
        ended_at: Timestamp,
    }
    /// Work failed. Fact of `attempt finished`.
    AttemptFailed = 7 {
        /// The attempt.
        id: AttemptId,
        /// How.
        failure: Failure,
        /// The worktree's head afterwards.
        commit: Option<String>,
        /// Kept files.
        artefacts: Vec<Artefact>,
        /// When the work itself ended.
        ended_at: Timestamp,
    }
    /// Work vanished without a record. Fact of `attempt lost`.
    AttemptLost = 8 {
        /// The attempt.
        id: AttemptId,
        /// How that is known.
        reason: String,
        /// What follows where the step does not say.
        fallback: OnLost,
    }
    /// Work is to end before its time.
    StopRequested = 9 {
        /// The attempts.
        ids: Vec<AttemptId>,
        /// Why.
        reason: StopReason,
    }
    /// The round goes on with another attempt.
    RetryScheduled = 10 {
        /// The next attempt.
        id: AttemptId,
        /// Not before.
        at: Timestamp,
        /// What is to be done, where it is not what the round was scheduled with.
        task: Option<ScheduledTask>,
    }
    /// A step ended well.
    StepSucceeded = 11 {
        /// The step.
        path: StepPath,
        /// The round.
        round: Round,
        /// Added to the run's labels.
        labels: BTreeMap<String, String>,
        /// A `finish` route ends the run with it.
        finish: Option<FinishStatus>,
    }
    /// A step did not apply, or was passed over.
    StepSkipped = 12 {
        /// The step.
        path: StepPath,
        /// The round; the former one where no round began.
        round: Round,
        /// Why.
        reason: SkipReason,
    }
    /// A step failed for good.
    StepFailed = 13 {
        /// The step, or an item of it.
        path: StepPath,
        /// The round.
        round: Round,
        /// How.
        failure: Failure,
        /// The run goes on as if it had succeeded without output.
        tolerated: bool,
        /// A `finish` route ends the run with it.
        finish: Option<FinishStatus>,
    }
    /// A step cannot go on without a person.
    StepBlocked = 14 {
        /// The step, or an item of it.
        path: StepPath,
        /// The round.
        round: Round,
        /// Why, and what `retry` would do.
        reason: BlockReason,
        /// What happened, in one line.
        message: String,
    }
    /// A step was ended with its run.
    StepCancelled = 15 {
        /// The step.
        path: StepPath,
        /// The round.
        round: Round,
    }
    /// A gate is to be judged on evidence.
    ProbeScheduled = 16 {
        /// The attempt that is judged.
        id: AttemptId,
        /// The gate.
        gate: String,
        /// The number of its first probe; polls go on counting.
        probe_no: u32,
        /// The prober.
        kind: String,
        /// Its parameters, rendered: `{spec, env}`.
        task: Payload,
    }
    /// A gate was judged. Fact of `probe finished`, where it is the first of its batch.
    GateEvaluated = 17 {
        /// The attempt that was judged.
        id: AttemptId,
        /// The gate.
        gate: String,
        /// The number of the probe; 0 where none was needed.
        probe_no: u32,
        /// What was found.
        evidence: Payload,
        /// The policy: a CEL text, or `default:KIND`.
        policy: String,
        /// BLAKE3 of that text.
        policy_hash: Hash,
        /// The version of the evaluator.
        evaluator: u32,
        /// What it says.
        verdict: Verdict,
        /// Why.
        reason: String,
        /// What a rework is told; `None`: reason and evidence.
        findings: Option<Payload>,
        /// How long the probe took.
        took_ms: u64,
        /// The gate's own code.
        code: Option<String>,
        /// It failed, and its route says `continue`: a warning, and on to the next gate.
        tolerated: bool,
    }
    /// Evidence could not be had. Fact of `probe failed`.
    ProbeFailed = 18 {
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
        /// How long the probe took.
        took_ms: u64,
    }
    /// A step and all that depends on it go into their next round.
    ReworkRequested = 19 {
        /// The step that begins again.
        target: StepId,
        /// What led to it.
        source: ReworkSource,
        /// Which route, as `STEP/PLACE/INDEX`.
        route: String,
        /// The uses of that route, this one included.
        used: u32,
        /// How many are allowed; fixed at the first use.
        max: Option<u32>,
        /// What the target is told.
        findings: Payload,
        /// The target and its dependants, in the order of the file.
        reset: Vec<StepId>,
    }
    /// People are asked.
    ApprovalRequested = 20 {
        /// The task.
        id: AttemptId,
        /// What is asked.
        title: String,
        /// What is shown: a list of texts and paths.
        show: Payload,
        /// Who may answer, and what decides.
        terms: ApprovalTerms,
    }
    /// Someone voted. Fact of `vote`.
    VoteCast = 21 {
        /// The task.
        id: AttemptId,
        /// What was said.
        vote: Vote,
        /// With which words.
        comment: Option<String>,
        /// The voter's roles at that time.
        roles: Vec<String>,
    }
    /// The votes suffice.
    ApprovalDecided = 22 {
        /// The task.
        id: AttemptId,
        /// What they say.
        decision: Vote,
        /// Whose votes made it.
        by: Vec<String>,
        /// Their comments, joined.
        comment: Option<String>,
    }
    /// Time is to pass.
    TimerSet = 23 {
        /// Which timer.
        timer: TimerId,
        /// When it is due.
        at: Timestamp,
    }
    /// Time has passed. Fact of `timer fired`.
    TimerFired = 24 {
        /// Which timer.
        timer: TimerId,
        /// When it was due.
        due: Timestamp,
    }
    /// Something was used up. Fact of `usage`.
    UsageRecorded = 25 {
        /// By whom.
        id: AttemptId,
        /// The number of the report within the attempt, 1-based.
        seq: u32,
        /// What.
        usage: Usage,
    }
    /// Nothing more is started. Fact of `pause`.
    RunPaused = 26 {
        /// Why.
        reason: Option<String>,
    }
    /// The pause is over. Fact of `resume`.
    RunResumed = 27 {
        /// Why.
        reason: Option<String>,
    }
    /// A person decided on a blocked step. Fact of `unblock`.
    RunUnblocked = 28 {
        /// What was decided.
        unblocked: Unblocked,
    }
    /// The run is to end. Fact of `cancel`.
    CancelRequested = 29 {
        /// Why.
        reason: Option<String>,
    }
    /// The run was cancelled.
    RunCancelled = 30 {
    }
    /// The run ended well.
    RunSucceeded = 31 {
        /// Its result.
        output: Payload,
    }
    /// The run failed.
    RunFailed = 32 {
        /// The step that made it fail.
        path: Option<StepPath>,
        /// How.
        failure: Failure,
    }
    /// What was left undone is gone on with. Fact of `advance`.
    Advanced = 33 {
    }
    /// Someone left a note. Fact of `note`.
    NoteAdded = 34 {
        /// What it says.
        text: String,
    }
}

impl RunEvent {
    /// Whether an event of this kind is the last of its run.
    #[must_use]
    pub fn ends_run(kind: u16) -> bool {
        matches!(Self::name_of(kind), Some("RunSucceeded" | "RunFailed" | "RunCancelled"))
    }

    /// The values in it that may be large, and may be kept outside of it.
    #[must_use]
    pub fn payloads(&self) -> Vec<&Payload> {
        match self {
            Self::RunStarted(event) => vec![&event.input],
            Self::StepScheduled(StepScheduled { work: ScheduledWork::Task(task), .. }) => vec![&task.task],
            Self::ItemsExpanded(event) => event.items.iter().collect(),
            Self::AttemptSucceeded(event) => vec![&event.output],
            Self::RetryScheduled(event) => event.task.iter().map(|task| &task.task).collect(),
            Self::ProbeScheduled(event) => vec![&event.task],
            Self::GateEvaluated(event) => std::iter::once(&event.evidence).chain(&event.findings).collect(),
            Self::ReworkRequested(event) => vec![&event.findings],
            Self::ApprovalRequested(event) => vec![&event.show],
            Self::RunUnblocked(event) => event.unblocked.output.iter().collect(),
            Self::RunSucceeded(event) => vec![&event.output],
            Self::StepScheduled(_)
            | Self::WorkspacePrepared(_)
            | Self::AttemptStarted(_)
            | Self::AttemptFailed(_)
            | Self::AttemptLost(_)
            | Self::StopRequested(_)
            | Self::StepSucceeded(_)
            | Self::StepSkipped(_)
            | Self::StepFailed(_)
            | Self::StepBlocked(_)
            | Self::StepCancelled(_)
            | Self::ProbeFailed(_)
            | Self::VoteCast(_)
            | Self::ApprovalDecided(_)
            | Self::TimerSet(_)
            | Self::TimerFired(_)
            | Self::UsageRecorded(_)
            | Self::RunPaused(_)
            | Self::RunResumed(_)
            | Self::CancelRequested(_)
            | Self::RunCancelled(_)
            | Self::RunFailed(_)
            | Self::Advanced(_)
            | Self::NoteAdded(_) => Vec::new(),
        }
    }

    /// Every blob that the event names, kept files included.
    #[must_use]
    pub fn blobs(&self) -> Vec<BlobRef> {
        let artefacts = match self {
            Self::AttemptSucceeded(event) => event.artefacts.as_slice(),
            Self::AttemptFailed(event) => event.artefacts.as_slice(),
            _other => &[],
        };
        let large = self.payloads().into_iter().filter_map(|payload| match payload {
            Payload::Blob(blob) => Some(*blob),
            Payload::Inline(_) => None,
        });
        large.chain(artefacts.iter().map(|artefact| artefact.blob)).collect()
    }
}

/// The one event of a definition's own stream `engine/definition-HASH`: runs pin it by its hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DefinitionSaved {
    /// The definition's hash.
    pub hash: Hash,
    /// The pipeline's name.
    pub name: String,
    /// The canonical document.
    pub document: JsonText,
}
