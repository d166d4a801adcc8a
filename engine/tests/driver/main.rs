//! The driver over the memory store, with work that happens in memory, in virtual time.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod edge;
mod over;
mod rig;
mod watched;

mod admission;
mod answers;
mod bounds;
mod budgets;
mod children;
mod clock;
mod contained;
mod crash;
mod deep;
mod faults;
mod forks;
mod found;
mod full;
mod gates;
mod keys;
mod line;
mod lineage;
mod missed;
mod notices;
mod on_disk;
mod order;
mod other;
mod receivers;
mod recovery;
mod slots;
mod subscriptions;
mod timers;
mod triggers;
mod unread;
mod work;
