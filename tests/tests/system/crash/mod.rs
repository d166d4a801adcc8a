//! What crashes do to runs: the real program, a real store, SIGKILL.
//!
//! Each test has a folder of its own. Tests await conditions: a file, an event, a process that is gone.

mod budgets;
mod cancel;
mod child_runs_and_slots;
mod crash_table;
mod every_event;
pub(crate) mod fixtures;
mod folder_owner;
mod full_disk;
mod gate_probes;
mod kills;
mod long_agents;
mod notices;
mod resource_slots;
mod signals_and_pauses;
mod suspended;
mod triggers;
