//! Notices of runs as their histories have them: how one was queued, and what came after it in its channel.

use crate::load::decode;
use crate::runtime::Runtime;
use crate::streams::notifications::subscription_worker::SubscriptionError;
use everfold_base::envelope::{Envelope, StreamId};
use everfold_base::id::{RunId, Version};
use everfold_core::event::{NoticeQueued, RunEvent};
use everfold_core::notifications::NoticeId;

/// Events that are read at once to find a notice.
const PAGE: usize = 500;

/// The event that queued a notice: it comes after the one that the notice reports.
pub(crate) async fn queued(
    shared: &Runtime,
    id: &NoticeId,
) -> Result<Option<NoticeQueued>, SubscriptionError> {
    first_behind(shared, id, |queued| queued.version == id.version && queued.notice == id.notice).await
}

/// The event that a newer notice reports which makes this one moot: its pipeline says that the newest of a channel counts.
/// `None`: it is to be sent.
pub(crate) async fn superseded_by(
    shared: &Runtime,
    id: &NoticeId,
) -> Result<Option<Version>, SubscriptionError> {
    if id.is_of_subscription() {
        return Ok(None);
    }
    let Some(own) = queued(shared, id).await? else { return Ok(None) };
    let newer = |queued: &NoticeQueued| {
        queued.version > id.version && queued.notice == own.notice && queued.channel == own.channel
    };
    let Some(newer) = first_behind(shared, id, newer).await? else { return Ok(None) };
    let folded = match shared.loader().fold(id.run, None).await {
        Ok(folded) => folded,
        Err(error) if error.is_passing() => return Err(SubscriptionError::Runs(error.to_string())),
        // The sender says why nothing of this run can be sent, and gives the notice up.
        Err(_for_good) => return Ok(None),
    };
    let mut notices = folded.state.definition().notify.iter();
    let counts_alone =
        notices.any(|notice| notice.id == own.notice && (notice.supersedes || notice.collapse));
    Ok(counts_alone.then_some(newer.version))
}

/// The first notice that was queued behind the event that this one reports and is such a one.
async fn first_behind(
    shared: &Runtime,
    id: &NoticeId,
    is_it: impl Fn(&NoticeQueued) -> bool,
) -> Result<Option<NoticeQueued>, SubscriptionError> {
    let (stream, mut next) = (StreamId::run(id.run), id.version.next());
    loop {
        let page = shared.store.read(&stream, next, PAGE).await?;
        let mut queued = page.iter().filter_map(|envelope| as_queued(id.run, envelope));
        if let Some(found) = queued.find(&is_it) {
            return Ok(Some(found));
        }
        let Some(last) = page.last().filter(|_| page.len() == PAGE) else { return Ok(None) };
        next = last.header.version.next();
    }
}

fn as_queued(run: RunId, envelope: &Envelope) -> Option<NoticeQueued> {
    if RunEvent::name_of(envelope.header.kind) != Some("NoticeQueued") {
        return None;
    }
    match decode(run, envelope) {
        Ok(RunEvent::NoticeQueued(queued)) => Some(queued),
        _other => None,
    }
}
