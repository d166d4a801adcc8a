//! How the inbox stores tasks: keys, index terms, and every form that a task had.

use std::borrow::Cow;

use everfold_base::id::{Position, RunId};
use serde::{Deserialize, Serialize};

use super::task::Task;
use crate::index::bitmap_index::term;
use crate::projection::FoldError;
use crate::row_codec;

/// Kinds of index terms: an open task, the role that may do it, its run.
pub(super) const OPEN: u8 = b'o';
pub(super) const ROLE: u8 = b'r';
const RUN: u8 = b'u';
/// The role of what anyone may do.
pub(super) const ANYONE: &str = "*";
/// The key of the number of tasks.
pub(super) const HEAD: &[u8] = b"H";

/// A task, and what it was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct TaskHistory {
    /// Its forms, each with the position since which it holds.
    pub(super) forms: Vec<(Position, Task)>,
}

pub(super) fn task_key(number: u32) -> [u8; 5] {
    let [a, b, c, d] = number.to_be_bytes();
    [b'k', a, b, c, d]
}

pub(super) fn of_run(run: RunId) -> Vec<u8> {
    term(RUN, &run.0.simple().to_string())
}

impl TaskHistory {
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, FoldError> {
        serde_json::from_slice(bytes).map_err(|error| FoldError::Row(error.to_string()))
    }

    /// The task as it was at a position.
    pub(super) fn at(&self, position: Position) -> Option<&Task> {
        self.forms.iter().rev().find(|(since, _)| *since <= position).map(|(_, task)| task)
    }
}

pub(super) fn count(head: Option<Cow<'_, [u8]>>) -> Result<u32, FoldError> {
    head.map_or(Ok(0), |bytes| row_codec::read(&mut &*bytes))
}
