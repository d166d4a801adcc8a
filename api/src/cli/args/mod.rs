//! What the program takes: verbs and their arguments, a file for each group of verbs.
//!
//! Law: arguments as clap reads them, and nothing that acts.

mod begin;
mod command_line;
mod folder;
mod name;
mod people;
mod pipeline;
mod query;
mod server;
mod steer;
mod triggers;

pub(crate) use begin::*;
pub(crate) use command_line::*;
pub(crate) use folder::*;
pub(crate) use people::*;
pub(crate) use pipeline::*;
pub(crate) use query::*;
pub(crate) use server::*;
pub(crate) use steer::*;
pub(crate) use triggers::*;
