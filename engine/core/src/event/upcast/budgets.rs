//! How former schemas read today: budgets.

use crate::event::former::{FundsRequested1, UsageRecorded1};
use crate::event::kinds::{FundsRequested, UsageRecorded};

impl From<FundsRequested1> for FundsRequested {
    fn from(old: FundsRequested1) -> Self {
        Self { id: old.id, waits: false }
    }
}

impl From<UsageRecorded1> for UsageRecorded {
    fn from(old: UsageRecorded1) -> Self {
        Self { id: old.id, seq: old.seq, usage: old.usage, less_micros: 0 }
    }
}
