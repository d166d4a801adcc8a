//! The offered attempts, and the polls that wait for them. Pure: no clock, no files, no tasks.
//!
//! Laws:
//! - Of the runs whose work a poll may take, the one that was served longest ago goes first; within a run
//!   the oldest offer does.
//! - An offer wakes one waiter: the one of its function that has waited longest. A waiter that was woken
//!   and goes without taking anything wakes the next.
//! - A waiter for which attempts are reserved is woken by none but these: when the first has come, from which on no more are
//!   reserved for it, and when each has come or was given up. While a poll hands out what it took, further attempts are
//!   reserved for it.
//! - No operation scans: each costs O(log n), times the functions of a poll.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use everfold_base::id::{EffectId, RunId};
use tokio::sync::oneshot;

use super::name::WorkerName;

/// Offers of all functions, and the polls that wait.
#[derive(Debug, Default)]
pub(super) struct Queues {
    functions: HashMap<String, FunctionQueue>,
    /// Grows with everything that is taken: by it runs take turns.
    turn: u64,
    waiters: BTreeMap<u64, Waiter>,
    next_waiter: u64,
}

/// The offers and waiters of one function.
#[derive(Debug, Default)]
struct FunctionQueue {
    /// Of each run by the order in which they were first offered.
    runs: BTreeMap<(u64, RunId), BTreeMap<u64, EffectId>>,
    turns: HashMap<RunId, u64>,
    offers: usize,
    waiters: BTreeSet<u64>,
    /// Those that attempts are reserved for, and that may have more.
    reserving: BTreeSet<u64>,
}

#[derive(Debug)]
struct Waiter {
    functions: Vec<String>,
    worker: WorkerName,
    capacity: usize,
    stage: WaiterStage,
    /// Reserved attempts that have neither come nor been given up.
    reserved: usize,
    /// Reserved attempts that have come.
    came: Vec<ReservedOffer>,
    /// `None`: it was woken.
    wake: Option<oneshot::Sender<()>>,
}

/// What a poll waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WaiterStage {
    /// For offers, and for what is reserved for it.
    Waits,
    /// Until what it took is its worker's. Attempts are reserved for it meanwhile.
    HandsOut,
    /// For what is reserved for it already.
    Closed,
}

impl Waiter {
    fn new(seeker: &Seeker<'_>, stage: WaiterStage, wake: oneshot::Sender<()>) -> Self {
        let (functions, worker) = (seeker.functions.to_vec(), seeker.worker.clone());
        let (capacity, reserved, came) = (seeker.capacity, 0, Vec::new());
        Self { functions, worker, capacity, stage, reserved, came, wake: Some(wake) }
    }

    /// Whether an offer wakes it.
    fn is_free(&self) -> bool {
        self.stage == WaiterStage::Waits && self.reserved == 0 && self.wake.is_some()
    }

    /// Whether an attempt is reserved for it rather than for one that waits.
    fn is_reserving(&self) -> bool {
        let is_open = match self.stage {
            WaiterStage::Waits => self.reserved > 0,
            WaiterStage::HandsOut => true,
            WaiterStage::Closed => false,
        };
        is_open && self.room() > 0
    }

    /// How many more attempts its worker takes.
    fn room(&self) -> usize {
        self.capacity.saturating_sub(self.reserved + self.came.len())
    }
}

/// A poll that looks for work.
#[derive(Debug)]
pub(super) struct Seeker<'a> {
    pub(super) worker: &'a WorkerName,
    pub(super) functions: &'a [String],
    pub(super) capacity: usize,
}

/// An attempt that a worker holds since it was scheduled, with the text of its lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ReservedOffer {
    pub(super) id: EffectId,
    pub(super) lease: String,
}

/// What a poll finds.
#[derive(Debug)]
pub(super) enum Match {
    /// Work.
    Offers(Vec<EffectId>),
    /// Work that was reserved for it.
    Reserved(Vec<ReservedOffer>),
    /// Work that was reserved for it, and more is on its way; it is woken when that has come or was given up.
    Comes(u64, oneshot::Receiver<()>),
    /// Nothing yet; it is woken.
    Waits(u64, oneshot::Receiver<()>),
}

impl Queues {
    /// Offers an attempt; of its run's offers one with a lower number goes first.
    pub(super) fn put(&mut self, function: &str, nth: u64, id: EffectId) {
        let turn = self.turn;
        let queue = self.functions.entry(function.to_owned()).or_default();
        let place = *queue.turns.entry(id.run).or_insert(turn);
        if queue.runs.entry((place, id.run)).or_default().insert(nth, id).is_none() {
            queue.offers += 1;
        }
        self.wake_one(function);
    }

    /// Takes an offer back. `false`: a worker has taken it.
    pub(super) fn withdraw(&mut self, function: &str, nth: u64, run: RunId) -> bool {
        let Some(queue) = self.functions.get_mut(function) else { return false };
        let Some(turn) = queue.turns.get(&run).copied() else { return false };
        let Some(offers) = queue.runs.get_mut(&(turn, run)) else { return false };
        if offers.remove(&nth).is_none() {
            return false;
        }
        queue.offers -= 1;
        if offers.is_empty() {
            queue.runs.remove(&(turn, run));
            queue.turns.remove(&run);
        }
        self.forget_if_idle(function);
        true
    }

    /// Takes up to `capacity` offers of these functions, or begins to wait; `number` is that of a poll
    /// that waited already, and keeps its place.
    pub(super) fn take_or_wait(&mut self, seeker: &Seeker<'_>, number: Option<u64>) -> Match {
        if let Some(number) = number
            && let Some(waiter) = self.waiters.get_mut(&number)
            && !waiter.came.is_empty()
        {
            if waiter.reserved == 0 {
                return Match::Reserved(self.leave(number));
            }
            let (wake, woken) = oneshot::channel();
            waiter.wake = Some(wake);
            return Match::Comes(number, woken);
        }
        let mut taken = Vec::new();
        while taken.len() < seeker.capacity
            && let Some(id) = self.take(seeker.functions)
        {
            taken.push(id);
        }
        if !taken.is_empty() {
            if let Some(number) = number {
                self.drop_waiter(number);
            }
            return Match::Offers(taken);
        }
        let (number, woken) = self.add(seeker, WaiterStage::Waits, number);
        Match::Waits(number, woken)
    }

    /// Has attempts reserved for a poll that hands out what it took, until [`Queues::close`].
    pub(super) fn take_beside(&mut self, seeker: &Seeker<'_>) -> (u64, oneshot::Receiver<()>) {
        self.add(seeker, WaiterStage::HandsOut, None)
    }

    fn add(
        &mut self,
        seeker: &Seeker<'_>,
        stage: WaiterStage,
        number: Option<u64>,
    ) -> (u64, oneshot::Receiver<()>) {
        let number = number.unwrap_or_else(|| {
            self.next_waiter += 1;
            self.next_waiter
        });
        let (wake, woken) = oneshot::channel();
        self.waiters.insert(number, Waiter::new(seeker, stage, wake));
        self.stand(number);
        (number, woken)
    }

    /// Reserves an attempt for the poll of its function that has waited longest, where that leaves its worker room for what is
    /// offered already. Gives the poll and its worker.
    pub(super) fn reserve(&mut self, function: &str) -> Option<(u64, WorkerName)> {
        let queue = self.functions.get(function)?;
        let (number, offers) = (*queue.reserving.first().or(queue.waiters.first())?, queue.offers);
        let waiter = self.waiters.get_mut(&number).filter(|waiter| waiter.room() > offers)?;
        waiter.reserved += 1;
        let worker = waiter.worker.clone();
        self.stand(number);
        Some((number, worker))
    }

    /// No more attempts are reserved for a poll. Whether each has come or was given up; else it is woken then.
    pub(super) fn close(&mut self, number: u64) -> bool {
        let Some(waiter) = self.waiters.get_mut(&number) else { return true };
        waiter.stage = WaiterStage::Closed;
        let is_over = waiter.reserved == 0;
        self.stand(number);
        is_over
    }

    /// A reserved attempt has come. `false`: its poll has gone.
    pub(super) fn come(&mut self, number: u64, offer: ReservedOffer) -> bool {
        let Some(waiter) = self.waiters.get_mut(&number) else { return false };
        waiter.came.push(offer);
        self.settle(number);
        true
    }

    /// A reserved attempt does not come.
    pub(super) fn give_up(&mut self, number: u64) {
        self.settle(number);
    }

    /// One of the attempts that are reserved for a poll has come, or was given up.
    fn settle(&mut self, number: u64) {
        let Some(waiter) = self.waiters.get_mut(&number) else { return };
        waiter.reserved = waiter.reserved.saturating_sub(1);
        let has_first = waiter.stage == WaiterStage::Waits && !waiter.came.is_empty();
        if has_first {
            waiter.stage = WaiterStage::Closed;
        }
        if has_first || waiter.stage == WaiterStage::Closed && waiter.reserved == 0 {
            // One whose poll has just gone offers again what came.
            let _gone = waiter.wake.take().map(|wake| wake.send(()));
        }
        // `put` woke no poll for an offer while this one had attempts reserved, and no other waited.
        let is_free = waiter.is_free();
        let functions = if is_free { waiter.functions.clone() } else { Vec::new() };
        self.stand(number);
        functions.iter().for_each(|function| self.wake_one(function));
    }

    /// Puts a waiter into the lists of its functions in which it belongs now.
    fn stand(&mut self, number: u64) {
        let Some(waiter) = self.waiters.get(&number) else { return };
        let (is_free, is_reserving) = (waiter.is_free(), waiter.is_reserving());
        for function in &waiter.functions.clone() {
            let queue = self.functions.entry(function.clone()).or_default();
            if is_free {
                queue.waiters.insert(number)
            } else {
                queue.waiters.remove(&number)
            };
            if is_reserving {
                queue.reserving.insert(number)
            } else {
                queue.reserving.remove(&number)
            };
            self.forget_if_idle(function);
        }
    }

    fn take(&mut self, functions: &[String]) -> Option<EffectId> {
        let first = |function: &&String| {
            let queue = self.functions.get(*function)?;
            queue.runs.first_key_value().map(|(place, _)| *place)
        };
        let function = functions.iter().filter(|it| first(it).is_some()).min_by_key(first)?.clone();
        let queue = self.functions.get_mut(&function)?;
        let ((_, run), mut offers) = queue.runs.pop_first()?;
        let (_nth, id) = offers.pop_first()?;
        queue.offers -= 1;
        self.turn += 1;
        if offers.is_empty() {
            queue.turns.remove(&run);
        } else {
            queue.turns.insert(run, self.turn);
            queue.runs.insert((self.turn, run), offers);
        }
        self.forget_if_idle(&function);
        Some(id)
    }

    /// A poll goes, with or without having been woken. Gives what was reserved for it and has come.
    pub(super) fn leave(&mut self, number: u64) -> Vec<ReservedOffer> {
        let Some(waiter) = self.drop_waiter(number) else { return Vec::new() };
        // `put` woke this poll, or no poll, for an offer while this one had attempts reserved: the next poll takes it.
        if waiter.wake.is_none() || waiter.reserved > 0 || !waiter.came.is_empty() {
            waiter.functions.iter().for_each(|function| self.wake_one(function));
        }
        waiter.came
    }

    /// How many polls wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiters.len()
    }

    /// How many offers of a function no worker has taken.
    pub(super) fn offers(&self, function: &str) -> usize {
        self.functions.get(function).map_or(0, |queue| queue.offers)
    }

    fn wake_one(&mut self, function: &str) {
        let Some(queue) = self.functions.get(function).filter(|queue| queue.offers > 0) else { return };
        let Some(number) = queue.waiters.first().copied() else { return };
        let Some(waiter) = self.waiters.get_mut(&number) else { return };
        let (functions, wake) = (waiter.functions.clone(), waiter.wake.take());
        for function in &functions {
            if let Some(queue) = self.functions.get_mut(function) {
                queue.waiters.remove(&number);
            }
        }
        // One whose poll has just gone says so by `leave`, and the next is woken.
        if let Some(wake) = wake {
            let _gone = wake.send(());
        }
    }

    fn drop_waiter(&mut self, number: u64) -> Option<Waiter> {
        let waiter = self.waiters.remove(&number)?;
        for function in &waiter.functions {
            if let Some(queue) = self.functions.get_mut(function) {
                queue.waiters.remove(&number);
                queue.reserving.remove(&number);
            }
            self.forget_if_idle(function);
        }
        Some(waiter)
    }

    fn forget_if_idle(&mut self, function: &str) {
        let is_idle = |queue: &FunctionQueue| {
            queue.offers == 0 && queue.waiters.is_empty() && queue.reserving.is_empty()
        };
        if self.functions.get(function).is_some_and(is_idle) {
            self.functions.remove(function);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use everfold_base::id::{Attempt, AttemptId, Round, StepPath};

    fn run(number: u8) -> RunId {
        format!("0198c1f0-0000-7000-8000-0000000000{number:02x}").parse().unwrap()
    }

    fn offer(number: u8, item: u32) -> EffectId {
        let path = StepPath::item(&"work".into(), item);
        EffectId { run: run(number), attempt: AttemptId { path, round: Round(1), attempt: Attempt(1) } }
    }

    fn nth(number: u8, item: u32) -> u64 {
        u64::from(number) * 1_000 + u64::from(item)
    }

    fn put(queues: &mut Queues, function: &str, number: u8, item: u32) {
        queues.put(function, nth(number, item), offer(number, item));
    }

    fn seek(queues: &mut Queues, functions: &[&str], capacity: usize, number: Option<u64>) -> Match {
        let functions: Vec<String> = functions.iter().map(|it| (*it).to_owned()).collect();
        let worker = WorkerName::new("token", None);
        queues.take_or_wait(&Seeker { worker: &worker, functions: &functions, capacity }, number)
    }

    fn took(queues: &mut Queues, functions: &[&str], capacity: usize) -> Vec<EffectId> {
        match seek(queues, functions, capacity, None) {
            Match::Offers(offers) => offers,
            Match::Waits(number, _) => {
                queues.leave(number);
                Vec::new()
            }
            reserved => panic!("{reserved:?}"),
        }
    }

    fn come(queues: &mut Queues, number: u64, item: u32) -> bool {
        queues.come(number, ReservedOffer { id: offer(1, item), lease: item.to_string() })
    }

    fn items(came: &[ReservedOffer]) -> Vec<&str> {
        came.iter().map(|offer| offer.lease.as_str()).collect()
    }

    fn waits(queues: &mut Queues, function: &str, number: Option<u64>) -> (u64, oneshot::Receiver<()>) {
        match seek(queues, &[function], 2, number) {
            Match::Waits(number, woken) => (number, woken),
            work => panic!("{work:?}"),
        }
    }

    #[test]
    fn runs_take_turns_and_within_a_run_the_oldest_goes_first() {
        let mut queues = Queues::default();
        (0..100).rev().for_each(|item| put(&mut queues, "a", 1, item));
        put(&mut queues, "b", 2, 0);
        put(&mut queues, "a", 3, 0);
        put(&mut queues, "a", 3, 1);
        let order = took(&mut queues, &["a", "b"], 7);
        let order: Vec<(RunId, u32)> =
            order.iter().map(|id| (id.run, id.attempt.path.item.unwrap())).collect();
        assert_eq!(
            order,
            [(run(1), 0), (run(2), 0), (run(3), 0), (run(1), 1), (run(3), 1), (run(1), 2), (run(1), 3)]
        );
        assert_eq!(queues.offers("a"), 96);
        assert!(queues.withdraw("a", nth(1, 50), run(1)) && !queues.withdraw("a", nth(1, 50), run(1)));
        assert_eq!(took(&mut queues, &["a"], 1_000).len(), 95);
        assert!(queues.functions.is_empty(), "what is idle costs nothing");
    }

    #[test]
    fn an_offer_wakes_the_one_that_waited_longest_and_one_that_goes_wakes_the_next() {
        let mut queues = Queues::default();
        let (first, mut first_woken) = waits(&mut queues, "a", None);
        let (second, mut second_woken) = waits(&mut queues, "a", None);
        let (_other, mut other_woken) = waits(&mut queues, "b", None);
        put(&mut queues, "a", 1, 0);
        assert!(first_woken.try_recv().is_ok());
        assert!(second_woken.try_recv().is_err() && other_woken.try_recv().is_err(), "one offer wakes one");
        queues.leave(first);
        assert!(second_woken.try_recv().is_ok(), "it went without taking it");
        // Another worker was faster: this one waits again, in its old place.
        assert_eq!(took(&mut queues, &["a"], 1).len(), 1);
        let (third, mut third_woken) = waits(&mut queues, "a", None);
        let (again, mut woken_again) = waits(&mut queues, "a", Some(second));
        assert_eq!(again, second);
        put(&mut queues, "a", 1, 1);
        assert!(woken_again.try_recv().is_ok() && third_woken.try_recv().is_err());
        queues.leave(third);
        assert_eq!(queues.waiting(), 2);
    }

    #[test]
    fn a_poll_that_attempts_are_reserved_for_is_woken_by_these_alone_once_each_has_come_or_was_given_up() {
        let mut queues = Queues::default();
        assert_eq!(queues.reserve("a"), None, "nobody waits");
        let (first, mut first_woken) = waits(&mut queues, "a", None);
        let (second, mut second_woken) = waits(&mut queues, "a", None);
        let reserve = |queues: &mut Queues| queues.reserve("a").map(|(number, _)| number);
        assert_eq!([reserve(&mut queues), reserve(&mut queues)], [Some(first); 2], "as many as it takes");
        assert_eq!(reserve(&mut queues), Some(second), "then the next that waits");
        // The second has none any more, and waits as before: an offer wakes it.
        queues.give_up(second);
        assert!(come(&mut queues, first, 1) && first_woken.try_recv().is_ok());
        let Match::Comes(_, mut first_woken) = seek(&mut queues, &["a"], 2, Some(first)) else { panic!() };
        put(&mut queues, "a", 2, 0);
        assert!(second_woken.try_recv().is_ok() && first_woken.try_recv().is_err());
        assert_eq!(reserve(&mut queues), None, "what is offered goes first");
        queues.give_up(first);
        assert!(first_woken.try_recv().is_ok());
        let Match::Reserved(came) = seek(&mut queues, &["a"], 2, Some(first)) else { panic!() };
        assert_eq!(items(&came), ["1"]);
        assert!(!come(&mut queues, first, 2), "its poll has been answered");
        assert_eq!(took(&mut queues, &["a"], 2).len(), 1);
        queues.leave(second);
        assert!(queues.functions.is_empty() && queues.waiters.is_empty(), "{queues:?}");
    }

    #[test]
    fn what_came_for_a_poll_that_goes_is_given_back_and_offers_that_it_kept_from_waking_wake_the_next() {
        let mut queues = Queues::default();
        let (first, _first_woken) = waits(&mut queues, "a", None);
        assert_eq!(queues.reserve("a").map(|(number, _)| number), Some(first));
        put(&mut queues, "a", 2, 0);
        let (second, mut second_woken) = waits(&mut queues, "b", None);
        assert_eq!(queues.reserve("b").map(|(number, _)| number), Some(second));
        queues.give_up(second);
        assert!(second_woken.try_recv().is_err(), "it waits on");
        assert!(come(&mut queues, first, 1));
        // From the first that came, no more are reserved for it.
        let came = queues.leave(first);
        assert_eq!(items(&came), ["1"]);
        queues.leave(second);
        assert_eq!(took(&mut queues, &["a"], 5).len(), 1);
        assert!(queues.functions.is_empty() && queues.waiters.is_empty(), "{queues:?}");
    }

    #[test]
    fn a_poll_whose_reserved_attempts_are_given_up_takes_what_was_offered_meanwhile() {
        let mut queues = Queues::default();
        let (only, mut woken) = waits(&mut queues, "a", None);
        assert!(queues.reserve("a").is_some() && queues.reserve("a").is_some());
        put(&mut queues, "a", 2, 0);
        queues.give_up(only);
        assert!(woken.try_recv().is_err(), "one is on its way still");
        queues.give_up(only);
        assert!(woken.try_recv().is_ok());
        let Match::Offers(offers) = seek(&mut queues, &["a"], 2, Some(only)) else { panic!() };
        assert_eq!(offers, [offer(2, 0)]);
    }

    #[test]
    fn attempts_are_reserved_for_a_poll_while_it_hands_out_what_it_took() {
        let mut queues = Queues::default();
        let (worker, functions) = (WorkerName::new("token", None), ["a".to_owned()]);
        let seeker = Seeker { worker: &worker, functions: &functions, capacity: 2 };
        let (busy, mut woken) = queues.take_beside(&seeker);
        put(&mut queues, "a", 2, 0);
        assert!(woken.try_recv().is_err(), "an offer does not wake it");
        assert_eq!(took(&mut queues, &["a"], 1).len(), 1);
        let reserve = |queues: &mut Queues| queues.reserve("a").map(|(number, _)| number);
        assert_eq!(reserve(&mut queues), Some(busy));
        assert!(come(&mut queues, busy, 1) && woken.try_recv().is_err());
        assert_eq!(reserve(&mut queues), Some(busy), "it has come, and more may");
        assert_eq!(reserve(&mut queues), None, "as many as it takes");
        assert!(!queues.close(busy), "one is on its way");
        queues.give_up(busy);
        assert!(woken.try_recv().is_ok());
        assert_eq!(items(&queues.leave(busy)), ["1"]);
        // What is offered meanwhile has room with the worker, too.
        let (idle, _woken) = queues.take_beside(&seeker);
        put(&mut queues, "a", 2, 0);
        assert_eq!([reserve(&mut queues), reserve(&mut queues)], [Some(idle), None]);
        queues.give_up(idle);
        assert_eq!(took(&mut queues, &["a"], 1).len(), 1);
        assert!(queues.close(idle) && queues.leave(idle).is_empty());
        assert!(queues.functions.is_empty() && queues.waiters.is_empty(), "{queues:?}");
    }
}
