//! The streams of a kind as they are listed: page by page, in the order of their ids.

use everfold_base::envelope::{StreamId, StreamKind};
use everfold_store::{EventStore, ReadError, StreamHead};

/// Streams that are listed at once.
const PAGE: usize = 1_000;

/// The streams of a kind that are still to be listed.
pub(crate) struct StreamListing<'a> {
    store: &'a dyn EventStore,
    kind: StreamKind,
    after: Option<String>,
    is_over: bool,
}

impl<'a> StreamListing<'a> {
    /// All streams of a kind.
    pub(crate) fn new(store: &'a dyn EventStore, kind: StreamKind) -> Self {
        Self { store, kind, after: None, is_over: false }
    }

    /// The streams of a kind whose ids come after this one.
    pub(crate) fn after(store: &'a dyn EventStore, kind: StreamKind, id: &str) -> Self {
        Self { after: Some(id.to_owned()), ..Self::new(store, kind) }
    }

    /// The next streams, with their heads; `None`: there are no more. A page that is not full is the last one.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<(StreamId, StreamHead)>>, ReadError> {
        if self.is_over {
            return Ok(None);
        }
        let page = self.store.streams(self.kind, self.after.clone(), PAGE).await?;
        self.is_over = page.len() < PAGE;
        Ok(page.last().map(|(last, _)| last.id.to_string()).map(|last| {
            self.after = Some(last);
            page
        }))
    }
}
