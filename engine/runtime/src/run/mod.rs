//! One run in memory, without input and output.
//!
//! Law: nothing here starts a task or calls the store; the clock and values that are at hand come with the
//! [`Runtime`](crate::runtime::Runtime) that callers pass in.

pub(crate) mod answers;
pub(crate) mod append_batch;
pub(crate) mod attempt;
pub(crate) mod decide_queue;
pub(crate) mod loaded_run;
pub(crate) mod notice_progress;
pub(crate) mod reattachment;
pub(crate) mod record;
