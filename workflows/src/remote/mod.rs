//! Functions that workers do: they fetch attempts, work on them elsewhere, and report.
//!
//! Laws:
//! - An attempt is given to at most one worker, ever. Where that one sends nothing for the span of its
//!   lease, the attempt is lost, and the next attempt is another one.
//! - A lease and a report are facts of the run: `AttemptStarted` names the holder, the end of the attempt the report. The
//!   lease is durable before its worker gets it, the end before its report is acknowledged; so a crash of the engine
//!   changes nothing for a worker, but that its lease begins anew.
//! - A worker that waits takes an attempt with its schedule, in one append; it gets it when that is durable.
//! - A worker is a process: two that use one token are two, and neither may speak of what the other holds.
//! - A report counts once, and only from the worker that holds the attempt.
//!
//! | file | what it is |
//! |---|---|
//! | `queue` | what is offered and who waits; pure |
//! | `attempt` | one attempt: offered, held, ended |
//! | `lease`, `end` | who holds an attempt, and how it ended, as its run records it |
//! | `former_record` | what former versions kept of that in the attempt's folder |
//! | `lease_table` | all of it, as the executor uses it |
//! | `worker_polls` | what polls are given |
//! | `worker_reports` | heartbeats and ends, as workers report them |
//! | `name` | who a worker is |
//! | `known_worker`, `holdings` | which workers polled or reported, and what each holds |
//! | `protocol`, `view` | the bodies of the routes and what is shown |
//! | `settings`, `functions` | which functions are left to workers |
//! | `client`, `outgoing_reports`, `engine_connection` | a worker in Rust |

mod attempt;
mod client;
mod end;
mod engine_connection;
mod executor;
mod former_record;
mod functions;
mod holdings;
mod known_worker;
mod lease;
mod lease_table;
mod name;
mod outgoing_reports;
mod protocol;
mod queue;
pub(crate) mod settings;
mod view;
mod worker_polls;
mod worker_reports;

#[cfg(test)]
mod carried_attempts;
#[cfg(test)]
mod kill_law;
#[cfg(test)]
mod offer_tests;
#[cfg(test)]
mod reservation_tests;
#[cfg(test)]
mod stop_tests;
#[cfg(test)]
mod tests;

pub(crate) use attempt::CarryMode;
pub use client::{Worker, WorkerError};
pub(crate) use executor::carry;
pub use lease_table::LeaseTable;
pub use name::{BadInstance, Instance, WorkerName};
pub use protocol::{
    AttemptFacts, AttemptName, Heartbeat, HeartbeatReply, Job, LeaseClaim, NoAttemptName, Reported,
    ReportedFailure, ReportedFailureKind, WorkerPoll, WorkerRefusal, WorkerReport,
};
pub use settings::{RemoteSettings, WorkerSettings};
pub use view::{HeldView, RemoteView, WorkerView};
