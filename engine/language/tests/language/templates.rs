//! Templates of steps and named policies: what a pipeline becomes, and what is refused.

use everfold_language::builder::{Gate, Notice, Pipeline, Step};
use everfold_language::definition::Code;
use serde_json::json;

use super::fixtures::{check, codes, read};

/// A pipeline with templates is the pipeline that they write out: the same document, the same hash.
#[track_caller]
fn assert_same(short: &str, long: &str) {
    assert_eq!(read(short).document(), read(long).document());
    assert_eq!(check(short).unwrap().warnings, [], "{short}");
}

#[test]
fn a_step_has_the_keys_of_the_template_that_it_is_like_where_it_says_nothing_itself() {
    assert_same(
        "name: x
templates:
  build:
    stage: making
    timeout: 10m
    retry: { attempts: 3, only: [timeout] }
    env: { CI: 'true', MODE: fast }
    outputs: { log: build.log }
    on_fail: block
    gates: [{ id: done, file: build.log }]
    command: make
steps:
  - { id: a, like: build }
  - { id: b, like: build, timeout: 1h, retry: { attempts: 2 }, env: { MODE: slow }, on_fail: { rework: a }, command: make b }
  - { id: c, like: build, gates: null, outputs: null, env: null, stage: ending, run: child }
on_finish:
  - { id: d, like: build, gates: [{ id: done, expression: 'true' }], on_fail: continue }
",
        "name: x
steps:
  - id: a
    stage: making
    timeout: 10m
    retry: { attempts: 3, only: [timeout] }
    env: { CI: 'true', MODE: fast }
    outputs: { log: build.log }
    on_fail: block
    gates: [{ id: done, file: build.log }]
    command: make
  - id: b
    stage: making
    timeout: 1h
    retry: { attempts: 2, only: [timeout] }
    env: { CI: 'true', MODE: slow }
    outputs: { log: build.log }
    on_fail: { rework: a }
    gates: [{ id: done, file: build.log }]
    command: make b
  - id: c
    stage: ending
    timeout: 10m
    retry: { attempts: 3, only: [timeout] }
    on_fail: block
    run: child
on_finish:
  - id: d
    stage: making
    timeout: 10m
    retry: { attempts: 3, only: [timeout] }
    env: { CI: 'true', MODE: fast }
    outputs: { log: build.log }
    gates: [{ id: done, expression: 'true' }]
    on_fail: continue
    command: make
",
    );
}

/// Keys of its maps stayed as null, and its work was work without a command.
#[test]
fn null_takes_away_keys_of_the_maps_of_all_templates_above_and_their_work() {
    assert_same(
        "name: x
templates:
  base: { env: { CI: 'true', MODE: fast }, labels: { team: a }, command: make }
  build: { like: base, env: { MODE: slow } }
  call: { function: f, with: { a: 1, b: 2 } }
  http: { http: { url: 'http://127.0.0.1/', headers: { a: b, c: d } } }
  bare: { like: base, env: null }
  other: { like: http, http: null }
steps:
  - { id: f, like: bare, env: { OWN: x } }
  - { id: g, like: bare }
  - { id: h, like: other, http: { url: 'http://127.0.0.2/' } }
  - { id: a, like: base, env: { CI: null, OWN: x }, labels: { team: null } }
  - { id: b, like: build, env: { MODE: null } }
  - { id: e, like: call, with: { a: null, c: null } }
  - { id: c, like: base, command: null, gates: [{ id: g, command: x }] }
  - { id: d, like: http, http: { headers: null } }
",
        "name: x
steps:
  - { id: f, env: { OWN: x }, labels: { team: a }, command: make }
  - { id: g, labels: { team: a }, command: make }
  - { id: h, http: { url: 'http://127.0.0.2/' } }
  - { id: a, env: { MODE: fast, OWN: x }, labels: {}, command: make }
  - { id: b, env: { CI: 'true' }, labels: { team: a }, command: make }
  - { id: e, function: f, with: { b: 2, c: null } }
  - { id: c, env: { CI: 'true', MODE: fast }, labels: { team: a }, gates: [{ id: g, command: x }] }
  - { id: d, http: { url: 'http://127.0.0.1/' } }
",
    );
}

#[test]
fn templates_are_like_others_and_work_of_the_step_stands_in_the_place_of_theirs() {
    assert_same(
        "name: x
templates:
  paid: { timeout: 1h, resources: [gpu] }
  think: { like: paid, agent: { profile: script, model: small, args: [./think.sh] }, retry: { attempts: 2 } }
  call: { like: paid, function: everfold.echo, with: { a: 1, b: 2 } }
steps:
  - { id: a, like: think, agent: { prompt: Do it, model: large } }
  - { id: b, like: call, with: { b: 3 } }
  - { id: c, like: call, command: echo }
  - { id: d, like: call, function: git.head }
",
        "name: x
steps:
  - { id: a, timeout: 1h, resources: [gpu], retry: { attempts: 2 },
      agent: { profile: script, model: large, args: [./think.sh], prompt: Do it } }
  - { id: b, timeout: 1h, resources: [gpu], function: everfold.echo, with: { a: 1, b: 3 } }
  - { id: c, timeout: 1h, resources: [gpu], command: echo }
  - { id: d, timeout: 1h, resources: [gpu], function: git.head, with: { a: 1, b: 2 } }
",
    );
}

#[test]
fn gates_of_the_template_stand_where_like_stands_among_those_of_the_step() {
    assert_same(
        "name: x
templates:
  safe: { gates: [{ id: diff, diff: { max_files: 9 } }] }
  agent: { like: safe, gates: [{ id: first, expression: 'true' }, like], command: x }
steps:
  - { id: a, like: agent, gates: [{ id: own, file: a }, like, { id: last, file: b }] }
  - { id: b, like: agent, gates: [{ id: own, file: a }] }
  - { id: c, like: agent }
",
        "name: x
steps:
  - { id: a, command: x, gates: [{ id: own, file: a }, { id: first, expression: 'true' }, { id: diff, diff: { max_files: 9 } }, { id: last, file: b }] }
  - { id: b, command: x, gates: [{ id: own, file: a }] }
  - { id: c, command: x, gates: [{ id: first, expression: 'true' }, { id: diff, diff: { max_files: 9 } }] }
",
    );
}

#[test]
fn a_notice_has_the_keys_of_the_template_that_it_is_like_where_it_says_nothing_itself() {
    assert_same(
        "name: x
locals: { chat: 'c-${input.team}' }
secrets: { T: { env: T } }
templates:
  plane: { function: notify.http, channel: '${local.chat}', with: { url: 'https://plane', token: '${secrets.T}' }, fallback: { html: ready } }
  comment: { like: plane, events: [RunFailed], with: { html: '${event.failure.message}' } }
notify:
  - { id: a, like: comment }
  - { id: b, like: comment, events: '*', with: { url: 'https://other' }, fallback: { html: done }, collapse: true }
  - { id: c, like: plane, events: RunSucceeded, function: notify.log, with: { html: x, text: hello } }
steps: [{ id: a, command: x }]
",
        "name: x
secrets: { T: { env: T } }
notify:
  - { id: a, events: [RunFailed], function: notify.http, channel: 'c-${input.team}',
      with: { url: 'https://plane', token: '${secrets.T}', html: '${event.failure.message}' }, fallback: { html: ready } }
  - { id: b, events: '*', function: notify.http, channel: 'c-${input.team}', collapse: true,
      with: { url: 'https://other', token: '${secrets.T}', html: '${event.failure.message}' }, fallback: { html: done } }
  - { id: c, events: RunSucceeded, function: notify.log, channel: 'c-${input.team}',
      with: { url: 'https://plane', token: '${secrets.T}', html: x, text: hello }, fallback: { html: ready } }
steps: [{ id: a, command: x }]
",
    );
}

#[test]
fn a_gate_names_its_policy() {
    assert_same(
        "name: x
policies: { enough: 'evidence.tests >= 3', quiet: evidence.exit == 0 }
templates: { tested: { gates: [{ id: t, tests: junit.xml, policy: enough }] } }
admit: [{ id: open, config: c, policy: quiet2 }]
steps:
  - { id: a, like: tested, command: make }
  - { id: b, command: make, gates: [{ all: [{ id: c, command: x, policy: quiet }, { id: d, tests: y, policy: enough }] }] }
  - { id: c, command: make, gates: [{ id: loud, not: { command: x, policy: quiet } },
      { id: few, at_least: { n: 1, of: [{ id: e, not: { any: [{ id: f, tests: y, policy: enough }] } }] } }] }
"
        .replace("quiet2", "'evidence.value == 1'")
        .as_str(),
        "name: x
admit: [{ id: open, config: c, policy: evidence.value == 1 }]
steps:
  - { id: a, command: make, gates: [{ id: t, tests: junit.xml, policy: evidence.tests >= 3 }] }
  - { id: b, command: make, gates: [{ all: [{ id: c, command: x, policy: evidence.exit == 0 },
      { id: d, tests: y, policy: evidence.tests >= 3 }] }] }
  - { id: c, command: make, gates: [{ id: loud, not: { command: x, policy: evidence.exit == 0 } },
      { id: few, at_least: { n: 1, of: [{ id: e, not: { any: [{ id: f, tests: y, policy: evidence.tests >= 3 }] } }] } }] }
",
    );
}

#[test]
fn a_template_that_is_none_is_refused() {
    assert_eq!(
        codes("name: x\nsteps: [{id: a, like: b, command: x}]"),
        [Code::Template],
        "without templates"
    );
    assert_eq!(codes("name: x\ntemplates: 3\npolicies: ~\nsteps: [{id: a, command: x}]"), [Code::Type]);
    assert_eq!(codes("name: x\ntemplates: {t: {timeout: 1h}}\nsteps: [{id: a, like: t}]"), [Code::Empty]);
}

#[test]
fn templates_cannot_make_a_small_file_a_large_pipeline() {
    let items = "1, ".repeat(20_000);
    let steps: String = (0..6).map(|n| format!("  - {{id: s{n}, like: big, command: x}}\n")).collect();
    let text = format!(
        "name: x\ntemplates: {{big: {{gates: [{{id: g, expression: 'true'}}], with: {{a: [{items}]}}}}}}\nsteps:\n{steps}"
    );
    assert!(codes(&text).contains(&Code::Limit), "{:?}", codes(&text));
    let long = "x".repeat(500_000);
    let steps: String = (0..20).map(|n| format!("  - {{id: s{n}, like: long}}\n")).collect();
    let found = codes(&format!("name: x\ntemplates: {{long: {{command: {long}}}}}\nsteps:\n{steps}"));
    assert!(found.contains(&Code::Limit), "{found:?}");
    let gates: String = (0..20).map(|n| format!("{{id: g{n}, file: x, policy: long}}, ")).collect();
    let found = codes(&format!("name: x\npolicies: {{long: {long}}}\nsteps: [{{id: a, gates: [{gates}]}}]"));
    assert!(found.contains(&Code::Limit), "{found:?}");
}

#[test]
fn a_chain_of_templates_that_is_too_long_is_no_circle() {
    let chain: String = (0..17).map(|n| format!("  t{n}: {{timeout: 1h, like: t{}}}\n", n + 1)).collect();
    let text =
        format!("name: x\ntemplates:\n{chain}  t17: {{grace: 1s}}\nsteps: [{{id: a, like: t0, command: x}}]");
    let problems = check(&text).unwrap_err().to_string();
    assert!(problems.contains("more than 16 templates stand in a row"), "{problems}");
    assert!(!problems.contains("back to itself"), "{problems}");
}

#[test]
fn what_steps_take_over_cannot_make_a_small_file_a_large_pipeline() {
    let long = "x".repeat(500_000);
    let steps =
        |more: &str| (0..20).map(|n| format!("  - {{id: s{n}, command: x{more}}}\n")).collect::<String>();
    let inline: String = (0..20)
        .map(|n| format!("  - {{id: s{n}, foreach: {{in: [1], steps: [{{id: t, command: x}}]}}}}\n"))
        .collect();
    let plain = steps("");
    for text in [
        format!("name: x\ndefaults: {{env: {{A: {long}}}}}\nsteps:\n{plain}"),
        format!("name: x\ndefaults: {{env: {{A: {long}}}}}\nsteps:\n{inline}"),
        format!("name: x\ndefaults: {{on_fail: {{fail: {{code: X, message: {long}}}}}}}\nsteps:\n{plain}"),
        format!("name: x\non_signal: {{no: {{steps: all, refuse: {long}}}}}\nsteps:\n{plain}"),
        format!("name: x\nsteps:\n  - {{id: a, stage: {long}, command: x}}\n{plain}"),
    ] {
        let problems = check(&text).expect_err(&text[..60]).0;
        let limits: Vec<_> = problems.iter().filter(|problem| problem.code == Code::Limit).collect();
        assert_eq!(limits.len(), 1, "{} {:?}", &text[..60], limits.len());
        assert!(
            limits[0].message.contains("written out, the pipeline is too large"),
            "{}",
            limits[0].message
        );
        assert!(limits[0].hint.as_ref().is_some_and(|hint| hint.contains("4 MiB")));
    }
    // What a few steps take over has room.
    let env = "x".repeat(100_000);
    check(&format!("name: x\ndefaults: {{env: {{A: {env}}}}}\nsteps:\n{plain}")).unwrap();
}

#[test]
fn the_builder_writes_templates_and_policies() {
    let built = Pipeline::new("x")
        .template("build", Step::command("", "make").timeout("10m"))
        .template("quick", Step::part().timeout("1m"))
        .policy("quiet", "evidence.exit == 0")
        .template("gated", Step::part().gate(Gate::command("t", "t")))
        .notice_template("log", Notice::part("notify.log").with(json!({ "text": "x" })))
        .notify(Notice::from_template("n", "log").events("*").fallback(json!({ "text": "y" })))
        .step(Step::from_template("a", "build"))
        .step(Step::command("c", "c").like("gated").gate(Gate::command("u", "u")).gates_of_template())
        .step(Step::command("b", "make b").like("quick").gate(Gate::command("g", "x").policy("quiet")))
        .build()
        .unwrap();
    let written = read(
        "name: x
notify: [{ id: n, events: '*', function: notify.log, with: { text: x }, fallback: { text: y } }]
steps:
  - { id: a, command: make, timeout: 10m }
  - { id: c, command: c, gates: [{ id: u, command: u }, { id: t, command: t }] }
  - { id: b, command: make b, timeout: 1m, gates: [{ id: g, command: x, policy: evidence.exit == 0 }] }
",
    );
    assert_eq!(built.document(), written.document());
}
