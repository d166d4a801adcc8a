//! The node: the one process that holds a data folder's lock, its store and its engine.
//!
//! Law: whatever routes, the command line and embedding programs do to a folder is a method of [`Node`]. The node knows
//! neither routes nor connections: [`crate::http`] and [`crate::serve`] stand above it.
//!
//! One file per subject. To begin with: `handle.rs` holds the struct, `open.rs` opens and closes it, `periodic.rs` runs
//! its duties by the clock.

mod aborts;
mod attempt_facts;
mod attempt_retention;
mod bisect;
mod breakers;
mod budgets;
mod check;
mod credentials;
mod cursor;
mod driven_runs;
mod encoded_events;
mod handle;
mod hook_reply;
mod hooks;
mod idempotency;
mod lineage;
mod metrics_snapshot;
mod notices;
mod open;
mod past;
mod periodic;
mod pipelines;
mod read;
mod read_models;
mod readiness;
mod received_hooks;
mod record;
mod replay;
mod replay_below;
mod rerun;
mod run_compare;
mod run_diff;
mod runs_diff;
mod schedules;
mod settings;
mod signals;
mod start_run;
mod steps;
mod threads;
mod verify;
mod why;
mod why_folder;
mod workers;
mod write_receipt;

pub use crate::body::notice::{NoticeStatus, NoticeView, SubscriptionView};
pub(crate) use aborts::AbortMark;
pub(crate) use bisect::{FoundEvent, NamedRun, RunBisect, RunsBisect, RunsQuestion, UnknownName};
pub(crate) use budgets::{money, span};
pub(crate) use credentials::{credential_fault, refuse_in_definition};
pub(crate) use cursor::{CursorOf, PagedList, SortedPlace};
pub(crate) use handle::EndTurn;
pub use handle::Node;
pub use hooks::{DeliveryView, HandlingView, OutcomeView, OutcomeWord};
pub(crate) use idempotency::Idempotency;
pub(crate) use lineage::{Lineage, LineageRun};
pub use open::HoldOptions;
pub(crate) use open::{in_memory, make_folder, open, refuse_credentials, unknown_work};
pub(crate) use past::not_begun;
pub use readiness::Readiness;
pub use received_hooks::ReceivedDelivery;
pub(crate) use record::write_background as write_background_record;
pub use record::{OwnerRecord, read as read_record, write as write_record};
pub(crate) use replay::DecidedBy;
pub use replay::{
    Replay, ReplayBelow, ReplayDecision, ReplayDefinition, ReplayDifference, ReplayMisfit, ReplayedRun,
};
pub(crate) use rerun::Rerun;
pub(crate) use run_diff::RunDiff;
pub(crate) use runs_diff::{ComparedGate, ComparedRound, ComparedRun, RoundPair, RunsDiff};
pub(crate) use schedules::{Add, Remove, Update};
pub use schedules::{ScheduleView, TickView};
pub use settings::settings;
pub use signals::{HaltView, HaltsView, Signal, SignalReceipt, Signalled, UnknownPipeline};
pub(crate) use start_run::input_fits;
pub use start_run::{PipelineSource, StartRun, StartedRun, built_in, parsed};
pub(crate) use threads::check as check_threads;
pub use verify::{BadLogDigest, LogDigest, Verified, verify_folder};
pub use workers::WorkersAnswer;
pub(crate) use workers::unknown_view;
pub use write_receipt::WriteReceipt;
