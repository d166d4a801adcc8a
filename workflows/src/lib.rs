//! What steps and gates do: executors, probers, git workspaces, the built-in pipelines.
//!
//! Law: nothing here writes to a run. Executors and probers are asked, act once however often they
//! are asked the same, and answer with what happened.
#![forbid(unsafe_code)]

pub mod agent;
pub mod builtin;
pub mod command;
pub mod credential;
pub mod demo;
pub mod documents;
pub mod fakes;
pub mod function;
pub mod git;
pub mod handles;
pub mod hook;
pub mod http;
pub mod notify;
mod plane;
pub mod probe;
pub mod process;
pub mod provider;
pub mod redact;
pub mod remote;
pub mod secret;
pub mod settings;
pub mod shim;

mod attempt_end;
mod byte_order_mark;
mod forge;
mod in_process;
mod kept_files;
mod look;
mod outage_classifier;
mod private_file;
mod registry;
mod telegram;
mod witness;
mod workspace_path;
mod xml;
mod yaml;

pub use everfold_base::blobs::Blobs;
pub use look::WorkspaceInspector;
pub use plane::sequence_wish;
pub use registry::{Registry, edge, registry};
pub use witness::AbortWitness;
