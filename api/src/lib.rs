//! The edge of Everfold: REST over the owner's socket, and the `everfold` command line.
//!
//! Law: there is one way in. Every verb speaks HTTP to the same routes, over the socket of the process
//! that owns the data folder, or within its own process where it is the owner itself. Programs that embed
//! the engine ([`embed`]) are owners, too.
#![forbid(unsafe_code)]

pub mod access;
pub mod bench;
mod body;
mod caller_turns;
mod chosen_fields;
mod cli;
mod client;
mod compare;
mod credential_header;
pub mod embed;
mod event_follower;
pub mod fault;
pub mod graph;
pub mod http;
mod label_filter;
mod log;
mod lost_past;
mod memory_blobs;
pub mod metrics;
mod named_file;
pub mod node;
mod orch_import;
mod orch_onboard;
pub mod pipeline_test;
mod preflight;
mod schema;
pub mod serve;
pub mod settings;
mod text;
mod traces;
pub mod view;
mod virtual_time;
mod work_sources;

pub use cli::main_with_args;
