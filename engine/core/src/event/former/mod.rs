//! Structs of former schemas, by family: what they held. Frozen for ever.

mod attempts;
mod budgets;
mod gates;
mod notices;
mod run;
mod run_forked;
mod run_started;
mod signals;
mod steps;
mod tasks;

pub use attempts::{
    AttemptAsked1, AttemptAsked2, AttemptAsked3, AttemptFailed1, AttemptFailed2, AttemptFailed3,
    AttemptFailed4, AttemptStarted1, AttemptStarted2, AttemptStarted3, AttemptSucceeded1, AttemptSucceeded2,
    AttemptSucceeded3, AttemptSucceeded4, ChildFinished1, StopRequested1,
};
pub(super) use attempts::{AttemptNotes1, AttemptNotes2, AttemptNotes3};
pub use budgets::{FundsRequested1, UsageRecorded1};
pub use gates::ProbeFailed1;
pub use notices::{NoticeQueued1, NoticeQueued2, NoticeQueued3, NoticeSent1};
pub use run::{RunAdmitted1, RunFailed1, RunPaused1, RunResumed1};
pub use run_forked::{
    RunForked1, RunForked2, RunForked3, RunForked4, RunForked5, RunForked6, RunForked7, RunForked8,
    RunForkedWhole,
};
pub use run_started::{RunStarted1, RunStarted2, RunStarted3, RunStarted4, RunStarted5, RunStartedWhole};
pub use signals::{SignalTaken1, SignalTaken2, SignalTakenWhole};
pub(super) use steps::Unblocked1;
pub use steps::{
    ReworkRequested1, RunUnblocked1, RunUnblocked2, RunUnblocked3, RunUnblockedWhole, StepFailed1,
    StepSkipped1, StepSucceeded1,
};
pub use tasks::{ApprovalDecided1, ApprovalRequested1, ApprovalRequested2, VoteCast1, VoteCast2};
