//! How far rebuilding the index, or verifying the journal, has come.

use everfold_base::id::Position;

/// How far a long piece of work has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// The index is being built from the journal.
    Index {
        /// The last position that is in.
        done: Position,
        /// The last position of the journal.
        of: Position,
    },
    /// The journal is being verified.
    Verify {
        /// The last position that was looked at.
        done: Position,
        /// The last position, as far as it is known.
        of: Position,
    },
}
