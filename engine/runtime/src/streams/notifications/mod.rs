//! Subscriptions to events of the whole engine, and notices that are sent again.
//!
//! Laws (L32):
//! - The log is the outbox: a subscription sends the events behind its position, one after the other, and
//!   records each before it goes on. A crash loses none, and repeats at most the one that was being sent, under the
//!   same id.
//! - Each subscription has a task of its own: one that fails delays no other subscription and no run.
//! - A notice that failed for a day, or cannot succeed, is listed as undelivered and can be resent.
//!
//! Started by the owner of a folder when it resumes runs.

pub(crate) mod delivery;
pub(crate) mod queued_notice;
pub(crate) mod registry;
pub(crate) mod resend;
pub(crate) mod subscription;
pub(crate) mod subscription_worker;
