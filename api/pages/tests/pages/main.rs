//! Pages over routes that answer what a test says: what a page asks them for, and what it shows of their answers.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod audit;
mod fixed_routes;
mod insights;
mod orch;
mod refusals;
mod search;
