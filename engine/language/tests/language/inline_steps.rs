//! Steps within `foreach`: the pipeline that they are, where it is found, and what is refused.

use everfold_language::builder::{Foreach, Pipeline, Step};
use everfold_language::definition::{ChildError, Code, Definition, Work, child, parse};

use super::fixtures::{check, codes, files, read};

const RELEASE: &str = "name: release
defaults: { timeout: 7m, on_fail: { rework: plan } }
secrets: { TOKEN: { env: TOKEN } }
policies: { clean: \"evidence.value == 'ok'\" }
templates: { make: { stage: making, grace: 3s } }
steps:
  - id: plan
    command: echo plan
  - id: parts
    foreach:
      in: [web, app]
      as: part
      max_in_flight: 2
      input: { plan: '${steps.plan.output.stdout}' }
      labels: { part: '${part}' }
      steps:
        - { id: build, like: make, command: 'make ${input.part}', secrets: TOKEN }
        - id: test
          command: echo ok
          gates: [{ id: ok, expression: output.stdout, policy: clean }]
      output: { at: '${input.index}', said: '${steps.test.output.stdout}', version: 1.10 }
output: '${steps.parts.output.map(part, part.output.said)}'
";

/// The pipeline within a step.
#[track_caller]
fn within(parent: &Definition, place: &str) -> Definition {
    match child(parent, place) {
        Ok(checked) => checked.definition,
        Err(error) => panic!("{error}"),
    }
}

/// As many such steps as there are of the resource wait for ever.
#[test]
fn a_resource_that_a_step_holds_and_its_child_needs_is_warned_of() {
    let text = |outer: &str, inner: &str| {
        format!(
            "name: x
steps:
  - id: fan
    resources: [{outer}]
    foreach: {{ in: [1, 2], steps: [{{ id: render, command: x, resources: [{inner}] }}] }}
"
        )
    };
    let warned = check(&text("gpu, disk", "gpu")).unwrap().warnings;
    let found: Vec<Code> = warned.iter().map(|problem| problem.code).collect();
    assert_eq!(found, [Code::HeldResource], "{warned:?}");
    assert!(
        warned[0].message.contains("fan holds the resource gpu while render below it needs it"),
        "{warned:?}"
    );
    assert_eq!(check(&text("disk", "gpu")).unwrap().warnings, []);
}

/// They passed every budget of the file, and nothing said so.
#[test]
fn agents_within_a_step_that_no_budget_counts_are_warned_of_and_a_budget_there_is_theirs() {
    let text = |budget: &str| {
        format!(
            "name: x
budget: {{ cost: 1.00 USD, scope: all }}
steps:
  - id: fan
    foreach: {{ in: [1, 2], {budget}steps: [{{ id: draft, agent: {{ profile: p, prompt: write it }} }}] }}
"
        )
    };
    let warned = check(&text("")).unwrap().warnings;
    let found: Vec<Code> = warned.iter().map(|problem| problem.code).collect();
    assert_eq!(found, [Code::Uncounted], "{warned:?}");
    let checked = check(&text("budget: { cost: 1.00 USD, scope: '${input.item}' }, ")).unwrap();
    assert_eq!(checked.warnings, []);
    let inner = within(&checked.definition, "./#fan");
    assert_eq!(inner.budgets.len(), 1);
    assert!(inner.budgets[0].scope.is_some());
}

#[test]
fn steps_within_a_step_are_a_pipeline_of_their_own() {
    let checked = check(RELEASE).unwrap();
    assert_eq!(checked.warnings, []);
    let inner = within(&checked.definition, "./#parts");
    let written = read(
        "name: release/parts
input: { type: object, required: [part, index, plan], properties: { part: {}, index: {}, plan: {} } }
defaults: { timeout: 7m }
secrets: { TOKEN: { env: TOKEN } }
steps:
  - { id: build, stage: making, grace: 3s, command: 'make ${input.part}', secrets: TOKEN }
  - id: test
    command: echo ok
    gates: [{ id: ok, expression: output.stdout, policy: \"evidence.value == 'ok'\" }]
output: { at: '${input.index}', said: '${steps.test.output.stdout}', version: 1.10 }
",
    );
    assert_eq!(inner.document(), written.document());

    let by_name = RELEASE.replace(
        &RELEASE[RELEASE.find("      input:").unwrap()..RELEASE.find("output: '${steps.parts").unwrap()],
        "    run: { pipeline: other, labels: { part: '${part}' },\n      input: { part: '${part}', index: '${index}', plan: '${steps.plan.output.stdout}' } }\n",
    );
    let by_name = by_name.replace("templates: { make: { stage: making, grace: 3s } }\n", "");
    let by_name = by_name.replace("policies: { clean: \"evidence.value == 'ok'\" }\n", "");
    let mut named: serde_json::Value = serde_json::from_str(&read(&by_name).document()).unwrap();
    named["steps"][1]["work"]["task"]["spec"]["pipeline"] = "./#parts".into();
    let own: serde_json::Value = serde_json::from_str(&checked.definition.document()).unwrap();
    assert_eq!(own["steps"], named["steps"]);
}

#[test]
fn the_hash_does_not_depend_on_the_name_of_the_file() {
    let hash = |name: &str| parse(RELEASE, name, &files()).unwrap().definition.hash();
    assert_eq!(hash("release.yaml"), hash("sub/other.yaml"));
    let stored = Definition::from_document(&read(RELEASE).document()).unwrap();
    assert_eq!(stored, read(RELEASE));
    assert_eq!(within(&stored, "./#parts"), within(&read(RELEASE), "./#parts"));
}

#[test]
fn steps_stand_within_steps_within_steps_and_in_files_that_are_named() {
    let outer = "name: outer
steps:
  - id: a
    foreach:
      in: [1, 2]
      steps:
        - id: a
          foreach: { in: [3], as: inner, steps: [{ id: say, command: 'echo ${input.inner}' }] }
          workspace: none
  - { id: other, run: ./one.yaml }
";
    let one = "name: one
steps:
  - id: a
    foreach: { in: [5], steps: [{ id: say, command: 'echo ${input.item}' }] }
";
    let files = |path: &str| Ok((path == "one.yaml").then(|| one.to_owned()));
    let outer = parse(outer, "outer.yaml", &files).unwrap().definition;
    let places: Vec<&str> = outer.files.keys().map(String::as_str).collect();
    assert_eq!(places, ["#a", "#a#a", "one.yaml", "one.yaml#a"]);
    assert_eq!(within(&outer, "./#a").name, "outer/a");
    let inner = within(&outer, "./#a#a");
    assert_eq!(inner.name, "outer/a/a");
    let one = within(&outer, "./one.yaml");
    let Some(Work::Task(task)) = &one.steps[0].work else { panic!("{one:?}") };
    assert_eq!(task.spec.source()["pipeline"], "./one.yaml#a");
    assert_eq!(within(&outer, "one.yaml#a").name, "one/a");
    assert!(matches!(child(&outer, "./#b"), Err(ChildError::NoFile(_))));
}

#[test]
fn problems_within_steps_have_their_place_in_the_file() {
    let within = |inner: &str| {
        format!("name: x\nsteps:\n  - id: a\n    foreach:\n      in: [1]\n      as: part\n{inner}")
    };
    for (inner, code, line, hint) in [
        ("      steps:\n        - { id: b, comand: x }\n", Code::UnknownKey, 8, "did you mean `command`?"),
        (
            "      steps:\n        - id: b\n          command: echo ${part}\n",
            Code::UnknownName,
            9,
            "of the input write input.part",
        ),
        (
            "      steps:\n        - id: b\n          command: echo ${steps.a.output}\n",
            Code::UnknownName,
            9,
            "steps: b",
        ),
        (
            "      steps: [{ id: b, command: x }]\n    command: y\n",
            Code::TwoWorks,
            7,
            "make `command` the first of the steps, or take one of the two out",
        ),
        (
            "      output: x\n    command: y\n",
            Code::Combination,
            7,
            "write steps: and the steps of an item, or take it out",
        ),
        (
            "      input: { part: 1 }\n      steps: [{ id: b, command: x }]\n",
            Code::DuplicateKey,
            7,
            "give the value another name",
        ),
        (
            "      input: [1]\n      steps: [{ id: b, command: x }]\n",
            Code::Type,
            7,
            "write NAME: and its value",
        ),
    ] {
        let problems = check(&within(inner)).unwrap_err();
        let found = problems.0.iter().find(|problem| problem.code == code);
        let found = found.unwrap_or_else(|| panic!("{problems}"));
        assert_eq!((found.line, found.hint.as_deref()), (line, Some(hint)), "{problems}");
        assert_eq!(found.file, "pipeline.yaml");
    }
    let empty = codes(&within("      steps: []\n"));
    assert!(!empty.is_empty(), "steps that are none are refused");
}

#[test]
fn steps_may_stand_within_steps_sixteen_deep() {
    let nested = |depth: usize| {
        let mut step = "{ id: z, command: x }".to_owned();
        for _ in 0..depth {
            step = format!("{{ id: a, foreach: {{ in: [1], steps: [{step}] }} }}");
        }
        format!("name: x\nsteps: [{step}]\n")
    };
    assert!(check(&nested(16)).is_ok());
    assert_eq!(codes(&nested(17)), [Code::Limit]);
}

#[test]
fn the_builder_writes_steps_within_steps() {
    let item = Foreach::over("${input.parts}")
        .named("part")
        .input(serde_json::json!({ "plan": "p" }))
        .label("part", "${part}")
        .step(Step::command("build", "make ${input.part}"))
        .output("${steps.build.output}");
    let built = Pipeline::new("x").step(Step::each("a", item)).build().unwrap();
    assert_eq!(within(&built, "./#a").steps[0].id.as_str(), "build");
}
