//! Whether anything of a run still needs the process that goes on with it.
//!
//! Law: a run rests where it waits for people, moments, signals or the end of others, and so does every run below it
//! that has not ended. One that is to get another run's key or slot does not: that run ends for it. Where that is
//! unknown, it does not rest either.

use everfold_engine::definition::OnLimit;
use everfold_engine::event::SlotKind;
use everfold_engine::id::RunId;
use everfold_engine::state::RunStatus;
use serde_json::Value;

use super::context::CommandContext;
use crate::client::encode;
use crate::fault::{Code, Fault};
use crate::view::{AwaitView, RunView};

/// The runs below one that rests, where all of them do; `None` where something goes on.
pub(super) async fn resting(context: &CommandContext, run: &RunView) -> Option<Vec<RunView>> {
    let mut family = vec![run.clone()];
    let mut looked = 0;
    while let Some(view) = family.get(looked).cloned() {
        looked += 1;
        if !rests(&view) || gets_a_slot(context, &view).await {
            return None;
        }
        for child in below(context, &view).await.ok()? {
            let is_awaited = view.awaited_runs.contains(&child);
            match look(context, child).await.ok()? {
                // The run that waited for it goes on.
                ended if ended.status.is_ended() && is_awaited => return None,
                ended if ended.status.is_ended() => {}
                open => family.push(open),
            }
        }
    }
    // Who was looked at first may have been woken by another one meanwhile.
    for view in &family {
        if look(context, view.id).await.ok()?.version != view.version {
            return None;
        }
    }
    Some(family.split_off(1))
}

/// Whether nothing of the run itself goes on.
pub(super) fn rests(view: &RunView) -> bool {
    let is_asking = matches!(view.status, RunStatus::Waiting | RunStatus::Blocked | RunStatus::Paused);
    let is_queued = view.awaits.iter().any(|awaited| matches!(awaited, AwaitView::Slot { .. }));
    is_asking || is_queued || !view.awaited_runs.is_empty()
}

/// Whether another run is about to leave it a slot that it waits for: that run is being cancelled, or ends because this
/// one takes its place. Both need an owner that drives them. A run waits for a key only then.
async fn gets_a_slot(context: &CommandContext, view: &RunView) -> bool {
    for awaited in &view.awaits {
        let AwaitView::Slot { key, holders } = awaited else { continue };
        let takes = view.slots.iter().any(|slot| slot.key == *key && takes_its_place(view, &slot.kind));
        if takes && holders.is_empty() {
            return true;
        }
        for holder in holders {
            let is_replaced = takes || view.origin.as_ref().is_some_and(|origin| origin.run == *holder);
            let leaves = match look(context, *holder).await {
                Ok(holder) => is_replaced || holder.cancelled.is_some() || holder.status.is_ended(),
                // The engine does not go on with a run that is set aside: it frees no slot by itself.
                Err(fault) => is_replaced && fault.code != Code::SetAside,
            };
            if leaves {
                return true;
            }
        }
    }
    false
}

/// Whether a run that waits for such a slot has another one end for it. A paused one has none end for a slot.
fn takes_its_place(view: &RunView, kind: &SlotKind) -> bool {
    match kind {
        SlotKind::Identity { .. } => true,
        SlotKind::Concurrency { on_limit, .. } => {
            *on_limit == OnLimit::CancelOldest && view.status != RunStatus::Paused
        }
    }
}

async fn look(context: &CommandContext, run: RunId) -> Result<RunView, Fault> {
    context.client.get(&format!("/api/v1/runs/{run}")).await
}

/// The runs that it waits for, and others that it started and that have not ended.
pub(super) async fn below(context: &CommandContext, view: &RunView) -> Result<Vec<RunId>, Fault> {
    let mut runs = view.awaited_runs.clone();
    let path = format!(
        "/api/v1/runs?parent={}&status=queued,running,waiting,blocked,paused,stopping&limit=1000",
        view.id
    );
    let mut cursor: Option<String> = None;
    loop {
        let next = cursor.as_ref().map(|cursor| format!("&cursor={}", encode(cursor))).unwrap_or_default();
        let page: Value = context.client.get(&format!("{path}{next}")).await?;
        let items = page["items"].as_array().into_iter().flatten();
        let listed: Vec<RunId> = items.filter_map(|run| run["id"].as_str()?.parse().ok()).collect();
        let is_new = |run: &RunId| !view.awaited_runs.contains(run);
        runs.extend(listed.into_iter().filter(is_new));
        cursor = page["next_cursor"].as_str().map(str::to_owned);
        if cursor.is_none() {
            return Ok(runs);
        }
    }
}
