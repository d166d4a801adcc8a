//! Breakers: a service that does not answer is left alone for a while.
//!
//! Laws:
//! - A number of outages in a row, set by its policy, opens a breaker. A failure of the work itself (an exit code, an
//!   answer that does not fit) shows that the service answers, and resets the count; a cancelled attempt changes
//!   nothing.
//! - While it is open, attempts wait instead of using up their retries. After a pause one attempt is let through. Its
//!   success closes the breaker; its outage opens it again for twice as long, up to a longest pause.
//! - An attempt that takes longer than the pause did keeps no request waiting: another one is let through.
//! - What began before the breaker opened neither closes it nor lengthens the pause.
//! - A service that asks for a pause (`Retry-After`) gets it, whether or not it has a breaker: nothing is sent there
//!   before. Then one attempt is let through; its end, of whatever kind, lets the others follow where the service has
//!   no breaker of its own. Where it has one, and there were fewer outages in a row than open it, an outage lets one
//!   more through, as soon as the service allows it.
//! - A new engine begins with closed breakers, but for the pauses that services asked for: these are recorded.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::scheduler::rate::NAMES_MAX;
use crate::scheduler::settings::{BreakerPolicy, policy_of};
use everfold_base::time::Timestamp;
use everfold_ports::Service;

/// The longest pause that a service may ask for.
pub(crate) const LEFT_ALONE_MAX: Duration = Duration::from_secs(60 * 60);

/// The policy before a service that has none: it opens only when the service asks for it.
const NONE: BreakerPolicy = BreakerPolicy { failures: 0, pause: Duration::ZERO, pause_max: Duration::ZERO };

/// What the end of an attempt says of the services that it called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ServiceOutcome {
    /// They answer.
    Answered,
    /// They do not answer, or not as they should.
    Outage(String),
    /// Nothing.
    Unknown,
}

/// The state of a breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BreakerStage {
    Closed,
    Open {
        since: Timestamp,
        /// How long the pause is this time.
        pause: Duration,
        /// When one attempt is let through.
        next: Timestamp,
        /// The attempt that was let through and has not ended.
        trial: Option<u64>,
        /// What opened it.
        cause: OpenCause,
        /// Until when the service asked to be left alone; past where it did not.
        asked: Timestamp,
    },
}

/// What opened a breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OpenCause {
    /// So many outages in a row as its policy says.
    Outages,
    /// The service asked to be left alone.
    Request,
}

/// One breaker.
#[derive(Debug, Clone)]
struct Breaker {
    policy: BreakerPolicy,
    stand: BreakerStage,
    /// Outages in a row.
    failures: u32,
    last: Option<(Timestamp, String)>,
}

/// The state of a breaker at a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BreakerNow {
    pub(crate) policy: BreakerPolicy,
    pub(crate) failures: u32,
    pub(crate) last: Option<(Timestamp, String)>,
    /// Since when it is open, when one goes through next, and whether one is going through.
    pub(crate) open: Option<(Timestamp, Timestamp, bool)>,
}

/// All breakers.
#[derive(Debug, Default)]
pub(crate) struct Breakers {
    policies: BTreeMap<Service, BreakerPolicy>,
    breakers: BTreeMap<Service, Breaker>,
}

impl Breakers {
    pub(crate) fn new(policies: BTreeMap<Service, BreakerPolicy>) -> Self {
        Self { policies, breakers: BTreeMap::new() }
    }

    /// The breaker before a service, if there is one.
    pub(crate) fn breaker_of(&mut self, service: &Service) -> Option<Service> {
        let policy = policy_of(&self.policies, service).filter(|(policy, _)| policy.failures > 0);
        let Some((policy, is_own)) = policy else {
            return self.breakers.contains_key(service).then(|| service.clone());
        };
        let is_known = is_own || self.breakers.contains_key(service);
        let key = if is_known || self.breakers.len() < NAMES_MAX {
            service.clone()
        } else {
            Service::any_of(&service.kind)
        };
        let closed = Breaker { policy: *policy, stand: BreakerStage::Closed, failures: 0, last: None };
        self.breakers.entry(key.clone()).or_insert(closed);
        Some(key)
    }

    /// When an attempt may go through; `None`: at any time.
    pub(crate) fn next(&self, service: &Service) -> Option<Timestamp> {
        match self.breakers.get(service)?.stand {
            BreakerStage::Closed => None,
            BreakerStage::Open { next, .. } => Some(next),
        }
    }

    /// A service asks for a pause of so long.
    pub(crate) fn leave_alone(&mut self, service: &Service, span: Duration, why: &str, now: Timestamp) {
        if span.is_zero() {
            return;
        }
        let span = span.min(LEFT_ALONE_MAX);
        let key = self.breaker_of(service).unwrap_or_else(|| service.clone());
        if !self.breakers.contains_key(&key) && self.breakers.len() >= NAMES_MAX {
            return;
        }
        let none = Breaker { policy: NONE, stand: BreakerStage::Closed, failures: 0, last: None };
        let breaker = self.breakers.entry(key).or_insert(none);
        breaker.last = Some((now, why.to_owned()));
        let until = now.plus(span);
        breaker.stand = match breaker.stand {
            BreakerStage::Closed => {
                let pause = span.max(breaker.policy.pause.min(breaker.policy.pause_max));
                let cause = OpenCause::Request;
                BreakerStage::Open { since: now, pause, next: until, trial: None, cause, asked: until }
            }
            BreakerStage::Open { since, pause, next, trial, cause, asked } => {
                // Where only the service's request counts, the attempt that was let through has reported it again.
                let trial = trial.filter(|_| breaker.policy.failures > 0);
                let (pause, next, asked) = (pause.max(span), next.max(until), asked.max(until));
                BreakerStage::Open { since, pause, next, trial, cause, asked }
            }
        };
    }

    /// An attempt is let through.
    pub(crate) fn pass(&mut self, service: &Service, attempt: u64, now: Timestamp) {
        if let Some(Breaker { stand: BreakerStage::Open { pause, next, trial, .. }, .. }) =
            self.breakers.get_mut(service)
        {
            *trial = Some(attempt);
            *next = now.plus(*pause);
        }
    }

    /// An attempt that was let through, or began before the breaker opened, is over.
    pub(crate) fn ended(
        &mut self,
        service: &Service,
        attempt: u64,
        outcome: &ServiceOutcome,
        now: Timestamp,
    ) {
        let Some(breaker) = self.breakers.get_mut(service) else { return };
        let is_trial = matches!(breaker.stand, BreakerStage::Open { trial, .. } if trial == Some(attempt));
        if breaker.policy.failures == 0 {
            if is_trial {
                self.breakers.remove(service);
            }
            return;
        }
        match (outcome, breaker.stand) {
            (ServiceOutcome::Answered, BreakerStage::Closed) => breaker.failures = 0,
            (ServiceOutcome::Answered, BreakerStage::Open { since, pause, asked, .. }) if is_trial => {
                breaker.failures = 0;
                breaker.stand = if asked > now {
                    let cause = OpenCause::Request;
                    BreakerStage::Open { since, pause, next: asked, trial: None, cause, asked }
                } else {
                    BreakerStage::Closed
                };
            }
            (ServiceOutcome::Outage(message), stand) => {
                breaker.last = Some((now, message.clone()));
                breaker.failures = breaker.failures.saturating_add(1);
                let policy = breaker.policy;
                let is_row = breaker.failures >= policy.failures;
                let first = policy.pause.min(policy.pause_max);
                let (since, pause, next, asked) = match stand {
                    BreakerStage::Closed if is_row => (now, first, now, now),
                    BreakerStage::Open { since, pause, next, cause: OpenCause::Outages, asked, .. }
                        if is_trial =>
                    {
                        (since, pause.saturating_mul(2).min(policy.pause_max), next, asked)
                    }
                    BreakerStage::Open { since, next, asked, .. } if is_trial && is_row => {
                        (since, first, next, asked)
                    }
                    BreakerStage::Open { since, pause, cause, asked, .. } if is_trial => {
                        let next = asked.max(now);
                        breaker.stand = BreakerStage::Open { since, pause, next, trial: None, cause, asked };
                        return;
                    }
                    BreakerStage::Closed | BreakerStage::Open { .. } => return,
                };
                let (next, cause) = (next.max(now.plus(pause)), OpenCause::Outages);
                breaker.stand = BreakerStage::Open { since, pause, next, trial: None, cause, asked };
            }
            (ServiceOutcome::Unknown, BreakerStage::Open { since, pause, cause, asked, .. }) if is_trial => {
                // Its end says nothing of the service, so the next attempt is let through as soon as the service
                // allows it.
                let next = asked.max(now);
                breaker.stand = BreakerStage::Open { since, pause, next, trial: None, cause, asked };
            }
            (ServiceOutcome::Answered | ServiceOutcome::Unknown, _) => {}
        }
    }

    /// Closes a breaker; false where there is none of that name.
    pub(crate) fn reset(&mut self, service: &Service) -> bool {
        match self.breakers.get_mut(service) {
            Some(breaker) if breaker.policy.failures == 0 => self.breakers.remove(service).is_some(),
            Some(breaker) => {
                (breaker.stand, breaker.failures) = (BreakerStage::Closed, 0);
                true
            }
            None => self.policies.contains_key(service),
        }
    }

    /// Those with an own policy, and those that were used.
    pub(crate) fn all(&self) -> impl Iterator<Item = (Service, BreakerNow)> {
        let unused = self.policies.iter();
        let unused =
            unused.filter(|(service, policy)| policy.failures > 0 && !self.breakers.contains_key(service));
        let unused = unused.map(|(service, policy)| {
            (service.clone(), BreakerNow { policy: *policy, failures: 0, last: None, open: None })
        });
        self.breakers.keys().map(|service| (service.clone(), self.now(service))).chain(unused)
    }

    pub(crate) fn now(&self, service: &Service) -> BreakerNow {
        let Breaker { policy, stand, failures, last } = &self.breakers[service];
        let open = match stand {
            BreakerStage::Closed => None,
            BreakerStage::Open { since, next, trial, .. } => Some((*since, *next, trial.is_some())),
        };
        BreakerNow { policy: *policy, failures: *failures, last: last.clone(), open }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Bench {
        breakers: Breakers,
        service: Service,
    }

    impl Bench {
        fn new(failures: u32) -> Self {
            let service = Service::new("agent", "claude");
            let policy = BreakerPolicy {
                failures,
                pause: Duration::from_millis(30),
                pause_max: Duration::from_millis(100),
            };
            let mut breakers = Breakers::new([(service.clone(), policy)].into());
            breakers.breaker_of(&service);
            Self { breakers, service }
        }

        fn outage(&mut self, attempt: u64, at: i64) {
            self.breakers.ended(
                &self.service,
                attempt,
                &ServiceOutcome::Outage("timeout".into()),
                Timestamp(at),
            );
        }

        fn answered(&mut self, attempt: u64, at: i64) {
            self.breakers.ended(&self.service, attempt, &ServiceOutcome::Answered, Timestamp(at));
        }

        fn pass(&mut self, attempt: u64, at: i64) {
            assert!(self.next().is_none_or(|next| next <= at));
            self.breakers.pass(&self.service, attempt, Timestamp(at));
        }

        fn next(&self) -> Option<i64> {
            self.breakers.next(&self.service).map(|at| at.0)
        }
    }

    #[test]
    fn outages_in_a_row_open_it_and_an_answer_between_ends_the_row() {
        let mut bench = Bench::new(2);
        bench.outage(1, 0);
        bench.answered(2, 1);
        bench.outage(3, 2);
        assert_eq!(bench.next(), None);
        bench.outage(4, 3);
        assert_eq!(bench.next(), Some(33));
        let now = bench.breakers.now(&bench.service);
        assert_eq!((now.failures, now.open), (2, Some((Timestamp(3), Timestamp(33), false))));
        assert_eq!(now.last, Some((Timestamp(3), "timeout".into())));
    }

    #[test]
    fn one_goes_through_after_the_pause_which_doubles_up_to_a_bound() {
        let mut bench = Bench::new(1);
        bench.outage(1, 0);
        let mut pauses = Vec::new();
        let mut at = 0;
        for attempt in 2..6 {
            let next = bench.next().unwrap();
            pauses.push(next - at);
            at = next;
            bench.pass(attempt, at);
            assert!(bench.next().unwrap() > at, "no other attempt");
            bench.outage(attempt, at);
        }
        assert_eq!(pauses, [30, 60, 100, 100]);
        let at = bench.next().unwrap();
        bench.pass(9, at);
        bench.answered(9, at + 1);
        assert_eq!(bench.next(), None);
        bench.outage(10, at + 2);
        assert_eq!(bench.next(), Some(at + 32), "it begins with the first pause again");
    }

    #[test]
    fn what_began_before_it_opened_changes_nothing_and_a_long_trial_holds_nobody_up() {
        let mut bench = Bench::new(1);
        bench.outage(1, 0);
        bench.answered(2, 5);
        bench.outage(3, 6);
        assert_eq!(bench.next(), Some(30));
        bench.pass(4, 30);
        assert_eq!(bench.next(), Some(60));
        bench.pass(5, 60);
        bench.answered(5, 61);
        assert_eq!(bench.next(), None);
    }

    #[test]
    fn a_trial_that_says_nothing_leaves_its_turn_to_the_next_and_a_person_may_close_it() {
        let mut bench = Bench::new(1);
        bench.outage(1, 0);
        bench.pass(2, 30);
        bench.breakers.ended(&bench.service, 2, &ServiceOutcome::Unknown, Timestamp(31));
        assert_eq!(bench.next(), Some(31));
        assert!(bench.breakers.reset(&bench.service));
        assert_eq!(bench.next(), None);
        assert!(!bench.breakers.reset(&Service::new("agent", "nobody")));
    }

    #[test]
    fn a_service_that_says_how_long_is_left_alone_for_so_long_with_or_without_a_breaker() {
        let (service, mut breakers) = (Service::new("http", "example.org"), Breakers::default());
        assert_eq!(breakers.breaker_of(&service), None);
        breakers.leave_alone(&service, Duration::from_millis(50), "429", Timestamp(0));
        assert_eq!(breakers.breaker_of(&service), Some(service.clone()));
        assert_eq!(breakers.next(&service), Some(Timestamp(50)));
        breakers.ended(&service, 1, &ServiceOutcome::Answered, Timestamp(10));
        assert_eq!(breakers.next(&service), Some(Timestamp(50)), "it began before");
        breakers.pass(&service, 2, Timestamp(50));
        assert_eq!(breakers.next(&service), Some(Timestamp(100)), "one at first");
        breakers.leave_alone(&service, Duration::from_millis(70), "429", Timestamp(60));
        breakers.ended(&service, 2, &ServiceOutcome::Outage("429".into()), Timestamp(60));
        assert_eq!(breakers.next(&service), Some(Timestamp(130)), "it said so again");
        breakers.pass(&service, 3, Timestamp(130));
        breakers.ended(&service, 3, &ServiceOutcome::Outage("500".into()), Timestamp(131));
        assert_eq!(
            (breakers.next(&service), breakers.all().count()),
            (None, 0),
            "nothing more is known of it"
        );
        breakers.leave_alone(&service, Duration::from_secs(1_000_000), "429", Timestamp(0));
        assert_eq!(breakers.next(&service), Some(Timestamp(0).plus(LEFT_ALONE_MAX)));
        let mut bench = Bench::new(2);
        bench.breakers.leave_alone(&bench.service.clone(), Duration::from_millis(500), "429", Timestamp(0));
        assert_eq!(bench.next(), Some(500));
        bench.pass(7, 500);
        bench.outage(7, 501);
        assert_eq!(bench.next(), Some(501), "it was the first outage in a row: one more goes through");
    }

    /// The second request of a service for a few seconds made attempts wait for twice the pause of the breaker, though
    /// far fewer outages had come in a row than open it.
    #[test]
    fn a14_a_service_that_asks_for_one_pause_after_the_other_is_asked_again_after_each() {
        let mut bench = Bench::new(3);
        let service = bench.service.clone();
        let asks = |bench: &mut Bench, attempt: u64, at: i64| {
            bench.breakers.leave_alone(&service, Duration::from_millis(4), "429", Timestamp(at));
            bench.outage(attempt, at);
        };
        asks(&mut bench, 1, 0);
        assert_eq!(bench.next(), Some(4));
        bench.pass(2, 4);
        assert_eq!(bench.next(), Some(34), "one at a time");
        asks(&mut bench, 2, 5);
        assert_eq!(bench.next(), Some(9), "it said 4 ms again");
        bench.pass(3, 9);
        asks(&mut bench, 3, 10);
        assert_eq!(bench.next(), Some(40), "the third in a row opens the breaker, for its first pause");
        bench.pass(4, 40);
        bench.outage(4, 41);
        assert_eq!(bench.next(), Some(101), "and the next one doubles it");
        bench.pass(5, 101);
        bench.answered(5, 102);
        assert_eq!(bench.next(), None);
        asks(&mut bench, 6, 200);
        bench.pass(7, 204);
        bench.outage(7, 205);
        assert_eq!(bench.next(), Some(205), "an outage without a request lets the next one through at once");
        bench.pass(8, 205);
        bench.breakers.leave_alone(&service, Duration::from_millis(50), "429", Timestamp(206));
        bench.answered(8, 206);
        assert_eq!(bench.next(), Some(256), "what it asks for counts whatever else the answer was");
        bench.pass(9, 256);
        bench.answered(9, 257);
        assert_eq!(bench.next(), None);
    }
}
