//! The real driver in virtual time, over a store and a machine that are anything but kind.
//!
//! One seed decides everything: the pipelines, what work and people do, where the engine dies, which
//! appends fail and which acknowledgements are lost. The same seed gives the same log, byte for byte.
//!
//! `EVERFOLD_SEEDS=10000` plays so many seeds, `EVERFOLD_SEED=N` one of them, with its story.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![allow(clippy::disallowed_methods, reason = "virtual time comes from the paused runtime")]

mod endless;
#[path = "../core/generate.rs"]
mod generate;
#[path = "../core/hands.rs"]
mod hands;
mod judge;
mod ledger;
mod machine;
mod outside;
#[path = "../driver/over.rs"]
mod over;
mod pairs;
mod people;
mod plan;
mod play;
mod seeds;
mod shrink;
mod store;
mod why;
