//! What the program says while it works: lines on stderr, for people or for programs.
//!
//! Law: every line that belongs to a run's work says which run and, where there is one, which step; every line
//! of a request says its id. Nothing secret is said: what steps and services say is masked before it comes here, and
//! of requests only method, route and id are known.

mod event_log;
mod form;
mod line;
mod setup;

pub(crate) use event_log::follow;
pub(crate) use form::LogForm;
pub(crate) use setup::begin;
