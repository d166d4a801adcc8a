//! Starts of moments that are judged by the key of the run to be started: they are put off while another run holds it.
//!
//! Law: who has a key is asked of the slot allocator, which knows starts that nothing is recorded of yet, and reserves a
//! free key for the run to be started. So of two moments of one key the second finds the run of the first, whatever the
//! pipeline's `on_taken` would make of it.

use std::sync::Arc;

use crate::error::SubmitError;
use crate::runtime::Runtime;
use crate::streams::slots::mailbox::SlotCheck;
use crate::streams::slots::reservation::SlotReservation;
use crate::streams::triggers::action::{TriggerSender, run_of};
use crate::streams::triggers::stopped::EngineStopped;
use everfold_base::actor::Actor;
use everfold_base::id::RunId;
use everfold_core::event::{SlotKind, WantedSlot};
use everfold_core::slots::in_order;
use everfold_core::triggers::TriggerMatch;
use everfold_language::definition::Definition;
use everfold_language::words::{OnTaken, Release};

/// A start that is not made while another run is in its way. Dropping it gives its key back, which the run has by then.
pub(crate) struct JudgedStart<'a> {
    sender: TriggerSender<'a>,
    pipeline: String,
    /// `None`: the run would have no key.
    key: Option<String>,
    claim: SlotReservation,
    /// The run that counts where it would have none.
    last_run: Option<RunId>,
}

impl<'a> JudgedStart<'a> {
    /// `None` where the trigger starts nothing, sends a signal besides, or where the key cannot be told: the start itself is
    /// refused then.
    pub(crate) async fn of(
        shared: &'a Arc<Runtime>,
        definition: &Arc<Definition>,
        matched: &TriggerMatch,
        (about, delivery, actor): (&'a str, &'a str, &'a Actor),
        last_run: Option<RunId>,
    ) -> Option<Self> {
        let (Some(start), None) = (&matched.start, &matched.signal) else { return None };
        let sender = TriggerSender { shared, about, delivery, actor, initiator: None, made_by: None };
        let key = sender.key(run_of(about), definition, start).await.ok()?;
        let claim = SlotReservation::new(Arc::clone(shared), run_of(about));
        Some(Self { sender, pipeline: definition.name.clone(), key, claim, last_run })
    }

    /// The key that the run would have.
    pub(crate) fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    /// The run that has not ended and is in its way. `None`: its key is reserved for it.
    pub(crate) async fn holder(&self) -> Result<Option<RunId>, EngineStopped> {
        let Some(key) = &self.key else {
            return match self.last_run {
                Some(run) if self.sender.is_living(run).await? => Ok(Some(run)),
                _ended_or_none => Ok(None),
            };
        };
        let kind = SlotKind::Identity { release: Release::default(), on_taken: OnTaken::Reject };
        let slots = vec![WantedSlot { key: key.clone(), kind }];
        let mut has_looked = false;
        loop {
            match self.claim.check(&self.pipeline, slots.clone(), Vec::new()).await {
                Ok(SlotCheck::Open | SlotCheck::Full(_)) => return Ok(None),
                Ok(SlotCheck::Taken(_, holder) | SlotCheck::Held(holder)) => {
                    // Of a start on its way there is nothing yet.
                    if self.sender.stands(holder).await? != Some(false) {
                        return Ok(Some(holder));
                    }
                    // It has ended and keeps its key, which refuses the start; or its end is not told yet.
                    if has_looked {
                        return Ok(None);
                    }
                    has_looked = true;
                    let keys = in_order(&slots).into_iter().map(|(stream, _)| stream).collect();
                    self.sender.shared.mailboxes.slots.look(keys).await;
                }
                Err(SubmitError::ShuttingDown) => return Err(EngineStopped),
                Err(error) => self.sender.wait_for_store(&error.to_string()).await?,
            }
        }
    }
}
