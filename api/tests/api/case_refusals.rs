//! What a case of a pipeline may not say, what it says where it fails, and the first one that is written for people.

use everfold_api::pipeline_test::{first_case, read_cases, test_pipeline, test_pipeline_with};
use everfold_api::settings::Settings;
use everfold_engine::definition::{RUN_STATUSES, STEP_STATUSES, parse};
use everfold_engine::state::RunStatus;
use everfold_workflows::builtin;
use serde_json::json;

use crate::fixtures::cases::{differences, pipeline, play, shown};

#[test]
fn work_without_a_stub_stops_the_case_with_the_line_to_add() {
    let report = play("name: t\nsteps:\n  - { id: build, command: make }\n", "- name: a\n");
    let fault = report.cases[0].fault.as_deref().unwrap();
    assert!(
        fault.contains("the step build has no stub: add `build: { output: … }` under `steps`"),
        "{fault}"
    );
    let gated = "name: t\nsteps:\n  - { id: build, gates: [{ id: ok, command: ./ok }] }\n";
    let report = play(gated, "- name: a\n");
    let fault = report.cases[0].fault.as_deref().unwrap();
    assert!(fault.contains("add `build: { ok: pass }` under `gates`"), "{fault}");
}

#[test]
fn what_the_pipeline_does_not_have_is_refused_with_its_line_and_what_was_meant() {
    let definition = pipeline(
        "name: t\nsteps:\n  - { id: build, command: make, gates: [{ id: tests, command: make test }, { id: small, expression: \"true\" }] }\n  - { id: sign, approval: { title: Sign? } }\n",
    );
    let wrong = "\
- name: a
  stesp: {}
  steps:
    biuld: {}
    sign: {}
  gates:
    build: { test: pass, small: pass }
  decide:
    - { approve: build }
    - { approve: sign, choice: b }
  expect:
    status: done
    steps: { build: { rnds: 1 } }
    events: [RunSuceeded]
- name: a
";
    let problems = read_cases(wrong, "t.test.yaml", &definition).unwrap_err();
    let found: Vec<String> = problems
        .0
        .iter()
        .map(|it| format!("{} {} ({})", it.line, it.message, it.hint.as_deref().unwrap_or_default()))
        .collect();
    for (line, part) in [
        (2, "did you mean `steps`?"),
        (4, "there is no step “biuld” (did you mean `build`?)"),
        (5, "people decide it: write it under `decide`"),
        (7, "there is no gate “test” (did you mean `tests`?)"),
        (7, "it needs no stub"),
        (9, "the step build is no approval"),
        (10, "`choice` says nothing beside `approve`"),
        (12, "`status` cannot be “done”"),
        (13, "has no key “rnds”"),
        (14, "did you mean `RunSucceeded`?"),
        (15, "two cases are named “a”"),
    ] {
        let is_it = |text: &String| text.starts_with(&format!("{line} ")) && text.contains(part);
        assert!(found.iter().any(is_it), "{line}: {part}\n{}", found.join("\n"));
    }
    assert_eq!(found.len(), 11, "{}", found.join("\n"));
}

#[test]
fn each_expectation_that_does_not_come_is_a_difference() {
    let text = "name: t\nsteps:\n  - { id: build, command: make, gates: [{ id: ok, command: ./ok }] }\noutput: { n: \"${steps.build.output.n}\", list: [1, 2], more: 1 }\n";
    let cases = "\
- name: wrong
  steps: { build: { output: { n: 1 }, usage: { cost: 1.00 USD }, takes: 5m } }
  gates: { build: { ok: pass } }
  expect:
    output: { n: 2, list: [1], other: x }
    steps: { build: { status: failed, rounds: 2, attempts: 2, output: { n: 3 } } }
    gates: { build: { ok: fail } }
    cost: 2.00 USD
    took: 6m
    notices: []
    events: [RunSucceeded, RunStarted]
- name: right
  steps: { build: { output: { n: 1 }, usage: { cost: 1.00 USD }, takes: 5m } }
  gates: { build: { ok: pass } }
  expect: { output: { n: 1.0 }, cost: 1, took: 5m, notices: [], steps: { build: { output: { n: 1 } } } }
- name: it fails
  steps: { build: { fail: no room } }
- name: it is refused
  expect: { refused: invalid_input }
";
    let report = play(text, cases);
    let expected = [
        "output.list[1]",
        "output.n",
        "output.other",
        "steps.build.status",
        "steps.build.rounds",
        "steps.build.attempts",
        "steps.build.output.n",
        "gates.build.ok",
        "cost",
        "took",
        "events",
    ];
    let mut found = differences(&report.cases[0]);
    found.sort_unstable();
    let mut expected = expected.to_vec();
    expected.sort_unstable();
    assert_eq!(found, expected, "{}", shown(&report));
    assert!(report.cases[1].passed, "{}", shown(&report));
    assert_eq!(differences(&report.cases[2]), ["status"]);
    let came = report.cases[2].differences[0].actual.as_ref().unwrap().as_str().unwrap().to_owned();
    assert_eq!(came, "failed: no room");
    assert_eq!(report.cases[3].fault.as_deref().map(|fault| fault.contains("no stub")), Some(true));
}

#[test]
fn the_first_case_of_a_pipeline_is_one_that_can_be_read() {
    let delivery = builtin::find("delivery").unwrap();
    let definition = parse(delivery.text, delivery.name, delivery).unwrap().definition;
    let cases = read_cases(&first_case(&definition), "first", &definition)
        .unwrap_or_else(|problems| panic!("{problems}"));
    let report = test_pipeline(&definition, &cases);
    assert!(report.failed == 0, "{}", shown(&report));
}

#[test]
fn the_first_case_answers_a_question_and_each_item_of_it() {
    let definition = pipeline(
        "name: t\nsteps:\n  - { id: free, question: { title: Why? } }\n  - { id: which, question: { title: Which?, options: [7, south], items: [first, { id: size, text: How large?, options: [s, m] }] } }\n",
    );
    let text = first_case(&definition);
    let cases = read_cases(&text, "first", &definition).unwrap_or_else(|problems| panic!("{problems}"));
    let report = test_pipeline(&definition, &cases);
    assert!(report.failed == 0, "{text}\n{}", shown(&report));
}

#[test]
fn the_words_of_expectations_are_those_of_the_core() {
    assert_eq!(RunStatus::ALL.map(RunStatus::as_str), RUN_STATUSES);
    let read = |word: &&str| serde_json::from_value::<everfold_engine::state::StepStatus>((*word).into());
    let words: Vec<&str> = STEP_STATUSES.iter().map(|word| read(word).unwrap().as_str()).collect();
    assert_eq!(words, STEP_STATUSES);
}

#[test]
fn a_name_that_a_start_refuses_fails_the_case() {
    let case = "- name: a\n  steps: { work: {} }\n";
    let function = "name: t\nsteps: [{ id: work, function: everfold.nop }]\n";
    let fault = play(function, case).cases[0].fault.clone().unwrap();
    assert!(fault.contains("the step work: there is no function everfold.nop"), "{fault}");
    let agent = "name: t\nsteps: [{ id: work, agent: { prompt: Go., profile: planner } }]\n";
    let fault = play(agent, case).cases[0].fault.clone().unwrap();
    assert!(fault.contains("planner"), "{fault}");

    // The settings know them; without settings, which are then a server's, nothing is refused.
    let play_with = |settings: Option<&Settings>, text: &str| {
        let definition = pipeline(text);
        let cases = read_cases(case, "t.test.yaml", &definition).unwrap();
        test_pipeline_with(&definition, settings, &cases)
    };
    let mut settings = Settings::default();
    let profile = serde_json::from_value(json!({ "command": ["planner"] })).unwrap();
    settings.agents.insert("planner".to_owned(), profile);
    let report = play_with(Some(&settings), agent);
    assert!(report.failed == 0, "{}", shown(&report));
    assert_eq!((play_with(None, agent).failed, play_with(None, function).failed), (0, 0));
}
