//! The inputs of a recorded run, each with the events that it led to.

use std::collections::{BTreeMap, VecDeque};

use crate::error::LoadError;
use crate::load::decode;
use crate::replay::report::ReplayError;
use crate::runtime::Runtime;
use everfold_base::envelope::{Envelope, StreamId};
use everfold_base::id::{RunId, Version};
use everfold_base::json::{BlobRef, JsonText, Payload};
use everfold_core::event::RunEvent;

/// Events that are read at once.
const PAGE: usize = 1_000;

/// The recorded events of one input.
pub(crate) struct InputEvents {
    /// The envelope of the first one, which is the fact of the input.
    pub(crate) first: Envelope,
    pub(crate) events: Vec<RunEvent>,
    /// A fork follows, which may have cut the batch short.
    pub(crate) may_be_cut: bool,
}

impl InputEvents {
    pub(crate) fn version(&self) -> Version {
        self.first.header.version
    }

    /// The version of the last event.
    pub(crate) fn last(&self) -> Version {
        Version(self.version().0 + self.events.len() as u64 - 1)
    }
}

/// Reads a run's inputs in order.
pub(crate) struct RecordedInputs<'a> {
    shared: &'a Runtime,
    run: RunId,
    next: Version,
    read: VecDeque<Envelope>,
    is_read: bool,
}

impl<'a> RecordedInputs<'a> {
    /// From the event at `next` on.
    pub(crate) fn from(shared: &'a Runtime, run: RunId, next: Version) -> Self {
        Self { shared, run, next, read: VecDeque::new(), is_read: false }
    }

    /// The next input; `None`: that was the last one.
    pub(crate) async fn next(&mut self) -> Result<Option<InputEvents>, ReplayError> {
        self.fill().await?;
        let Some(first) = self.read.pop_front() else { return Ok(None) };
        let mut events = vec![decode(self.run, &first)?];
        loop {
            self.fill().await?;
            match self.read.front() {
                Some(envelope) if envelope.header.cause == first.header.cause => {
                    events.push(decode(self.run, envelope)?);
                    self.read.pop_front();
                }
                Some(envelope) => {
                    let may_be_cut = matches!(decode(self.run, envelope)?, RunEvent::RunForked(_));
                    return Ok(Some(InputEvents { first, events, may_be_cut }));
                }
                None => return Ok(Some(InputEvents { first, events, may_be_cut: false })),
            }
        }
    }

    async fn fill(&mut self) -> Result<(), ReplayError> {
        if self.read.is_empty() && !self.is_read {
            let page = self.shared.store.read(&StreamId::run(self.run), self.next, PAGE).await;
            let page = page.map_err(LoadError::from)?;
            self.is_read = page.len() < PAGE;
            if let Some(last) = page.last() {
                self.next = last.header.version.next();
            }
            self.read.extend(page);
        }
        Ok(())
    }
}

/// The values of a fact that are kept outside of it.
pub(crate) async fn blobs(
    shared: &Runtime,
    run: RunId,
    fact: &RunEvent,
) -> Result<BTreeMap<BlobRef, JsonText>, String> {
    let mut blobs = BTreeMap::new();
    for payload in fact.payloads() {
        if let Payload::Blob(blob) = payload {
            blobs.insert(*blob, shared.values.text(run, payload).await?);
        }
    }
    Ok(blobs)
}
