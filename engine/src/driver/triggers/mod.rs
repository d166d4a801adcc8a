//! What triggers do: the book of those that count, and acting on what they want.

mod act;
mod book;
mod by;
mod heard;
mod tail;

pub(super) use act::{Done, Errand, Mean, Stopped, act, started_before, tell_all};
pub(super) use book::TriggerBook;
pub use by::By;
pub(super) use tail::{Encoded, Tail, TailError};
