//! Schedules: the actor that compares them with the clock, and what their moments start.
//!
//! Law: one task, the schedule actor, is the only writer of the schedules' streams. Nothing follows from a moment
//! before its fact is durable. Moments come only while the server calls [`crate::Engine::look_at_clock`]:
//! a process that owns a store for a moment starts nothing by itself.

pub(crate) mod actor;
pub(crate) mod cancel_runs;
pub(crate) mod error;
pub(crate) mod history;
pub(crate) mod mailbox;
pub(crate) mod record;

mod failure;
mod key_queues;
mod known_schedules;
mod moments;
mod pipeline_schedules;
mod schedule_requests;
pub(crate) mod schedule_stream;
mod schedule_work;
pub(crate) mod tick;
