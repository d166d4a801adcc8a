//! The offered attempts, and the polls that wait for them. Pure: no clock, no files, no tasks.
//!
//! Laws:
//! - Of the runs whose work a poll may take, the one that was served longest ago goes first; within a run
//!   the oldest offer does.
//! - An offer wakes one waiter: the one of its function that has waited longest. A waiter that was woken
//!   and goes without taking anything wakes the next.
//! - No operation scans: each costs O(log n), times the functions of a poll.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use everfold_base::id::{EffectId, RunId};
use tokio::sync::oneshot;

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
    runs: BTreeMap<(u64, RunId), VecDeque<EffectId>>,
    turns: HashMap<RunId, u64>,
    offers: usize,
    waiters: BTreeSet<u64>,
}

#[derive(Debug)]
struct Waiter {
    functions: Vec<String>,
    /// `None`: it was woken.
    wake: Option<oneshot::Sender<()>>,
}

/// What a poll finds.
#[derive(Debug)]
pub(super) enum Match {
    /// Work.
    Offers(Vec<EffectId>),
    /// Nothing yet; it is woken.
    Waits(u64, oneshot::Receiver<()>),
}

impl Queues {
    /// Offers an attempt.
    pub(super) fn put(&mut self, function: &str, id: EffectId) {
        let turn = self.turn;
        let queue = self.functions.entry(function.to_owned()).or_default();
        let place = *queue.turns.entry(id.run).or_insert(turn);
        queue.runs.entry((place, id.run)).or_default().push_back(id);
        queue.offers += 1;
        self.wake_one(function);
    }

    /// Takes an offer back. `false`: a worker has taken it.
    pub(super) fn withdraw(&mut self, function: &str, id: &EffectId) -> bool {
        let Some(queue) = self.functions.get_mut(function) else { return false };
        let Some(turn) = queue.turns.get(&id.run).copied() else { return false };
        let Some(offers) = queue.runs.get_mut(&(turn, id.run)) else { return false };
        let Some(at) = offers.iter().position(|offer| offer == id) else { return false };
        offers.remove(at);
        queue.offers -= 1;
        if offers.is_empty() {
            queue.runs.remove(&(turn, id.run));
            queue.turns.remove(&id.run);
        }
        self.forget_if_idle(function);
        true
    }

    /// Takes up to `capacity` offers of these functions, or begins to wait; `number` is that of a poll
    /// that waited already, and keeps its place.
    pub(super) fn take_or_wait(
        &mut self,
        functions: &[String],
        capacity: usize,
        number: Option<u64>,
    ) -> Match {
        let mut taken = Vec::new();
        while taken.len() < capacity
            && let Some(id) = self.take(functions)
        {
            taken.push(id);
        }
        if !taken.is_empty() {
            if let Some(number) = number {
                self.drop_waiter(number);
            }
            return Match::Offers(taken);
        }
        let number = number.unwrap_or_else(|| {
            self.next_waiter += 1;
            self.next_waiter
        });
        let (wake, woken) = oneshot::channel();
        self.waiters.insert(number, Waiter { functions: functions.to_vec(), wake: Some(wake) });
        for function in functions {
            self.functions.entry(function.clone()).or_default().waiters.insert(number);
        }
        Match::Waits(number, woken)
    }

    fn take(&mut self, functions: &[String]) -> Option<EffectId> {
        let first = |function: &&String| {
            let queue = self.functions.get(*function)?;
            queue.runs.first_key_value().map(|(place, _)| *place)
        };
        let function = functions.iter().filter(|it| first(it).is_some()).min_by_key(first)?.clone();
        let queue = self.functions.get_mut(&function)?;
        let ((_, run), mut offers) = queue.runs.pop_first()?;
        let id = offers.pop_front()?;
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

    /// A poll goes, with or without having been woken.
    pub(super) fn leave(&mut self, number: u64) {
        let Some(waiter) = self.drop_waiter(number) else { return };
        if waiter.wake.is_none() {
            waiter.functions.iter().for_each(|function| self.wake_one(function));
        }
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
            }
            self.forget_if_idle(function);
        }
        Some(waiter)
    }

    fn forget_if_idle(&mut self, function: &str) {
        let is_idle = |queue: &FunctionQueue| queue.offers == 0 && queue.waiters.is_empty();
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

    fn took(queues: &mut Queues, functions: &[&str], capacity: usize) -> Vec<EffectId> {
        let functions: Vec<String> = functions.iter().map(|it| (*it).to_owned()).collect();
        match queues.take_or_wait(&functions, capacity, None) {
            Match::Offers(offers) => offers,
            Match::Waits(number, _) => {
                queues.leave(number);
                Vec::new()
            }
        }
    }

    fn waits(queues: &mut Queues, function: &str, number: Option<u64>) -> (u64, oneshot::Receiver<()>) {
        match queues.take_or_wait(&[function.to_owned()], 1, number) {
            Match::Waits(number, woken) => (number, woken),
            Match::Offers(offers) => panic!("{offers:?}"),
        }
    }

    #[test]
    fn runs_take_turns_and_within_a_run_the_oldest_goes_first() {
        let mut queues = Queues::default();
        (0..100).for_each(|item| queues.put("a", offer(1, item)));
        queues.put("b", offer(2, 0));
        queues.put("a", offer(3, 0));
        queues.put("a", offer(3, 1));
        let order = took(&mut queues, &["a", "b"], 7);
        let order: Vec<(RunId, u32)> =
            order.iter().map(|id| (id.run, id.attempt.path.item.unwrap())).collect();
        assert_eq!(
            order,
            [(run(1), 0), (run(2), 0), (run(3), 0), (run(1), 1), (run(3), 1), (run(1), 2), (run(1), 3)]
        );
        assert_eq!(queues.offers("a"), 96);
        assert!(queues.withdraw("a", &offer(1, 50)) && !queues.withdraw("a", &offer(1, 50)));
        assert_eq!(took(&mut queues, &["a"], 1_000).len(), 95);
        assert!(queues.functions.is_empty(), "what is idle costs nothing");
    }

    #[test]
    fn an_offer_wakes_the_one_that_waited_longest_and_one_that_goes_wakes_the_next() {
        let mut queues = Queues::default();
        let (first, mut first_woken) = waits(&mut queues, "a", None);
        let (second, mut second_woken) = waits(&mut queues, "a", None);
        let (_other, mut other_woken) = waits(&mut queues, "b", None);
        queues.put("a", offer(1, 0));
        assert!(first_woken.try_recv().is_ok());
        assert!(second_woken.try_recv().is_err() && other_woken.try_recv().is_err(), "one offer wakes one");
        queues.leave(first);
        assert!(second_woken.try_recv().is_ok(), "it went without taking it");
        // Another worker was faster: this one waits again, in its old place.
        assert_eq!(took(&mut queues, &["a"], 1).len(), 1);
        let (third, mut third_woken) = waits(&mut queues, "a", None);
        let (again, mut woken_again) = waits(&mut queues, "a", Some(second));
        assert_eq!(again, second);
        queues.put("a", offer(1, 1));
        assert!(woken_again.try_recv().is_ok() && third_woken.try_recv().is_err());
        queues.leave(third);
        assert_eq!(queues.waiting(), 2);
    }
}
