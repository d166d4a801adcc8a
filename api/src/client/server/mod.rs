//! The way to the routes of a server, over TCP or TLS.
//!
//! Law: what may have arrived is sent again only with the idempotency key of its first try. A server
//! that was never met is not waited for: a mistyped name fails at once; one that was met is waited for
//! as long as patience lasts.

mod address;
mod connect;
mod exchange;
mod lost;
mod token;
mod trust;

pub(crate) use address::ServerAddress;
pub(crate) use exchange::RemoteServer;
pub(super) use lost::Repeated;
pub(crate) use token::ServerTokenSource;
