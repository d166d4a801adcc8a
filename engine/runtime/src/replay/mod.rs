//! Replay: decides recorded inputs again and compares.

pub(crate) mod backtest;
pub(crate) mod by_definition;
mod decision;
mod difference;
mod recorded_inputs;
pub(crate) mod redecide;
pub(crate) mod report;
pub(crate) mod verdicts;
