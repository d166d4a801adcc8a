//! Who may do what: callers, tokens, the sessions of browsers, and the role that each route asks for.
//!
//! Law: only hashes are stored; a token is let in by what the stream `engine/access` says at that
//! moment, so a revoked one is refused with the next request. A route that the table does not list asks for
//! an admin.

mod access_control;
pub mod caller;
mod cookie;
mod permit;
mod secret;
mod session;

pub use access_control::{AccessControl, AccessError, MadeLink, MadeSession, NewToken, TokenWish};
pub use caller::Caller;
pub use cookie::{SECURE_SESSION_COOKIE, SESSION_COOKIE, session_cookie, session_of};
pub use permit::{RequiredRole, needed};
pub use secret::Credential;
pub use session::RequestSession;
