//! The listeners: the routes on the socket of a data folder, and over TCP for callers with tokens.
//!
//! Law: a process that holds a folder listens on its socket with the same routes as over TCP, so that a command gives
//! the same answer whether another process holds the folder or the command itself does. Who calls is known from the
//! connection, a token or a session alone; the rest of a request is not believed.
//!
//! [`hold`] takes a folder and [`Server::start`] listens on an address.

mod authenticate;
mod bodies;
#[cfg(test)]
mod connection_tests;
mod connections;
mod first;
mod guard;
mod hosts;
mod peers;
mod place;
mod rate;
mod server;
mod socket;
mod write_through;

pub use guard::{NodeGuard, hold, imagine};
pub use place::ListenPlace;
pub use server::Server;
pub use socket::{connect, listen};
