//! The budget allocator: keeps the counters of budgets that runs share.
//!
//! Law: one task owns all counters and is their only writer, so what it finds is true until it has
//! decided. An attempt starts only after a reservation is durable in every counter that its run shares;
//! what it used up is charged exactly once, however often a crash makes the run report it again (S9).
//! Reservations of a former engine are compared with their runs before the counter is used. Waiting runs
//! are remembered in memory alone: one that is loaded again asks again, and gets the answers that it lacks.

pub(crate) mod allocator;
mod compare;
pub(crate) mod counter_stream;
pub(crate) mod limit_change;
pub(crate) mod mailbox;
mod own_limits;
pub(crate) mod read_counters;
