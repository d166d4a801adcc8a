//! Events of usage and budgets.

use super::super::declare::event_payloads;
use super::super::former;
use super::super::parts::{BudgetReading, BudgetRefusal, BudgetTerms, Measure, Spent};
use crate::artefact::Usage;
use everfold_base::id::{AttemptId, Version};
use everfold_base::time::Timestamp;

fn is_nothing(number: &u64) -> bool {
    *number == 0
}

event_payloads! {
    /// Something was used up. Fact of `usage`.
    ///
    /// Then: the budgets count it; `BudgetExceeded` where one is used up.
    UsageRecorded [former::UsageRecorded1, unless adds_alone] {
        /// The attempt that used it.
        id: AttemptId,
        /// The number of the report within the attempt, 1-based.
        seq: u32,
        /// What, beyond what was reported before.
        usage: Usage,
        /// What former reports of the attempt counted too much by the table of prices, in millionths of a US dollar: its
        /// program says at its end what it cost, and that is less.
        #[serde(default, skip_serializing_if = "is_nothing")]
        less_micros: u64,
    }
    /// The budgets of the run, rendered; from here on they count.
    ///
    /// Then: nothing; later use counts towards them.
    BudgetsOpened {
        /// In the order of the file.
        budgets: Vec<BudgetTerms>,
    }
    /// Paid work must wait, is stopped, or makes the run fail: a budget is used up.
    ///
    /// Then: paid work waits, work in progress is stopped, or the run fails, as the budget's terms say.
    BudgetExceeded {
        /// How full it is, and until when.
        reading: BudgetReading,
        /// What of it is used up.
        measure: Measure,
        /// The attempt that would have started, if it was one.
        id: Option<AttemptId>,
    }
    /// A person raised a budget. Fact of `raise budget`.
    ///
    /// Then: paid work that waited asks again.
    BudgetRaised {
        /// Which.
        budget: String,
        /// By how much.
        add: Spent,
        /// Why.
        reason: Option<String>,
    }
    /// Paid work is about to start. Fact of `funds wanted`.
    ///
    /// Then: the budget allocator is asked, where budgets are shared and it does not wait; otherwise `FundsGranted` or
    /// `BudgetExceeded`.
    FundsRequested [former::FundsRequested1, unless asks_at_once] {
        /// The attempt.
        id: AttemptId,
        /// A budget of the run itself has no room: the counters that the run shares with others hold nothing for the
        /// attempt, and are asked when it has.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        waits: bool,
    }
    /// Paid work may start: every budget has room for it, or it is exempt.
    ///
    /// Then: the attempt asks the scheduler for a place.
    FundsGranted {
        /// The attempt.
        id: AttemptId,
        /// It starts whatever the budgets say, and counts towards none.
        exempt: bool,
    }
    /// A period of a budget of this run alone begins.
    ///
    /// Then: the budget counts from 0; paid work that waited asks again.
    BudgetPeriodBegan {
        /// Which budget.
        budget: String,
        /// When it began.
        from: Timestamp,
        /// When the next one begins.
        until: Timestamp,
    }
    /// The counters that the run shares with others said whether there is room. Fact of `funds answered`.
    ///
    /// Then: `FundsGranted`, or `BudgetExceeded`.
    FundsAnswered {
        /// The attempt.
        id: AttemptId,
        /// The budget that has none.
        refused: Option<BudgetRefusal>,
        /// How full each is.
        readings: Vec<BudgetReading>,
    }
    /// The counters that the run shares with others know of a use or a raise. Fact of `spend reported`.
    ///
    /// Then: `BudgetExceeded` where a budget is used up.
    SpendReported {
        /// The version of the event that it followed from.
        version: Version,
        /// How full each is now.
        readings: Vec<BudgetReading>,
    }
}

impl UsageRecorded {
    /// A sum of costs, in millionths of a US dollar, with this report counted in.
    #[must_use]
    pub fn added_to(&self, cost_micros: u64) -> u64 {
        cost_micros.saturating_add(self.usage.cost_micros).saturating_sub(self.less_micros)
    }
}
