//! The facts of a counter. Frozen once released, as those of runs are.

use serde::{Deserialize, Serialize};

use crate::event::{BudgetTerms, Spent};
use everfold_base::codec::stored;
use everfold_base::id::{EffectId, RunId, Version};
use everfold_base::time::Timestamp;
use everfold_language::definition::Period;

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

/// A person raised the limits for all runs of the scope, until the period ends.
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

/// Limits of a counter's own, beside those that its runs bring along; `None` each: it has none of that.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnLimit {
    /// In millionths of a US dollar.
    pub cost_micros: Option<u64>,
    /// Tokens, read and written.
    pub tokens: Option<u64>,
    /// The time of paid attempts, in milliseconds.
    pub wall_ms: Option<u64>,
}

/// A person gave the counter limits of its own, other ones, or took them away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnLimitSet {
    /// The scope that the counter is of.
    pub scope: String,
    /// Its period.
    pub per: Period,
    /// Where days begin; `None`: UTC.
    pub zone: Option<String>,
    /// The limits, in each period.
    pub limit: OwnLimit,
    /// The amount of money as it was written, where that was in another currency.
    pub written: Option<String>,
    /// Why.
    pub reason: Option<String>,
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
    /// It has limits of its own.
    OwnLimitSet(OwnLimitSet),
}

const BYTES_MAX: u64 = 64 * 1024;

stored!(CounterEvent, BYTES_MAX, {
    FundsReserved = 1,
    SpendCharged = 2,
    LimitRaised = 3,
    CounterPeriodBegan = 4,
    OwnLimitSet = 5,
});
