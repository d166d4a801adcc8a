//! Small real HTTP servers that speak as the services do which pipelines work with: for demonstrations and for tests.
//!
//! Laws: they listen on a free port of loopback and reach nothing. What they remember is bounded. They can fail in every
//! way in which a service can ([`ServiceFault`]).

mod gitea;
mod plane;
mod server;
mod telegram;

pub use gitea::{FakeGitea, FakePull, FakeReview};
pub use plane::{FakePlane, PlaneRequest, STATE_NAMES};
pub use server::{FakeAnswer, FakeRequest, FakeServer, FakeService, ServiceFault};
pub use telegram::{FakeMessage, FakeTelegram};
