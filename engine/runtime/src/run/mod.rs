//! One run in memory, without input and output.
//!
//! Law: nothing here starts a task, reads a clock of its own or calls the store; it is handed in.

pub(crate) mod answers;
pub(crate) mod append_batch;
pub(crate) mod attempt;
pub(crate) mod decide_queue;
pub(crate) mod loaded_run;
pub(crate) mod notice_progress;
pub(crate) mod reattachment;
pub(crate) mod record;
