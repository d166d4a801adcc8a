//! Why a caller is not let in, and why a change of tokens is refused.

use super::limits::{APPROVES_MAX, NAME_BYTES_MAX, TOKENS_MAX};

/// Why a caller is not let in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotLetIn {
    /// This token or session is unknown.
    #[error("the token is not known here")]
    Unknown,
    /// Its time is over.
    #[error("the token “{0}” has expired")]
    Expired(String),
    /// It was revoked.
    #[error("the token “{0}” was revoked")]
    Revoked(String),
    /// The session is over.
    #[error("the session is over")]
    SessionOver,
}

/// Why a change of tokens makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AccessRefusal {
    /// The name was given before.
    #[error("there is, or was, a token “{0}”; events name their actor by it, so a name is given once")]
    NameTaken(String),
    /// The name cannot be one.
    #[error("“{0}” cannot be a name: 1 to {NAME_BYTES_MAX} letters, digits and `.`, `_`, `-`, `@`")]
    BadName(String),
    /// There is no such token.
    #[error("there is no token “{0}”")]
    NoToken(String),
    /// The time of its end is past.
    #[error("the token would have expired already")]
    ExpiresInThePast,
    /// It names too many approval roles.
    #[error("a token decides in at most {APPROVES_MAX} approval roles")]
    TooManyRoles,
    /// Too many tokens are there.
    #[error("there are {TOKENS_MAX} tokens already")]
    TooManyTokens,
}
