//! Logging in and out: by a token, or by the code of a login link; and where unknown callers are sent.
//!
//! Law: what asks for a page without being known is led to the login, and from there back to what was asked for; never
//! to another server, and never in a circle.

mod login_page;
mod own_path;
mod session;
mod stranger;

pub(crate) use own_path::own_path;
pub(crate) use session::{enter, log_in, log_out, page};
pub(crate) use stranger::{asked_after_form, asked_to_log_in};
