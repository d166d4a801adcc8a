//! The parts of what a row shows, as bits of an entry of its history: those that the entry stores.

/// The status, and since when.
pub(super) const STATUS: u8 = 1;
/// The active steps.
pub(super) const STEPS: u8 = 2;
/// How the run failed.
pub(super) const FAILURE: u8 = 4;
/// Why it is paused.
pub(super) const PAUSED: u8 = 8;
/// Its labels.
pub(super) const LABELS: u8 = 16;
/// The actions that it awaits.
pub(super) const AWAITS: u8 = 32;
/// When it ended.
pub(super) const ENDED: u8 = 64;
/// What it used up, and how far it is.
pub(super) const SPENT: u8 = 128;
