//! Answers to requests about limits that counters have of their own.

use crate::aggregate_store::Change;
use crate::streams::stream_writer::StreamError;
use everfold_base::id::RunId;
use everfold_core::budgets::REASON_BYTES_MAX;

/// Limits of a counter's own that were set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnLimitChange {
    /// What was recorded.
    pub change: Change,
    /// The runs whose work waited for the counter, and may start now. A repeat names none.
    pub resumed: Vec<RunId>,
}

/// Why limits of a counter's own were not set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BudgetError {
    /// The scope is empty, or too long.
    #[error("the scope of a budget has 1 to {max} bytes", max = everfold_core::decide::begin::KEY_BYTES_MAX)]
    BadScope,
    /// The scope looks like a credential: masked it would name another counter.
    #[error("the scope of the budget holds what looks like a credential ({0}), and would be recorded")]
    Credential(String),
    /// The reason is too long.
    #[error("the reason has at most {REASON_BYTES_MAX} bytes")]
    LongReason,
    /// The idempotency key was used for another order.
    #[error("the idempotency key was used for another request")]
    KeyReused,
    /// The store cannot be read, or takes nothing.
    #[error("{0}")]
    Store(String),
    /// The engine ends.
    #[error("the engine is shutting down")]
    ShuttingDown,
}

impl From<&StreamError> for BudgetError {
    fn from(error: &StreamError) -> Self {
        match error {
            StreamError::Closed => Self::ShuttingDown,
            other => Self::Store(other.to_string()),
        }
    }
}
