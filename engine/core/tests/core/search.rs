//! Search attributes: computed at the start, set by work, each of its declared type.

use std::collections::BTreeMap;

use everfold_core::decide::Refusal;
use everfold_core::event::{RunEvent, SearchSet, SearchValue};
use everfold_core::input::InputKind;
use serde_json::{Value, json};

use crate::fixtures::scenario::names;
use crate::fixtures::simulated_run::{World, definition, start};

fn document() -> Value {
    json!({
        "name": "p",
        "search": {
            "amount": {"type": "number", "value": "${input.amount}"},
            "due": {"type": "time", "value": "${input.due}"},
            "customer": {"value": "for ${input.customer}"},
            "none": {"value": "${null}"},
            "verdict": {"type": "text"},
        },
        "steps": [
            {"id": "a", "work": {"task": {"kind": "command", "spec": {"argv": ["x"]}}}},
            {"id": "b", "needs": ["a"], "work": {"task": {"kind": "function", "spec": {"name": "f", "with": "${run.search}"}}}},
        ],
    })
}

fn input() -> Value {
    json!({"amount": 120, "due": "2026-11-20T09:00:00+01:00", "customer": "acme"})
}

fn given(given: Value) -> Result<World, Refusal> {
    let mut world = World::new(definition(document()));
    world.give(start(given)).map(|_| world)
}

fn set(world: &mut World, id: &str, values: &[(&str, Option<SearchValue>)]) -> Vec<RunEvent> {
    let values = values.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    let set = SearchSet { id: Some(id.parse().expect("the id of an attempt")), values };
    world.give(InputKind::SetSearch(set)).expect("it is taken")
}

fn text(text: &str) -> Option<SearchValue> {
    Some(SearchValue::Text(text.to_owned()))
}

#[test]
fn the_values_of_the_start_are_recorded_with_it() {
    let world = given(input()).unwrap();
    assert_eq!(world.names()[..2], ["RunStarted", "SearchSet"]);
    let search: BTreeMap<&str, Value> =
        world.state.search().iter().map(|(name, value)| (name.as_str(), value.json())).collect();
    let wanted =
        [("amount", json!(120)), ("customer", json!("for acme")), ("due", json!("2026-11-20T08:00:00.000Z"))];
    assert_eq!(search, wanted.into());
    let types: Vec<&str> = world.state.search().values().map(SearchValue::type_word).collect();
    assert_eq!(types, ["number", "text", "time"]);
    world.check_fold();
}

#[test]
fn a_start_whose_values_are_not_of_their_types_is_refused_and_records_nothing() {
    for (field, value, why) in [
        ("amount", json!("120"), "search: “amount” is a number, not a text"),
        ("due", json!("tomorrow"), "search: “due” is a time in RFC 3339, not “tomorrow”"),
        ("customer", json!("x".repeat(2_000)), "search: “customer” is larger than 1024 bytes"),
    ] {
        let mut wrong = input();
        wrong[field] = value;
        assert_eq!(given(wrong).err(), Some(Refusal::Start(why.to_owned())), "{field}");
    }
}

#[test]
fn work_sets_values_that_are_news_and_later_steps_see_them() {
    let mut world = given(input()).unwrap();
    let taken = set(&mut world, "a/1/1", &[("verdict", text("good")), ("amount", None), ("none", None)]);
    let [RunEvent::SearchSet(event)] = taken.as_slice() else { panic!("{taken:?}") };
    // One that it does not have is no news.
    assert_eq!(event.values, [("verdict".to_owned(), text("good")), ("amount".to_owned(), None)].into());
    assert!(set(&mut world, "a/1/1", &[("verdict", text("good")), ("unknown", text("x"))]).is_empty());
    let events = world.succeed("a/1/1", json!({}));
    let Some(RunEvent::StepScheduled(scheduled)) = events.last() else { panic!("{:?}", names(&events)) };
    let with = serde_json::to_value(&scheduled.work).unwrap().to_string();
    assert!(with.contains("good"), "{with}");
    // What a step that has ended says counts no more.
    assert!(set(&mut world, "a/1/1", &[("verdict", text("bad"))]).is_empty());
    world.check_fold();
}

#[test]
fn a_snapshot_holds_the_values_and_that_of_a_run_without_any_is_as_it_was() {
    let world = given(input()).unwrap();
    let bytes = world.state.snapshot();
    let read = everfold_core::state::RunState::from_snapshot(definition(document()), &bytes).unwrap();
    assert_eq!(read.search(), world.state.search());
    let mut plain = document();
    plain.as_object_mut().unwrap().remove("search");
    plain["steps"][1]["work"]["task"]["spec"]["with"] = json!("x");
    let mut without = World::new(definition(plain));
    without.give(start(input())).unwrap();
    assert_eq!(without.names()[..2], ["RunStarted", "StepScheduled"]);
}
