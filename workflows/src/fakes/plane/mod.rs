//! A Plane in small: what its REST API (version 1) and its webhooks say of issues, states and comments, kept in memory.

mod hooks;
mod routes;
mod service;
mod world;

pub use service::{FakePlane, PlaneRequest};
pub use world::STATE_NAMES;
