//! Every region of every file of a small store, flipped, cut, zeroed and removed: healed from the
//! journal with a warning, reported with its place, or without effect on any answer. Never a panic,
//! never silently less.

mod every_region;
mod interrupted_repair;
mod lengths;
mod lost_end;
mod older_copy;
mod repair;
mod sample;
mod verify;
