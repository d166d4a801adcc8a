//! What crashes do to runs: the real program, a real store, SIGKILL.
//!
//! Each test has a folder of its own. Tests await conditions: a file, an event, a process that is gone.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod agents;
mod budgets;
mod cancel;
mod every_event;
mod full_disk;
mod gates;
mod kills;
mod notices;
mod order;
mod owners;
mod runs;
mod slots;
mod support;
mod table;
mod triggers;
