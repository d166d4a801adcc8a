//! A step or an item of one, by its index in the graph.

use serde::{Deserialize, Serialize};

/// A step, or an item of one, by index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Key {
    pub(crate) step: usize,
    pub(crate) item: Option<u32>,
}

impl Key {
    pub(crate) fn step(step: usize) -> Self {
        Self { step, item: None }
    }
}
