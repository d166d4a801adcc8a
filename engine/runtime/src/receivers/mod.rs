//! Receivers of notices of runs: places for notices that are being sent, and a queue for each receiver.
//!
//! Laws (L32):
//! - Nothing of it is durable: a new engine learns by its own tries which receivers answer.
//! - A notice that waits holds a [`registry::NoticeTicket`], one that is sent a [`registry::SendingPlace`]; dropping
//!   either gives back what belongs to it.
//! - A notice that waits needs no state of its run: the run may leave memory, and is loaded when its notice is sent.
//!
//! [`queue`] decides which notice is next; [`registry`] is its lock, its inboxes and its clock.

pub(crate) mod queue;
pub(crate) mod registry;
