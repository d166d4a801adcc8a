//! What a full disk keeps the folder from.

use everfold_engine::store::{Writability, has_room};

use crate::node::handle::Node;

/// How full the disk is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DiskShortage {
    /// Nothing can be recorded.
    Records,
    /// The journal goes on in the room that it laid out ahead; work needs files of its own.
    Work,
}

impl Node {
    /// Whether the disk of the folder is full.
    pub(crate) async fn disk_shortage(&self) -> Option<DiskShortage> {
        if *self.store.writability().borrow() == Writability::Full {
            return Some(DiskShortage::Records);
        }
        let folder = self.layout().root().to_owned();
        // Its own thread: a network's file system may take its time.
        let has_room = tokio::task::spawn_blocking(move || has_room(&folder)).await.unwrap_or(true);
        (!has_room).then_some(DiskShortage::Work)
    }
}

impl DiskShortage {
    /// What does not happen, and when it does again; `what` goes on then.
    pub(crate) fn sentence(self, what: &str) -> String {
        match self {
            Self::Records => {
                format!("the disk is full, so that nothing is recorded; {what} when there is room")
            }
            Self::Work => format!(
                "the disk is full, so that no work can begin; {what} when there is room in the data folder"
            ),
        }
    }
}
