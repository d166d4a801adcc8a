//! The functions `gitea.*`: what a service that hosts repositories says of a pull request.
//!
//! Law: they only read, so gates and notices may call them. Each request has a time limit of five seconds. What cannot be
//! found out of a pull request is left out of a text ([`pull_of`]), and is no verdict of a gate ([`reviews`]).

mod declare;
mod pull_of;
mod reviews;

pub(crate) use declare::declare;
