//! What the program takes: verbs and their arguments, a file for each group of verbs; and how that is described.
//!
//! Law: arguments as clap reads them, and nothing that acts.

mod begin;
mod command_line;
mod description;
mod examples;
mod folder;
mod folder_verbs;
mod groups;
mod many_runs;
mod name;
mod orch;
mod orch_setup;
mod people;
mod pipeline;
mod query;
mod server;
mod steer;
mod triggers;

pub(crate) use begin::*;
pub(crate) use command_line::*;
pub(crate) use description::{command, read};
pub(crate) use folder::*;
pub(crate) use folder_verbs::{is_of_folder, on_folder};
pub(crate) use many_runs::ManyRuns;
pub(crate) use orch::*;
pub(crate) use orch_setup::*;
pub(crate) use people::*;
pub(crate) use pipeline::*;
pub(crate) use query::*;
pub(crate) use server::*;
pub(crate) use steer::*;
pub(crate) use triggers::*;
