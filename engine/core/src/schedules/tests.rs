//! The laws of schedules.

use serde_json::{Value, json};

use super::*;
use crate::aggregate::EventStamp;
use crate::triggers::Outcome;
use everfold_base::actor::Actor;
use everfold_base::id::{RunId, Version};
use everfold_base::json::JsonText;
use everfold_base::time::Timestamp;
use everfold_language::definition::Schedule;

struct ScheduleUnderTest {
    state: ScheduleState,
    version: Version,
    table: Timetable,
    facts: Vec<ScheduleEvent>,
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

impl ScheduleUnderTest {
    fn new(spec: Value, since: &str) -> Self {
        let schedule: Schedule = serde_json::from_value(spec.clone()).unwrap();
        let table = Timetable::new(&schedule).unwrap();
        let (state, facts) = (ScheduleState::default(), Vec::new());
        let mut subject = Self { state, version: Version::ZERO, table, facts };
        let origin = ScheduleOrigin::Trigger { pipeline: "p".into(), index: 0 };
        let set = ScheduleSet { schedule: JsonText::new(&spec), origin };
        subject.record(at(since), ScheduleEvent::ScheduleSet(set));
        subject
    }

    fn record(&mut self, at: Timestamp, event: ScheduleEvent) {
        // What is stored reads back as it was written.
        let (kind, schema, bytes) = event.encode().unwrap();
        let event = ScheduleEvent::decode(kind, schema, &bytes).unwrap();
        self.version = self.version.next();
        self.state.apply(self.version, &EventStamp { by: &Actor::Engine, at }, &event);
        self.facts.push(event);
    }

    /// Looks at the clock; gives the moments that came and how many were passed over.
    fn look(&mut self, now: &str, is_busy: bool) -> (Vec<String>, u32) {
        let now = Now { at: at(now), is_busy };
        let (mut came, mut passed) = (Vec::new(), 0);
        for event in look(&self.state, "p:1", &self.table, now).events {
            match &event {
                ScheduleEvent::TickDue(tick) => came.push(tick.at.to_string()[11..16].to_owned()),
                ScheduleEvent::TicksPassed(event) => passed += event.count,
                ScheduleEvent::ClockSetBack(_) => {}
                other => panic!("{other:?}"),
            }
            self.record(now.at, event);
        }
        (came, passed)
    }

    fn settle_all(&mut self, now: &str) {
        for tick in self.state.waiting().keys().copied().collect::<Vec<_>>() {
            let run = RunId(uuid::Uuid::from_u128(u128::from(tick.get())));
            let outcome = Outcome::Started { run };
            self.record(at(now), ScheduleEvent::TickSettled(TickSettled { tick, outcome }));
        }
    }
}

#[test]
fn t_a_moment_comes_once_however_often_the_clock_is_looked_at() {
    let mut subject = ScheduleUnderTest::new(json!({"cron": "0 * * * *"}), "2026-01-01T00:30:00Z");
    assert_eq!(subject.look("2026-01-01T00:59:59Z", false), (vec![], 0));
    assert_eq!(subject.look("2026-01-01T01:00:00Z", false), (vec!["01:00".into()], 0));
    assert_eq!(subject.look("2026-01-01T01:00:01Z", false), (vec![], 0));
    subject.settle_all("2026-01-01T01:00:01Z");
    assert_eq!(subject.look("2026-01-01T01:00:02Z", false), (vec![], 0));
    assert_eq!(subject.look("2026-01-01T02:00:30Z", false), (vec!["02:00".into()], 0));
}

#[test]
fn t_after_a_time_without_an_engine_catch_up_says_which_moments_count() {
    for (catch_up, came, passed) in [("none", vec![], 5), ("one", vec!["05:00"], 4)] {
        let spec = json!({"cron": "0 * * * *", "catch_up": catch_up, "overlap": "queue"});
        let mut subject = ScheduleUnderTest::new(spec, "2026-01-01T00:30:00Z");
        let (seen, over) = subject.look("2026-01-01T05:10:00Z", false);
        assert_eq!((seen, over), (came.into_iter().map(str::to_owned).collect(), passed), "{catch_up}");
        assert_eq!(subject.look("2026-01-01T05:10:01Z", false), (vec![], 0), "{catch_up}");
    }
    let spec = json!({"cron": "0 * * * *", "catch_up": "all", "overlap": "queue"});
    let mut subject = ScheduleUnderTest::new(spec, "2026-01-01T00:30:00Z");
    assert_eq!(subject.look("2026-01-01T05:10:00Z", false).0.len(), 5);
    // The one that is on time counts with each.
    for (catch_up, count) in [("none", 1), ("one", 1), ("all", 5)] {
        let spec = json!({"cron": "0 * * * *", "catch_up": catch_up, "overlap": "allow"});
        let mut subject = ScheduleUnderTest::new(spec, "2026-01-01T00:30:00Z");
        assert_eq!(subject.look("2026-01-01T05:00:59Z", false).0.len(), count, "{catch_up}");
    }
}

#[test]
fn t_at_most_a_hundred_moments_are_caught_up_and_the_rest_is_said_to_be_passed() {
    let spec = json!({"every": "1m", "catch_up": "all", "overlap": "queue"});
    let mut subject = ScheduleUnderTest::new(spec, "2026-01-01T00:00:00Z");
    let (came, _) = subject.look("2026-01-02T00:00:00Z", false);
    assert_eq!(came.len(), CAUGHT_UP_MAX);
    assert_eq!(came.last().unwrap(), "00:00");
    assert_eq!(subject.look("2026-01-02T00:00:30Z", false), (vec![], 0));
}

#[test]
fn row_75_moments_that_passed_are_counted_not_only_those_that_could_be_caught_up() {
    // A day of minutes, the last two of which are on time.
    for (catch_up, came, passed) in [("none", 2, 1_438), ("one", 2, 1_438), ("all", 100, 1_340)] {
        let spec = json!({"every": "1m", "catch_up": catch_up, "overlap": "queue"});
        let mut subject = ScheduleUnderTest::new(spec, "2026-01-01T00:00:00Z");
        let (moments, counted) = subject.look("2026-01-02T00:00:00Z", false);
        assert_eq!((moments.len(), counted), (came, passed), "{catch_up}");
    }
    // Beyond what is counted it is said that there are older ones.
    let mut subject =
        ScheduleUnderTest::new(json!({"every": "1s", "catch_up": "none"}), "2026-01-01T00:00:00Z");
    let (_, passed) = subject.look("2026-01-02T00:00:00Z", false);
    assert!(passed >= 10_000, "{passed}");
    let older = |event: &ScheduleEvent| matches!(event, ScheduleEvent::TicksPassed(it) if it.has_older);
    assert!(subject.facts.iter().any(older) && subject.state.has_older());
}

#[test]
fn row_75_a_pause_or_removal_drops_the_moments_that_wait_but_not_those_in_work_or_by_hand() {
    let spec = json!({"every": "1h", "catch_up": "all", "overlap": "queue"});
    let mut subject = ScheduleUnderTest::new(spec, "2026-01-01T00:30:00Z");
    let (came, _) = subject.look("2026-01-01T03:00:00Z", false);
    assert_eq!(came, ["01:00", "02:00", "03:00"]);
    let by_hand = trigger(&subject.state, at("2026-01-01T03:00:10Z")).unwrap();
    subject.record(at("2026-01-01T03:00:10Z"), by_hand);
    let waiting: Vec<Version> = subject.state.waiting().keys().copied().collect();
    let in_work = [waiting[0]].into();
    let meant = ScheduleEvent::TickMeant(TickMeant { tick: waiting[1], runs: Vec::new() });
    subject.record(at("2026-01-01T03:00:20Z"), meant);
    for event in drop_waiting(&subject.state, &in_work, "paused") {
        subject.record(at("2026-01-01T03:00:30Z"), event);
    }
    let left: Vec<Version> = subject.state.waiting().keys().copied().collect();
    assert_eq!(left, [waiting[0], waiting[1], waiting[3]]);
    let dropped = subject.state.settled().next_back().unwrap();
    assert_eq!(dropped.outcome, Outcome::Ignored { why: "paused".to_owned() });
}

#[test]
fn t_overlap_says_what_becomes_of_a_moment_while_the_last_run_goes_on() {
    for (overlap, came, passed) in [("skip", 0, 1), ("allow", 1, 0), ("queue", 1, 0)] {
        let spec = json!({"every": "1h", "overlap": overlap});
        let mut subject = ScheduleUnderTest::new(spec, "2026-01-01T00:30:00Z");
        assert_eq!(subject.look("2026-01-01T01:00:00Z", false).0.len(), 1, "{overlap}");
        subject.settle_all("2026-01-01T01:00:01Z");
        let (seen, over) = subject.look("2026-01-01T02:00:00Z", true);
        assert_eq!((seen.len(), over), (came, passed), "{overlap}");
    }
    // Caught up at once, `skip` starts the first and passes over what would overlap with it.
    let spec = json!({"every": "1h", "catch_up": "all"});
    let mut subject = ScheduleUnderTest::new(spec, "2026-01-01T00:30:00Z");
    assert_eq!(subject.look("2026-01-01T04:00:00Z", false), (vec!["01:00".into()], 3));
}

#[test]
fn t_a_pause_passes_over_its_moments_and_says_nothing_of_them() {
    let spec = json!({"every": "1h", "catch_up": "all", "overlap": "queue"});
    let mut subject = ScheduleUnderTest::new(spec, "2026-01-01T00:30:00Z");
    let pause = SchedulePaused { reason: None };
    subject.record(at("2026-01-01T00:40:00Z"), ScheduleEvent::SchedulePaused(pause));
    assert_eq!(subject.look("2026-01-01T03:10:00Z", false), (vec![], 0));
    let resume = ScheduleResumed { reason: None };
    subject.record(at("2026-01-01T03:20:00Z"), ScheduleEvent::ScheduleResumed(resume));
    assert_eq!(subject.look("2026-01-01T03:30:00Z", false), (vec![], 0));
    assert_eq!(subject.look("2026-01-01T04:00:00Z", false).0, ["04:00"]);
    let removed = ScheduleRemoved { reason: None };
    subject.record(at("2026-01-01T04:20:00Z"), ScheduleEvent::ScheduleRemoved(removed));
    assert_eq!(subject.look("2026-01-01T09:00:00Z", false), (vec![], 0));
}

#[test]
fn a_trigger_by_hand_is_refused_where_as_many_moments_wait_as_may() {
    let spec = json!({"every": "1h", "overlap": "queue"});
    let mut subject = ScheduleUnderTest::new(spec, "2026-01-01T00:30:00Z");
    let now = at("2026-01-01T00:31:00Z");
    for _ in 0..WAITING_MAX {
        let by_hand = trigger(&subject.state, now).unwrap();
        subject.record(now, by_hand);
    }
    assert_eq!(trigger(&subject.state, now), None);
    let (tick, _) = subject.state.waiting().first_key_value().unwrap();
    let settled = TickSettled { tick: *tick, outcome: Outcome::Ignored { why: "over".to_owned() } };
    subject.record(now, ScheduleEvent::TickSettled(settled));
    assert!(trigger(&subject.state, now).is_some(), "there is room again");
}

#[test]
fn a_schedule_goes_on_at_once_where_the_clock_is_set_back() {
    let mut subject = ScheduleUnderTest::new(json!({"every": "10m"}), "2026-01-01T00:00:00Z");
    assert_eq!(subject.look("2026-01-01T03:00:30Z", false).0, ["03:00"]);
    subject.settle_all("2026-01-01T03:00:31Z");
    // A small correction repeats no moment and is no fact.
    let facts = subject.facts.len();
    assert_eq!(subject.look("2026-01-01T02:59:30Z", false), (vec![], 0));
    assert_eq!(subject.facts.len(), facts);
    assert_eq!(subject.look("2026-01-01T01:05:00Z", false), (vec![], 0));
    assert_eq!(subject.state.cursor(), at("2026-01-01T01:05:00Z"));
    assert_eq!(subject.look("2026-01-01T01:05:01Z", false), (vec![], 0));
    assert_eq!(subject.facts.len(), facts + 1);
    assert_eq!(subject.look("2026-01-01T01:10:00Z", false), (vec!["01:10".into()], 0));
    // The clock was a year ahead, and the schedule gets other moments.
    subject.settle_all("2026-01-01T01:10:01Z");
    subject.look("2027-01-01T00:00:30Z", false);
    subject.settle_all("2027-01-01T00:00:31Z");
    let origin = ScheduleOrigin::Trigger { pipeline: "p".into(), index: 0 };
    let spec = json!({"every": "15m"});
    subject.table = Timetable::new(&serde_json::from_value(spec.clone()).unwrap()).unwrap();
    let set = ScheduleSet { schedule: JsonText::new(&spec), origin };
    subject.record(at("2026-01-01T01:20:00Z"), ScheduleEvent::ScheduleSet(set));
    subject.look("2026-01-01T01:20:01Z", false);
    assert_eq!(subject.look("2026-01-01T01:30:00Z", false), (vec!["01:30".into()], 0));
}
