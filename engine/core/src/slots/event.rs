//! The facts of a key. Frozen once released, as those of runs are.

use serde::{Deserialize, Serialize};

use crate::event::WantedSlot;
use everfold_base::codec::stored;
use everfold_base::id::{Position, RunId};

/// A run wants the slot and must wait for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotRequested {
    /// The run.
    pub run: RunId,
    /// What it wants: the limit is its own.
    pub slot: WantedSlot,
    /// Higher goes first.
    pub priority: i32,
    /// The place of the run's first event: the order among equals.
    pub began: Position,
    /// The runs that are cancelled to make room for it.
    pub victims: Vec<RunId>,
}

/// A run holds the slot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotGranted {
    /// The run.
    pub run: RunId,
    /// What it wanted.
    pub slot: WantedSlot,
    /// Higher goes first.
    pub priority: i32,
}

/// A run holds no slot of its own: the run that started it, and waits for it, holds one, and both share that.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotShared {
    /// The run.
    pub run: RunId,
    /// The run whose slot it shares, or that shares one itself.
    pub under: RunId,
    /// What it wanted.
    pub slot: WantedSlot,
    /// Higher goes first.
    pub priority: i32,
}

/// A run neither holds the slot nor waits for it any more, or holds it beyond its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotReleased {
    /// The run.
    pub run: RunId,
    /// Why.
    pub reason: ReleaseReason,
}

/// Why a slot was given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReleaseReason {
    /// The run succeeded; a key that is released by no success stays with it.
    Succeeded,
    /// The run failed.
    Failed,
    /// The run was cancelled.
    Cancelled,
    /// The run never began: its engine ended before.
    NeverBegan,
    /// Another run takes the key of a run that ended.
    Replaced,
}

/// A fact of a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub enum SlotEvent {
    /// A run waits.
    SlotRequested(SlotRequested),
    /// A run holds a slot.
    SlotGranted(SlotGranted),
    /// A run gave it back.
    SlotReleased(SlotReleased),
    /// A run shares the slot of the one that waits for it.
    SlotShared(SlotShared),
}

const BYTES_MAX: u64 = 1024 * 1024;

stored!(SlotEvent, BYTES_MAX, {
    SlotRequested = 1,
    SlotGranted = 2,
    SlotReleased = 3,
    SlotShared = 4,
});
