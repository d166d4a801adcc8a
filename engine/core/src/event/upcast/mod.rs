//! How structs of former schemas read today, by family.
//!
//! Law: a field that a former schema lacks gets the value that its absence stood for.

mod attempts;
mod budgets;
mod gates;
mod notices;
mod run;
mod run_forked;
mod run_started;
mod signals;
mod steps;
mod tasks;
