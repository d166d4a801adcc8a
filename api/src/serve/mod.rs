//! The listeners: the routes on the socket of a data folder, and over TCP for callers with tokens.
//!
//! Law: a process that holds a folder listens on its socket with the same routes as over TCP, so that a command gives
//! the same answer whether another process holds the folder or the command itself does. Only the connection, a token or
//! a session says who calls; nothing else in a request does.
//!
//! [`hold`] opens a folder and serves its socket; [`Server::start`] listens on an address. A request over TCP passes
//! `connections.rs` (the bound on connections), with TLS `first_bytes.rs`, `early_refusals.rs`, `unread_bodies.rs`, then
//! `authenticate.rs`, which asks `peers.rs`
//! (proxies), `hosts.rs` (names and pages), `rate.rs`, and `bodies.rs` (bounds on unknown callers).

mod authenticate;
mod bodies;
#[cfg(test)]
mod connection_tests;
mod connections;
mod early_refusals;
mod first_bytes;
mod half_closed;
mod hosts;
mod listen_place;
#[cfg(test)]
mod login_tests;
mod node_guard;
mod peers;
mod rate;
mod server;
mod socket;
mod unread_bodies;
mod write_through;

pub use listen_place::ListenPlace;
pub(crate) use node_guard::imagine_with;
pub use node_guard::{NodeGuard, hold, imagine};
pub use server::Server;
pub(crate) use server::try_certificate;
pub use socket::{connect, listen};
