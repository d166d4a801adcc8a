//! What follows a group's sync: backlog, memory, followers, answers.
//!
//! Law: groups pass in their order. An append whose group is synced is answered with success whatever
//! becomes of the index, which takes it from the backlog.
//!
//! Run by the writer thread itself while there is nothing else to do, else by a thread beside it, so
//! that one group is published while the next one is synced.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use tokio::sync::oneshot;

use super::gate::IndexHealth;
use super::judge::HeadRecord;
use super::keeper::Keeper;
use super::mark::JournalMark;
use super::shared::Shared;
use super::{Append, AppendError, Appended};
use crate::envelope::Envelope;
use crate::id::Position;

/// Where an append's outcome goes.
pub(crate) type Reply = oneshot::Sender<Result<Appended, AppendError>>;

/// An append whose group is synced.
pub(crate) struct Committed {
    pub(crate) append: Append,
    /// Its record, behind [`RECORD_AT`] bytes of length.
    pub(crate) record: Vec<u8>,
    pub(crate) went: Appended,
    pub(crate) head_before: Option<HeadRecord>,
    pub(crate) head: HeadRecord,
    pub(crate) reply: Reply,
}

/// Where the record starts in [`Committed::record`].
pub(crate) const RECORD_AT: usize = 4;

/// A group that is synced, or only answers that wait for the groups before them.
pub(crate) struct CommittedGroup {
    /// Counts the groups of this process, those of mere answers too.
    pub(crate) turn: u64,
    pub(crate) appends: Vec<Committed>,
    /// Repeats and refusals that were judged in this group.
    pub(crate) answers: Vec<(Reply, Result<Appended, AppendError>)>,
    pub(crate) mark: Option<JournalMark>,
}

/// Groups that may wait for the thread.
const QUEUE: usize = 2;

/// Hands groups over.
pub(crate) struct Applier {
    desk: Arc<Desk>,
    queue: Option<SyncSender<CommittedGroup>>,
    thread: Option<JoinHandle<()>>,
    given: u64,
}

struct Desk {
    shared: Arc<Shared>,
    keeper: Arc<Keeper>,
    /// The last turn that is done.
    done: AtomicU64,
}

impl Applier {
    /// Starts the thread.
    pub(crate) fn start(shared: Arc<Shared>, keeper: Arc<Keeper>) -> std::io::Result<Self> {
        let desk = Arc::new(Desk { shared, keeper, done: AtomicU64::new(0) });
        let (queue, groups) = sync_channel(QUEUE);
        let thread = std::thread::Builder::new().name("everfold-apply".into()).spawn({
            let desk = desk.clone();
            move || desk.run(&groups)
        })?;
        Ok(Self { desk, queue: Some(queue), thread: Some(thread), given: 0 })
    }

    /// The last group that is applied.
    pub(crate) fn done(&self) -> u64 {
        self.desk.done.load(Ordering::Acquire)
    }

    /// Applies a group, at once where nothing is before it and nothing else `waits`.
    pub(crate) fn give(&mut self, group: CommittedGroup, waits: bool) {
        let idle = self.done() == self.given;
        self.given = group.turn;
        if idle && !waits {
            self.desk.apply(group);
        } else if let Some(queue) = &self.queue
            && let Err(back) = queue.send(group)
        {
            // The thread is gone, which only a panic does: the order is kept all the same.
            self.desk.apply(back.0);
        }
    }

    /// Has the index built again.
    pub(crate) fn mend_index(&self) {
        self.desk.mend_index();
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

impl Desk {
    fn run(&self, groups: &Receiver<CommittedGroup>) {
        while let Ok(group) = groups.recv() {
            self.apply(group);
        }
    }

    fn apply(&self, group: CommittedGroup) {
        let shared = &self.shared;
        let last = group.appends.last().map(|append| append.went.last_position());
        // Before the appends can get into the index, which never holds more than this says.
        if let Some(mark) = group.mark {
            shared.mark().journal = mark;
        }
        shared.backlog.add(&group.appends);
        let mut answers = Vec::with_capacity(group.appends.len());
        if let Some(last) = last {
            let new_heads: Vec<_> = group
                .appends
                .iter()
                .map(|committed| (committed.append.stream.clone(), committed.head))
                .collect();
            shared.recent.push(group.appends.into_iter().flat_map(|committed| {
                answers.push((committed.reply, Ok(committed.went)));
                envelopes(committed.append, &committed.went)
            }));
            shared.publish(new_heads, last);
            self.keeper.set_dirty();
        }
        for (reply, answer) in answers.into_iter().chain(group.answers) {
            // Who no longer waits for the answer finds the events in the store.
            let _gone = reply.send(answer);
        }
        self.done.store(group.turn, Ordering::Release);
        shared.backlog.wait_for_room(shared);
    }

    fn mend_index(&self) {
        self.shared.gate.set_index(IndexHealth::Building);
        self.keeper.heal_now();
    }
}

/// The appended events as readers see them.
pub(crate) fn envelopes(append: Append, went: &Appended) -> impl Iterator<Item = Envelope> + use<> {
    let (first, committed_at) = (went.first_position.0, went.committed_at);
    (first..).zip(append.events).map(move |(position, event)| Envelope {
        header: event.header,
        hash: event.hash,
        position: Position(position),
        committed_at,
        payload: event.payload,
    })
}
