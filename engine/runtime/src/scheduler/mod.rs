//! The scheduler: attempts and probes of all shards that wait for places, resources, rates and breakers.
//!
//! Laws:
//! - Nothing of it is durable but the pauses that services ask for ([`pause_news`]). It is what runs and what waits, so
//!   a new engine builds it again: living work takes what it held before, before any other request is served (D9).
//! - A request that waits holds a [`places::Ticket`], one that was served a [`places::Grant`]; dropping either
//!   gives back what belongs to it, so nothing is lost where an attempt is cancelled or its run leaves memory.
//!
//! [`queue`] decides which request is next; [`places`] holds the lock, the grant inboxes and the clock.

pub(crate) mod breaker;
pub(crate) mod pause_news;
pub(crate) mod places;
pub(crate) mod queue;
pub(crate) mod rate;
pub(crate) mod settings;
pub(crate) mod view;
pub(crate) mod wait_group;
