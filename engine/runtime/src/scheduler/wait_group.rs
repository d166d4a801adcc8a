//! Requests with the same needs, in the order in which they are served.
//!
//! Law: higher priority first; among equals the group that has the fewest places of the wait group's pool, then the
//! one that was served longest ago; within a group the order of arrival. Every operation costs the logarithm of the
//! number of requests.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// Where a group stands among the others of a level: how many places it has, and when it was served last.
pub(crate) type Turn = (usize, u64);

/// The requests of one priority.
#[derive(Debug)]
struct Level<T> {
    /// The groups in their order.
    turns: BTreeSet<(Turn, Arc<str>)>,
    /// The entry of each of them in `turns`, and its waiting requests.
    groups: HashMap<Arc<str>, (Turn, BTreeMap<u64, T>)>,
    count: usize,
}

impl<T> Default for Level<T> {
    fn default() -> Self {
        Self { turns: BTreeSet::new(), groups: HashMap::new(), count: 0 }
    }
}

/// A wait group.
#[derive(Debug)]
pub(crate) struct WaitGroup<T> {
    levels: BTreeMap<Reverse<i32>, Level<T>>,
    /// All requests, by arrival.
    arrivals: BTreeSet<u64>,
    /// How often a later request was served before the oldest.
    pub(crate) passed: u32,
}

impl<T> Default for WaitGroup<T> {
    fn default() -> Self {
        Self { levels: BTreeMap::new(), arrivals: BTreeSet::new(), passed: 0 }
    }
}

impl<T> WaitGroup<T> {
    pub(crate) fn is_empty(&self) -> bool {
        self.arrivals.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.arrivals.len()
    }

    /// The request that waits longest.
    pub(crate) fn oldest(&self) -> Option<u64> {
        self.arrivals.first().copied()
    }

    /// The next request: priority, turn of the group, number.
    pub(crate) fn first(&self) -> Option<(i32, Turn, u64)> {
        let (Reverse(priority), level) = self.levels.first_key_value()?;
        let (turn, group) = level.turns.first()?;
        let (_, waiting) = level.groups.get(group)?;
        Some((*priority, *turn, *waiting.first_key_value()?.0))
    }

    /// True where the group is new in that level.
    pub(crate) fn add(&mut self, number: u64, priority: i32, group: &Arc<str>, turn: Turn, what: T) -> bool {
        self.arrivals.insert(number);
        let level = self.levels.entry(Reverse(priority)).or_default();
        level.count += 1;
        let is_new = !level.groups.contains_key(group);
        let (_, waiting) = level.groups.entry(Arc::clone(group)).or_insert_with(|| {
            level.turns.insert((turn, Arc::clone(group)));
            (turn, BTreeMap::new())
        });
        waiting.insert(number, what);
        is_new
    }

    /// What waited, and whether the group has no other request in that level.
    pub(crate) fn remove(&mut self, number: u64, priority: i32, group: &Arc<str>) -> Option<(T, bool)> {
        if self.arrivals.first() == Some(&number) {
            self.passed = 0;
        }
        self.arrivals.remove(&number);
        let level = self.levels.get_mut(&Reverse(priority))?;
        let (turn, waiting) = level.groups.get_mut(group)?;
        let what = waiting.remove(&number)?;
        level.count -= 1;
        let is_last = waiting.is_empty();
        if is_last {
            level.turns.remove(&(*turn, Arc::clone(group)));
            level.groups.remove(group);
        }
        if level.count == 0 {
            self.levels.remove(&Reverse(priority));
        }
        Some((what, is_last))
    }

    /// A group has more or fewer places than before.
    pub(crate) fn turn(&mut self, priority: i32, group: &Arc<str>, turn: Turn) {
        let Some(level) = self.levels.get_mut(&Reverse(priority)) else { return };
        let Some((former, _)) = level.groups.get_mut(group) else { return };
        let former = std::mem::replace(former, turn);
        level.turns.remove(&(former, Arc::clone(group)));
        level.turns.insert((turn, Arc::clone(group)));
    }

    /// How many go before a number, if nothing arrives and nothing ends. It looks at every waiting request; for
    /// answers to people alone.
    pub(crate) fn before(&self, number: u64, priority: i32, group: &Arc<str>) -> usize {
        let higher: usize = self.levels.range(..Reverse(priority)).map(|(_, level)| level.count).sum();
        let Some(level) = self.levels.get(&Reverse(priority)) else { return higher };
        let Some(((held, served), waiting)) = level.groups.get(group) else {
            // The number waits in another wait group: only the order of arrival is compared.
            let earlier = |waiting: &BTreeMap<u64, T>| waiting.range(..number).count();
            return higher + level.groups.values().map(|(_, waiting)| earlier(waiting)).sum::<usize>();
        };
        let own = waiting.range(..number).count();
        let others = level.groups.iter().filter(|(other, _)| *other != group);
        let others = others.map(|(other, ((their_held, their_served), theirs))| {
            let ahead = (held + own).saturating_sub(*their_held);
            let is_tie_theirs = held + own >= *their_held && (their_served, other) < (served, group);
            (ahead + usize::from(is_tie_theirs)).min(theirs.len())
        });
        higher + own + others.sum::<usize>()
    }
}
