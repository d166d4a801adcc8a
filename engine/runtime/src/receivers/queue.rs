//! Which notice goes next: pure, so that the rules can be tested by themselves.
//!
//! Laws:
//! - A receiver is tried by one notice at first, by more with each that arrives, up to a quarter of all places; what
//!   fails makes it one again.
//! - After some failures in a row a receiver is left alone: one notice is sent after a pause that grows up to a minute,
//!   and the others wait. They follow when one has arrived.
//! - Receivers that did not take the last notice, or never got one, have half of the places at most: the other
//!   half is for those that are known to answer.
//! - Receivers take turns; among the notices of one receiver the one that has waited longest goes first, so a notice
//!   that it never takes keeps back none of the others.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use everfold_base::json::Hash;
use everfold_base::time::Timestamp;

/// Failures in a row after which a receiver is left alone.
const DOWN_AFTER: u32 = 3;
/// How long it is left alone first; twice as long each time.
const PAUSE_MIN: Duration = Duration::from_secs(1);
/// The longest pause, unless the receiver asks for a longer one.
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// Receivers that are remembered though nothing waits for them.
const KNOWN_MAX: usize = 1_000;

/// What the end of a try says of the receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum DeliveryEnd {
    /// It took the notice.
    Delivered,
    /// It answers, and refuses this notice for good.
    Refused,
    /// It does not answer, or not as it should; it may ask for a pause.
    Failed(Arc<str>, Duration),
    /// Nothing: the try was abandoned.
    Unknown,
}

/// In which of the queue's lists a receiver stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ReceiverTurn {
    /// Nothing waits, or as many are being sent as may be.
    Still,
    /// It is among those that may be tried, at this place.
    Ready(u64),
    /// It is left alone until then.
    Left(Timestamp),
}

#[derive(Debug)]
struct ReceiverState<W> {
    waiting: BTreeMap<u64, W>,
    trying: usize,
    /// How many may be sent at once.
    width: usize,
    /// Failures in a row.
    row: u32,
    /// Failures since it is known.
    failures: u64,
    /// No notice is sent before.
    next: Option<Timestamp>,
    message: Arc<str>,
    stand: ReceiverTurn,
    /// When it was used last, in the order of uses.
    used: u64,
}

/// What is known of a receiver that fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failing {
    /// Failures since it is known, whichever notice failed.
    pub(crate) failures: u64,
    /// Why the last one failed.
    pub(crate) message: Arc<str>,
    /// When the next one goes, by the steady clock, where it is left alone.
    pub(crate) next: Option<Timestamp>,
}

/// A notice whose turn it is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct CalledReceiver<W> {
    pub(crate) waiter: W,
    pub(crate) receiver: Hash,
    /// It counts among those that are not known to answer.
    pub(crate) in_doubt: bool,
}

/// Whether a notice is sent at once.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum QueueReply {
    /// It has a place; whether it counts among those that are not known to answer.
    Goes(bool),
    /// It waits under this number.
    Waits(u64),
}

/// The places, and the notices that wait for them.
#[derive(Debug)]
pub(crate) struct ReceiverQueue<W> {
    places: usize,
    taken: usize,
    taken_in_doubt: usize,
    receivers: BTreeMap<Hash, ReceiverState<W>>,
    /// Those that may go, by whether they are known to answer.
    ready: [BTreeMap<u64, Hash>; 2],
    /// Those that are left alone while something waits for them.
    left: BTreeSet<(Timestamp, Hash)>,
    /// Those for which nothing waits, by when they were used last.
    idle: BTreeSet<(u64, Hash)>,
    sequence: u64,
}

impl<W> ReceiverState<W> {
    fn is_known_to_answer(&self) -> bool {
        self.row == 0 && self.width > 1
    }
}

impl<W> ReceiverQueue<W> {
    pub(crate) fn new(places: usize) -> Self {
        Self {
            places: places.max(1),
            taken: 0,
            taken_in_doubt: 0,
            receivers: BTreeMap::new(),
            ready: Default::default(),
            left: BTreeSet::new(),
            idle: BTreeSet::new(),
            sequence: 0,
        }
    }

    /// Asks for a place. A waiter is called by [`ReceiverQueue::serve`].
    pub(crate) fn ask(
        &mut self,
        receiver: Hash,
        now: Timestamp,
        waiter: impl FnOnce(u64) -> W,
    ) -> QueueReply {
        let number = self.count();
        let new = || ReceiverState {
            waiting: BTreeMap::new(),
            trying: 0,
            width: 1,
            row: 0,
            failures: 0,
            next: None,
            message: Arc::from(""),
            stand: ReceiverTurn::Still,
            used: number,
        };
        let known = self.receivers.entry(receiver).or_insert_with(new);
        let may_go = known.waiting.is_empty()
            && known.trying < known.width
            && known.next.is_none_or(|next| next <= now);
        let in_doubt = !known.is_known_to_answer();
        let asked = if may_go && self.has_place(in_doubt) {
            self.take(receiver, in_doubt);
            QueueReply::Goes(in_doubt)
        } else {
            if let Some(known) = self.receivers.get_mut(&receiver) {
                known.waiting.insert(number, waiter(number));
            }
            QueueReply::Waits(number)
        };
        self.stand(receiver, now);
        asked
    }

    /// Removes a notice.
    pub(crate) fn leave(&mut self, receiver: Hash, number: u64, now: Timestamp) {
        if let Some(known) = self.receivers.get_mut(&receiver) {
            known.waiting.remove(&number);
        }
        self.stand(receiver, now);
    }

    /// A try came to its end.
    pub(crate) fn end(&mut self, receiver: Hash, in_doubt: bool, end: DeliveryEnd, now: Timestamp) {
        self.taken = self.taken.saturating_sub(1);
        self.taken_in_doubt = self.taken_in_doubt.saturating_sub(usize::from(in_doubt));
        let width_max = (self.places / 4).max(1);
        if let Some(known) = self.receivers.get_mut(&receiver) {
            known.trying = known.trying.saturating_sub(1);
            match end {
                DeliveryEnd::Delivered => {
                    (known.row, known.next) = (0, None);
                    // Where there are few places, one that answers is still distinguished from one that does not.
                    known.width = (known.width + 1).min(width_max.max(2));
                }
                DeliveryEnd::Refused => (known.row, known.next) = (0, None),
                DeliveryEnd::Failed(message, asked) => {
                    known.row = known.row.saturating_add(1);
                    known.failures += 1;
                    known.width = 1;
                    known.message = message;
                    let own = known.row.checked_sub(DOWN_AFTER).map_or(Duration::ZERO, |over| {
                        PAUSE_MIN.saturating_mul(1 << over.min(16)).min(PAUSE_MAX)
                    });
                    let pause = own.max(asked);
                    known.next = (!pause.is_zero()).then(|| now.plus(pause));
                }
                DeliveryEnd::Unknown => {}
            }
        }
        self.stand(receiver, now);
    }

    /// The notices to send now, as many as there are places for.
    pub(crate) fn serve(&mut self, now: Timestamp) -> Vec<CalledReceiver<W>> {
        while let Some((_, receiver)) = self.left.first().copied().filter(|(next, _)| *next <= now) {
            self.stand(receiver, now);
        }
        let mut called = Vec::new();
        loop {
            let turn = |known: bool| self.ready[usize::from(known)].first_key_value();
            let doubtful = turn(false).filter(|_| self.has_place(true));
            let known = turn(true).filter(|_| self.has_place(false));
            let Some((_, receiver)) = doubtful.into_iter().chain(known).min_by_key(|(turn, _)| **turn) else {
                return called;
            };
            let receiver = *receiver;
            let Some(known) = self.receivers.get_mut(&receiver) else { return called };
            let in_doubt = !known.is_known_to_answer();
            let Some((_, waiter)) = known.waiting.pop_first() else { return called };
            self.take(receiver, in_doubt);
            called.push(CalledReceiver { waiter, receiver, in_doubt });
            self.stand(receiver, now);
        }
    }

    /// A receiver is tried again now, though it is left alone.
    pub(crate) fn hurry(&mut self, receiver: Hash, now: Timestamp) {
        if let Some(known) = self.receivers.get_mut(&receiver) {
            known.next = None;
        }
        self.stand(receiver, now);
    }

    /// When a receiver is to be tried again for which something waits.
    pub(crate) fn next(&self) -> Option<Timestamp> {
        self.left.first().map(|(next, _)| *next)
    }

    /// What is known of a receiver that did not take the last notice.
    pub(crate) fn failing(&self, receiver: &Hash) -> Option<Failing> {
        let known = self.receivers.get(receiver).filter(|known| known.row > 0)?;
        Some(Failing { failures: known.failures, message: Arc::clone(&known.message), next: known.next })
    }

    /// Failures of a receiver since it is known.
    pub(crate) fn failures(&self, receiver: &Hash) -> u64 {
        self.receivers.get(receiver).map_or(0, |known| known.failures)
    }

    /// Whether a receiver is left alone.
    pub(crate) fn is_left_alone(&self, receiver: &Hash) -> bool {
        self.receivers.get(receiver).is_some_and(|known| known.next.is_some())
    }

    fn count(&mut self) -> u64 {
        self.sequence += 1;
        self.sequence
    }

    fn has_place(&self, in_doubt: bool) -> bool {
        let share = (self.places / 2).max(1);
        self.taken < self.places && (!in_doubt || self.taken_in_doubt < share)
    }

    fn take(&mut self, receiver: Hash, in_doubt: bool) {
        self.taken += 1;
        self.taken_in_doubt += usize::from(in_doubt);
        if let Some(known) = self.receivers.get_mut(&receiver) {
            known.trying += 1;
        }
    }

    /// Moves a receiver to the list in which it belongs now: idle, ready or left alone.
    fn stand(&mut self, receiver: Hash, now: Timestamp) {
        let turn = self.count();
        let Some(known) = self.receivers.get_mut(&receiver) else { return };
        match known.stand {
            ReceiverTurn::Still => {
                self.idle.remove(&(known.used, receiver));
            }
            ReceiverTurn::Ready(turn) => self.ready.iter_mut().for_each(|ready| {
                ready.remove(&turn);
            }),
            ReceiverTurn::Left(next) => {
                self.left.remove(&(next, receiver));
            }
        }
        known.used = turn;
        let is_idle = known.waiting.is_empty() && known.trying == 0;
        known.stand = match known.next {
            _ if known.waiting.is_empty() || known.trying >= known.width => ReceiverTurn::Still,
            Some(next) if next > now => {
                self.left.insert((next, receiver));
                ReceiverTurn::Left(next)
            }
            _may_go => {
                self.ready[usize::from(known.is_known_to_answer())].insert(turn, receiver);
                ReceiverTurn::Ready(turn)
            }
        };
        if is_idle {
            self.idle.insert((turn, receiver));
        }
        if self.idle.len() > KNOWN_MAX
            && let Some((_, forgotten)) = self.idle.pop_first()
        {
            self.receivers.remove(&forgotten);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_000_000);

    fn receiver(name: &str) -> Hash {
        Hash::of(name.as_bytes())
    }

    fn failed() -> DeliveryEnd {
        DeliveryEnd::Failed(Arc::from("nobody there"), Duration::ZERO)
    }

    /// Asks so often, and gives how many went at once.
    fn ask(queue: &mut ReceiverQueue<u64>, to: Hash, times: usize, now: Timestamp) -> usize {
        (0..times).filter(|_| matches!(queue.ask(to, now, |number| number), QueueReply::Goes(_))).count()
    }

    #[test]
    fn row_76_a_dead_receiver_is_tried_by_one_notice_at_a_time_and_ever_more_rarely() {
        let (mut queue, to) = (ReceiverQueue::new(32), receiver("dead"));
        assert_eq!(ask(&mut queue, to, 2_000, NOW), 1);
        let (mut now, mut tries, mut in_doubt) = (NOW, 1, true);
        let until = NOW.plus(Duration::from_secs(3_600));
        while now < until {
            queue.end(to, in_doubt, failed(), now);
            let called = queue.serve(now);
            let called = if called.is_empty() {
                now = queue.next().expect("a notice waits");
                queue.serve(now)
            } else {
                called
            };
            assert_eq!(called.len(), 1, "one at a time");
            in_doubt = called[0].in_doubt;
            tries += 1;
        }
        assert!((60..75).contains(&tries), "{tries} tries in an hour, however many wait");
        assert_eq!(queue.failing(&to).map(|failing| failing.failures), Some(tries - 1));
    }

    #[test]
    fn row_76_who_waits_for_a_dead_receiver_follows_the_first_that_arrives() {
        let (mut queue, to) = (ReceiverQueue::new(32), receiver("back"));
        assert_eq!(ask(&mut queue, to, 100, NOW), 1);
        for _ in 0..2 {
            queue.end(to, true, failed(), NOW);
            assert_eq!(queue.serve(NOW).len(), 1);
        }
        queue.end(to, true, failed(), NOW);
        assert!(queue.serve(NOW).is_empty() && queue.is_left_alone(&to));
        let later = queue.next().expect("it is tried again");
        let (mut going, mut sent, mut widest) = (queue.serve(later), 0, 0);
        while let Some(called) = going.pop() {
            queue.end(to, called.in_doubt, DeliveryEnd::Delivered, later);
            sent += 1;
            going.extend(queue.serve(later));
            widest = widest.max(going.len());
        }
        assert_eq!((sent, widest), (97, 8), "all of them, and several at once");
        assert_eq!((queue.taken, queue.taken_in_doubt), (0, 0));
    }

    #[test]
    fn row_76_receivers_that_hang_leave_half_of_the_places_to_those_that_answer() {
        let mut queue = ReceiverQueue::new(8);
        let good = receiver("good");
        assert_eq!(queue.ask(good, NOW, |number| number), QueueReply::Goes(true));
        queue.end(good, true, DeliveryEnd::Delivered, NOW);
        for hanging in 0..100 {
            ask(&mut queue, receiver(&format!("hanging {hanging}")), 10, NOW);
        }
        assert_eq!(queue.taken, 4, "those not known to answer have half of the places");
        assert_eq!(ask(&mut queue, good, 3, NOW), 2, "a receiver has a quarter, and at least two");
        queue.end(good, false, DeliveryEnd::Delivered, NOW);
        let called = queue.serve(NOW);
        assert!(called.len() == 1 && called[0].receiver == good, "{called:?}");
    }

    #[test]
    fn row_76_a_notice_that_is_never_taken_keeps_back_none_of_its_receiver() {
        let (mut queue, to) = (ReceiverQueue::new(32), receiver("picky"));
        let mut now = NOW;
        ask(&mut queue, to, 1, now);
        // The first, which is never taken, fails until its receiver is left alone; then it waits behind another.
        for _ in 0..DOWN_AFTER {
            queue.end(to, true, failed(), now);
            ask(&mut queue, to, 1, now);
        }
        let QueueReply::Waits(other) = queue.ask(to, now, |number| number) else {
            panic!("it is left alone")
        };
        let mut called = Vec::new();
        for _ in 0..2 {
            now = queue.next().unwrap_or(now);
            let next = queue.serve(now);
            assert_eq!(next.len(), 1);
            called.push(next[0].waiter);
            let end = if next[0].waiter == other { DeliveryEnd::Delivered } else { failed() };
            queue.end(to, next[0].in_doubt, end, now);
            ask(&mut queue, to, 1, now);
        }
        assert_eq!(called[1], other);
        assert!(!queue.is_left_alone(&to), "and those behind it follow");
    }

    #[test]
    fn row_76_receivers_that_are_not_used_are_forgotten_and_those_that_something_waits_for_are_not() {
        let mut queue = ReceiverQueue::new(32);
        let waited_for = receiver("waited for");
        ask(&mut queue, waited_for, 2, NOW);
        for at in 0..3 * KNOWN_MAX {
            let to = receiver(&format!("{at}"));
            assert_eq!(queue.ask(to, NOW, |number| number), QueueReply::Goes(true));
            queue.end(to, true, failed(), NOW);
        }
        assert!(queue.receivers.len() <= KNOWN_MAX + 2, "{}", queue.receivers.len());
        assert_eq!(queue.receivers[&waited_for].waiting.len(), 1);
        queue.end(waited_for, true, DeliveryEnd::Unknown, NOW);
        assert_eq!(queue.serve(NOW).len(), 1);
    }
}
