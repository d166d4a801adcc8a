//! The laws of sources.

use std::collections::BTreeMap;

use serde_json::json;

use super::*;
use crate::triggers::{Outcome, Target};
use everfold_base::id::Version;
use everfold_base::json::JsonText;
use everfold_base::time::Timestamp;

const DAY_MS: i64 = 86_400_000;

#[derive(Default)]
struct HookHistory {
    state: HookState,
    version: Version,
    now: i64,
}

impl HookHistory {
    fn record(&mut self, event: Option<HookEvent>) -> Option<Version> {
        let event = event?;
        // What is stored reads back as it was written.
        let (kind, schema, bytes) = event.encode().unwrap();
        assert_eq!(HookEvent::decode(kind, schema, &bytes).unwrap(), event);
        self.version = self.version.next();
        let is_busy = self.state.is_busy_with(&event);
        self.state.apply(self.version, Timestamp(self.now), &event);
        assert_eq!(self.state.is_busy(), is_busy, "{event:?}");
        Some(self.version)
    }

    fn deliver(&mut self, id: &str) -> Result<Version, Version> {
        let event = self.state.receive(delivery(id), Timestamp(self.now))?;
        Ok(self.record(Some(event)).unwrap())
    }

    fn handle(&mut self, delivery: Version, nth: u32, parked: Vec<ParkedSignal>) -> Option<Version> {
        let outcomes = parked.iter().map(|parked| TriggerOutcome {
            pipeline: parked.pipeline.clone(),
            trigger: parked.trigger,
            outcome: Outcome::Parked { signal: parked.signal.clone(), to: parked.to.clone() },
        });
        let event = self.state.handled(delivery, nth, outcomes.collect(), parked);
        self.record(event)
    }
}

fn delivery(id: &str) -> DeliveryReceived {
    DeliveryReceived {
        id: id.to_owned(),
        name: Some("push".to_owned()),
        sender: Some("ada".to_owned()),
        headers: BTreeMap::from([("x-event".to_owned(), "push".to_owned())]),
        body: JsonText::new(&json!({"ref": "main"})),
        about: JsonText::new(&json!({"branch": "main"})),
    }
}

fn signal(trigger: u32) -> ParkedSignal {
    let to = Target::Key("issue-1".to_owned());
    ParkedSignal { pipeline: "p".into(), trigger, signal: "ci".into(), to, payload: None }
}

#[test]
fn l28_a_delivery_is_a_fact_once_per_id_for_seven_days() {
    let mut source = HookHistory::default();
    let first = source.deliver("a").unwrap();
    assert_eq!(source.deliver("a"), Err(first), "not handled yet, and known");
    source.handle(first, 1, vec![]).unwrap();
    assert_eq!(source.deliver("a"), Err(first));
    source.now = 7 * DAY_MS - 1;
    assert_eq!(source.deliver("a"), Err(first));
    source.deliver("b").unwrap();
    source.now = 7 * DAY_MS;
    let again = source.deliver("a").unwrap();
    assert_ne!(first, again);
    assert_eq!(source.deliver("a"), Err(again));
}

#[test]
fn l28_what_was_received_and_not_handled_is_named_in_order_until_it_is() {
    let mut source = HookHistory::default();
    let (one, other) = (source.deliver("a").unwrap(), source.deliver("b").unwrap());
    assert_eq!(source.state.unhandled().keys().copied().collect::<Vec<_>>(), [one, other]);
    assert!(source.state.is_busy());
    source.now = 30 * DAY_MS;
    source.deliver("c").unwrap();
    assert_eq!(source.deliver("a"), Err(one), "what is not handled is not forgotten");
    source.handle(one, 1, vec![]).unwrap();
    assert_eq!(source.handle(one, 1, vec![]), None, "handled once");
    assert_eq!(source.state.unhandled().len(), 2);
}

#[test]
fn l28_a_redelivery_is_handled_as_another_one() {
    let mut source = HookHistory::default();
    let first = source.deliver("a").unwrap();
    assert_eq!(source.state.redeliver(first, 0), None, "it is still to be handled");
    source.handle(first, 1, vec![]).unwrap();
    let asked = source.state.redeliver(first, 1);
    source.record(asked).unwrap();
    assert_eq!(source.state.unhandled().get(&first), Some(&2));
    assert_eq!(source.handle(first, 1, vec![]), None, "a late word of the first time changes nothing");
    source.handle(first, 2, vec![]).unwrap();
    assert!(!source.state.is_busy());
}

#[test]
fn a_redelivery_knows_who_asked_for_it_though_the_delivery_is_forgotten() {
    let mut source = HookHistory::default();
    let first = source.deliver("a").unwrap();
    source.handle(first, 1, vec![]).unwrap();
    source.now = 8 * DAY_MS;
    source.deliver("b").unwrap();
    assert_eq!(source.state.entry(first), None, "it is forgotten");
    let redelivery = source.state.redeliver(first, 1);
    let asked = source.record(redelivery).unwrap();
    assert_eq!(source.state.asked(first), Some(asked));
    let handled = source.handle(first, 2, vec![signal(0)]).unwrap();
    let redelivery = source.state.redeliver(first, 2);
    let again = source.record(redelivery).unwrap();
    assert_eq!(source.state.parked()[&(handled, 0)].asked, Some(asked), "what waits keeps its own request");
    assert_eq!(source.state.asked(first), Some(again));
    source.handle(first, 3, vec![]).unwrap();
    assert_eq!(source.state.asked(first), None);
}

#[test]
fn l28_a_parked_signal_waits_until_it_is_settled_and_no_more_than_a_thousand_do() {
    let mut source = HookHistory::default();
    let first = source.deliver("a").unwrap();
    let handled = source.handle(first, 1, vec![signal(0)]).unwrap();
    assert!(source.state.is_busy());
    let outcome = Outcome::Ignored { why: "nobody heard it".to_owned() };
    let settled = source.state.settled((handled, 0), outcome.clone());
    source.record(settled).unwrap();
    assert_eq!(source.state.settled((handled, 0), outcome), None);
    assert!(!source.state.is_busy());
    for n in 0..PARKED_MAX {
        let delivery = source.deliver(&format!("n{n}")).unwrap();
        source.handle(delivery, 1, vec![signal(0)]).unwrap();
    }
    let last = source.deliver("last").unwrap();
    let outcome = TriggerOutcome {
        pipeline: "p".into(),
        trigger: 3,
        outcome: Outcome::Parked { signal: "ci".into(), to: Target::Run("x".into()) },
    };
    match source.state.handled(last, 1, vec![outcome], vec![signal(3)]) {
        Some(HookEvent::DeliveryHandled(event)) => {
            assert_eq!(event.parked, []);
            assert_eq!(event.outcomes[0].outcome.word(), "refused");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn l28_an_event_is_what_the_reader_says_with_headers_and_body() {
    let occasion = delivery("d1").trigger_event("forge", Timestamp(0));
    assert_eq!(occasion.actor, "ada");
    let event = &occasion.event;
    assert_eq!(event["body"]["ref"], "main");
    assert_eq!(
        (&event["branch"], &event["name"], &event["id"]),
        (&json!("main"), &json!("push"), &json!("d1"))
    );
    assert_eq!(event["headers"]["x-event"], "push");
    let unknown = DeliveryReceived { sender: None, about: JsonText::null(), ..delivery("x") };
    assert_eq!(unknown.trigger_event("forge", Timestamp(0)).actor, "hook:forge");
}

#[test]
fn a_delivery_that_is_never_handled_keeps_no_other_one_in_memory() {
    let mut source = HookHistory::default();
    let stuck = source.deliver("stuck").unwrap();
    for n in 0..50 {
        let delivery = source.deliver(&format!("d{n}")).unwrap();
        source.handle(delivery, 1, vec![]).unwrap();
    }
    source.now = 8 * DAY_MS;
    let newest = source.deliver("new").unwrap();
    assert_eq!(source.state.remembered(), 2, "the stuck one and the new one");
    assert_eq!((source.deliver("stuck"), source.deliver("new")), (Err(stuck), Err(newest)));
}
