//! The size of a tree: what the bounds of a pipeline count.
//!
//! Law: keys count as values do.

use super::yaml::{Kind, YamlNode};

/// How much a tree holds.
#[derive(Clone, Copy)]
pub(super) struct TreeSize {
    pub(super) nodes: usize,
    pub(super) bytes: usize,
}

impl TreeSize {
    /// Both together.
    pub(super) fn plus(self, other: Self) -> Self {
        Self { nodes: self.nodes + other.nodes, bytes: self.bytes + other.bytes }
    }

    /// What is left of this one; `None` where the other is larger.
    pub(super) fn minus(self, other: Self) -> Option<Self> {
        Some(Self {
            nodes: self.nodes.checked_sub(other.nodes)?,
            bytes: self.bytes.checked_sub(other.bytes)?,
        })
    }
}

/// How much a node and those below it hold.
pub(super) fn size(node: &YamlNode) -> TreeSize {
    let own = TreeSize { nodes: 1, bytes: node.text().map_or(0, str::len) };
    match &node.kind {
        Kind::List(items) => items.iter().map(size).fold(own, TreeSize::plus),
        Kind::Map(entries) => {
            entries.iter().map(|(key, value)| size(key).plus(size(value))).fold(own, TreeSize::plus)
        }
        Kind::Scalar { .. } | Kind::Bad => own,
    }
}
