//! Limits on the rate of requests.
//!
//! Law: a caller that is too fast gets the time of its next request, and other callers do not notice. Callers without a
//! token, and those whose token is refused, count by their address, so that guessing tokens is slow.

use std::hash::Hash;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::settings::{RATE_WITHOUT_TOKEN, ServeSettings};
use governor::clock::{Clock as _, DefaultClock};
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};

/// Requests of one address without a token, per second and at once.
const STRANGER: (u32, u32) = (RATE_WITHOUT_TOKEN, 100);
/// Refused tokens of one address, per minute.
const WRONG_TOKENS: u32 = 30;
/// Requests between two cleanups of callers that are silent.
const FORGET_EVERY: u32 = 10_000;

type Limiter<K> = RateLimiter<K, HashMapStateStore<K>, DefaultClock>;

/// The limits of a server.
pub(super) struct RequestRates {
    tokens: Limiter<String>,
    addresses: Limiter<IpAddr>,
    wrong: Limiter<IpAddr>,
    seen: AtomicU32,
}

fn at_least_one(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN)
}

fn per_second((rate, burst): (u32, u32)) -> Quota {
    Quota::per_second(at_least_one(rate)).allow_burst(at_least_one(burst))
}

fn check<K: Hash + Eq + Clone>(limiter: &Limiter<K>, key: &K) -> Result<(), Duration> {
    limiter.check_key(key).map_err(|not_until| not_until.wait_time_from(DefaultClock::default().now()))
}

impl RequestRates {
    pub(super) fn new(settings: &ServeSettings) -> Self {
        Self {
            tokens: RateLimiter::hashmap(per_second((settings.rate, settings.burst))),
            addresses: RateLimiter::hashmap(per_second(STRANGER)),
            wrong: RateLimiter::hashmap(Quota::per_minute(at_least_one(WRONG_TOKENS))),
            seen: AtomicU32::new(0),
        }
    }

    /// Counts a request of a token or session; the error says how long to wait.
    pub(super) fn of_token(&self, name: &str) -> Result<(), Duration> {
        self.forget_now_and_then();
        check(&self.tokens, &name.to_owned())
    }

    /// Counts a request without a token or session.
    pub(super) fn of_stranger(&self, address: IpAddr) -> Result<(), Duration> {
        self.forget_now_and_then();
        check(&self.addresses, &address)
    }

    /// Counts a token that was refused.
    pub(super) fn of_wrong_token(&self, address: IpAddr) -> Result<(), Duration> {
        check(&self.wrong, &address)
    }

    /// Removes callers that have been silent, so that the tables stay small.
    fn forget_now_and_then(&self) {
        if self.seen.fetch_add(1, Ordering::Relaxed) % FORGET_EVERY == FORGET_EVERY - 1 {
            self.tokens.retain_recent();
            self.addresses.retain_recent();
            self.wrong.retain_recent();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_who_is_too_fast_waits_and_another_does_not() {
        let rates = RequestRates::new(&ServeSettings { rate: 1, burst: 2, ..ServeSettings::default() });
        assert!(rates.of_token("a").is_ok() && rates.of_token("a").is_ok());
        assert!(rates.of_token("a").is_err_and(|wait| wait <= Duration::from_secs(1)));
        assert!(rates.of_token("b").is_ok());
    }
}
