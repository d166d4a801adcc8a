//! Figures of appends and flushes, for metrics.

use std::time::Duration;

/// A group of appends that was made durable by one flush.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flushed {
    /// Appends in it.
    pub appends: usize,
    /// Their events.
    pub events: u32,
    /// Bytes that were written.
    pub bytes: usize,
    /// How long writing and flushing took.
    pub took: Duration,
}

/// Receives figures of appends and flushes. Called on the commit path: it must not wait.
pub trait StoreObserver: Send + Sync {
    /// An append was answered `took` after it came.
    fn appended(&self, took: Duration, was_taken: bool) {
        let _unheard = (took, was_taken);
    }

    /// A group is durable.
    fn flushed(&self, group: Flushed) {
        let _unheard = group;
    }
}

/// Ignores all figures.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unobserved;

impl StoreObserver for Unobserved {}
