//! The tools that agents call over the Model Context Protocol: `everfold mcp` on standard input and output, and `/mcp`
//! of `everfold serve`.
//!
//! Law: a tool asks the REST routes and nothing else (`rest.rs`), as the caller of the request that called it. So rights,
//! audit, idempotency and errors are those of REST. An answer has a bounded size (`fit.rs`).
//!
//! To begin with: `registry.rs` lists all tools; `server.rs` is the protocol's side of them; `task.rs` shows a run as a
//! task of the protocol. `http.rs` and `stdio.rs` are the two ways in.

mod answer;
mod bounded_lines;
mod call;
mod client_message;
mod elicitation;
mod fit;
mod followed_run;
mod http;
mod inbox_item;
mod problem;
mod registry;
mod resources;
mod rest;
mod run_outline;
mod server;
mod stdio;
mod task;
mod tool;
mod tools;

pub use http::McpService;
pub use rest::RestRoutes;
pub use stdio::{StdioError, serve_stdio};
