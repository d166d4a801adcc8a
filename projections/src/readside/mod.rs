//! The read side of a store: its read models, kept up to date from the log, and the queries that they answer.
//!
//! Law: nothing here delays an append. Events are read from the store's memory while the models keep up, and from the
//! log when they do not; they are folded on a thread of their own, and stored in batches, never on the way of a
//! commit.
//!
//! [`side`] is the handle, [`open`] builds it, [`state`] is what its [`threads`] share, [`channel`] connects the thread
//! that reads the log with the one that folds it. The node of a data folder keeps one [`ReadSide`] and answers lists from it;
//! the engine queries it through [`RunDirectory`].

mod channel;
mod directory;
mod error;
mod location;
mod open;
mod side;
mod state;
mod threads;

pub use directory::RunDirectory;
pub use error::{AsOf, ReadSideError};
pub use location::{ReadStorage, StorageLocation};
pub use side::ReadSide;
