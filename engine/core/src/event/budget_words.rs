//! What is said of a budget that has no room.
//!
//! Called by read models and views.

use super::kinds::BudgetExceeded;
use super::parts::Measure;

impl BudgetExceeded {
    /// Whether nothing was spent, so that only what is reserved for work that runs is in the way. Its limit is not recorded
    /// here: of one that is spent in part this is unknown, and false.
    #[must_use]
    pub fn is_reserved(&self) -> bool {
        let reading = &self.reading;
        self.measure == Measure::Cost && reading.spent.cost_micros == 0 && reading.reserved_micros > 0
    }

    /// `used up`, or `reserved for work that runs`.
    #[must_use]
    pub fn taken(&self) -> &'static str {
        taken(self.is_reserved())
    }
}

/// In words, why a budget has no room.
#[must_use]
pub fn taken(is_reserved: bool) -> &'static str {
    if is_reserved { "reserved for work that runs" } else { "used up" }
}
