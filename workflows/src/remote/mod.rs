//! Functions that workers do: they fetch attempts, work on them elsewhere, and report.
//!
//! Laws:
//! - An attempt is given to at most one worker, ever. Where that one is not heard of for the span of its
//!   lease, the attempt is lost, and the next attempt is another one.
//! - A lease is durable before its worker hears of it, a report before its worker is thanked; so a crash of
//!   the engine changes nothing for a worker, but that its lease begins anew.
//! - A worker is a process: two that use one token are two, and neither may speak of what the other holds.
//! - A report counts for whoever holds the attempt, as long as they do, once.
//!
//! | file | what it is |
//! |---|---|
//! | `queue` | what is offered and who waits; pure |
//! | `attempt` | one attempt: offered, held, ended |
//! | `record` | what of that is durable, in the attempt's folder |
//! | `book` | all of it, as the executor and the routes use it |
//! | `name` | who a worker is |
//! | `seen` | which workers were heard of |
//! | `said`, `view` | what is said over the routes |
//! | `client` | a worker in Rust |

mod attempt;
mod book;
mod client;
mod executor;
mod name;
mod queue;
mod record;
mod said;
mod seen;
mod view;

#[cfg(test)]
mod tests;

pub use book::Book;
pub use client::{Worker, WorkerError};
pub(crate) use executor::carry;
pub use name::{BadInstance, Instance, WorkerName};
pub use said::{
    AttemptName, Beat, Heard, Job, NoAttemptName, Poll, Refused, Report, Reported, Said, Told, ToldKind,
};
pub use view::{HeldView, RemoteView, WorkerView};
