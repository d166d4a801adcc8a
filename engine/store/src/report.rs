//! What opening a store found and did.

use everfold_base::id::Position;

/// What opening a store found and did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenReport {
    /// The store's identity, 32 hexadecimal digits; copies share it.
    pub store: String,
    /// The store's epoch, 16 hexadecimal digits; no copy shares it. Cursors carry it.
    pub epoch: String,
    /// Whether this folder may act: it was not copied or moved, or a person adopted it.
    pub adopted: bool,
    /// There was nothing in the folder.
    pub is_new: bool,
    /// The last event's position.
    pub position: Position,
    /// What was done to the index.
    pub index: IndexOpened,
    /// What was repaired, for people.
    pub warnings: Vec<String>,
}

/// What opening did to the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IndexOpened {
    /// It was up to date.
    Kept,
    /// It lacked the journal's last events.
    CaughtUp {
        /// How many.
        events: u64,
    },
    /// It was built again from the journal.
    Rebuilt {
        /// Of how many events.
        events: u64,
    },
}
