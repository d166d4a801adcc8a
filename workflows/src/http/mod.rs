//! The HTTP client of the whole program: what steps, gates, providers, notices, workers and the exporter of traces
//! ask of other machines.
//!
//! Law: bounded in time, size and redirects. An error says whether the request may have arrived, so
//! that nothing that must not happen twice is sent again blindly. Names and passwords in a URL, and
//! headers that name an identity, are never sent on to another host and never shown.
//!
//! No other module of this crate opens a connection for HTTP. A caller makes one [`HttpClient`] and clones it; each
//! [`HttpRequest`] carries its own time limit and the most bytes of the answer that are read.

mod client;
mod endpoint;
mod executor;
mod request;
mod tls;

pub use client::HttpClient;
pub use executor::HttpExecutor;
pub use request::{HttpAnswer, HttpError, HttpRequest};
pub use tls::{native_roots, tls};
