//! The functions `plane.*`: what a pipeline says to the tracker Plane, and what it reads there.
//!
//! Law: each may be called again at any time, after a failure, a lost answer and a crash, and comes to the same end. A
//! token goes to the address that `with.url` names and nowhere else, and into no message. Nothing of one project is
//! ever taken for another's. Every request ends within 10 seconds.
//!
//! Source of the formats: Plane's REST API, version 1 (developers.plane.so, and `apps/api/plane/api` of
//! github.com/makeplane/plane).

mod admitted_issues;
mod client;
mod comment;
mod comments;
mod declare;
mod error;
mod issue;
mod issue_link;
mod issue_lookup;
mod issue_state;
mod late_writes;
mod limits;
mod parameters;
mod part;
mod second_look;
mod sequence;
mod set_state;
mod state_key;
mod states;
mod states_cache;
#[cfg(test)]
mod tests;
pub(crate) mod text;

pub(crate) use declare::functions;
pub use sequence::sequence_wish;
