//! `doctor`: whether this machine has what Everfold needs, and whether a new version would decide as the former one did.

mod engine;
mod finding;
mod look;
mod upgrade;

pub(super) use look::run;
