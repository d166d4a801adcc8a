//! What events of budgets are made of. Frozen with them.

use serde::{Deserialize, Serialize};

use everfold_base::time::Timestamp;
use everfold_language::definition::{OnOver, Period};

/// Money, tokens and time: what was spent, or by how much a limit is raised.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spent {
    /// In millionths of a US dollar.
    pub cost_micros: u64,
    /// Read and written.
    pub tokens: u64,
    /// In milliseconds.
    pub wall_ms: u64,
}

impl Spent {
    /// Both together; what would not fit into the number is its largest value.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            cost_micros: self.cost_micros.saturating_add(other.cost_micros),
            tokens: self.tokens.saturating_add(other.tokens),
            wall_ms: self.wall_ms.saturating_add(other.wall_ms),
        }
    }

    /// It, with so much less money, down to none.
    #[must_use]
    pub fn without_cost(self, cost_micros: u64) -> Self {
        Self { cost_micros: self.cost_micros.saturating_sub(cost_micros), ..self }
    }

    /// Whether it is nothing.
    #[must_use]
    pub fn is_zero(self) -> bool {
        self == Self::default()
    }
}

/// A budget, rendered when its run starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BudgetTerms {
    /// Its name in the pipeline.
    pub id: String,
    /// Whose use is counted together; `None`: this run's.
    pub scope: Option<String>,
    /// Over which time.
    pub per: Period,
    /// Where days begin; `None`: UTC.
    pub zone: Option<String>,
    /// The limit in millionths of a US dollar.
    pub cost_micros: Option<u64>,
    /// The limit of tokens.
    pub tokens: Option<u64>,
    /// The limit of time in milliseconds.
    pub wall_ms: Option<u64>,
    /// Kept free for each piece of paid work that starts.
    pub reserve_micros: u64,
    /// What follows when it is used up.
    pub on_over: OnOver,
}

/// What of a budget is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Its money.
    Cost,
    /// Its tokens.
    Tokens,
    /// Its time.
    Wall,
}

/// A budget has no room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BudgetRefusal {
    /// Which.
    pub budget: String,
    /// What of it is used up.
    pub measure: Measure,
}

/// How full a budget is at a moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BudgetReading {
    /// The budget's name in the pipeline.
    pub budget: String,
    /// What was spent.
    pub spent: Spent,
    /// What is reserved for work that runs, in millionths of a US dollar.
    pub reserved_micros: u64,
    /// By how much its limits were raised.
    pub raised: Spent,
    /// When its period ends; `None`: never.
    pub until: Option<Timestamp>,
}
