//! The writer thread: takes what is queued, validates it, writes one group, syncs, hands it on.
//!
//! Law: the only writer of the journal. It never waits to fill a group. A group under
//! way is visible to validation alone; when a group fails, everything that was validated against it fails with it.
//!
//! Fed by [`super::SledStore::append`].

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::{mpsc, oneshot};

use super::append::{Append, Appended};
use super::committed::{CommittedAppend, CommittedGroup, Reply};
use super::error::{AppendError, ReadError};
use super::index_record::{DedupRecord, HeadRecord, head_after};
use super::journal::format::GROUP_HEADER;
use super::journal::writer::{GroupError, JournalWriter};
use super::manifest::JournalEnd;
use super::observer::Flushed;
use super::post_commit::PostCommit;
use super::store_core::StoreCore;
use super::validate;
use super::write_gate::IndexHealth;
use everfold_base::envelope::{StreamId, StreamKind};
use everfold_base::id::Position;
use everfold_base::json::Hash;
use everfold_base::time::Timestamp;
use everfold_system::clock::Stopwatch;

/// Appends that one group takes at most.
const GROUP_APPENDS_MAX: usize = 1_024;
/// Bytes behind which a group takes no further append.
const GROUP_BYTES_ENOUGH: usize = 4 * 1024 * 1024;

/// How long the journal waits before it tries a new segment once more.
const RETRY_SEGMENT_AFTER: Duration = Duration::from_millis(250);
/// How often the queue is looked at meanwhile.
const POLL_QUEUE_EVERY: Duration = Duration::from_millis(20);

/// A command to the writer thread.
pub(crate) enum Command {
    Append(Box<QueuedAppend>),
    /// Finish what is queued, then end; the sender learns when all is applied.
    Close(oneshot::Sender<()>),
}

/// An append with its encoded record, its length in front.
pub(crate) struct QueuedAppend {
    pub(crate) append: Append,
    pub(crate) record: Vec<u8>,
    pub(crate) reply: Reply,
}

/// The writer thread's state.
pub(crate) struct Committer {
    core: Arc<StoreCore>,
    journal: JournalWriter,
    post_commit: PostCommit,
    /// The turn of the last group.
    turn: u64,
    /// What groups that are not applied yet have changed.
    heads: HashMap<StreamId, (u64, HeadRecord)>,
    dedups: HashMap<Hash, (u64, DedupRecord)>,
    /// The group's bytes: room for its header, then its body.
    buffer: Vec<u8>,
    /// Runs since the last try to go on in a new segment.
    tried: Stopwatch,
}

/// The group that is being put together.
struct Group {
    turn: u64,
    committed_at: Timestamp,
    next_position: Position,
    appends: Vec<CommittedAppend>,
    answers: Vec<(Reply, Result<Appended, AppendError>)>,
}

impl Committer {
    pub(crate) fn new(core: Arc<StoreCore>, journal: JournalWriter, post_commit: PostCommit) -> Self {
        let buffer = Vec::with_capacity(64 * 1024);
        let (heads, dedups, tried) = (HashMap::new(), HashMap::new(), Stopwatch::start());
        Self { core, journal, post_commit, turn: 0, heads, dedups, buffer, tried }
    }

    /// The thread's whole life: ends when the store is closed or dropped. All that was queued by then
    /// is written, applied and answered.
    pub(crate) fn run(mut self, mut queue: mpsc::Receiver<Command>) {
        let mut taken = Vec::with_capacity(GROUP_APPENDS_MAX);
        let mut closers = Vec::new();
        while self.take(&mut queue, &mut taken) > 0 {
            self.wait_for_index();
            let mut group = self.start_group();
            for command in taken.drain(..) {
                match command {
                    Command::Append(queued) => {
                        if self.buffer.len() + queued.record.len() > GROUP_BYTES_ENOUGH
                            && !group.appends.is_empty()
                        {
                            self.finish(group, true);
                            group = self.start_group();
                        }
                        self.admit(*queued, &mut group);
                    }
                    Command::Close(done) => {
                        closers.push(done);
                        queue.close();
                    }
                }
            }
            self.finish(group, !queue.is_empty());
        }
        self.post_commit.stop();
        self.core.end();
        for done in closers {
            // The caller may have gone; the store is closed all the same.
            let _gone = done.send(());
        }
    }

    /// Takes what is queued, and waits for it; 0 at the queue's end. While the journal has no segment to go on in,
    /// another try is made now and then.
    fn take(&mut self, queue: &mut mpsc::Receiver<Command>, taken: &mut Vec<Command>) -> usize {
        while self.journal.broken().is_some() {
            if self.tried.elapsed() >= RETRY_SEGMENT_AFTER {
                self.retry_segment();
                self.tried = Stopwatch::start();
            }
            match queue.try_recv() {
                Ok(command) => {
                    taken.push(command);
                    return taken.len();
                }
                Err(TryRecvError::Disconnected) => return 0,
                Err(TryRecvError::Empty) => std::thread::park_timeout(POLL_QUEUE_EVERY),
            }
        }
        queue.blocking_recv_many(taken, GROUP_APPENDS_MAX)
    }

    fn retry_segment(&mut self) {
        match self.journal.retry_segment() {
            Some(Ok(())) => {
                tracing::info!("the journal goes on in a new segment");
                self.core.gate.set_journal(None);
            }
            Some(Err(why)) => {
                tracing::debug!(%why, "the journal has no new segment yet");
                self.report_broken();
            }
            None => {}
        }
    }

    /// Says why the journal takes nothing.
    fn report_broken(&self) {
        if let Some(why) = self.journal.broken() {
            self.core.gate.set_journal(Some(why.clone()));
        }
        if let Err(lost) = self.core.lock.check() {
            self.core.gate.set_not_ours(&lost);
        }
    }

    /// While the index is being built, appends wait rather than fail.
    fn wait_for_index(&mut self) {
        const PAUSE: Duration = Duration::from_millis(2);
        let health = self.core.gate.index();
        if *health.borrow() == IndexHealth::Building {
            self.post_commit.drain();
            while *health.borrow() == IndexHealth::Building {
                std::thread::park_timeout(PAUSE);
            }
        }
    }

    fn start_group(&mut self) -> Group {
        self.buffer.clear();
        self.buffer.resize(GROUP_HEADER, 0);
        self.turn += 1;
        let done = self.post_commit.done();
        self.heads.retain(|_, (turn, _)| *turn > done);
        self.dedups.retain(|_, (turn, _)| *turn > done);
        let tail = self.journal.tail();
        Group {
            turn: self.turn,
            committed_at: (self.core.options.clock)().max(tail.committed_at),
            next_position: tail.next_position,
            appends: Vec::new(),
            answers: Vec::new(),
        }
    }

    /// Validates an append and takes it into the group, or keeps its refusal for the group's end.
    fn admit(&mut self, queued: QueuedAppend, group: &mut Group) {
        let QueuedAppend { append, record, reply } = queued;
        match self.validate(&append, group.committed_at) {
            Ok((None, head_before)) => {
                let appended = Appended {
                    first_version: append.expected.next(),
                    first_position: group.next_position,
                    count: u32::try_from(append.events.len()).expect("checked: at most 1,000 events"),
                    committed_at: group.committed_at,
                    repeated: false,
                };
                let head = head_after(&append, head_before.as_ref(), &appended);
                self.heads.insert(append.stream.clone(), (group.turn, head));
                if let Some(dedup) = &append.dedup {
                    self.dedups.insert(dedup.key, (group.turn, DedupRecord::new(dedup, &appended)));
                }
                group.next_position = appended.last_position().next();
                self.buffer.extend_from_slice(&record);
                group.appends.push(CommittedAppend { append, record, appended, head_before, head, reply });
            }
            Ok((Some(first), _)) => group.answers.push((reply, Ok(first))),
            Err(refused) => group.answers.push((reply, Err(refused))),
        }
    }

    /// Asks the index; where it fails, once more after it was built again.
    fn ask_index<T>(&mut self, ask: impl Fn(&StoreCore) -> Result<T, ReadError>) -> Result<T, AppendError> {
        let error = match ask(&self.core) {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        tracing::warn!(%error, "the index cannot say where a stream ends; it is built again");
        if *self.core.gate.index().borrow() == IndexHealth::Whole {
            self.post_commit.rebuild_index();
        }
        self.wait_for_index();
        match self.core.gate.refusal() {
            Some(refused) => Err(refused),
            None => ask(&self.core).map_err(|error| match error {
                ReadError::Full => AppendError::Full,
                other => AppendError::ReadOnly(other.to_string()),
            }),
        }
    }

    fn validate(
        &mut self,
        append: &Append,
        now: Timestamp,
    ) -> Result<(Option<Appended>, Option<HeadRecord>), AppendError> {
        if let Some(refused) = self.core.gate.refusal() {
            return Err(refused);
        }
        let head = match self.heads.get(&append.stream) {
            Some((_, head)) => Some(*head),
            None => self.ask_index(|core| core.head(&append.stream))?,
        };
        let dedup = match &append.dedup {
            None => None,
            Some(dedup) => match self.dedups.get(&dedup.key) {
                Some((_, record)) => Some(*record),
                None => self.ask_index(|core| core.dedup(&dedup.key))?,
            },
        };
        let repeated = validate::check_stream(append, head.as_ref(), dedup.as_ref(), now)?;
        // What is left is for runs that have begun, and for the slots and budgets that they wait for.
        let begins = head.is_none() && !matches!(append.stream.kind, StreamKind::Key | StreamKind::Budget);
        if repeated.is_none() && begins && self.journal.is_short_of_room() {
            return Err(AppendError::Full);
        }
        Ok((repeated, head))
    }

    /// Writes the group and hands it on, or answers with its failure.
    fn finish(&mut self, group: Group, waits: bool) {
        let Group { turn, committed_at, appends, answers, .. } = group;
        if appends.is_empty() && answers.is_empty() {
            self.give_empty_group(turn);
            return;
        }
        let mut journal_end = None;
        if !appends.is_empty() {
            let events = appends.iter().map(|committed| committed.appended.count).sum();
            let count = u32::try_from(appends.len()).expect("groups are bounded");
            let (since, bytes) = (Stopwatch::start(), self.buffer.len());
            match self.journal.write(&mut self.buffer, count, events, committed_at) {
                Ok(()) => {
                    let (appends, took) = (appends.len(), since.elapsed());
                    self.core.options.observer.flushed(Flushed { appends, events, bytes, took });
                    journal_end = Some(self.journal_end());
                }
                Err(error) => return self.fail(appends, answers, &error),
            }
        }
        self.post_commit.give(CommittedGroup { turn, appends, answers, journal_end }, waits);
    }

    /// Passes on a group without appends and answers, so that its turn is counted.
    fn give_empty_group(&mut self, turn: u64) {
        self.post_commit.give(
            CommittedGroup { turn, appends: Vec::new(), answers: Vec::new(), journal_end: None },
            false,
        );
    }

    fn journal_end(&self) -> JournalEnd {
        let (segment, end) = self.journal.place();
        let tail = self.journal.tail();
        JournalEnd { segment, end, position: tail.position(), crc: tail.crc }
    }

    /// Drops what was validated against a group that failed.
    fn fail(
        &mut self,
        appends: Vec<CommittedAppend>,
        answers: Vec<(Reply, Result<Appended, AppendError>)>,
        error: &GroupError,
    ) {
        // Groups before this one are durable; what they changed is in the index once they are applied.
        self.post_commit.drain();
        self.heads.clear();
        self.dedups.clear();
        if let GroupError::NotOurs(lost) = error {
            self.core.gate.set_not_ours(lost);
        }
        self.report_broken();
        if *error == GroupError::Full && appends.len() > 1 {
            // Together they do not fit into the rest; the first ones do by themselves.
            for CommittedAppend { append, record, reply, .. } in appends {
                let mut alone = self.start_group();
                self.admit(QueuedAppend { append, record, reply }, &mut alone);
                self.finish(alone, false);
            }
        } else {
            for CommittedAppend { reply, .. } in appends {
                let _gone = reply.send(Err(append_error(error)));
            }
        }
        for (reply, _) in answers {
            // They were validated beside what failed, maybe against it.
            let _gone = reply.send(Err(append_error(error)));
        }
    }
}

fn append_error(error: &GroupError) -> AppendError {
    match error {
        GroupError::Full => AppendError::Full,
        GroupError::Unknown(why) => AppendError::Unknown(why.clone()),
        GroupError::ReadOnly(why) => AppendError::ReadOnly(why.clone()),
        GroupError::NotOurs(why) => AppendError::NotOurs(why.to_string()),
    }
}
