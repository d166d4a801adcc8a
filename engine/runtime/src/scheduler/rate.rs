//! Rates: how often attempts may start that call upon a service.
//!
//! Law: a bucket holds `burst` starts and fills up with `starts` in each `per`; a start takes one out. So
//! over any span of length t at most `burst + starts · t / per` start. A start that was granted and not
//! used is put back. A new engine begins with full buckets.
//!
//! Kept as one moment: when the bucket would be full again. It moves on by one interval with each start.

use std::collections::BTreeMap;

use crate::scheduler::settings::{RatePolicy, policy_of};
use everfold_base::time::Timestamp;
use everfold_ports::Service;

/// Names of a kind without an own policy that are distinguished; those beyond share one bucket.
pub(crate) const NAMES_MAX: usize = 1_000;

/// One bucket.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    policy: RatePolicy,
    /// When it is full, in microseconds since the epoch.
    full_at: i64,
}

impl Bucket {
    fn interval(&self) -> i64 {
        let per = i64::try_from(self.policy.per.as_micros()).unwrap_or(i64::MAX);
        (per / i64::from(self.policy.starts.max(1))).max(1)
    }

    fn depth(&self) -> i64 {
        self.interval().saturating_mul(i64::from(self.policy.burst.max(1)))
    }

    /// When the next start may be taken out, in microseconds.
    fn next(&self) -> i64 {
        self.full_at.saturating_sub(self.depth()).saturating_add(self.interval())
    }

    fn left(&self, now: i64) -> u32 {
        let missing = self.full_at.saturating_sub(now).max(0);
        let missing = missing.saturating_add(self.interval() - 1) / self.interval();
        self.policy.burst.max(1).saturating_sub(u32::try_from(missing).unwrap_or(u32::MAX))
    }
}

/// All buckets.
#[derive(Debug, Default)]
pub(crate) struct RateLimits {
    policies: BTreeMap<Service, RatePolicy>,
    buckets: BTreeMap<Service, Bucket>,
}

/// The state of a bucket at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RateNow {
    pub(crate) policy: RatePolicy,
    pub(crate) left: u32,
    /// When the next start may be; `None`: now.
    pub(crate) next: Option<Timestamp>,
}

impl RateLimits {
    pub(crate) fn new(policies: BTreeMap<Service, RatePolicy>) -> Self {
        Self { policies, buckets: BTreeMap::new() }
    }

    /// The bucket that starts on a service are taken out of, if there is one.
    pub(crate) fn bucket_of(&mut self, service: &Service) -> Option<Service> {
        let (policy, is_own) = policy_of(&self.policies, service)?;
        let is_known = is_own || self.buckets.contains_key(service);
        let key = if is_known || self.buckets.len() < NAMES_MAX {
            service.clone()
        } else {
            Service::any_of(&service.kind)
        };
        self.buckets.entry(key.clone()).or_insert(Bucket { policy: *policy, full_at: i64::MIN });
        Some(key)
    }

    /// When the next start may be; a moment that is past means now.
    pub(crate) fn next(&self, service: &Service) -> Timestamp {
        let next = self.buckets.get(service).map_or(i64::MIN, Bucket::next);
        Timestamp(next.div_euclid(1_000) + i64::from(next.rem_euclid(1_000) > 0))
    }

    pub(crate) fn take(&mut self, service: &Service, now: Timestamp) {
        if let Some(bucket) = self.buckets.get_mut(service) {
            bucket.full_at = bucket.full_at.max(micros(now)).saturating_add(bucket.interval());
        }
    }

    /// A start that was taken out was not used.
    pub(crate) fn put_back(&mut self, service: &Service) {
        if let Some(bucket) = self.buckets.get_mut(service) {
            bucket.full_at = bucket.full_at.saturating_sub(bucket.interval());
        }
    }

    /// Those with an own policy, and those that were used.
    pub(crate) fn all(&self, now: Timestamp) -> impl Iterator<Item = (Service, RateNow)> {
        let unused = self.policies.iter().filter(|(service, _)| !self.buckets.contains_key(service));
        let unused = unused.map(|(service, policy)| {
            (service.clone(), RateNow { policy: *policy, left: policy.burst.max(1), next: None })
        });
        self.buckets.keys().map(move |service| (service.clone(), self.now(service, now))).chain(unused)
    }

    pub(crate) fn now(&self, service: &Service, now: Timestamp) -> RateNow {
        let bucket = &self.buckets[service];
        let next = Some(self.next(service)).filter(|next| *next > now);
        RateNow { policy: bucket.policy, left: bucket.left(micros(now)), next }
    }
}

fn micros(at: Timestamp) -> i64 {
    at.0.saturating_mul(1_000)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn rates(starts: u32, per_ms: u64, burst: u32) -> (RateLimits, Service) {
        let service = Service::new("agent", "claude");
        let policy = RatePolicy { starts, per: Duration::from_millis(per_ms), burst };
        let mut rates = RateLimits::new([(service.clone(), policy)].into());
        assert_eq!(rates.bucket_of(&service), Some(service.clone()));
        (rates, service)
    }

    #[test]
    fn a_bucket_gives_its_burst_at_once_and_then_one_each_interval() {
        let (mut rates, service) = rates(10, 60_000, 3);
        let mut starts = Vec::new();
        for at in (0..60_000).map(Timestamp) {
            while rates.next(&service) <= at {
                rates.take(&service, at);
                starts.push(at.0);
            }
        }
        assert_eq!(starts[..6], [0, 0, 0, 6_000, 12_000, 18_000]);
        assert_eq!(starts.len(), 3 + 9, "burst + starts · t / per");
    }

    #[test]
    fn intervals_that_are_no_whole_milliseconds_do_not_drift() {
        let (mut rates, service) = rates(7, 1_000, 1);
        let mut at = Timestamp(0);
        for _ in 0..=700 {
            at = at.max(rates.next(&service));
            rates.take(&service, at);
        }
        assert!((99_900..=100_800).contains(&at.0), "700 intervals of a seventh of a second: {at:?}");
    }

    #[test]
    fn what_was_not_used_is_put_back() {
        let (mut rates, service) = rates(1, 1_000, 1);
        rates.take(&service, Timestamp(5));
        assert_eq!(rates.now(&service, Timestamp(5)).left, 0);
        assert_eq!(rates.now(&service, Timestamp(5)).next, Some(Timestamp(1_005)));
        rates.put_back(&service);
        assert_eq!(
            rates.now(&service, Timestamp(5)),
            RateNow { next: None, left: 1, ..rates.now(&service, Timestamp(5)) }
        );
    }

    #[test]
    fn names_of_a_kind_have_a_bucket_each_up_to_a_bound() {
        let policy = RatePolicy { starts: 1, per: Duration::from_secs(1), burst: 1 };
        let mut rates = RateLimits::new([(Service::any_of("http"), policy)].into());
        for at in 0..NAMES_MAX {
            let service = Service::new("http", &format!("host{at}"));
            assert_eq!(rates.bucket_of(&service), Some(service));
        }
        assert_eq!(rates.bucket_of(&Service::new("http", "one more")), Some(Service::any_of("http")));
        assert_eq!(rates.bucket_of(&Service::new("agent", "claude")), None);
    }
}
