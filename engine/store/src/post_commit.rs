//! What follows a group's sync: it is queued for the index, published to readers and followers, and answered.
//!
//! Law: groups pass in their order. An append whose group is synced is answered with success whatever becomes of the
//! index, which takes it from the unindexed appends.
//!
//! Run by the writer thread itself while nothing else waits for it, otherwise by a thread of its own, so that one group
//! is published while the next one is synced.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use super::committed::{CommittedGroup, envelopes};
use super::store_core::StoreCore;
use super::write_gate::IndexHealth;

/// Groups that may wait for the thread.
const QUEUE: usize = 2;

/// Hands synced groups over to the publisher, in their order.
pub(crate) struct PostCommit {
    publisher: Arc<Publisher>,
    queue: Option<SyncSender<CommittedGroup>>,
    thread: Option<JoinHandle<()>>,
    given: u64,
}

struct Publisher {
    core: Arc<StoreCore>,
    /// The last turn that is done.
    done: AtomicU64,
}

impl PostCommit {
    /// Starts the thread.
    pub(crate) fn start(core: Arc<StoreCore>) -> std::io::Result<Self> {
        let publisher = Arc::new(Publisher { core, done: AtomicU64::new(0) });
        let (queue, groups) = sync_channel(QUEUE);
        let thread = std::thread::Builder::new().name("everfold-apply".into()).spawn({
            let publisher = publisher.clone();
            move || publisher.run(&groups)
        })?;
        Ok(Self { publisher, queue: Some(queue), thread: Some(thread), given: 0 })
    }

    /// The last group that is applied.
    pub(crate) fn done(&self) -> u64 {
        self.publisher.done.load(Ordering::Acquire)
    }

    /// Applies a group, at once where nothing is before it and nothing else `waits`.
    pub(crate) fn give(&mut self, group: CommittedGroup, waits: bool) {
        let idle = self.done() == self.given;
        self.given = group.turn;
        if idle && !waits {
            self.publisher.apply(group);
        } else if let Some(queue) = &self.queue
            && let Err(back) = queue.send(group)
        {
            // The thread is gone, which only a panic does: the order is kept all the same.
            self.publisher.apply(back.0);
        }
    }

    /// Asks the checkpointer to rebuild the index.
    pub(crate) fn rebuild_index(&self) {
        self.publisher.rebuild_index();
    }

    /// Waits until every group is applied.
    pub(crate) fn drain(&mut self) {
        while self.done() != self.given {
            if self.thread.as_ref().is_none_or(JoinHandle::is_finished) {
                break;
            }
            std::thread::yield_now();
        }
    }

    /// Waits for the groups under way and ends the thread.
    pub(crate) fn stop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            // A panic there has been reported by the thread itself.
            let _ended = thread.join();
        }
    }
}

impl Publisher {
    fn run(&self, groups: &Receiver<CommittedGroup>) {
        while let Ok(group) = groups.recv() {
            self.apply(group);
        }
    }

    fn apply(&self, group: CommittedGroup) {
        let core = &self.core;
        let last = group.appends.last().map(|append| append.appended.last_position());
        // Before the appends can get into the index, which never holds more than this says.
        if let Some(journal_end) = group.journal_end {
            core.manifest().journal = journal_end;
        }
        core.unindexed.add(&group.appends);
        let mut answers = Vec::with_capacity(group.appends.len());
        if let Some(last) = last {
            let new_heads: Vec<_> = group
                .appends
                .iter()
                .map(|committed| (committed.append.stream.clone(), committed.head))
                .collect();
            core.recent.push(group.appends.into_iter().flat_map(|committed| {
                answers.push((committed.reply, Ok(committed.appended)));
                envelopes(committed.append, &committed.appended)
            }));
            core.publish(new_heads, last);
            core.checkpoints.request_checkpoint();
        }
        for (reply, answer) in answers.into_iter().chain(group.answers) {
            // A caller that no longer waits finds the events in the store.
            let _gone = reply.send(answer);
        }
        self.done.store(group.turn, Ordering::Release);
        core.unindexed.wait_for_room(&core.gate.index());
    }

    fn rebuild_index(&self) {
        self.core.gate.set_index(IndexHealth::Building);
        self.core.checkpoints.request_rebuild();
    }
}
