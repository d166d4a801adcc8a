//! Access over HTTP: tokens and the sessions of browsers, one stream of the engine's own, `engine/access`.
//!
//! Law: pure, like the core of a run: [`apply`](crate::aggregate::Aggregate::apply) neither fails nor chooses, deciding knows no
//! clock. The state holds no secret: only hashes of tokens and sessions. A token's name is given once for ever,
//! because events name their actor by it.
//!
//! Called by the server, which keeps the stream and asks at every request.

mod access;
mod event;
mod limits;
mod refusal;
mod role;

#[cfg(test)]
mod tests;

pub use access::{AccessRegistry, Token};
pub use event::{AccessEvent, CallRefused, SessionClosed, SessionOpened, TokenCreated, TokenRevoked};
pub use limits::{APPROVES_MAX, NAME_BYTES_MAX, SESSIONS_MAX, TOKEN_SESSIONS_MAX, TOKENS_MAX};
pub use refusal::{AccessRefusal, NotLetIn};
pub use role::{NoRole, Role};
