//! A stream as it is read: page by page, from a version on.

use everfold_base::envelope::{Envelope, StreamId};
use everfold_base::id::Version;
use everfold_store::{EventStore, ReadError};

/// The pages of a stream that are still to be read.
pub(crate) struct StreamPages<'a> {
    store: &'a dyn EventStore,
    stream: &'a StreamId,
    next: Version,
    page: usize,
    is_over: bool,
}

impl<'a> StreamPages<'a> {
    /// The events from the version `next` on, at most `page` of them at once.
    pub(crate) fn new(store: &'a dyn EventStore, stream: &'a StreamId, next: Version, page: usize) -> Self {
        Self { store, stream, next, page, is_over: false }
    }

    /// The next events; `None`: there are no more. A page that is not full is the last one.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<Envelope>>, ReadError> {
        if self.is_over {
            return Ok(None);
        }
        let page = self.store.read(self.stream, self.next, self.page).await?;
        self.is_over = page.len() < self.page;
        Ok(page.last().map(|last| last.header.version.next()).map(|next| {
            self.next = next;
            page
        }))
    }
}
