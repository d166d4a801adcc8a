//! The counters of budgets that runs share: what they reserve, charge and forget.

use everfold_base::id::{EffectId, Version};
use everfold_base::time::Timestamp;
use everfold_core::budgets::{self, Charge, Counter, CounterEvent, CounterInput, FundsRequest, Raise};
use everfold_core::event::{BudgetTerms, Measure, Spent};
use everfold_language::definition::{OnOver, Period};

use crate::fixtures::simulated_run::RUN;
use crate::run_budgets::{id, money};

/// A counter and everything that happened to it.
struct CounterBench(Counter, BudgetTerms);

impl CounterBench {
    fn new(per: Period) -> Self {
        let terms = BudgetTerms {
            id: "team".into(),
            scope: Some("team".into()),
            per,
            zone: None,
            cost_micros: Some(1_000_000),
            tokens: None,
            wall_ms: None,
            reserve_micros: 400_000,
            on_over: OnOver::Pause,
        };
        Self(Counter::default(), terms)
    }

    fn give(&mut self, input: &CounterInput, now: i64) -> (Vec<&'static str>, Result<(), Measure>) {
        let (events, found) = budgets::decide(&self.0, &self.1, input, Timestamp(now));
        for event in &events {
            let (kind, schema, bytes) = event.encode().expect("it is written");
            assert_eq!(&CounterEvent::decode(kind, schema, &bytes).expect("it is read"), event);
            self.0.apply(event);
        }
        (events.iter().map(CounterEvent::name).collect(), found)
    }

    fn request(&mut self, attempt: &str, now: i64) -> (Vec<&'static str>, Result<(), Measure>) {
        let request = FundsRequest { attempt: effect(attempt), terms: self.1.clone() };
        self.give(&CounterInput::Request(request), now)
    }

    fn charge(&mut self, attempt: &str, asked: bool, dollars: f64, at: i64, now: i64) -> Vec<&'static str> {
        let (attempt, spent) = (effect(attempt), money(dollars));
        let charge = Charge { attempt, version: Version(9), asked, spent, at: Timestamp(at) };
        self.give(&CounterInput::Charge(charge), now).0
    }
}

fn effect(attempt: &str) -> EffectId {
    EffectId { run: RUN, attempt: id(attempt) }
}

#[test]
fn l31_what_an_attempt_gave_back_is_taken_once_also_where_it_has_asked_again() {
    let mut team = CounterBench::new(Period::Total);
    assert_eq!(team.request("a/1/1", 0), (vec!["FundsReserved"], Ok(())));
    assert_eq!(team.charge("a/1/1", true, 0.0, 1, 1), ["SpendCharged"]);
    assert_eq!(team.request("a/1/1", 2), (vec!["FundsReserved"], Ok(())));
    assert!(team.charge("a/1/1", true, 0.0, 1, 2).is_empty(), "the same report again");
    assert_eq!(team.0.used().reserved_micros, 400_000);
}

#[test]
fn l31_a_counter_reserves_and_charges_each_attempt_once() {
    let mut team = CounterBench::new(Period::Total);
    assert_eq!(team.request("a/1/1", 0), (vec!["FundsReserved"], Ok(())));
    assert_eq!(team.request("a/1/1", 0), (vec![], Ok(())), "asked again after a crash");
    assert_eq!(team.request("b/1/1", 0), (vec!["FundsReserved"], Ok(())));
    assert_eq!(team.request("c/1/1", 0), (vec![], Err(Measure::Cost)));
    assert_eq!(team.charge("a/1/1", true, 0.1, 5, 5), ["SpendCharged"]);
    assert_eq!(team.charge("a/1/1", true, 0.1, 5, 5), [""; 0], "said again after a crash");
    assert_eq!(team.0.used().spent.cost_micros, 100_000);
    assert_eq!(team.request("c/1/1", 6), (vec!["FundsReserved"], Ok(())), "0.1 spent, 0.4 kept free");
    // Work that never asked, because it is not paid, counts all the same, once.
    assert_eq!(team.charge("d/1/1", false, 0.2, 7, 7), ["SpendCharged"]);
    assert_eq!(team.charge("d/1/1", false, 0.2, 7, 7), [""; 0]);
    assert_eq!(team.charge("e/1/1", true, 0.0, 8, 8), [""; 0], "it never got anything");
    let used = team.0.used();
    assert_eq!((used.spent.cost_micros, used.reserved_micros), (300_000, 800_000));
}

#[test]
fn l31_a_counter_begins_its_periods_by_the_time_of_what_it_is_asked() {
    let day = 24 * 60 * 60 * 1_000;
    let mut daily = CounterBench::new(Period::Day);
    assert_eq!(daily.request("a/1/1", 10).0, ["CounterPeriodBegan", "FundsReserved"]);
    assert_eq!(daily.0.period(), Some((Timestamp(0), Timestamp(day))));
    assert_eq!(daily.charge("a/1/1", true, 2.0, 20, 20), ["SpendCharged"]);
    assert_eq!(daily.request("b/1/1", 30).1, Err(Measure::Cost));
    let raise = Raise { run: RUN, version: Version(4), add: money(5.0), at: Timestamp(40) };
    assert_eq!(daily.give(&CounterInput::Raise(raise), 40).0, ["LimitRaised"]);
    assert_eq!(daily.give(&CounterInput::Raise(raise), 41).0, [""; 0]);
    assert_eq!(daily.request("b/1/1", 50).1, Ok(()));
    // Use that ended yesterday and is reported today counts yesterday; a raise ends with its day.
    assert_eq!(daily.charge("b/1/1", true, 3.0, day - 1, day + 1), ["CounterPeriodBegan", "SpendCharged"]);
    let used = daily.0.used();
    assert_eq!((used.spent, used.raised, used.reserved_micros), (Spent::default(), Spent::default(), 0));
}
