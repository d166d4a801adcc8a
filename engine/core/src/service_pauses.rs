//! Pauses that services ask for (`Retry-After`): one stream of the engine's own, `engine/service-pauses`.
//!
//! Law: pure: [`ServicePauses::apply`] neither fails nor chooses. Only the moment until which a service is left alone
//! is kept, so that a restarted engine does not ask it earlier. How its breaker stands otherwise is not durable.
//!
//! Called by the runtime, the only writer of the stream.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use everfold_base::codec::stored;
use everfold_base::envelope::StreamId;
use everfold_base::time::Timestamp;

/// No event of the stream is longer.
const BYTES_MAX: u64 = 4 * 1024;
/// The longest name of a service that is recorded.
const NAME_BYTES_MAX: usize = 1024;
/// Services that are remembered; of more, those whose pause ends first are forgotten.
const SERVICES_MAX: usize = 1_000;
/// A pause that ends only so much later than the recorded one is not recorded: requests that were in flight at once
/// get the same answer.
const LATER_MIN: Duration = Duration::from_secs(1);
/// What the fold's snapshots are numbered with: raised when the same events fold to another state.
pub const SERVICE_PAUSES_FOLD_VERSION: u32 = 1;

/// A service asks to be left alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServicePauseAsked {
    /// The service, `KIND.NAME`.
    pub service: String,
    /// Until when.
    pub until: Timestamp,
}

/// A person let attempts call the service again before its pause was over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServicePauseLifted {
    /// The service, `KIND.NAME`.
    pub service: String,
}

/// An event of the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServicePauseEvent {
    /// A service asks to be left alone.
    ServicePauseAsked(ServicePauseAsked),
    /// Its pause is ended by hand.
    ServicePauseLifted(ServicePauseLifted),
}

stored!(ServicePauseEvent, BYTES_MAX, { ServicePauseAsked = 80, ServicePauseLifted = 81 });

/// Until when services are left alone: a fold of the stream.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServicePauses {
    until: BTreeMap<String, Timestamp>,
}

impl ServicePauses {
    /// The stream.
    #[must_use]
    pub fn stream() -> StreamId {
        StreamId::engine("service-pauses")
    }

    /// A service asks to be left alone until then; `None`: that is known, or as good as known.
    #[must_use]
    pub fn ask(&self, service: &str, until: Timestamp) -> Option<ServicePauseEvent> {
        let known = self.until.get(service);
        let is_news = known.is_none_or(|known| until >= known.plus(LATER_MIN));
        let asked = || ServicePauseAsked { service: service.to_owned(), until };
        (is_news && service.len() <= NAME_BYTES_MAX).then(|| ServicePauseEvent::ServicePauseAsked(asked()))
    }

    /// The pause of a service is ended by hand; `None`: none is known.
    #[must_use]
    pub fn lift(&self, service: &str) -> Option<ServicePauseEvent> {
        let lifted = || ServicePauseLifted { service: service.to_owned() };
        self.until.contains_key(service).then(|| ServicePauseEvent::ServicePauseLifted(lifted()))
    }

    /// The services that are to be left alone, and for how long from now on.
    pub fn left_alone(&self, now: Timestamp) -> impl Iterator<Item = (&str, Duration)> {
        let left = self.until.iter().filter(move |(_, until)| **until > now);
        left.map(move |(service, until)| (service.as_str(), until.since(now)))
    }

    /// Folds a fact.
    pub fn apply(&mut self, event: &ServicePauseEvent) {
        match event {
            ServicePauseEvent::ServicePauseAsked(ServicePauseAsked { service, until }) => {
                self.until.insert(service.clone(), *until);
                if self.until.len() > SERVICES_MAX {
                    let first = self.until.iter().min_by_key(|(_, until)| **until);
                    let first = first.map(|(service, _)| service.clone());
                    first.map(|service| self.until.remove(&service));
                }
            }
            ServicePauseEvent::ServicePauseLifted(ServicePauseLifted { service }) => {
                self.until.remove(service);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(pauses: &mut ServicePauses, service: &str, until: i64) -> bool {
        let event = pauses.ask(service, Timestamp(until));
        event.iter().for_each(|event| pauses.apply(event));
        event.is_some()
    }

    #[test]
    fn a_pause_is_recorded_once_and_anew_where_it_ends_later_by_a_second() {
        let mut pauses = ServicePauses::default();
        assert!(asked(&mut pauses, "http.example.org", 60_000));
        assert!(!asked(&mut pauses, "http.example.org", 60_400), "an answer that was on its way");
        assert!(!asked(&mut pauses, "http.example.org", 50_000));
        assert!(asked(&mut pauses, "http.example.org", 90_000));
        let left: Vec<_> = pauses.left_alone(Timestamp(30_000)).collect();
        assert_eq!(left, [("http.example.org", Duration::from_secs(60))]);
        assert_eq!(pauses.left_alone(Timestamp(90_000)).count(), 0, "it is over");
    }

    #[test]
    fn a_pause_that_is_ended_by_hand_does_not_come_back() {
        let mut pauses = ServicePauses::default();
        assert_eq!(pauses.lift("agent.claude"), None);
        asked(&mut pauses, "agent.claude", 60_000);
        let lifted = pauses.lift("agent.claude").unwrap();
        pauses.apply(&lifted);
        assert_eq!((pauses.left_alone(Timestamp(0)).count(), pauses.lift("agent.claude")), (0, None));
    }

    #[test]
    fn of_too_many_services_those_whose_pause_ends_first_are_forgotten() {
        let mut pauses = ServicePauses::default();
        for n in 0..=1_000 {
            asked(&mut pauses, &format!("http.{n}"), 60_000 + n);
        }
        assert_eq!(pauses.left_alone(Timestamp(0)).count(), SERVICES_MAX);
        assert!(pauses.left_alone(Timestamp(0)).all(|(service, _)| service != "http.0"));
        assert!(!asked(&mut pauses, &"x".repeat(1_025), 90_000), "a name without a bound");
    }

    #[test]
    fn the_stored_bytes_stay() {
        let service = "a.b".to_owned();
        let asked = ServicePauseAsked { service: service.clone(), until: Timestamp(7) };
        let events = [
            (ServicePauseEvent::ServicePauseAsked(asked), "80/1/0300000000000000612e620700000000000000"),
            (
                ServicePauseEvent::ServicePauseLifted(ServicePauseLifted { service }),
                "81/1/0300000000000000612e62",
            ),
        ];
        for (event, stored) in events {
            let (kind, schema, bytes) = event.encode().unwrap();
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(format!("{kind}/{schema}/{hex}"), stored);
            assert_eq!(ServicePauseEvent::decode(kind, schema, &bytes).unwrap(), event);
            assert!(ServicePauseEvent::decode(kind, schema + 1, &bytes).is_err());
        }
    }
}
