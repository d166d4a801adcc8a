//! Who may do what: tokens, the sessions of browsers, and the role that each route asks for.
//!
//! Law: only hashes are stored; a token is let in by what the stream `engine/access` says at that
//! moment, so a revoked one is refused with the next request. A route that nobody thought of asks for
//! an admin.

mod desk;
mod permit;
mod secret;

pub use desk::{AccessDesk, AccessError, Made, MadeLink, MadeSession, TokenWish};
pub use permit::{Needs, needed};
pub use secret::Secret;
