//! The runtime round the core: loads, decides, appends, starts what the state lists.
//!
//! Laws:
//! - A run belongs to one shard and has at most one append in flight; what queued meanwhile is
//!   decided in turn and appended as one batch.
//! - Nothing starts, and no request is answered, before the state it rests on is durable.
//! - There is no stored to-do list: outstanding work is read from the folded state, so recovery is
//!   the ordinary path taken once more.
//! - A run that cannot be read, or whose decision panics, is quarantined alone and visibly.
//!
//! Called by the edge (command line, REST) through [`Engine`]; calls the executors, probers and
//! workspaces of [`everfold_ports::Edge`], and is the only writer of run streams.
#![forbid(unsafe_code)]

pub mod aggregate_store;

mod blocking;
mod config;
mod crash_point;
mod credential_holds;
mod credentials;
mod definitions;
mod deps;
mod end_watch;
mod engine;
mod engine_parts;
mod error;
mod failures;
mod history_fold;
mod limits;
mod live_output;
mod load;
mod mailboxes;
mod messages;
mod panic;
mod pauses;
mod pipelines;
mod receivers;
mod recovery;
mod redaction;
mod replay;
mod retry;
mod run;
mod run_locks;
mod run_requests;
mod runtime;
mod saved_pipelines;
mod scheduler;
mod shard;
mod start;
mod stream_end;
mod stream_listing;
mod stream_pages;
mod streams;
mod values;
mod wakes;
mod work;
mod writable;

pub use crate::blocking::Blocking;
pub use crate::config::{EngineConfig, MoneyConfig};
pub use crate::engine::handle::Engine;
pub use crate::engine::look::LookError;
pub use crate::engine::notifications::NoticeRetry;
pub use crate::error::{
    DefinitionError, LoadError, PipelineError, QueryError, RecoverError, StartError, SubmitError,
};
pub use crate::history_fold::HistoryFold;
pub use crate::live_output::{LiveAttempt, LiveRun};
pub use crate::pauses::{HaltError, Halting};
pub use crate::pipelines::Saved;
pub use crate::receivers::registry::NoticeStand;
pub use crate::recovery::abandon::Abandon;
pub use crate::recovery::aborted_forks::CutCopy;
pub use crate::recovery::recover::{Recovered, Which};
pub use crate::recovery::unknown_work::{Unknown, unknown_work};
pub use crate::replay::backtest::{Outcome, Rejudged};
pub use crate::replay::report::{Difference, OtherDecision, Redecided, ReplayError, Replayed, WholeDecision};
pub use crate::scheduler::settings::{BreakerPolicy, FairBy, OrderConfig, RatePolicy};
pub use crate::scheduler::view::{BreakerStand, BreakerView, LineView, PoolView, RateView, Reason, Waiting};
pub use crate::start::adopt::{AdoptError, Adopted, Adoption, ForeignHistory};
pub use crate::start::fork::ForkRequest;
pub use crate::start::runs_above::RunsAbove;
pub use crate::start::submission::{Accepted, StartRequest, Started, Submission};
pub use crate::streams::budgets::limit_change::{BudgetError, OwnLimitChange};
pub use crate::streams::budgets::mailbox::FundsWait;
pub use crate::streams::notifications::registry::{NoticeError, ResendStand, SubscriptionStand};
pub use crate::streams::notifications::subscription::NoticeSubscription;
pub use crate::streams::schedules::error::ScheduleError;
pub use crate::streams::schedules::record::{
    NewSchedule, Removal, RemovedSchedule, ScheduleRecord, ScheduleUpdate, Ticked,
};
pub use crate::streams::triggers::by::By;
pub use crate::streams::webhooks::error::HookError;
pub use crate::streams::webhooks::list::{DeliveryRecord, Handling};
pub use crate::streams::webhooks::receipt::Receipt;
pub use everfold_base::blobs::Blobs;
pub use everfold_core::pipeline_versions::{saved_definition, saved_pipeline};
