//! The parts of what a row shows, as bits of an entry of its history: those that the entry stores.
//!
//! The bits are stored as a number of seven bits to a byte: what changes rarely has the high ones.

/// The status, and since when.
pub(super) const STATUS: u16 = 1;
/// The active steps.
pub(super) const STEPS: u16 = 1 << 1;
/// How many steps are how far.
pub(super) const COUNTS: u16 = 1 << 2;
/// The actions that it awaits.
pub(super) const AWAITS: u16 = 1 << 3;
/// What it used up, and how far it is.
pub(super) const SPENT: u16 = 1 << 4;
/// Its labels.
pub(super) const LABELS: u16 = 1 << 5;
/// Why it is paused.
pub(super) const PAUSED: u16 = 1 << 6;
/// How the run failed.
pub(super) const FAILURE: u16 = 1 << 7;
/// When it ended.
pub(super) const ENDED: u16 = 1 << 8;
/// What it is found by beside its labels.
pub(super) const SEARCH: u16 = 1 << 9;
/// Every part.
pub(super) const ALL: u16 = (1 << 10) - 1;
