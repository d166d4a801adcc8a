//! `/runs/{run}/act/{verb}`: the actions on a run, each behind a page that says what the engine will do.
//!
//! Law: a page says what will happen with numbers of the run as it is, and asks; only its form acts, by the same route of
//! REST as everybody. What REST refuses is shown above the form, in which everything typed still stands. With `look` the
//! form only says anew what would happen.
//!
//! To begin with: `Verb` names the actions, one file has the story of each or of a few, and `stories.rs` picks it;
//! `act.rs` is one request; `acting_run.rs` knows the run and counts; `confirmation.rs` is what a story gives to be drawn;
//! `asking.rs` draws it; `sending.rs` does it.

mod act;
mod acting_run;
mod again;
mod asking;
mod breakpoints;
mod budget;
mod confirmation;
mod definition;
mod ending;
mod fork;
mod policies;
mod recheck;
mod rerun;
mod restart;
mod routes;
mod sending;
mod signal;
mod standstill;
mod stories;
#[cfg(test)]
mod tests;
mod unblock;
mod verb;

pub(crate) use confirmation::shell_word;
pub(crate) use routes::routes;
pub(crate) use verb::done_sentence;
