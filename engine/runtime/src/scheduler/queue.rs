//! The order in which waiting attempts and probes are served.
//!
//! Laws:
//! - A request whose needs are free is never kept waiting while no other request wants them.
//! - Higher priority goes first, then the group with the fewest places, then the order of arrival
//!   ([`crate::scheduler::wait_group`]).
//! - **No request waits for ever.** Requests with the same needs form one wait group. When the last of something
//!   that the oldest of a wait group needs has gone to a later request so many times
//!   ([`PASSED_MAX`]), that one goes before every other, and what it needs is kept for it until it has all
//!   of it. So a request with k others before it in its wait group is passed over at most (k + 1) · (PASSED_MAX + 1)
//!   times, whatever the priorities.
//! - Nothing is held while something else is waited for: an attempt gets all that it needs at once, so
//!   attempts never wait for each other in a circle.
//! - What waits for a rate or a breaker keeps nothing from others meanwhile, but the next start of that rate.
//!
//! A decision costs the number of wait groups (of different needs), and the logarithm of the number of requests,
//! never that number.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::limits::Class;
use crate::scheduler::breaker::{Breakers, ServiceOutcome};
use crate::scheduler::rate::RateLimits;
use crate::scheduler::settings::OrderConfig;
use crate::scheduler::wait_group::{Turn, WaitGroup};
use everfold_base::time::Timestamp;
use everfold_ports::Service;

/// How often the oldest of a wait group is passed over before it is next.
pub(crate) const PASSED_MAX: u32 = 8;
/// Priorities beyond count as these, so that a group stands in a bounded number of levels.
pub(crate) const PRIORITY_MAX: i32 = 100;

/// Something of which there is a limited number.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Pool {
    /// Places among all work in progress.
    Class(Class),
    /// A resource of the settings.
    Resource(Arc<str>),
}

/// What a piece of work needs to start. Requests with the same needs wait in the same wait group.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct WorkNeeds {
    /// One of each; resources first: the scarcest pool determines the shares of groups.
    pub(crate) pools: Vec<Pool>,
    pub(crate) rates: Vec<Service>,
    pub(crate) breakers: Vec<Service>,
}

impl WorkNeeds {
    /// Resources and nothing else.
    pub(crate) fn resources(names: &[String]) -> Self {
        let names: BTreeSet<&str> = names.iter().map(String::as_str).collect();
        let pools = names.into_iter().map(|name| Pool::Resource(name.into())).collect();
        Self { pools, rates: Vec::new(), breakers: Vec::new() }
    }

    /// The pool by which places are shared out.
    fn shared_by(&self) -> Option<&Pool> {
        self.pools.first()
    }
}

/// A pool, and what each group has of it.
#[derive(Debug)]
struct Stock {
    size: usize,
    taken: usize,
    waiting: usize,
    shares: HashMap<Arc<str>, Share>,
}

/// What a group has of a pool.
#[derive(Debug, Default)]
struct Share {
    taken: usize,
    served: u64,
    /// Where the group waits for this pool.
    waits: BTreeSet<(Arc<WorkNeeds>, i32)>,
}

/// Where a request waits.
#[derive(Debug, Clone)]
pub(crate) struct WaitPosition {
    pub(crate) needs: Arc<WorkNeeds>,
    pub(crate) priority: i32,
    pub(crate) group: Arc<str>,
}

/// A request that was served.
#[derive(Debug)]
pub(crate) struct ServedWork<T> {
    pub(crate) number: u64,
    pub(crate) what: T,
    pub(crate) needs: Arc<WorkNeeds>,
    pub(crate) group: Arc<str>,
}

/// Why a request waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Lack {
    Breaker(Service),
    Rate(Service),
    /// `size` is zero where the settings do not name it.
    Pool {
        pool: Pool,
        taken: usize,
        size: usize,
        before: usize,
    },
    /// A resource that is there, and given to no request at this moment.
    Withheld(Arc<str>),
}

/// The state of a pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StockNow {
    pub(crate) size: usize,
    pub(crate) taken: usize,
    pub(crate) waiting: usize,
}

/// The requests that wait, and the pools, rates and breakers that they wait for.
#[derive(Debug)]
pub(crate) struct SchedulerQueue<T> {
    stocks: BTreeMap<Pool, Stock>,
    wait_groups: BTreeMap<Arc<WorkNeeds>, WaitGroup<T>>,
    places: HashMap<u64, WaitPosition>,
    pub(crate) rates: RateLimits,
    pub(crate) breakers: Breakers,
    numbers: u64,
    /// No resource is granted yet.
    keeps_resources: bool,
    /// Wait groups and levels that decisions visited: their cost.
    steps: u64,
}

/// The rank of a wait group: those passed over too often first, then by the order.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Due(u64),
    Turn(std::cmp::Reverse<i32>, Turn, u64),
}

impl Rank {
    fn number(&self) -> u64 {
        match self {
            Self::Due(number) | Self::Turn(_, _, number) => *number,
        }
    }
}

impl<T> SchedulerQueue<T> {
    pub(crate) fn new(config: &OrderConfig, classes: impl IntoIterator<Item = (Class, usize)>) -> Self {
        let stock = |size| Stock { size, taken: 0, waiting: 0, shares: HashMap::new() };
        let classes = classes.into_iter().map(|(class, size)| (Pool::Class(class), stock(size)));
        let resources = config.resources.iter();
        let resources = resources.map(|(name, size)| (Pool::Resource(name.as_str().into()), stock(*size)));
        Self {
            stocks: classes.chain(resources).collect(),
            wait_groups: BTreeMap::new(),
            places: HashMap::new(),
            rates: RateLimits::new(config.rates.clone()),
            breakers: Breakers::new(config.breakers.clone()),
            numbers: 0,
            keeps_resources: false,
            steps: 0,
        }
    }

    /// The needs of work that calls services.
    pub(crate) fn needs(&mut self, class: Class, resources: &[String], services: &[Service]) -> WorkNeeds {
        let mut pools = WorkNeeds::resources(resources).pools;
        pools.push(Pool::Class(class));
        let rates: BTreeSet<Service> =
            services.iter().filter_map(|service| self.rates.bucket_of(service)).collect();
        let breakers: BTreeSet<Service> =
            services.iter().filter_map(|service| self.breakers.breaker_of(service)).collect();
        WorkNeeds { pools, rates: rates.into_iter().collect(), breakers: breakers.into_iter().collect() }
    }

    /// Adds a request; gives its number.
    pub(crate) fn join(&mut self, needs: WorkNeeds, priority: i32, group: Arc<str>, what: T) -> u64 {
        self.numbers += 1;
        let number = self.numbers;
        let priority = priority.clamp(-PRIORITY_MAX, PRIORITY_MAX);
        let needs = match self.wait_groups.get_key_value(&needs) {
            Some((known, _)) => Arc::clone(known),
            None => Arc::new(needs),
        };
        for pool in &needs.pools {
            self.stock(pool).waiting += 1;
        }
        let turn = match needs.shared_by() {
            Some(pool) => {
                // A group that was never served ranks by its arrival.
                let new = || Share { served: number, ..Share::default() };
                let share = self.stock(pool).shares.entry(Arc::clone(&group)).or_insert_with(new);
                (share.taken, share.served)
            }
            None => (0, 0),
        };
        let wait_group = self.wait_groups.entry(Arc::clone(&needs)).or_default();
        if wait_group.add(number, priority, &group, turn, what)
            && let Some(pool) = needs.shared_by()
            && let Some(share) = self.stocks.get_mut(pool).and_then(|it| it.shares.get_mut(&group))
        {
            share.waits.insert((Arc::clone(&needs), priority));
        }
        self.places.insert(number, WaitPosition { needs, priority, group });
        number
    }

    /// Removes a request; gives what it was.
    pub(crate) fn leave(&mut self, number: u64) -> Option<T> {
        let WaitPosition { needs, priority, group } = self.places.remove(&number)?;
        let wait_group = self.wait_groups.get_mut(&needs)?;
        let (what, is_last) = wait_group.remove(number, priority, &group)?;
        if wait_group.is_empty() {
            self.wait_groups.remove(&needs);
        }
        for pool in &needs.pools {
            self.stock(pool).waiting -= 1;
        }
        if is_last
            && let Some(pool) = needs.shared_by()
            && let Some(stock) = self.stocks.get_mut(pool)
        {
            if let Some(share) = stock.shares.get_mut(&group) {
                share.waits.remove(&(Arc::clone(&needs), priority));
            }
            stock.tidy(&group);
        }
        Some(what)
    }

    /// The next request to serve.
    pub(crate) fn next(&mut self, now: Timestamp) -> Option<ServedWork<T>> {
        if self.wait_groups.is_empty() {
            return None;
        }
        let mut fronts: Vec<(Rank, &Arc<WorkNeeds>)> = Vec::with_capacity(self.wait_groups.len());
        for (needs, wait_group) in &self.wait_groups {
            let rank = match (wait_group.passed >= PASSED_MAX, wait_group.oldest(), wait_group.first()) {
                (true, Some(oldest), _) => Rank::Due(oldest),
                (_, _, Some((priority, turn, number))) => {
                    Rank::Turn(std::cmp::Reverse(priority), turn, number)
                }
                _empty => continue,
            };
            fronts.push((rank, needs));
        }
        self.steps += fronts.len() as u64;
        fronts.sort();
        let mut kept_pools: BTreeMap<&Pool, usize> = BTreeMap::new();
        let mut kept_rates: BTreeSet<&Service> = BTreeSet::new();
        let mut chosen = None;
        for (rank, needs) in &fronts {
            let is_due = matches!(rank, Rank::Due(_));
            if !self.is_let_through(needs, now) {
                continue;
            }
            let has_starts =
                needs.rates.iter().all(|rate| self.rates.next(rate) <= now && !kept_rates.contains(rate));
            let has_room =
                needs.pools.iter().all(|pool| self.left(pool) > kept_pools.get(pool).copied().unwrap_or(0));
            if has_starts && has_room {
                chosen = Some((rank.number(), Arc::clone(needs)));
                break;
            }
            if is_due {
                kept_rates.extend(&needs.rates);
                if has_starts {
                    needs.pools.iter().for_each(|pool| *kept_pools.entry(pool).or_default() += 1);
                }
            }
        }
        let (number, needs) = chosen?;
        self.count_passed(number, &needs, now);
        let group = Arc::clone(&self.places.get(&number)?.group);
        let what = self.leave(number)?;
        self.take(&needs, &group);
        needs.rates.iter().for_each(|rate| self.rates.take(rate, now));
        needs.breakers.iter().for_each(|service| self.breakers.pass(service, number, now));
        Some(ServedWork { number, what, needs, group })
    }

    /// When a request may be served without anything being given back.
    pub(crate) fn next_at(&self, now: Timestamp) -> Option<Timestamp> {
        let moment = |needs: &WorkNeeds| {
            let rates = needs.rates.iter().map(|rate| self.rates.next(rate));
            let breakers = needs.breakers.iter().filter_map(|service| self.breakers.next(service));
            rates.chain(breakers).max().filter(|at| *at > now)
        };
        self.wait_groups.keys().filter_map(|needs| moment(needs)).min()
    }

    /// Work that is in progress already takes what it needs, even beyond the size of a pool.
    pub(crate) fn seize(&mut self, needs: WorkNeeds, group: Arc<str>) -> (u64, Arc<WorkNeeds>) {
        self.numbers += 1;
        let number = self.numbers;
        self.take(&needs, &group);
        (number, Arc::new(needs))
    }

    /// Work is over, or never began (`is_used` false).
    pub(crate) fn give_back(
        &mut self,
        number: u64,
        needs: &WorkNeeds,
        group: &Arc<str>,
        is_used: bool,
        outcome: &ServiceOutcome,
        now: Timestamp,
    ) {
        for pool in &needs.pools {
            let stock = self.stock(pool);
            stock.taken -= 1;
            if let Some(share) = stock.shares.get_mut(group) {
                share.taken -= 1;
            }
            self.turn(pool, group);
        }
        if !is_used {
            needs.rates.iter().for_each(|rate| self.rates.put_back(rate));
        }
        for service in &needs.breakers {
            self.breakers.ended(service, number, outcome, now);
        }
    }

    /// Where a request waits.
    pub(crate) fn place(&self, number: u64) -> Option<&WaitPosition> {
        self.places.get(&number)
    }

    /// Why a request waits. It looks at every waiting request; for answers to people alone.
    pub(crate) fn lacks(&self, number: u64, now: Timestamp) -> Vec<Lack> {
        let Some(WaitPosition { needs, priority, group }) = self.places.get(&number) else {
            return Vec::new();
        };
        let breakers = needs
            .breakers
            .iter()
            .filter(|service| self.breakers.next(service).is_some_and(|next| next > now));
        let mut lacks: Vec<Lack> = breakers.cloned().map(Lack::Breaker).collect();
        let rates = needs.rates.iter().filter(|rate| self.rates.next(rate) > now);
        lacks.extend(rates.cloned().map(Lack::Rate));
        let pool_lack = |pool: &Pool| {
            let stock = &self.stocks[pool];
            let wait_groups = self.wait_groups.iter().filter(|(other, _)| other.pools.contains(pool));
            let before = wait_groups.map(|(_, wait_group)| wait_group.before(number, *priority, group)).sum();
            Lack::Pool { pool: pool.clone(), taken: stock.taken, size: stock.size, before }
        };
        lacks.extend(needs.pools.iter().filter(|pool| self.left(pool) == 0).map(|pool| match pool {
            Pool::Resource(name) if self.stocks[pool].left() > 0 => Lack::Withheld(Arc::clone(name)),
            pool => pool_lack(pool),
        }));
        if lacks.is_empty() {
            // Everything is there, and kept for another request.
            lacks.extend(needs.shared_by().map(pool_lack));
        }
        lacks
    }

    /// What the waiting requests wait for, and how many: each counts once, by the most telling of what it lacks.
    pub(crate) fn first_lacks(&self, now: Timestamp) -> Vec<(Lack, usize)> {
        let numbers = self.wait_groups.values().filter_map(|group| Some((group.oldest()?, group.len())));
        numbers
            .filter_map(|(number, waiting)| Some((self.lacks(number, now).into_iter().next()?, waiting)))
            .collect()
    }

    /// How many wait for a rate or before a breaker.
    pub(crate) fn waiting_for(&self, applies: impl Fn(&WorkNeeds) -> bool) -> usize {
        self.wait_groups
            .iter()
            .filter(|(needs, _)| applies(needs))
            .map(|(_, wait_group)| wait_group.len())
            .sum()
    }

    /// The pools.
    pub(crate) fn stocks(&self) -> impl Iterator<Item = (&Pool, StockNow)> {
        self.stocks.iter().map(|(pool, stock)| {
            (pool, StockNow { size: stock.size, taken: stock.taken, waiting: stock.waiting })
        })
    }

    /// Whether the breakers before it let it through.
    fn is_let_through(&self, needs: &WorkNeeds, now: Timestamp) -> bool {
        needs.breakers.iter().all(|service| self.breakers.next(service).is_none_or(|next| next <= now))
    }

    /// Stops granting resources, or grants them again.
    pub(crate) fn keep_resources(&mut self, is_kept: bool) {
        self.keeps_resources = is_kept;
    }

    pub(crate) fn keeps_resources(&self) -> bool {
        self.keeps_resources
    }

    /// How many of a pool can be given.
    fn left(&self, pool: &Pool) -> usize {
        match pool {
            Pool::Resource(_) if self.keeps_resources => 0,
            pool => self.stocks[pool].left(),
        }
    }

    /// A request that waits longer, and loses the last of what it needs, is passed over once more.
    fn count_passed(&mut self, number: u64, needs: &WorkNeeds, now: Timestamp) {
        let mut passed = Vec::new();
        for (other, wait_group) in &self.wait_groups {
            let waits_longer = wait_group.oldest().is_some_and(|oldest| oldest < number);
            let could_start = self.is_let_through(other, now)
                && other.rates.iter().all(|rate| self.rates.next(rate) <= now);
            let takes_last =
                needs.pools.iter().any(|pool| self.stocks[pool].left() <= 1 && other.pools.contains(pool))
                    || needs.rates.iter().any(|rate| other.rates.contains(rate));
            if waits_longer && could_start && takes_last {
                passed.push(Arc::clone(other));
            }
        }
        for other in passed {
            if let Some(wait_group) = self.wait_groups.get_mut(&other) {
                wait_group.passed = wait_group.passed.saturating_add(1);
            }
        }
    }

    fn take(&mut self, needs: &WorkNeeds, group: &Arc<str>) {
        self.numbers += 1;
        for pool in &needs.pools {
            let served = self.numbers;
            let stock = self.stock(pool);
            stock.taken += 1;
            let share = stock.shares.entry(Arc::clone(group)).or_default();
            share.taken += 1;
            share.served = served;
            self.turn(pool, group);
        }
    }

    /// Brings the wait groups in which a group waits for a pool in line with what it has of it.
    fn turn(&mut self, pool: &Pool, group: &Arc<str>) {
        let Some(stock) = self.stocks.get_mut(pool) else { return };
        if let Some(share) = stock.shares.get(group) {
            for (needs, priority) in &share.waits {
                self.steps += 1;
                if let Some(wait_group) = self.wait_groups.get_mut(needs) {
                    wait_group.turn(*priority, group, (share.taken, share.served));
                }
            }
        }
        stock.tidy(group);
    }

    /// A pool; one that the settings do not name is always empty.
    fn stock(&mut self, pool: &Pool) -> &mut Stock {
        if !self.stocks.contains_key(pool) {
            let none = Stock { size: 0, taken: 0, waiting: 0, shares: HashMap::new() };
            self.stocks.insert(pool.clone(), none);
        }
        self.stocks.get_mut(pool).expect("it was put there where it was missing")
    }
}

impl Stock {
    fn left(&self) -> usize {
        self.size.saturating_sub(self.taken)
    }

    /// Forgets a group that has nothing and waits for nothing.
    fn tidy(&mut self, group: &Arc<str>) {
        if self.shares.get(group).is_some_and(|share| share.taken == 0 && share.waits.is_empty()) {
            self.shares.remove(group);
        }
    }
}

#[cfg(test)]
mod tests;
