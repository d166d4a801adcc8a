//! What changes, told to open pages.
//!
//! Law: a page hears that something changed, and asks for itself anew; so it shows what its caller may see, and a page
//! that missed something is whole again with the next change.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::time::Duration;

use axum::extract::{Query, State};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use futures::StreamExt as _;
use futures::stream::Stream;
use serde::Deserialize;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, sleep_until};

use crate::Pages;
use crate::frame::{Visit, Who};
use crate::live_hub::Change;

/// The shortest time between two messages to one page.
const PAUSE: Duration = Duration::from_millis(300);
/// How often a silent stream is written to, and its caller is looked at again.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct LiveParams {
    /// Only this run and what is told with it: full ids, separated by commas. Empty: everything.
    runs: String,
}

/// `GET /live`: a message for each time that something changed, with the position that the page is to ask for.
pub(crate) async fn changes(
    State(pages): State<Pages>,
    visit: Visit,
    Query(params): Query<LiveParams>,
) -> Response {
    let runs: BTreeSet<String> =
        params.runs.split(',').filter(|run| !run.is_empty()).map(str::to_owned).collect();
    let listener = Listener {
        changes: pages.live.subscribe(),
        runs,
        visit,
        quiet_until: Instant::now(),
        look_again: Instant::now() + KEEP_ALIVE,
    };
    Sse::new(listener.into_stream()).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response()
}

/// One page that hears changes.
struct Listener {
    changes: broadcast::Receiver<Change>,
    runs: BTreeSet<String>,
    visit: Visit,
    quiet_until: Instant,
    /// When the caller is looked at again, however much happens.
    look_again: Instant,
}

impl Listener {
    fn into_stream(self) -> impl Stream<Item = Result<Event, Infallible>> {
        let ready = Event::default().event("ready").data("{}").retry(Duration::from_secs(1));
        let ready = futures::stream::once(async { Ok(ready) });
        let later = futures::stream::unfold(self, |mut listener| async {
            let position = listener.next().await?;
            let event = Event::default().event("change").data(position.to_string());
            Some((Ok(event), listener))
        });
        ready.chain(later)
    }

    /// The position of the next change; `None` where the caller may not look any more, or the stream ended.
    async fn next(&mut self) -> Option<u64> {
        let mut newest = None;
        if self.look_again <= Instant::now() {
            self.still_known().await?;
            self.look_again = Instant::now() + KEEP_ALIVE;
        }
        loop {
            let wakes_at = if newest.is_some() { self.quiet_until } else { self.look_again };
            tokio::select! {
                change = self.changes.recv() => match change {
                    Ok(change) if self.wants(&change) => newest = Some(change.position),
                    Ok(_of_others) => {}
                    Err(RecvError::Lagged(_)) => newest = newest.or(Some(0)),
                    Err(RecvError::Closed) => return newest,
                },
                () = sleep_until(wakes_at) => match newest {
                    Some(position) => {
                        self.quiet_until = Instant::now() + PAUSE;
                        return Some(position);
                    }
                    None => {
                        self.still_known().await?;
                        self.look_again = Instant::now() + KEEP_ALIVE;
                    }
                },
            }
        }
    }

    fn wants(&self, change: &Change) -> bool {
        self.runs.is_empty() || change.runs.iter().any(|run| self.runs.contains(run))
    }

    /// Nothing, where the session or token is over.
    async fn still_known(&self) -> Option<()> {
        let who: Who = self.visit.rest.get("/session").await.ok()?;
        (who.role == self.visit.who.role && who.actor == self.visit.who.actor).then_some(())
    }
}
