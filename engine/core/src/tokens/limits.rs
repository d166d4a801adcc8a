//! How many tokens and sessions there may be.

/// Tokens that may be there, revoked ones included.
pub const TOKENS_MAX: usize = 10_000;
/// Sessions that may be open; the one that ends first makes room.
pub const SESSIONS_MAX: usize = 1_000;
/// The most sessions of one token: opening more closes the token's own sessions, not those of other tokens.
pub const TOKEN_SESSIONS_MAX: usize = 50;
/// Approval roles of one token.
pub const APPROVES_MAX: usize = 64;
/// The longest name of a token or an approval role.
pub const NAME_BYTES_MAX: usize = 64;
