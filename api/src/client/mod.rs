//! How a command reaches the routes: in a data folder, through its owner's socket or as the owner
//! itself ([`folder`]), or at a server, over TCP or TLS ([`server`]).
//!
//! Law: a write is repeated only with the idempotency key of its first try, so losing the owner or
//! the server in the middle of a request does no harm.
//! A client prints nothing: progress goes to the closure that its [`FolderOptions`] holds.

mod answer;
mod folder;
mod follow;
mod leave;
mod lines;
mod reconnect;
mod request;
mod rest_client;
mod server;
mod sse;

pub(crate) use answer::document;
pub use folder::FolderOptions;
pub(crate) use folder::wait_for_owner;
pub use follow::{Follow, FollowMessage, Followed};
pub use leave::Leave;
pub(crate) use lines::LogLines;
pub use request::{encode, query};
pub use rest_client::Client;
pub(crate) use server::{RemoteServer, ServerAddress, ServerTokenSource};
