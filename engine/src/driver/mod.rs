//! The shell round the core: loads, decides, appends, starts what the state lists.
//!
//! Laws:
//! - A run belongs to one shard and has at most one append in flight; what queued meanwhile is
//!   decided in turn and appended as one batch.
//! - Nothing starts, and nobody is answered, before the state it rests on is durable.
//! - There is no stored to-do list: outstanding work is read from the folded state, so recovery is
//!   the ordinary path taken once more.
//! - A run that cannot be read, or whose decision panics, is set aside alone and visibly.
//!
//! Called by the edge (command line, REST) through [`Engine`]; calls the executors, probers and
//! workspaces of [`crate::execution::Edge`], and is the only writer of run streams.

mod abandon;
mod absent;
mod admission;
mod ask;
mod backtest;
mod blobs;
mod blocking;
mod children;
mod config;
mod copies;
mod definitions;
mod desk;
mod ends;
mod engine;
mod error;
mod fork;
mod halts;
mod hooks;
mod limits;
mod line;
mod lineage;
mod live;
mod load;
mod members;
mod message;
mod outbox;
mod patience;
mod pipelines;
mod receivers;
mod recover;
mod replay;
mod request;
mod schedules;
mod shard;
mod shared;
mod start;
mod survivors;
mod treasury;
mod triggers;
mod unfit;
mod unknown;
mod values;
mod verdicts;

pub use abandon::Abandon;
pub use backtest::{Outcome, Rejudged};
pub use blobs::Blobs;
pub use blocking::Blocking;
pub use config::EngineConfig;
pub use copies::CutCopy;
pub use definitions::saved_definition;
pub use engine::{Accepted, Engine, StartRequest, Started, Submission};
pub use error::{
    DefinitionError, LoadError, PipelineError, QueryError, RecoverError, StartError, SubmitError,
};
pub use fork::ForkRequest;
pub use halts::{HaltError, Halting};
pub use hooks::{DeliveryRecord, Handling, HookError, Receipt};
pub use line::{
    BreakerPolicy, BreakerStand, BreakerView, FairBy, LineView, OrderConfig, PoolView, RatePolicy, RateView,
    Reason, Waiting,
};
pub use live::{LiveAttempt, LiveRun};
pub use outbox::{NoticeError, NoticeSubscription, SubscriptionStand};
pub use pipelines::{Saved, saved_pipeline};
pub use receivers::NoticeStand;
pub use recover::{Recovered, Which};
pub use replay::{Difference, ReplayError, Replayed};
pub use schedules::{NewSchedule, ScheduleError, ScheduleRecord, Ticked};
pub use triggers::By;
pub use unknown::{Unknown, unknown_work};
