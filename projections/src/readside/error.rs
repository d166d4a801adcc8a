//! Answers of the read side, and why there is none.

use std::sync::Arc;

use everfold_base::id::Position;
use everfold_store::ReadError;

use crate::model::ModelStop;
use crate::projection::FoldError;

/// Why a query has no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadSideError {
    /// The models have not come that far in time.
    #[error("the read models are at position {position}, {lag} events behind the wanted {wanted}")]
    Behind {
        /// Where they are.
        position: Position,
        /// What was wanted.
        wanted: Position,
        /// The difference.
        lag: u64,
    },
    /// The log cannot be read where the models go on, and they do not know what was wanted.
    #[error("the read models are at position {position}: the log behind it cannot be read")]
    Log {
        /// Where they are.
        position: Position,
        /// What is wrong: for damage with file and positions.
        #[source]
        source: Arc<ReadError>,
    },
    /// The model stopped.
    #[error("the read model {name} stopped at position {}: {}", stopped.position, stopped.what)]
    Stopped {
        /// Its name.
        name: &'static str,
        /// Why.
        stopped: ModelStop,
    },
    /// The model cannot be read.
    #[error("the read model {name} cannot be read")]
    Fold {
        /// Its name.
        name: &'static str,
        /// Why.
        #[source]
        source: FoldError,
    },
    /// There is no model of this name.
    #[error("there is no read model “{0}”")]
    Unknown(String),
    /// A rebuild of it is running already.
    #[error("the read model {0} is being built anew already")]
    Rebuilding(&'static str),
    /// The read side has ended.
    #[error("the read models are closed")]
    Closed,
}

/// An answer, and the position that it is of.
#[derive(Debug, Clone, PartialEq)]
pub struct AsOf<T> {
    /// What was asked.
    pub value: T,
    /// The last event that it knows.
    pub position: Position,
}
