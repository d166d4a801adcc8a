//! `/inbox`: what waits for a person, and what they say to it.
//!
//! Law: a decision names the digest of what stood on the page, so nothing is decided that was not seen. The page of a
//! task stays on that task, whatever else comes and goes.

mod budget;
mod decide;
mod decision;
mod draft;
mod effect;
mod history;
mod opening;
mod page;
mod picture;
mod routes;
mod saved_answer;
mod shown;
mod task;

pub(crate) use routes::routes;
