//! The facts of a run.
//!
//! Law: a struct here is frozen once released. What changes gets a new schema number and an
//! upcaster in `upcast`; kinds keep their numbers for ever, whatever their order.
//!
//! Values that may be large are [`Payload`](everfold_base::json::Payload)s; JSON is canonical text. The time, the actor and the
//! cause of an event stand in its envelope.

mod budget_words;
mod codec;
mod declare;
mod definition;
mod former;
mod kinds;
mod large;
mod parts;
mod payload;
mod rework_cause;
mod run_event;
mod schema_choice;
mod upcast;

pub use budget_words::taken;
pub use codec::{decode, encode};
pub use definition::DefinitionSaved;
pub use everfold_language::words::UnblockDecision;
pub use kinds::*;
pub(crate) use parts::BUDGETS;
pub use parts::{
    AdmissionEvidence, ApprovalTerms, AskedBy, AttemptHolder, AttemptNotes, BlockReason, BudgetReading,
    BudgetRefusal, BudgetTerms, ChildEnd, Comment, EffectLimits, FailedResult, HaltScope, Hearing, KeptVote,
    KeptWork, LogSeal, Measure, Origin, OriginKind, Parent, QuestionTerms, ReminderOf, ReworkSource,
    RunNumber, ScheduledTask, ScheduledWork, SearchNumber, SearchValue, Seen, SeenKind, SeenPart,
    SignalDecision, SignalEnd, SignalTaker, SkipReason, SlotKind, SpareReason, Spent, StopReason, TimerId,
    TimerKind, Unblocked, WantedSlot,
};
pub use payload::CodecError;
pub use run_event::RunEvent;
