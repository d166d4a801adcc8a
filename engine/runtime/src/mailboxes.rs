//! The mailboxes of the actors and of the shards.
//!
//! Law: the senders to shards are weak, so shards end with the last handle of the engine, also while their work
//! still has messages for other runs.

use std::sync::OnceLock;

use tokio::sync::mpsc;

use crate::messages::{ShardMessage, shard_of};
use crate::streams::budgets::mailbox::BudgetMailbox;
use crate::streams::mailbox::Mailbox;
use crate::streams::schedules::mailbox::{self, ScheduleMailbox};
use crate::streams::slots::mailbox::SlotMailbox;
use crate::streams::webhooks::mailbox::WebhookMailbox;
use everfold_base::id::RunId;

/// Where messages to actors and shards are put.
pub(crate) struct Mailboxes {
    /// Keys and slots.
    pub(crate) slots: SlotMailbox,
    /// Counters of budgets that runs share.
    pub(crate) budgets: BudgetMailbox,
    pub(crate) webhooks: WebhookMailbox,
    pub(crate) schedules: ScheduleMailbox,
    shards: OnceLock<Vec<mpsc::WeakSender<ShardMessage>>>,
}

impl Default for Mailboxes {
    fn default() -> Self {
        Self {
            slots: Mailbox::unbounded(),
            budgets: Mailbox::unbounded(),
            webhooks: WebhookMailbox::default(),
            schedules: Mailbox::bounded(mailbox::WAITING_MAX),
            shards: OnceLock::new(),
        }
    }
}

impl Mailboxes {
    /// Sets the senders to the shards, once.
    pub(crate) fn set_shards(&self, shards: Vec<mpsc::WeakSender<ShardMessage>>) {
        let _set_before = self.shards.set(shards);
    }

    /// The sender to the shard of a run; `None` where the engine is gone.
    pub(crate) fn shard(&self, run: RunId) -> Option<mpsc::Sender<ShardMessage>> {
        let shards = self.shards.get().map_or(&[][..], Vec::as_slice);
        shards.get(shard_of(run, shards.len()))?.upgrade()
    }
}
