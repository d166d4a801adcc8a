//! Test cases of pipelines, as `everfold pipeline test` plays them.

use std::path::Path;

use everfold_api::pipeline_test::{StoryLine, SuiteReport, read_cases, test_pipeline};
use everfold_engine::definition::parse;
use everfold_engine::envelope::StreamId;
use everfold_engine::event;
use everfold_engine::id::{RunId, Version};
use everfold_workflows::builtin;
use serde_json::json;

use crate::fixtures::cases::{differences, passes, play, shown};
use crate::fixtures::in_memory::Api;

/// A look at the clock every five seconds of virtual time took minutes.
#[test]
fn years_of_virtual_time_take_no_time() {
    let began = std::time::Instant::now();
    let verdict = passes(
        "name: t\nsteps:\n  - { id: w, wait: { for: 3000d } }\n",
        "- { name: long, until: 3650d, expect: { status: succeeded } }\n",
    );
    assert_eq!(verdict.virtual_ms, 3_000 * 24 * 60 * 60 * 1_000);
    assert!(began.elapsed() < std::time::Duration::from_secs(20), "{:?}", began.elapsed());
}

/// The cases that come with a built-in pipeline, and those of its folder.
fn case_texts(it: &builtin::BuiltIn) -> Vec<String> {
    let folder =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../workflows/pipelines").join(it.name).join("cases");
    let more = std::fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path());
    std::iter::once(it.cases.to_owned())
        .chain(more.map(|path| std::fs::read_to_string(path).unwrap()))
        .collect()
}

fn played(it: &builtin::BuiltIn) -> SuiteReport {
    let definition = parse(it.text, it.name, it).unwrap().definition;
    let of_text = |text: &String| {
        read_cases(text, "cases", &definition).unwrap_or_else(|problems| panic!("{problems}"))
    };
    let cases: Vec<_> = case_texts(it).iter().flat_map(of_text).collect();
    let report = test_pipeline(&definition, &cases);
    assert!(report.failed == 0, "{}", shown(&report));
    report
}

/// Many steps of `orch` are off until settings name them: the cases of its folder turn them on.
#[test]
fn the_cases_of_every_built_in_pipeline_pass_and_reach_every_step() {
    for it in builtin::pipelines() {
        let coverage = played(it).coverage;
        assert!(coverage.unreached().is_empty(), "{}: {:?}", it.name, coverage.unreached());
    }
}

#[test]
fn the_cases_of_the_delivery_reach_every_gate_and_route() {
    let coverage = played(builtin::find("delivery").unwrap()).coverage;
    assert!(coverage.gates.iter().all(|gate| gate.pass > 0), "{:?}", coverage.gates);
    assert!(coverage.gates.iter().all(|gate| gate.fail > 0), "{:?}", coverage.gates);
    assert!(coverage.routes.iter().all(|route| route.taken > 0), "{:?}", coverage.routes);
}

#[test]
fn the_cases_of_the_page_do_what_it_says() {
    let page = include_str!("../../../docs/reference/testing-pipelines.md");
    let block = |info: &str| {
        let from = page.split_once(&format!("```{info}\n")).expect("the page has the block").1;
        from.split("```").next().unwrap().to_owned()
    };
    let report = play(&block("yaml"), &block("yaml cases"));
    let passed: Vec<bool> = report.cases.iter().map(|case| case.passed).collect();
    assert_eq!(passed, [true, true, false], "{}", shown(&report));
    let fault = report.cases[2].fault.as_deref().unwrap_or_default();
    assert!(page.contains(fault), "the page says what comes: {fault}");
}

#[test]
fn a_wait_of_days_takes_virtual_time_alone() {
    let verdict = passes(
        "name: t\nsteps:\n  - { id: rest, wait: { for: 3d } }\n  - { id: go, command: ./go, timeout: 2h }\n",
        "- name: a\n  steps: { go: { takes: 90m } }\n  expect: { took: 4410m, events: [TimerFired, RunSucceeded] }\n",
    );
    assert!((4_410 * 60_000..4_411 * 60_000).contains(&verdict.virtual_ms), "{}", verdict.virtual_ms);
}

#[test]
fn people_decide_in_their_order_and_may_be_refused() {
    let text = "\
name: t
steps:
  - { id: which, question: { title: Which?, options: [a, b] } }
  - { id: sign, approval: { title: Sign?, quorum: 2, self_approval: false, roles: [lead], remind: 1h } }
  - { id: build, command: make, on_fail: block }
output: \"${steps.which.output.choice}\"
";
    passes(
        text,
        "\
- name: a
  by: ada
  steps: { build: [{ fail: broken }, {}] }
  decide:
    - { answer: which, choice: b, after: 1h }
    - { approve: sign, by: ada, roles: [lead], refused: self_approval }
    - { approve: sign, by: bob, refused: wrong_role }
    - { approve: sign, by: bob, roles: [lead], after: 30m }
    - { approve: sign, by: eve, roles: [lead], after: 2h }
    - { unblock: build, decision: retry, reason: mended }
  expect: { output: b, steps: { build: { attempts: 2 } }, took: 3h }
",
    );
    let report = play(
        text,
        "- name: nobody decides\n  expect: { status: waiting }\n- name: too much\n  decide: [{ approve: sign }]\n  expect: { status: waiting }\n- name: refused\n  decide: [{ answer: which, choice: c }]\n",
    );
    assert!(report.cases[0].passed, "{}", shown(&report));
    assert_eq!(differences(&report.cases[1]), ["line 4: approve sign: the step did not ask for it"]);
    let fault = report.cases[2].fault.as_deref().unwrap();
    assert!(fault.starts_with("line 7: answer which is refused as invalid_answer"), "{fault}");
}

#[test]
fn items_polls_signals_questions_and_losses_are_those_of_the_engine() {
    let text = "\
name: t
admit: [{ id: open, config: limits.open, policy: evidence.value }]
config: { limits: limits.yaml }
steps:
  - id: each
    foreach: { in: \"${input.parts}\", as: part }
    command: make ${part}
  - id: merged
    needs: [each]
    gates:
      - { id: green, http: \"https://example.org/ci\", poll: { every: 1m, max: 5 } }
      - { id: agreed, any: [{ id: a, command: ./a }, { not: { file: STOP } }] }
  - { id: told, wait: { signal: go, timeout: 1d } }
  - { id: agent, agent: { prompt: Do it now. }, ask: { max: 2 } }
  - { id: fragile, command: ./f, on_lost: retry }
output: { parts: \"${steps.each.output}\", said: \"${steps.told.output.who}\" }
";
    let cases = "\
- name: all of it
  input: { parts: [x, y] }
  config: { limits: { open: true } }
  admit: { open: { exists: true, value: true } }
  steps:
    each: { items: [{ output: 1 }, [{ output: 2, takes: 5m }]] }
    agent: [{ ask: { text: which one?, options: [a, b] } }, { output: done }]
    fragile: [{ lost: the machine is gone }, { output: ok }]
  gates:
    merged: { green: [pending, { unavailable: no network }, pass], agreed: { a: fail, file: fail } }
  decide: [{ answer: agent, choice: a }]
  signals: [{ signal: go, at: told, after: 2h, data: { who: eve } }]
  expect:
    output: { parts: [{ output: 1 }, { status: succeeded, output: 2 }], said: eve }
    steps: { fragile: { attempts: 2 }, agent: { attempts: 2 } }
    took: 127m
    events: [ItemsExpanded, ProbeFailed, SignalReceived, AttemptAsked, QuestionAnswered, AttemptLost, RunSucceeded]
- name: not admitted
  input: { parts: [] }
  config: { limits: { open: false } }
  admit: { open: { exists: true, value: false } }
  expect: { refused: not_admitted }
- name: settings are given
  input: { parts: [] }
";
    let report = play(text, cases);
    assert!(report.cases[0].passed && report.cases[1].passed, "{}", shown(&report));
    let fault = report.cases[2].fault.as_deref().unwrap();
    assert!(fault.contains("add `config: { limits: { … } }`"), "{fault}");
}

#[test]
fn a_child_is_a_stub_as_a_whole_or_really_runs() {
    let parent = "\
name: parent
steps:
  - { id: ship, run: { pipeline: ./child.yaml, input: { n: 1 } } }
  - { id: other, run: elsewhere }
output: { ship: \"${steps.ship.output}\", other: \"${steps.other.output}\" }
";
    let child = "\
name: child
steps:
  - { id: sign, approval: { title: Ship? } }
  - { id: go, command: ./go, timeout: 2h, gates: [{ id: ok, command: ./ok }] }
output: { went: \"${steps.go.output}\" }
";
    let files = std::collections::BTreeMap::from([("child.yaml".to_owned(), child.to_owned())]);
    let definition =
        parse(parent, "parent.yaml", &files).unwrap_or_else(|problems| panic!("{problems}")).definition;
    let cases = "\
- name: it really runs
  steps:
    ship: { run: { steps: { go: { output: far, takes: 1h } }, gates: { go: { ok: pass } }, decide: [{ approve: sign, after: 1h }] } }
    other: { output: 7 }
  expect: { output: { ship: { went: far }, other: 7 }, took: 2h, events: [ChildStarted, ChildFinished, RunSucceeded] }
- name: it fails as a whole
  steps: { ship: { fail: { code: LATE, message: no ship } } }
  expect: { status: failed, failure: { step: ship, code: LATE } }
";
    let cases =
        read_cases(cases, "parent.test.yaml", &definition).unwrap_or_else(|problems| panic!("{problems}"));
    let report = test_pipeline(&definition, &cases);
    assert!(report.failed == 0, "{}", shown(&report));
    assert!(
        report.cases[0]
            .story
            .iter()
            .any(|line| line.child_of.as_deref() == Some("ship") && line.event == "VoteCast")
    );
    let unknown = "- name: a\n  steps: { other: { run: {} }, ship: { run: { steps: { gone: {} } } } }\n";
    let problems = read_cases(unknown, "parent.test.yaml", &definition).unwrap_err();
    assert_eq!(problems.0.len(), 2, "{problems}");
    assert!(problems.0[0].message.contains("the pipeline “elsewhere” of the step other cannot be had here"));
    assert!(problems.0[1].message.contains("there is no step “gone”"));
}

#[test]
fn a_case_gives_the_same_events_each_time() {
    let delivery = builtin::find("delivery").unwrap();
    let definition = parse(delivery.text, delivery.name, delivery).unwrap().definition;
    let cases = read_cases(delivery.cases, "cases", &definition).unwrap();
    let (one, other) = (test_pipeline(&definition, &cases), test_pipeline(&definition, &cases));
    for (one, other) in one.cases.iter().zip(&other.cases) {
        assert_eq!(one.story, other.story, "{}", one.name);
    }
}

/// Which step's task came to run first decided how much of the others was told.
#[test]
fn a_case_that_is_cut_off_tells_all_of_its_moment_each_time() {
    let text = "\
name: t
input: { type: object }
steps:
  - { id: each, foreach: { in: '${input.l}', max_in_flight: 3 }, function: notify.log, with: { text: x } }
  - { id: build, needs: [], command: make }
  - { id: lint, needs: [], command: lint, gates: [{ id: ok, command: ./ok }] }
";
    let cases = "\
- name: a
  input: { l: [1, 2, 3] }
  steps: { each: { output: 1 }, build: { fail: never, takes: 2s } }
  gates: { lint: { ok: pass } }
";
    let first = play(text, cases).cases.remove(0);
    assert!(first.fault.as_deref().unwrap_or_default().contains("the step lint has no stub"), "{first:#?}");
    let succeeded = |line: &&StoryLine| line.event == "AttemptSucceeded" && line.place.starts_with("each");
    assert_eq!(first.story.iter().filter(succeeded).count(), 3, "{:#?}", first.story);
    for _ in 0..40 {
        let again = play(text, cases).cases.remove(0);
        assert_eq!((&again.story, &again.status), (&first.story, &first.status));
    }
}

#[test]
fn a_loop_without_an_end_is_stopped() {
    let text = "name: t\nsteps:\n  - { id: up, gates: [{ id: ok, command: ./ok, policy: \"'pending'\", poll: { every: 1s, timeout: 300d } }] }\n";
    let report = play(text, "- name: a\n  gates: { up: { ok: { exit: 1 } } }\n");
    let fault = report.cases[0].fault.as_deref().unwrap();
    assert!(fault.contains("over 10000 events"), "{fault}");
}

#[test]
fn a_decision_in_a_child_that_never_came_fails_the_case() {
    let parent = "name: parent\nsteps: [{ id: ship, run: { pipeline: ./child.yaml, input: {} } }]\n";
    let child = "\
name: child
steps:
  - { id: go, command: ./go }
  - { id: sign, approval: { title: Ship? } }
";
    let files = std::collections::BTreeMap::from([("child.yaml".to_owned(), child.to_owned())]);
    let definition =
        parse(parent, "parent.yaml", &files).unwrap_or_else(|problems| panic!("{problems}")).definition;
    let cases = "\
- name: one too many
  steps:
    ship: { run: { steps: { go: { takes: 1m } }, decide: [{ approve: sign, by: eve }, { approve: sign, by: bob }] } }
- name: it never came so far
  steps:
    ship: { run: { steps: { go: { takes: 1m, fail: no } }, decide: [{ approve: sign }] } }
  expect: { status: failed }
- name: it came
  steps:
    ship: { run: { steps: { go: { takes: 1m } }, decide: [{ approve: sign }] } }
";
    let cases =
        read_cases(cases, "parent.test.yaml", &definition).unwrap_or_else(|problems| panic!("{problems}"));
    let report = test_pipeline(&definition, &cases);
    let passed: Vec<bool> = report.cases.iter().map(|case| case.passed).collect();
    assert_eq!(passed, [false, false, true], "{}", shown(&report));
    assert_eq!(differences(&report.cases[0]), ["line 3: approve sign: the step did not ask for it"]);
    assert_eq!(differences(&report.cases[1]), ["line 6: approve sign: the step did not ask for it"]);
}

#[test]
fn a_case_masks_what_production_masks() {
    let text = "\
name: t
input: { type: object, required: [token], properties: { token: { type: string } } }
steps: [{ id: use, function: everfold.noop }]
output: \"${input.token}\"
";
    // Put together, so that no scanner takes the file for one with a token.
    let token = format!("ghp{}{}", "_", "a1B2c3D4e5F6".repeat(3));
    passes(
        text,
        &format!(
            "- name: a\n  input: {{ token: {token} }}\n  steps: {{ use: {{}} }}\n  expect: {{ output: '***' }}\n"
        ),
    );
}

/// The same answers, once from stubs and once from real functions, people and clocks.
#[tokio::test]
async fn a_case_gives_the_events_that_a_real_run_gives() {
    const PIPELINE: &str = "\
name: same
input: { type: object, required: [parts], properties: { parts: { type: array } } }
steps:
  - id: first
    function: everfold.echo
    with: { n: 1 }
    gates: [{ id: again, expression: step.round > 1, on_fail: { rework: first, max: 1 } }]
  - id: each
    foreach: { in: \"${input.parts}\", as: part, max_in_flight: 1 }
    function: everfold.echo
    with: { part: \"${part}\" }
  - id: ok
    approval: { title: Right?, on_reject: { rework: each } }
  - { id: rest, wait: { for: 20ms } }
  - { id: never, when: size(input.parts) > 5, function: everfold.noop }
  - { id: last, function: everfold.echo, with: { done: true } }
output: \"${steps.last.output}\"
";
    let api = Api::new();
    let body = json!({ "definition": PIPELINE, "input": { "parts": ["x", "y"] } });
    let (status, view) = api.post("/api/v1/runs", body).await;
    assert_eq!(status, 201, "{view}");
    let id = view["id"].as_str().unwrap().to_owned();
    for decision in ["reject", "approve"] {
        api.until(&id, "waiting").await;
        let (status, view) = api.post(&format!("/api/v1/inbox/{id}"), json!({ "decision": decision })).await;
        assert_eq!(status, 200, "{view}");
    }
    let ended = api.until(&id, "succeeded").await;
    let run: RunId = id.parse().unwrap();
    let log = api.held.node().store().read(&StreamId::run(run), Version::FIRST, 1_000).await.unwrap();
    let real: Vec<&str> = log
        .iter()
        .map(|it| event::decode(it.header.kind, it.header.schema, &it.payload).unwrap().name())
        .collect();
    let output = ended["output"].clone();
    let verdict = passes(
        PIPELINE,
        &format!(
            "\
- name: a
  input: {{ parts: [x, y] }}
  steps:
    first: {{ output: {{ n: 1 }} }}
    each: {{ items: [{{ output: {{ part: x }} }}, {{ output: {{ part: y }} }}] }}
    last: {{ output: {{ done: true }} }}
  decide: [{{ reject: ok }}, {{ approve: ok, after: 3d }}]
  expect: {{ output: {output}, steps: {{ first: {{ rounds: 2 }}, each: {{ rounds: 2, attempts: 4 }}, never: skipped }} }}
"
        ),
    );
    let played: Vec<&str> = verdict.story.iter().map(|line| line.event.as_str()).collect();
    assert_eq!(played, real);
    assert!(real.len() > 30, "{}", real.len());
}

#[test]
fn a_child_whose_processes_take_no_time_ends_before_the_case_does() {
    let parent = "name: parent\nsteps: [{ id: ship, run: { pipeline: ./child.yaml, input: {} } }]\noutput: '${steps.ship.output}'\n";
    let child = "\
name: child
steps:
  - { id: go, command: ./go }
  - { id: on, needs: [go], command: ./on }
output: { went: '${steps.on.output}' }
";
    let files = std::collections::BTreeMap::from([("child.yaml".to_owned(), child.to_owned())]);
    let definition =
        parse(parent, "parent.yaml", &files).unwrap_or_else(|problems| panic!("{problems}")).definition;
    let cases: String = (0..20)
        .map(|number| {
            format!(
                "- name: quick {number}\n  steps: {{ ship: {{ run: {{ steps: {{ go: {{}}, on: {{ output: far }} }} }} }} }}\n  expect: {{ status: succeeded, output: {{ went: far }} }}\n"
            )
        })
        .collect();
    let cases =
        read_cases(&cases, "parent.test.yaml", &definition).unwrap_or_else(|problems| panic!("{problems}"));
    let report = test_pipeline(&definition, &cases);
    assert!(report.failed == 0, "{}", shown(&report));
}

const REMINDED: &str = "\
name: t
notify:
  - id: urgent
    events: [TimerFired]
    when: has(event.reminder) && event.reminder.count == 1
    function: notify.log
    with: { text: \"${event.reminder.kind} ${event.reminder.step}\" }
steps:
  - { id: sign, approval: { title: Sign?, remind: { first: 120m, every: 1d, max: 2 } } }
  - { id: build, command: make, on_fail: block, remind: { first: 120m } }
";

#[test]
fn after_120_minutes_a_task_is_urgent_once_and_after_119_59_it_is_not() {
    let cases = "\
- name: just in time
  steps: { build: {} }
  decide: [{ approve: sign, after: 7199s }]
  expect: { notices: [] }
- name: too late
  steps: { build: {} }
  decide: [{ approve: sign, after: 7201s }]
  expect: { notices: [{ notice: urgent, with: { text: approval sign } }] }
- name: many hours later it was urgent once still
  steps: { build: {} }
  decide: [{ approve: sign, after: 10d }]
  expect: { notices: [{ notice: urgent, with: { text: approval sign } }] }
- name: what is blocked is urgent, too
  steps: { build: [{ fail: broken }, {}] }
  decide: [{ approve: sign }, { unblock: build, decision: retry, after: 3h }]
  expect: { notices: [{ notice: urgent, with: { text: unblock build } }] }
- name: reminders come while the case says that it goes on
  until: 5d
  expect: { status: waiting, events: [TimerFired, TimerFired], notices: [{ notice: urgent, with: { text: approval sign } }] }
- name: nobody is awaited longer than it takes
  expect: { status: waiting, notices: [] }
";
    passes(REMINDED, cases);
}
