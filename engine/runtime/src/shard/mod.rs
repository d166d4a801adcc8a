//! A shard: one task that owns the runs whose ids fall to it.
//!
//! Law: it never waits for a commit, a read or a piece of work. Whatever takes time is a future that
//! it polls, so that its other runs go on meanwhile; each turn takes in everything that is ready,
//! then decides, then starts appends and work.

pub(crate) mod advance;
pub(crate) mod append;
pub(crate) mod core;
pub(crate) mod disk_full;
pub(crate) mod dispatch;
pub(crate) mod event_loop;
pub(crate) mod eviction;
pub(crate) mod fetch;
pub(crate) mod intake;
pub(crate) mod job_done;
pub(crate) mod job_results;
pub(crate) mod load;
pub(crate) mod parked;
pub(crate) mod parked_notices;
pub(crate) mod poison;
pub(crate) mod quarantine;
pub(crate) mod queue_starts;
pub(crate) mod shortage;
pub(crate) mod snapshot;
pub(crate) mod start_queue;
pub(crate) mod timers;
