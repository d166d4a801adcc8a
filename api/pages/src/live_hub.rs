//! The one stream of changes that all open pages share.
//!
//! Law: it is open while somebody looks.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use futures::StreamExt as _;
use futures::stream::BoxStream;
use tokio::sync::broadcast;

/// Changes that wait for a page that is slow to take them; one that misses some is told all the same that something
/// changed.
const CHANGES_MAX: usize = 1024;

/// Something was recorded, and the read models know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The runs that changed, as full ids; empty: something that is of no run.
    pub runs: Arc<BTreeSet<String>>,
    /// The position of the last event.
    pub position: u64,
}

/// Opens the stream of changes from now on.
#[derive(Clone)]
pub struct ChangeSource(Arc<dyn Fn() -> BoxStream<'static, Change> + Send + Sync>);

impl ChangeSource {
    /// What opens the stream.
    pub fn new(open: impl Fn() -> BoxStream<'static, Change> + Send + Sync + 'static) -> Self {
        Self(Arc::new(open))
    }
}

impl fmt::Debug for ChangeSource {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("ChangeSource")
    }
}

/// The one stream of changes, and the pages that hear it.
#[derive(Debug, Clone)]
pub(crate) struct LiveHub {
    source: ChangeSource,
    /// Of the stream that is open, if one is.
    sender: Arc<Mutex<Option<broadcast::Sender<Change>>>>,
}

impl LiveHub {
    pub(crate) fn new(source: ChangeSource) -> Self {
        Self { source, sender: Arc::default() }
    }

    /// The changes from now on.
    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Change> {
        // Nothing panics while it is held.
        let mut open = self.sender.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = &*open {
            return sender.subscribe();
        }
        let (sender, receiver) = broadcast::channel(CHANGES_MAX);
        *open = Some(sender.clone());
        let (hub, mut changes) = (self.clone(), (self.source.0)());
        tokio::spawn(async move {
            while let Some(change) = changes.next().await {
                if sender.send(change).is_err() && hub.closed_for_nobody() {
                    return;
                }
            }
            *hub.sender.lock().unwrap_or_else(PoisonError::into_inner) = None;
        });
        receiver
    }

    /// Takes the stream away where nobody hears it.
    fn closed_for_nobody(&self) -> bool {
        let mut open = self.sender.lock().unwrap_or_else(PoisonError::into_inner);
        let is_unheard = open.as_ref().is_none_or(|sender| sender.receiver_count() == 0);
        if is_unheard {
            *open = None;
        }
        is_unheard
    }
}
