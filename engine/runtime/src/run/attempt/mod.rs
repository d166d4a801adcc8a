//! One attempt in memory: its life cycle, the table of a run's attempts, how one ended.
//!
//! Law: what an event makes of an attempt is decided by [`lifecycle`] alone; every other file gives it events and
//! carries out its actions.

pub(crate) mod action;
pub(crate) mod ended_attempt;
pub(crate) mod event;
pub(crate) mod lifecycle;
pub(crate) mod phase;
pub(crate) mod table;
