//! Who may do what: callers, tokens, the sessions of browsers, and the role that each route asks for.
//!
//! Law: only hashes of tokens are stored. Each request is judged by the present state of the stream `engine/access`, so
//! a revoked token is refused with the next request. A route that the table does not list requires an admin.

mod access_control;
pub mod caller;
mod cookie;
mod permit;
mod secret;
mod session;

pub use access_control::{AccessControl, AccessError, MadeLink, MadeSession, NewToken, TokenWish};
pub use caller::Caller;
pub use cookie::SessionCookie;
pub use permit::{RequiredRole, needed};
pub use secret::Credential;
pub use session::RequestSession;
