//! What several events are made of. Frozen with them.

mod attempts;
mod budgets;
mod run;
mod search;
mod seen;
mod signals;
mod steps;
mod tasks;
mod timers;

pub use attempts::{AttemptHolder, AttemptNotes, ChildEnd, LogSeal, SpareReason, StopReason};
pub use budgets::{BudgetReading, BudgetRefusal, BudgetTerms, Measure, Spent};
pub use run::{
    AdmissionEvidence, EffectLimits, FailedResult, HaltScope, Origin, OriginKind, Parent, RunNumber,
    SlotKind, WantedSlot,
};
pub use search::{SearchNumber, SearchValue};
pub use seen::{KeptVote, Seen, SeenKind, SeenPart};
pub use signals::{Hearing, SignalDecision, SignalEnd, SignalTaker};
pub use steps::{BlockReason, KeptWork, ReworkSource, ScheduledTask, ScheduledWork, SkipReason, Unblocked};
pub use tasks::{ApprovalTerms, AskedBy, Comment, QuestionTerms};
pub(crate) use timers::BUDGETS;
pub use timers::{ReminderOf, TimerId, TimerKind};
