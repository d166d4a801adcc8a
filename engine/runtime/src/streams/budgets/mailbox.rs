//! Requests to the budget allocator.

use tokio::sync::mpsc;

use crate::streams::budgets::limit_change::{BudgetError, OwnLimitChange};
use crate::streams::mailbox::Mailbox;
use crate::streams::triggers::by::By;
use everfold_base::envelope::StreamId;
use everfold_base::id::{EffectId, RunId, Version};
use everfold_core::budgets::OwnLimitSet;
use everfold_core::event::BudgetTerms;
pub use everfold_core::state::spend::SpendReport;

/// The budget allocator's mailbox: at most one request for each attempt that is about to start, and one report for
/// each that has ended, so it needs no bound.
pub(crate) type BudgetMailbox = Mailbox<BudgetRequest>;

/// A paid attempt that waits for room in budgets that its run shares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FundsWait {
    /// The attempt.
    pub attempt: EffectId,
    /// These budgets.
    pub terms: Vec<BudgetTerms>,
}

/// A request to the budget allocator; `terms` are those of the run's shared budgets.
#[derive(Clone)]
pub(crate) enum BudgetRequest {
    /// A paid attempt asks to start; `was_refused`: its run knows that there was no room for it.
    Funds { attempt: EffectId, terms: Vec<BudgetTerms>, was_refused: bool },
    /// A former engine left reservations in this counter: it is compared with its runs.
    Look(StreamId),
    /// A counter gets limits of its own.
    SetOwnLimit(OwnLimitSet, By, mpsc::Sender<Result<OwnLimitChange, BudgetError>>),
    /// Which attempts wait for room.
    Waiting(mpsc::Sender<Vec<FundsWait>>),
    /// An attempt has ended, or a budget was raised.
    Report { run: RunId, version: Version, report: SpendReport, terms: Vec<BudgetTerms> },
}
