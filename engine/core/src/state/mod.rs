//! The state of a run: a fold of its events, nothing else.
//!
//! Law: [`RunState::apply`] neither fails nor chooses, and each event costs O(1) in the size of the
//! run (a rework costs what it resets). What is to be done next stands nowhere; it follows from the
//! state ([`crate::effect`]) or from its agenda, which is folded like everything else.
//!
//! Called by `decide`, which applies what it records, and by every load of a history.

mod account;
mod account_view;
mod agenda;
mod ancestry;
mod apply;
mod awaited;
mod clock;
mod clock_reading;
mod control;
mod effect_facts;
mod effect_view;
mod effects;
mod ending;
mod executor_facts;
mod executor_notes;
mod facts;
mod interrupt_view;
mod interrupts;
mod kept_items;
mod key;
mod lifecycle;
mod outbox;
mod outstanding;
mod people;
mod refused_round_view;
mod refused_rounds;
mod reminder_view;
pub(crate) mod reminders;
mod route_use_view;
mod run_state;
mod runs;
mod seen;
mod seen_view;
mod shown;
mod slot_demand;
mod slot_wait;
mod snapshot;
pub mod spend;
mod spend_view;
mod standstill;
mod status;
mod step;
mod stored_value;
mod unheard;
mod view;
mod worked;
mod worker_hold_view;
mod worker_holds;

pub use account::{StepUsage, VerdictNote};
pub use account_view::Warning;
pub(crate) use agenda::Agenda;
pub use awaited::Awaited;
pub(crate) use control::{Cut, KEPT_MAX};
pub use control::{Order, Pause, PausedBy};
pub use effect_view::{HeldBack, JudgedWork, RecordedSpan};
pub use effects::{effects, effects_of, living_effects};
pub(crate) use ending::Ending;
pub use executor_facts::SharedWorkspace;
pub(crate) use facts::RouteUse;
pub use facts::{Facts, UsageTotal};
pub use interrupt_view::Resumption;
pub use key::Key;
pub use lifecycle::Cancelling;
pub(crate) use lifecycle::{Forked, RunEnd, RunOutcome, Started};
pub use outbox::{NOTICES_MAX, Outstanding};
pub use people::{ApprovalState, CastVote, People, QuestionState};
pub use reminder_view::Reminded;
pub(crate) use route_use_view::ROUTE_MAX_DEFAULT;
pub use route_use_view::RouteUses;
pub use run_state::{EventMeta, RunState};
pub use snapshot::{FOLD_VERSION, SnapshotError};
pub use spend::BudgetView;
pub use status::{RunStatus, StepStatus};
pub use step::{
    AttemptEnding, GateVerdict, ItemEnd, Items, Judging, Last, Phase, Rework, Settling, Stage, StepState,
    Unit,
};
pub use stored_value::StoredValue;
pub use view::RunNote;
pub use worker_holds::{HoldEnd, WorkerHold};
