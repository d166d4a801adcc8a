//! The command line: a file per verb or group of verbs.
//!
//! Law: a verb asks the routes and prints what they answer. It knows no store and no engine; so it
//! does the same whether another process owns the folder or this one. `--json` prints the routes' own
//! answer on stdout; what is for people's eyes beside it goes to stderr.
//! No verb's file uses another verb's file: what verbs share is a file named by what it is.

mod args;
mod audit;
mod background;
mod background_owner;
mod bench;
mod bisect;
mod board;
mod bulk;
mod candidates;
mod completions;
mod context;
mod contexts;
mod control;
mod credentials;
mod data_folder;
mod debug;
mod demo;
mod diff;
mod dispatch;
mod doctor;
mod dry_run;
mod engine_pause;
mod events;
mod explain;
mod files;
mod hooks;
mod inbox;
mod init;
mod input_names;
mod interrupt;
mod json_fields;
mod key_values;
mod limits;
mod lines;
mod list_pages;
mod logs;
mod man;
mod mcp;
mod moments;
mod notices;
mod orch;
mod output;
mod pipeline;
mod pipeline_files;
mod pipeline_source;
mod pipeline_test;
mod program;
mod progress;
mod projections;
mod queries;
mod replay;
mod replay_many;
mod rerun;
mod run;
mod run_input;
mod run_list;
mod run_start;
mod run_text;
mod runs;
mod schedule;
mod serve;
mod show;
mod signal;
mod spend;
mod state;
mod stats;
mod store;
mod store_progress;
mod table;
mod target;
mod threads;
mod token;
mod ui;
mod version;
mod wait;
mod wait_state;
mod watch;
mod why;
mod workers;

pub use program::main_with_args;
