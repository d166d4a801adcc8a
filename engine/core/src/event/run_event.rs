//! The events of a run, each with the number under which it is stored.

use super::declare::{are_names_of, run_events};
use super::kinds::*;
use super::payload::{self, CodecError};
use everfold_language::words::EVENT_NAMES;

run_events! {
    RunStarted = 1,
    StepScheduled = 2,
    WorkspacePrepared = 3,
    ItemsExpanded = 4,
    AttemptStarted = 5,
    AttemptSucceeded = 6,
    AttemptFailed = 7,
    AttemptLost = 8,
    StopRequested = 9,
    RetryScheduled = 10,
    StepSucceeded = 11,
    StepSkipped = 12,
    StepFailed = 13,
    StepBlocked = 14,
    StepCancelled = 15,
    ProbeScheduled = 16,
    GateEvaluated = 17,
    ProbeFailed = 18,
    ReworkRequested = 19,
    ApprovalRequested = 20,
    VoteCast = 21,
    ApprovalDecided = 22,
    TimerSet = 23,
    TimerFired = 24,
    UsageRecorded = 25,
    RunPaused = 26,
    RunResumed = 27,
    RunUnblocked = 28,
    CancelRequested = 29,
    RunCancelled = 30,
    RunSucceeded = 31,
    RunFailed = 32,
    Advanced = 33,
    NoteAdded = 34,
    RunQueued = 35,
    RunAdmitted = 36,
    ChildStarted = 37,
    ChildFinished = 38,
    QuestionAsked = 39,
    AnswerSaved = 40,
    QuestionAnswered = 41,
    AttemptAsked = 42,
    SignalReceived = 43,
    SignalTaken = 44,
    RecheckRequested = 45,
    StepCancelRequested = 46,
    BreakpointsSet = 47,
    BreakpointHit = 48,
    BudgetsOpened = 49,
    BudgetExceeded = 50,
    BudgetRaised = 51,
    RunForked = 52,
    NoticeQueued = 53,
    NoticeSent = 54,
    NoticeFailed = 55,
    ChildStopped = 72,
    RunHalted = 60,
    RunReleased = 61,
    FundsRequested = 62,
    FundsGranted = 63,
    BudgetPeriodBegan = 64,
    FundsAnswered = 65,
    SpendReported = 66,
    WorktreeReset = 67,
    WorkspaceShared = 68,
    ClockRead = 69,
    RunAbandoned = 70,
    WorkspaceRemoved = 71,
    ProgressReported = 80,
    SearchSet = 81,
    WorkSpared = 82,
}

impl RunEvent {
    /// Whether an event of this kind is the last of its run.
    #[must_use]
    pub fn ends_run(kind: u16) -> bool {
        matches!(Self::name_of(kind), Some("RunSucceeded" | "RunFailed" | "RunCancelled"))
    }
}

const _: () =
    assert!(are_names_of(RunEvent::KINDS, EVENT_NAMES), "`words::EVENT_NAMES` lists the kinds in order");
