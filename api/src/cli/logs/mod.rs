//! `logs`: what attempts printed, as it was printed or as a transcript of an agent.

mod log;
mod screen;
mod transcript;

pub(super) use log::run;
pub(super) use screen::harmless;
