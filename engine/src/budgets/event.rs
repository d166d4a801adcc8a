//! The facts of a counter. Frozen once released, as those of runs are.

use bincode::Options as _;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::event::{BudgetTerms, Spent};
use crate::id::{EffectId, RunId, Version};
use crate::time::Timestamp;

/// Something is kept free for an attempt, from before it starts until its use is charged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FundsReserved {
    /// The attempt.
    pub attempt: EffectId,
    /// In millionths of a US dollar; nothing where its budget has no `reserve`.
    pub cost_micros: u64,
    /// Its budget, where work is to stop when the limit is passed.
    pub terms: Option<BudgetTerms>,
}

/// What an attempt used up. Its reservation, where it has one, is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpendCharged {
    /// The attempt.
    pub attempt: EffectId,
    /// The version of the run's event that says so.
    pub version: Version,
    /// What.
    pub spent: Spent,
    /// When it ended: the period that it counts in.
    pub at: Timestamp,
}

/// Somebody raised the limits for all runs of the scope, until the period ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitRaised {
    /// The run where they did.
    pub run: RunId,
    /// The version of the run's event that says so.
    pub version: Version,
    /// By how much.
    pub add: Spent,
    /// When.
    pub at: Timestamp,
}

/// A period begins: nothing is spent in it yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CounterPeriodBegan {
    /// When.
    pub from: Timestamp,
    /// When the next one begins.
    pub until: Timestamp,
}

/// A fact of a counter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub enum CounterEvent {
    /// Something is kept free.
    FundsReserved(FundsReserved),
    /// Something was used up.
    SpendCharged(SpendCharged),
    /// The limits were raised.
    LimitRaised(LimitRaised),
    /// A period begins.
    CounterPeriodBegan(CounterPeriodBegan),
}

/// Why stored bytes are no event of a counter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CounterCodecError {
    /// A newer everfold wrote it.
    #[error("kind {0}, schema {1} is of a newer everfold")]
    Unknown(u16, u16),
    /// The bytes are not what was written.
    #[error("{0}")]
    Bytes(String),
}

const SCHEMA: u16 = 1;
const BYTES_MAX: u64 = 64 * 1024;

impl CounterEvent {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::FundsReserved(_) => "FundsReserved",
            Self::SpendCharged(_) => "SpendCharged",
            Self::LimitRaised(_) => "LimitRaised",
            Self::CounterPeriodBegan(_) => "CounterPeriodBegan",
        }
    }

    /// Kind, schema and bytes.
    ///
    /// # Errors
    /// [`CounterCodecError::Bytes`]: it is larger than any counter's event can be.
    pub fn encode(&self) -> Result<(u16, u16, Vec<u8>), CounterCodecError> {
        let (kind, bytes) = match self {
            Self::FundsReserved(event) => (1, options().serialize(event)),
            Self::SpendCharged(event) => (2, options().serialize(event)),
            Self::LimitRaised(event) => (3, options().serialize(event)),
            Self::CounterPeriodBegan(event) => (4, options().serialize(event)),
        };
        bytes.map(|bytes| (kind, SCHEMA, bytes)).map_err(|error| CounterCodecError::Bytes(error.to_string()))
    }

    /// Reads stored bytes.
    ///
    /// # Errors
    /// [`CounterCodecError`]
    pub fn decode(kind: u16, schema: u16, bytes: &[u8]) -> Result<Self, CounterCodecError> {
        fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CounterCodecError> {
            options().deserialize(bytes).map_err(|error| CounterCodecError::Bytes(error.to_string()))
        }
        match (kind, schema) {
            (1, SCHEMA) => read(bytes).map(Self::FundsReserved),
            (2, SCHEMA) => read(bytes).map(Self::SpendCharged),
            (3, SCHEMA) => read(bytes).map(Self::LimitRaised),
            (4, SCHEMA) => read(bytes).map(Self::CounterPeriodBegan),
            _newer => Err(CounterCodecError::Unknown(kind, schema)),
        }
    }
}

fn options() -> impl bincode::Options {
    bincode::DefaultOptions::new().with_fixint_encoding().with_limit(BYTES_MAX).reject_trailing_bytes()
}
