//! Why a delivery was not taken.

use everfold_core::hooks::ID_BYTES_MAX;

/// Why a delivery was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HookError {
    /// The source has no usable name.
    #[error("“{0}” is no name of a source: lower-case letters, digits, - and _, at most 64")]
    BadSource(String),
    /// The delivery has no usable id.
    #[error("the id of a delivery has 1 to {ID_BYTES_MAX} bytes and no control characters")]
    BadId,
    /// The id looks like a credential: masked it would not tell deliveries apart.
    #[error("the id of the delivery holds what looks like a credential ({0}), and would be recorded")]
    Credential(String),
    /// Too much was delivered at once.
    #[error("{what} of a delivery may have {max} bytes, this has {size}")]
    TooLarge {
        /// What.
        what: &'static str,
        /// How much it is.
        size: usize,
        /// How much it may be.
        max: usize,
    },
    /// Its body is nested too deeply.
    #[error("the body of a delivery may be nested {max} levels deep, this is {depth}")]
    TooDeep {
        /// How deep it is.
        depth: usize,
        /// How deep it may be.
        max: usize,
    },
    /// There is no such delivery.
    #[error("there is no delivery “{0}”")]
    NotFound(String),
    /// Several deliveries fit.
    #[error("several deliveries begin with “{0}”")]
    Ambiguous(String),
    /// It is being handled at this moment.
    #[error("the delivery is being handled already")]
    BeingHandled,
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
