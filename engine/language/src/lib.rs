//! The language of pipelines: expressions, definitions with their checks, timetables, and the builder that writes
//! definitions.
//!
//! Law: reading never fails without the place and a hint; this crate knows no run.
#![forbid(unsafe_code)]

pub mod builder;
pub mod definition;
pub mod expr;
pub mod timetable;
pub mod words;
