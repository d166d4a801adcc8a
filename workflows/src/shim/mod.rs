//! The supervisor of one process: a tiny mode of the same binary, `everfold shim FOLDER`.
//!
//! Law: the attempt folder is the rendezvous. However often a supervisor is started on a folder,
//! its command runs at most once; the living supervisor holds the lock; the last thing written is
//! `exit.json`, complete or not at all. No engine need be there for any of it.
//!
//! The command line calls [`shim_main`] before anything else; [`crate::process`] writes the request
//! and reads what is left behind. `docs/reference/processes.md` describes the files.

pub mod log;
pub mod protocol;

mod capture;
mod children;
mod entry;
mod folder;
mod handover;
mod in_the_way;
pub(crate) mod leftovers;
pub(crate) mod os;
mod supervise;
pub(crate) mod wall_clock;

pub use entry::shim_main;
pub(crate) use handover::{Handover, copy_of};
