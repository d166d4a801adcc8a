//! How an exchange with a server can end without a first answer.

use crate::fault::Fault;

/// Why there is no answer.
pub(super) enum Lost {
    /// Another try may help.
    Away(Fault),
    /// It cannot.
    Never(Fault),
}

/// Marks the answer to a write whose first try may have been done although its answer was lost.
#[derive(Debug, Clone, Copy)]
pub(in crate::client) struct Repeated;
