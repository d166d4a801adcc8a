//! The pages of a run beside its overview: events, logs, gates, artefacts, cost, children, definition.

mod address;
mod ansi;
mod artefacts;
mod children;
mod code;
mod cost;
mod definition;
mod event_line;
mod event_row;
mod events;
pub(crate) mod excerpt;
mod file;
mod gates;
mod log;
mod log_damage;
mod log_lines;
mod log_place;
mod log_search;
mod log_stream;
mod log_tail;
mod routes;
mod transcript;

pub(crate) use ansi::plain;
pub(crate) use event_line::event_line;
pub(crate) use log_tail::LogTail;
pub(crate) use routes::routes;
