//! The view of the scheduler: which request waits for what, and how places, resources, rates and breakers stand.

use serde::{Deserialize, Serialize};

use crate::limits::Class;
use crate::scheduler::places::{Scheduler, SchedulerState};
use crate::scheduler::queue::{Lack, Pool};
use everfold_base::duration;
use everfold_base::id::{AttemptId, EffectId, RunId};
use everfold_base::time::Timestamp;

/// An attempt or probe that waits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Waiting {
    /// Which attempt; of a probe the one that is judged.
    pub attempt: AttemptId,
    /// The gate, where a probe waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate: Option<String>,
    /// Since when.
    pub since: Timestamp,
    /// How urgent it is.
    pub priority: i32,
    /// For what, the most telling first.
    pub reasons: Vec<Reason>,
}

/// What a request waits for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Reason {
    /// A resource.
    Resource {
        /// Which.
        name: String,
        /// How many are in use.
        in_use: usize,
        /// How many there are.
        size: usize,
        /// How many come first, itself included.
        line: usize,
    },
    /// A resource that the settings do not name.
    Unknown {
        /// Which.
        name: String,
    },
    /// A resource that is given to no request until it is known what the living work of all runs holds.
    Withheld {
        /// Which.
        name: String,
        /// The run that cannot be read; `None`: living work is being counted.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        run: Option<RunId>,
    },
    /// A place among all work in progress: `processes`, `functions` or `probes`.
    Place {
        /// Of what.
        name: String,
        /// How many are in use.
        in_use: usize,
        /// How many there are.
        size: usize,
        /// How many come first, itself included.
        line: usize,
    },
    /// The next start of a rate.
    Rate {
        /// Of what.
        service: String,
        /// When it may be.
        next: Timestamp,
        /// How many start in each span.
        starts: u32,
        /// The span, as it is written in the settings.
        per: String,
    },
    /// A breaker that is open.
    Breaker {
        /// Of what.
        service: String,
        /// Since when.
        since: Timestamp,
        /// When one attempt is let through.
        next: Timestamp,
        /// What happened last.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        last: Option<String>,
    },
}

impl Reason {
    /// Whether another request waits for the same thing, wherever in line.
    fn is_of_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Resource { name, .. }, Self::Resource { name: other, .. })
            | (Self::Unknown { name }, Self::Unknown { name: other })
            | (Self::Withheld { name, .. }, Self::Withheld { name: other, .. })
            | (Self::Place { name, .. }, Self::Place { name: other, .. })
            | (Self::Rate { service: name, .. }, Self::Rate { service: other, .. })
            | (Self::Breaker { service: name, .. }, Self::Breaker { service: other, .. }) => name == other,
            _others => false,
        }
    }
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Resource { name, in_use, size, line } => {
                write!(f, "resource {name} ({in_use} of {size} in use, {} in line)", nth(*line))
            }
            Self::Unknown { name } => {
                write!(f, "resource {name}, which the settings do not name (add it to [resources])")
            }
            Self::Withheld { name, run: None } => {
                write!(f, "resource {name} (not given out until all that lives on is counted)")
            }
            Self::Withheld { name, run: Some(run) } => {
                let run = run.short();
                write!(
                    f,
                    "resource {name} (not given out: what the living work of run {run} holds cannot be read)"
                )
            }
            Self::Place { name, in_use, size, line } => {
                write!(f, "a place of {name} ({in_use} of {size} in use, {} in line)", nth(*line))
            }
            Self::Rate { service, next, starts, per } => {
                write!(f, "the rate of {service} ({starts} starts in {per}, next at {next})")
            }
            Self::Breaker { service, since, next, last } => {
                write!(f, "the breaker of {service} (open since {since}, next try at {next}")?;
                if let Some(last) = last {
                    write!(f, ", last: {last}")?;
                }
                write!(f, "; `everfold limits reset {service}` ends the pause)")
            }
        }
    }
}

fn nth(n: usize) -> String {
    let ending = match (n % 10, n % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{n}{ending}")
}

/// All places, resources, rates and breakers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LineView {
    /// The groups among which places are shared out evenly.
    pub fair_by: String,
    /// Places among all work in progress.
    pub places: Vec<PoolView>,
    /// Resources of the settings.
    pub resources: Vec<PoolView>,
    /// Rates of the settings, and of names that fall under a `*`.
    pub rates: Vec<RateView>,
    /// Breakers, likewise.
    pub breakers: Vec<BreakerView>,
}

/// Something of which there is a limited number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PoolView {
    /// Its name.
    pub name: String,
    /// How many there are.
    pub size: usize,
    /// How many are in use.
    pub in_use: usize,
    /// How many wait that need one.
    pub waiting: usize,
}

/// How often attempts may start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RateView {
    /// `KIND.NAME`.
    pub service: String,
    /// How many start in each span.
    pub starts: u32,
    /// The span.
    pub per: String,
    /// How many may start after a quiet time.
    pub burst: u32,
    /// How many may start now.
    pub left: u32,
    /// When the next may start; `None`: now.
    pub next: Option<Timestamp>,
    /// How many wait that need one.
    pub waiting: usize,
}

/// How a breaker stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BreakerStand {
    /// Attempts start.
    Closed,
    /// They wait.
    Open,
    /// One of them tries.
    HalfOpen,
}

/// A breaker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BreakerView {
    /// `KIND.NAME`.
    pub service: String,
    /// How it stands.
    pub state: BreakerStand,
    /// Outages in a row.
    pub failures: u32,
    /// How many of them open it.
    pub failures_max: u32,
    /// Since when it is open.
    pub since: Option<Timestamp>,
    /// When one attempt is let through.
    pub next: Option<Timestamp>,
    /// The last outage.
    pub last: Option<String>,
    /// When that was.
    pub last_at: Option<Timestamp>,
    /// How many wait that need the service.
    pub waiting: usize,
}

impl BreakerView {
    /// Whether it is open because its service asked for a pause: fewer outages than open it stand behind it.
    #[must_use]
    pub fn is_asked(&self) -> bool {
        self.state != BreakerStand::Closed && self.failures < self.failures_max.max(1)
    }
}

impl Scheduler {
    /// The waiting requests of a run, in the order of arrival: the first so many, and how many there are.
    pub(crate) fn waiting(&self, run: RunId, max: usize) -> (Vec<Waiting>, usize) {
        let now = (self.clock)();
        let state = self.state();
        let Some(numbers) = state.runs.get(&run) else { return (Vec::new(), 0) };
        let seen = numbers.iter().take(max).filter_map(|number| {
            let about = state.about.get(number)?;
            let EffectId { attempt, .. } = about.id.clone();
            let reasons = state
                .queue
                .lacks(*number, now)
                .into_iter()
                .map(|lack| reason_of(&state, lack, now))
                .collect();
            let priority = state.queue.place(*number).map_or(0, |place| place.priority);
            Some(Waiting { attempt, gate: about.gate.clone(), since: about.since, priority, reasons })
        });
        (seen.collect(), numbers.len())
    }

    /// What attempts and probes wait for, and how many: each counts once, by the most telling of what it waits for.
    pub(crate) fn held_up(&self) -> Vec<(Reason, usize)> {
        let now = (self.clock)();
        let state = self.state();
        let mut held_up: Vec<(Reason, usize)> = Vec::new();
        for (lack, waiting) in state.queue.first_lacks(now) {
            let reason = reason_of(&state, lack, now);
            match held_up.iter_mut().find(|(known, _)| known.is_of_same(&reason)) {
                Some((_, sum)) => *sum += waiting,
                None => held_up.push((reason, waiting)),
            }
        }
        held_up
    }

    /// All places, resources, rates and breakers.
    pub(crate) fn view(&self) -> LineView {
        let now = (self.clock)();
        let state = self.state();
        let mut places = Vec::new();
        let mut resources = Vec::new();
        for (pool, stock) in state.queue.stocks() {
            let view = |name: &str| PoolView {
                name: name.to_owned(),
                size: stock.size,
                in_use: stock.taken,
                waiting: stock.waiting,
            };
            match pool {
                Pool::Class(Class::Child) => {} // As many as there are.
                // Where no function runs elsewhere, the class is left out.
                Pool::Class(Class::Elsewhere) if stock.taken == 0 && stock.waiting == 0 => {}
                Pool::Class(class) => places.push(view(class_name(*class))),
                Pool::Resource(name) => resources.push(view(name)),
            }
        }
        let rates = state.queue.rates.all(now).map(|(service, rate)| RateView {
            starts: rate.policy.starts,
            per: duration::format(rate.policy.per),
            burst: rate.policy.burst,
            left: rate.left,
            next: rate.next,
            waiting: state.queue.waiting_for(|needs| needs.rates.contains(&service)),
            service: service.to_string(),
        });
        let breakers = state.queue.breakers.all().map(|(service, breaker)| BreakerView {
            state: match breaker.open {
                None => BreakerStand::Closed,
                Some((.., false)) => BreakerStand::Open,
                Some((.., true)) => BreakerStand::HalfOpen,
            },
            failures: breaker.failures,
            failures_max: breaker.policy.failures,
            since: breaker.open.map(|(since, ..)| since),
            next: breaker.open.map(|(_, next, _)| next),
            last_at: breaker.last.as_ref().map(|(at, _)| *at),
            last: breaker.last.map(|(_, message)| message),
            waiting: state.queue.waiting_for(|needs| needs.breakers.contains(&service)),
            service: service.to_string(),
        });
        LineView {
            fair_by: self.config.fair_by.to_string(),
            places,
            resources,
            rates: rates.collect(),
            breakers: breakers.collect(),
        }
    }
}

fn reason_of(state: &SchedulerState, lack: Lack, now: Timestamp) -> Reason {
    match lack {
        Lack::Pool { pool: Pool::Resource(name), size: 0, .. } => Reason::Unknown { name: name.to_string() },
        Lack::Pool { pool: Pool::Resource(name), taken, size, before } => {
            Reason::Resource { name: name.to_string(), in_use: taken, size, line: before + 1 }
        }
        Lack::Pool { pool: Pool::Class(class), taken, size, before } => {
            Reason::Place { name: class_name(class).to_owned(), in_use: taken, size, line: before + 1 }
        }
        Lack::Withheld(name) => Reason::Withheld { name: name.to_string(), run: state.unread },
        Lack::Rate(service) => {
            let rate = state.queue.rates.now(&service, now);
            Reason::Rate {
                service: service.to_string(),
                next: rate.next.unwrap_or(now),
                starts: rate.policy.starts,
                per: duration::format(rate.policy.per),
            }
        }
        Lack::Breaker(service) => {
            let breaker = state.queue.breakers.now(&service);
            let (since, next, _) = breaker.open.unwrap_or((now, now, false));
            let last = breaker.last.map(|(_, message)| message);
            Reason::Breaker { service: service.to_string(), since, next, last }
        }
    }
}

fn class_name(class: Class) -> &'static str {
    match class {
        Class::Supervised => "processes",
        Class::Function => "functions",
        Class::Probe => "probes",
        Class::Child => "child runs",
        Class::Elsewhere => "workers",
    }
}
