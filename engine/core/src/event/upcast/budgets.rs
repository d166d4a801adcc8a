//! How former schemas read today: budgets.

use crate::event::former::FundsRequested1;
use crate::event::kinds::FundsRequested;

impl From<FundsRequested1> for FundsRequested {
    fn from(old: FundsRequested1) -> Self {
        Self { id: old.id, waits: false }
    }
}
