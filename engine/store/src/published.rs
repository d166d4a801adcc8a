//! How far a store can be read.

use everfold_base::id::Position;

/// How far the store can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PublishedEnd {
    pub(crate) position: Position,
    pub(crate) closed: bool,
}
