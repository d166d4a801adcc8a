//! Who is next: the order in which attempts and probes that wait get what they wait for.
//!
//! Laws:
//! - Whoever has everything it needs is never kept waiting while nobody else wants it.
//! - Of those who wait, higher priority goes first, then the group with the fewest places, then who came
//!   first ([`super::lane`]).
//! - **Nobody waits for ever.** Those who need the same things stand in one lane. When the last of something
//!   that the longest waiting of a lane needs has gone to somebody who came later so many times
//!   ([`PASSED_MAX`]), that one goes before everybody else, and what it needs is kept for it until it has all
//!   of it. So who has k others before it in its lane is passed over at most (k + 1) · (PASSED_MAX + 1) times,
//!   whatever the priorities.
//! - Nothing is held while something else is waited for: an attempt gets all that it needs at once, so
//!   attempts never wait for each other in a ring.
//! - What waits for a rate or a breaker keeps nothing from others meanwhile, but the next start of that rate.
//!
//! A decision costs the number of lanes (of different needs), and the logarithm of those who wait, never
//! their number.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::breaker::{Breakers, Outcome};
use super::lane::{Lane, Turn};
use super::rate::Rates;
use super::settings::OrderConfig;
use crate::driver::limits::Class;
use crate::execution::Service;
use crate::time::Timestamp;

/// How often the longest waiting of a lane is passed over before it is next.
pub(super) const PASSED_MAX: u32 = 8;
/// Priorities beyond count as these, so that a group stands in a bounded number of levels.
pub(super) const PRIORITY_MAX: i32 = 100;

/// Something of which there are so many.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::driver) enum Pool {
    /// Places among all work in progress.
    Class(Class),
    /// A resource of the settings.
    Resource(Arc<str>),
}

/// What a piece of work needs to start. Who needs the same waits in the same lane.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::driver) struct Needs {
    /// One of each; resources first: what is scarce tells the shares of groups.
    pub(super) pools: Vec<Pool>,
    pub(super) rates: Vec<Service>,
    pub(super) breakers: Vec<Service>,
}

impl Needs {
    /// Resources and nothing else.
    pub(super) fn resources(names: &[String]) -> Self {
        let names: BTreeSet<&str> = names.iter().map(String::as_str).collect();
        let pools = names.into_iter().map(|name| Pool::Resource(name.into())).collect();
        Self { pools, rates: Vec::new(), breakers: Vec::new() }
    }

    /// The pool by which places are shared out.
    fn shared_by(&self) -> Option<&Pool> {
        self.pools.first()
    }
}

/// A pool and who has what of it.
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
    waits: BTreeSet<(Arc<Needs>, i32)>,
}

/// Where somebody waits.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) needs: Arc<Needs>,
    pub(super) priority: i32,
    pub(super) group: Arc<str>,
}

/// Somebody who got what it waited for.
#[derive(Debug)]
pub(super) struct Served<T> {
    pub(super) number: u64,
    pub(super) what: T,
    pub(super) needs: Arc<Needs>,
    pub(super) group: Arc<str>,
}

/// Why somebody waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Lack {
    Breaker(Service),
    Rate(Service),
    /// `size` is zero where the settings do not name it.
    Pool {
        pool: Pool,
        taken: usize,
        size: usize,
        before: usize,
    },
    /// A resource that is there, and given to nobody at this moment.
    Withheld(Arc<str>),
}

/// What a pool is like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StockNow {
    pub(super) size: usize,
    pub(super) taken: usize,
    pub(super) waiting: usize,
}

/// The order.
#[derive(Debug)]
pub(super) struct Order<T> {
    stocks: BTreeMap<Pool, Stock>,
    lanes: BTreeMap<Arc<Needs>, Lane<T>>,
    places: HashMap<u64, Place>,
    pub(super) rates: Rates,
    pub(super) breakers: Breakers,
    numbers: u64,
    /// No resource is given to anybody yet.
    keeps_resources: bool,
    /// Lanes and levels that were looked at: what decisions cost.
    steps: u64,
}

/// Where a lane stands among the others: who was passed over too often, then by the order.
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

impl<T> Order<T> {
    pub(super) fn new(config: &OrderConfig, classes: impl IntoIterator<Item = (Class, usize)>) -> Self {
        let stock = |size| Stock { size, taken: 0, waiting: 0, shares: HashMap::new() };
        let classes = classes.into_iter().map(|(class, size)| (Pool::Class(class), stock(size)));
        let resources = config.resources.iter();
        let resources = resources.map(|(name, size)| (Pool::Resource(name.as_str().into()), stock(*size)));
        Self {
            stocks: classes.chain(resources).collect(),
            lanes: BTreeMap::new(),
            places: HashMap::new(),
            rates: Rates::new(config.rates.clone()),
            breakers: Breakers::new(config.breakers.clone()),
            numbers: 0,
            keeps_resources: false,
            steps: 0,
        }
    }

    /// What work needs that calls upon services.
    pub(super) fn needs(&mut self, class: Class, resources: &[String], services: &[Service]) -> Needs {
        let mut pools = Needs::resources(resources).pools;
        pools.push(Pool::Class(class));
        let rates: BTreeSet<Service> =
            services.iter().filter_map(|service| self.rates.bucket_of(service)).collect();
        let breakers: BTreeSet<Service> =
            services.iter().filter_map(|service| self.breakers.breaker_of(service)).collect();
        Needs { pools, rates: rates.into_iter().collect(), breakers: breakers.into_iter().collect() }
    }

    /// Somebody waits from now on; the number it has.
    pub(super) fn join(&mut self, needs: Needs, priority: i32, group: Arc<str>, what: T) -> u64 {
        self.numbers += 1;
        let number = self.numbers;
        let priority = priority.clamp(-PRIORITY_MAX, PRIORITY_MAX);
        let needs = match self.lanes.get_key_value(&needs) {
            Some((known, _)) => Arc::clone(known),
            None => Arc::new(needs),
        };
        for pool in &needs.pools {
            self.stock(pool).waiting += 1;
        }
        let turn = match needs.shared_by() {
            Some(pool) => {
                // A group that was never served stands where it arrived.
                let new = || Share { served: number, ..Share::default() };
                let share = self.stock(pool).shares.entry(Arc::clone(&group)).or_insert_with(new);
                (share.taken, share.served)
            }
            None => (0, 0),
        };
        let lane = self.lanes.entry(Arc::clone(&needs)).or_default();
        if lane.add(number, priority, &group, turn, what)
            && let Some(pool) = needs.shared_by()
            && let Some(share) = self.stocks.get_mut(pool).and_then(|it| it.shares.get_mut(&group))
        {
            share.waits.insert((Arc::clone(&needs), priority));
        }
        self.places.insert(number, Place { needs, priority, group });
        number
    }

    /// Somebody waits no more; what it was.
    pub(super) fn leave(&mut self, number: u64) -> Option<T> {
        let Place { needs, priority, group } = self.places.remove(&number)?;
        let lane = self.lanes.get_mut(&needs)?;
        let (what, is_last) = lane.remove(number, priority, &group)?;
        if lane.is_empty() {
            self.lanes.remove(&needs);
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

    /// The next one that gets what it waits for.
    pub(super) fn next(&mut self, now: Timestamp) -> Option<Served<T>> {
        if self.lanes.is_empty() {
            return None;
        }
        let mut fronts: Vec<(Rank, &Arc<Needs>)> = Vec::with_capacity(self.lanes.len());
        for (needs, lane) in &self.lanes {
            let rank = match (lane.passed >= PASSED_MAX, lane.oldest(), lane.first()) {
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
        Some(Served { number, what, needs, group })
    }

    /// When somebody may get what it waits for without anybody giving anything back.
    pub(super) fn next_at(&self, now: Timestamp) -> Option<Timestamp> {
        let moment = |needs: &Needs| {
            let rates = needs.rates.iter().map(|rate| self.rates.next(rate));
            let breakers = needs.breakers.iter().filter_map(|service| self.breakers.next(service));
            rates.chain(breakers).max().filter(|at| *at > now)
        };
        self.lanes.keys().filter_map(|needs| moment(needs)).min()
    }

    /// Work that is in progress already has what it needs, whether or not it is there.
    pub(super) fn seize(&mut self, needs: Needs, group: Arc<str>) -> (u64, Arc<Needs>) {
        self.numbers += 1;
        let number = self.numbers;
        self.take(&needs, &group);
        (number, Arc::new(needs))
    }

    /// Work is over, or never began (`is_used` false).
    pub(super) fn give_back(
        &mut self,
        number: u64,
        needs: &Needs,
        group: &Arc<str>,
        is_used: bool,
        outcome: &Outcome,
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

    /// Where somebody waits.
    pub(super) fn place(&self, number: u64) -> Option<&Place> {
        self.places.get(&number)
    }

    /// Why somebody waits. It looks at everybody; for answers to people alone.
    pub(super) fn lacks(&self, number: u64, now: Timestamp) -> Vec<Lack> {
        let Some(Place { needs, priority, group }) = self.places.get(&number) else { return Vec::new() };
        let breakers = needs
            .breakers
            .iter()
            .filter(|service| self.breakers.next(service).is_some_and(|next| next > now));
        let mut lacks: Vec<Lack> = breakers.cloned().map(Lack::Breaker).collect();
        let rates = needs.rates.iter().filter(|rate| self.rates.next(rate) > now);
        lacks.extend(rates.cloned().map(Lack::Rate));
        let pool_lack = |pool: &Pool| {
            let stock = &self.stocks[pool];
            let lanes = self.lanes.iter().filter(|(other, _)| other.pools.contains(pool));
            let before = lanes.map(|(_, lane)| lane.before(number, *priority, group)).sum();
            Lack::Pool { pool: pool.clone(), taken: stock.taken, size: stock.size, before }
        };
        lacks.extend(needs.pools.iter().filter(|pool| self.left(pool) == 0).map(|pool| match pool {
            Pool::Resource(name) if self.stocks[pool].left() > 0 => Lack::Withheld(Arc::clone(name)),
            pool => pool_lack(pool),
        }));
        if lacks.is_empty() {
            // Everything is there, and kept for somebody else.
            lacks.extend(needs.shared_by().map(pool_lack));
        }
        lacks
    }

    /// How many wait for a rate or before a breaker.
    pub(super) fn waiting_for(&self, is_meant: impl Fn(&Needs) -> bool) -> usize {
        self.lanes.iter().filter(|(needs, _)| is_meant(needs)).map(|(_, lane)| lane.len()).sum()
    }

    /// The pools.
    pub(super) fn stocks(&self) -> impl Iterator<Item = (&Pool, StockNow)> {
        self.stocks.iter().map(|(pool, stock)| {
            (pool, StockNow { size: stock.size, taken: stock.taken, waiting: stock.waiting })
        })
    }

    /// Whether the breakers before it let it through.
    fn is_let_through(&self, needs: &Needs, now: Timestamp) -> bool {
        needs.breakers.iter().all(|service| self.breakers.next(service).is_none_or(|next| next <= now))
    }

    /// From now on no resource is given to anybody, or again.
    pub(super) fn keep_resources(&mut self, is_kept: bool) {
        self.keeps_resources = is_kept;
    }

    pub(super) fn keeps_resources(&self) -> bool {
        self.keeps_resources
    }

    /// How many of a pool can be given.
    fn left(&self, pool: &Pool) -> usize {
        match pool {
            Pool::Resource(_) if self.keeps_resources => 0,
            pool => self.stocks[pool].left(),
        }
    }

    /// Who waits longer, and loses the last of what it needs, is passed over once more.
    fn count_passed(&mut self, number: u64, needs: &Needs, now: Timestamp) {
        let mut passed = Vec::new();
        for (other, lane) in &self.lanes {
            let waits_longer = lane.oldest().is_some_and(|oldest| oldest < number);
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
            if let Some(lane) = self.lanes.get_mut(&other) {
                lane.passed = lane.passed.saturating_add(1);
            }
        }
    }

    fn take(&mut self, needs: &Needs, group: &Arc<str>) {
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

    /// Brings the lanes in which a group waits for a pool in line with what it has of it.
    fn turn(&mut self, pool: &Pool, group: &Arc<str>) {
        let Some(stock) = self.stocks.get_mut(pool) else { return };
        if let Some(share) = stock.shares.get(group) {
            for (needs, priority) in &share.waits {
                self.steps += 1;
                if let Some(lane) = self.lanes.get_mut(needs) {
                    lane.turn(*priority, group, (share.taken, share.served));
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
