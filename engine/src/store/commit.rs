//! The writer thread: takes what is queued, judges it, writes one group, syncs, hands it on.
//!
//! Law: the only writer of the journal. It never waits to fill a group. What is under way is seen by
//! its judgement and by nobody else; when a group fails, everything judged on it fails with it.
//!
//! Fed by [`super::SledStore::append`].

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::{mpsc, oneshot};

use super::applier::{Applier, Committed, CommittedGroup, Reply};
use super::gate::IndexHealth;
use super::journal::format::GROUP_HEADER;
use super::journal::writer::{GroupError, JournalWriter};
use super::judge::{self, DedupRecord, HeadRecord};
use super::mark::JournalMark;
use super::shared::Shared;
use super::{Append, AppendError, Appended, Flushed, ReadError};
use crate::clock::Stopwatch;
use crate::envelope::{StreamId, StreamKind};
use crate::id::Position;
use crate::json::Hash;
use crate::time::Timestamp;

/// Appends that one group takes at most.
const GROUP_APPENDS_MAX: usize = 1_024;
/// Bytes behind which a group takes no further append.
const GROUP_BYTES_ENOUGH: usize = 4 * 1024 * 1024;

/// How long the journal waits before it tries a new segment once more.
const MEND_AFTER: Duration = Duration::from_millis(250);
/// How often the queue is looked at meanwhile.
const MEND_LOOK: Duration = Duration::from_millis(20);

/// What the writer thread is told.
pub(crate) enum Command {
    Append(Box<Queued>),
    /// Finish what is queued, then end; the sender learns when all is applied.
    Close(oneshot::Sender<()>),
}

/// An append with its encoded record, its length in front.
pub(crate) struct Queued {
    pub(crate) append: Append,
    pub(crate) record: Vec<u8>,
    pub(crate) reply: Reply,
}

/// The writer thread's state.
pub(crate) struct Committer {
    shared: Arc<Shared>,
    journal: JournalWriter,
    applier: Applier,
    /// The turn of the last group.
    turn: u64,
    /// What groups that are not applied yet have changed.
    heads: HashMap<StreamId, (u64, HeadRecord)>,
    dedups: HashMap<Hash, (u64, DedupRecord)>,
    /// The group's bytes: room for its header, then its body.
    buffer: Vec<u8>,
    /// Since the last try to go on in a new segment.
    tried: Stopwatch,
}

/// The group that is being judged.
struct Group {
    turn: u64,
    committed_at: Timestamp,
    next_position: Position,
    appends: Vec<Committed>,
    answers: Vec<(Reply, Result<Appended, AppendError>)>,
}

impl Committer {
    pub(crate) fn new(shared: Arc<Shared>, journal: JournalWriter, applier: Applier) -> Self {
        let buffer = Vec::with_capacity(64 * 1024);
        let (heads, dedups, tried) = (HashMap::new(), HashMap::new(), Stopwatch::start());
        Self { shared, journal, applier, turn: 0, heads, dedups, buffer, tried }
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
        self.applier.stop();
        self.shared.end();
        for done in closers {
            // Who asked may have gone; the store is closed all the same.
            let _gone = done.send(());
        }
    }

    /// Takes what is queued, and waits for it; 0 at the queue's end. While the journal has no segment to go on in,
    /// another try is made now and then.
    fn take(&mut self, queue: &mut mpsc::Receiver<Command>, taken: &mut Vec<Command>) -> usize {
        while self.journal.broken().is_some() {
            if self.tried.elapsed() >= MEND_AFTER {
                self.mend();
                self.tried = Stopwatch::start();
            }
            match queue.try_recv() {
                Ok(command) => {
                    taken.push(command);
                    return taken.len();
                }
                Err(TryRecvError::Disconnected) => return 0,
                Err(TryRecvError::Empty) => std::thread::park_timeout(MEND_LOOK),
            }
        }
        queue.blocking_recv_many(taken, GROUP_APPENDS_MAX)
    }

    fn mend(&mut self) {
        match self.journal.mend() {
            Some(Ok(())) => {
                tracing::info!("the journal goes on in a new segment");
                self.shared.gate.set_journal(None);
            }
            Some(Err(why)) => {
                tracing::debug!(%why, "the journal has no new segment yet");
                self.tell_broken();
            }
            None => {}
        }
    }

    /// Says why the journal takes nothing.
    fn tell_broken(&self) {
        if let Some(why) = self.journal.broken() {
            self.shared.gate.set_journal(Some(why.clone()));
        }
        if let Err(lost) = self.shared.lock.check() {
            self.shared.gate.set_not_ours(&lost);
        }
    }

    /// While the index is being built, appends wait rather than fail.
    fn wait_for_index(&mut self) {
        const PAUSE: Duration = Duration::from_millis(2);
        let health = self.shared.gate.index();
        if *health.borrow() == IndexHealth::Building {
            self.applier.drain();
            while *health.borrow() == IndexHealth::Building {
                std::thread::park_timeout(PAUSE);
            }
        }
    }

    fn start_group(&mut self) -> Group {
        self.buffer.clear();
        self.buffer.resize(GROUP_HEADER, 0);
        self.turn += 1;
        let done = self.applier.done();
        self.heads.retain(|_, (turn, _)| *turn > done);
        self.dedups.retain(|_, (turn, _)| *turn > done);
        let tail = self.journal.tail();
        Group {
            turn: self.turn,
            committed_at: (self.shared.options.clock)().max(tail.committed_at),
            next_position: tail.next_position,
            appends: Vec::new(),
            answers: Vec::new(),
        }
    }

    /// Judges an append and takes it into the group, or keeps its refusal for the group's end.
    fn admit(&mut self, queued: Queued, group: &mut Group) {
        let Queued { append, record, reply } = queued;
        match self.judge(&append, group.committed_at) {
            Ok((None, head_before)) => {
                let went = Appended {
                    first_version: append.expected.next(),
                    first_position: group.next_position,
                    count: u32::try_from(append.events.len()).expect("checked: at most 1,000 events"),
                    committed_at: group.committed_at,
                    repeated: false,
                };
                let head = judge::head_after(&append, head_before.as_ref(), &went);
                self.heads.insert(append.stream.clone(), (group.turn, head));
                if let Some(dedup) = &append.dedup {
                    self.dedups.insert(dedup.key, (group.turn, DedupRecord::new(dedup, &went)));
                }
                group.next_position = went.last_position().next();
                self.buffer.extend_from_slice(&record);
                group.appends.push(Committed { append, record, went, head_before, head, reply });
            }
            Ok((Some(first), _)) => group.answers.push((reply, Ok(first))),
            Err(refused) => group.answers.push((reply, Err(refused))),
        }
    }

    /// Asks the index; where it fails, once more after it was built again.
    fn ask_index<T>(&mut self, ask: impl Fn(&Shared) -> Result<T, ReadError>) -> Result<T, AppendError> {
        let error = match ask(&self.shared) {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        tracing::warn!(%error, "the index cannot say where a stream ends; it is built again");
        if *self.shared.gate.index().borrow() == IndexHealth::Whole {
            self.applier.mend_index();
        }
        self.wait_for_index();
        match self.shared.gate.refusal() {
            Some(refused) => Err(refused),
            None => ask(&self.shared).map_err(|error| match error {
                ReadError::Full => AppendError::Full,
                other => AppendError::ReadOnly(other.to_string()),
            }),
        }
    }

    fn judge(
        &mut self,
        append: &Append,
        now: Timestamp,
    ) -> Result<(Option<Appended>, Option<HeadRecord>), AppendError> {
        if let Some(refused) = self.shared.gate.refusal() {
            return Err(refused);
        }
        let head = match self.heads.get(&append.stream) {
            Some((_, head)) => Some(*head),
            None => self.ask_index(|shared| shared.head(&append.stream))?,
        };
        let dedup = match &append.dedup {
            None => None,
            Some(dedup) => match self.dedups.get(&dedup.key) {
                Some((_, record)) => Some(*record),
                None => self.ask_index(|shared| shared.dedup(&dedup.key))?,
            },
        };
        let repeated = judge::judge(append, head.as_ref(), dedup.as_ref(), now)?;
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
            self.applier_turn(turn);
            return;
        }
        let mut mark = None;
        if !appends.is_empty() {
            let events = appends.iter().map(|committed| committed.went.count).sum();
            let count = u32::try_from(appends.len()).expect("groups are bounded");
            let (since, bytes) = (Stopwatch::start(), self.buffer.len());
            match self.journal.write(&mut self.buffer, count, events, committed_at) {
                Ok(()) => {
                    let (appends, took) = (appends.len(), since.elapsed());
                    self.shared.options.observer.flushed(Flushed { appends, events, bytes, took });
                    mark = Some(self.journal_mark());
                }
                Err(error) => return self.fail(appends, answers, &error),
            }
        }
        self.applier.give(CommittedGroup { turn, appends, answers, mark }, waits);
    }

    /// A group of nothing has its turn too.
    fn applier_turn(&mut self, turn: u64) {
        self.applier
            .give(CommittedGroup { turn, appends: Vec::new(), answers: Vec::new(), mark: None }, false);
    }

    fn journal_mark(&self) -> JournalMark {
        let (segment, end) = self.journal.place();
        let tail = self.journal.tail();
        JournalMark { segment, end, position: tail.position(), crc: tail.crc }
    }

    /// Drops what was judged on a group that failed.
    fn fail(
        &mut self,
        appends: Vec<Committed>,
        answers: Vec<(Reply, Result<Appended, AppendError>)>,
        error: &GroupError,
    ) {
        // Groups before this one are durable; what they changed is in the index once they are applied.
        self.applier.drain();
        self.heads.clear();
        self.dedups.clear();
        if let GroupError::NotOurs(lost) = error {
            self.shared.gate.set_not_ours(lost);
        }
        self.tell_broken();
        if *error == GroupError::Full && appends.len() > 1 {
            // Together they do not fit into the rest; the first ones do by themselves.
            for Committed { append, record, reply, .. } in appends {
                let mut alone = self.start_group();
                self.admit(Queued { append, record, reply }, &mut alone);
                self.finish(alone, false);
            }
        } else {
            for Committed { reply, .. } in appends {
                let _gone = reply.send(Err(append_error(error)));
            }
        }
        for (reply, _) in answers {
            // They were judged beside what failed, maybe on it.
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
