//! What changes, for open pages: a stream that all of them share.

use std::collections::BTreeSet;
use std::sync::Arc;

use everfold_engine::envelope::flag;
use everfold_pages::{Change, ChangeSource};
use futures::StreamExt as _;

use super::app::App;
use crate::event_follower::EventFollower;

/// The source of what changes from the time on that it is opened. Reads fold what was durable before they answer, so a
/// page that asks upon a change sees it.
pub(super) fn changes(app: App) -> ChangeSource {
    ChangeSource::new(move || {
        let follower = EventFollower::from_now(Arc::clone(app.store()));
        futures::stream::unfold((Arc::clone(&app), follower), |(app, mut follower)| async move {
            let events = tokio::select! {
                biased;
                // A stream that stays open would hold up the end of the server.
                () = app.closing() => return None,
                events = follower.next() => events?,
            };
            let position = events.last().map_or(0, |last| last.position.get());
            let is_new = |event: &&Arc<_>| {
                let event: &everfold_engine::envelope::Envelope = event;
                event.header.flags & flag::COPIED == 0
            };
            let runs: BTreeSet<String> = events
                .iter()
                .filter(is_new)
                .filter_map(|event| Some(event.header.stream.as_run()?.to_string()))
                .collect();
            Some((Change { runs: Arc::new(runs), position }, (app, follower)))
        })
        .boxed()
    })
}
