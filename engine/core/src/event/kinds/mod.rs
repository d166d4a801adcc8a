//! The payloads of a run's events, by family. Their numbers stand in the table of
//! [`RunEvent`](super::RunEvent).

mod attempts;
mod budgets;
mod gates;
mod notices;
mod run;
mod signals;
mod steps;
mod tasks;
mod timers;
mod workspaces;

pub use attempts::{
    AttemptAsked, AttemptFailed, AttemptLost, AttemptStarted, AttemptSucceeded, ChildFinished, ChildStarted,
    ChildStopped, ProgressReported, RetryScheduled, SearchSet, StopRequested, WorkSpared,
};
pub use budgets::{
    BudgetExceeded, BudgetPeriodBegan, BudgetRaised, BudgetsOpened, FundsAnswered, FundsGranted,
    FundsRequested, SpendReported, UsageRecorded,
};
pub use gates::{GateEvaluated, ProbeFailed, ProbeScheduled};
pub use notices::{NoticeFailed, NoticeQueued, NoticeSent};
pub use run::{
    Advanced, CancelRequested, NoteAdded, RunAbandoned, RunAdmitted, RunCancelled, RunFailed, RunForked,
    RunHalted, RunPaused, RunQueued, RunReleased, RunResumed, RunStarted, RunSucceeded,
};
pub use signals::{SignalReceived, SignalTaken};
pub use steps::{
    BreakpointHit, BreakpointsSet, ItemsExpanded, RecheckRequested, ReworkRequested, RunUnblocked,
    StepBlocked, StepCancelRequested, StepCancelled, StepFailed, StepScheduled, StepSkipped, StepSucceeded,
};
pub use tasks::{AnswerSaved, ApprovalDecided, ApprovalRequested, QuestionAnswered, QuestionAsked, VoteCast};
pub use timers::{ClockRead, TimerFired, TimerSet};
pub use workspaces::{WorkspacePrepared, WorkspaceRemoved, WorkspaceShared, WorktreeReset};
