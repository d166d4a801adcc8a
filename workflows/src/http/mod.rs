//! The HTTP client of the whole program: what steps, gates, providers, notices, workers and the exporter of traces
//! ask of other machines.
//!
//! Law: bounded in time, size and redirects. An error says whether the request may have arrived, so
//! that nothing that must not happen twice is sent again blindly. Names and passwords in a URL, and
//! headers that name an identity, are never sent on to another host and never shown.
//!
//! A caller makes one [`HttpClient`] and clones it; each [`HttpRequest`] carries its own time limit and the most
//! bytes of the answer that are read. The way of the command line to its server or its folder's owner keeps its
//! connections and follows streams; it stands on the same pieces ([`KeptConnection`], [`read_body`]).

mod body;
mod client;
mod connection;
mod endpoint;
mod executor;
mod idle;
mod percent;
mod request;
mod tls;

pub use body::{BodyBytes, BodyError, read_body};
pub use client::{HttpClient, USER_AGENT};
pub use connection::{KeptConnection, TlsError, connect_tcp, is_unknown_host, probe_when_idle, start_tls};
pub use executor::HttpExecutor;
pub(crate) use executor::host_of;
pub use percent::percent_encoded;
pub use request::{HttpAnswer, HttpError, HttpRequest};
pub use tls::{native_roots, tls, tls_of};
