//! What steps and gates do: executors, probers, git workspaces, the built-in pipelines.
//!
//! Law: nothing here writes to a run. Executors and probers are asked, act once however often they
//! are asked the same, and answer with what happened.
#![forbid(unsafe_code)]

pub mod agent;
pub mod builtin;
pub mod command;
pub mod demo;
pub mod documents;
pub mod function;
pub mod git;
pub mod handles;
pub mod hook;
pub mod http;
pub mod probe;
pub mod process;
pub mod provider;
pub mod remote;
pub mod settings;
pub mod shim;

mod edge;
mod in_process;
mod notify;
mod outage;
mod regular;
mod secret;
mod witness;
mod xml;
mod yaml;

pub use edge::{Hands, edge, hands};
pub use witness::AbortWitness;
