//! The facts of a key. Frozen once released, as those of runs are.

use bincode::Options as _;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::event::WantedSlot;
use crate::id::{Position, RunId};

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
pub enum KeyEvent {
    /// A run waits.
    SlotRequested(SlotRequested),
    /// A run holds a slot.
    SlotGranted(SlotGranted),
    /// A run gave it back.
    SlotReleased(SlotReleased),
    /// A run shares the slot of the one that waits for it.
    SlotShared(SlotShared),
}

/// Why stored bytes are no event of a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyCodecError {
    /// A newer everfold wrote it.
    #[error("kind {0}, schema {1} is of a newer everfold")]
    Unknown(u16, u16),
    /// The bytes are not what was written.
    #[error("{0}")]
    Bytes(String),
}

const SCHEMA: u16 = 1;
const BYTES_MAX: u64 = 1024 * 1024;

impl KeyEvent {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::SlotRequested(_) => "SlotRequested",
            Self::SlotGranted(_) => "SlotGranted",
            Self::SlotReleased(_) => "SlotReleased",
            Self::SlotShared(_) => "SlotShared",
        }
    }

    /// Kind, schema and bytes.
    ///
    /// # Errors
    /// [`KeyCodecError::Bytes`]: it is larger than any key's event can be.
    pub fn encode(&self) -> Result<(u16, u16, Vec<u8>), KeyCodecError> {
        let (kind, bytes) = match self {
            Self::SlotRequested(event) => (1, options().serialize(event)),
            Self::SlotGranted(event) => (2, options().serialize(event)),
            Self::SlotReleased(event) => (3, options().serialize(event)),
            Self::SlotShared(event) => (4, options().serialize(event)),
        };
        bytes.map(|bytes| (kind, SCHEMA, bytes)).map_err(|error| KeyCodecError::Bytes(error.to_string()))
    }

    /// Reads stored bytes.
    ///
    /// # Errors
    /// [`KeyCodecError`]
    pub fn decode(kind: u16, schema: u16, bytes: &[u8]) -> Result<Self, KeyCodecError> {
        fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, KeyCodecError> {
            options().deserialize(bytes).map_err(|error| KeyCodecError::Bytes(error.to_string()))
        }
        match (kind, schema) {
            (1, SCHEMA) => read(bytes).map(Self::SlotRequested),
            (2, SCHEMA) => read(bytes).map(Self::SlotGranted),
            (3, SCHEMA) => read(bytes).map(Self::SlotReleased),
            (4, SCHEMA) => read(bytes).map(Self::SlotShared),
            _newer => Err(KeyCodecError::Unknown(kind, schema)),
        }
    }
}

fn options() -> impl bincode::Options {
    bincode::DefaultOptions::new().with_fixint_encoding().with_limit(BYTES_MAX).reject_trailing_bytes()
}
