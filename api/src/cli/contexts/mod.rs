//! `context`: servers and folders that have names.

mod commands;
mod file;

pub(crate) use commands::{asks, run, show};
pub(crate) use file::{Contexts, LOCAL, Named, read};
