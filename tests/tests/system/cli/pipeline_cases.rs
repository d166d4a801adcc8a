//! `pipeline test`: the command round the cases.

use super::fixtures::Scratch;

const PIPELINE: &str = "name: p\nsteps:\n  - id: build\n    command: make\n    gates: [{ id: ok, command: ./ok, on_fail: { rework: build, max: 1 } }]\n  - { id: sign, approval: { title: Sign? } }\noutput: \"${steps.build.output.n}\"\n";
const CASES: &str = "\
- name: it is built and signed
  steps: { build: { output: { n: 7 }, takes: 5m } }
  gates: { build: { ok: pass } }
  decide: [{ approve: sign, after: 2d }]
  expect: { output: 7 }
- name: it is built again
  steps: { build: { output: { n: 7 } } }
  gates: { build: { ok: [fail, pass] } }
  expect: { status: waiting, steps: { build: { rounds: 3 } } }
";

#[test]
fn pipeline_test_says_what_came_otherwise_and_what_was_not_reached() {
    let scratch = Scratch::new();
    scratch.write("p.yaml", PIPELINE);
    scratch.write("p.test.yaml", CASES);
    let failed = scratch.run(&["pipeline", "test", "./p.yaml"]);
    assert_eq!(failed.code, 1, "{failed:?}");
    for said in [
        "✓ it is built and signed",
        ", 2d00h of virtual time",
        "✗ it is built again",
        "- steps.build.rounds: 3\n    + steps.build.rounds: 2",
        "ReworkRequested    build            rework 1 of 1 by ok",
        "steps   2 of 2 begun",
        "gates   1 of 1 passed and failed",
        "routes  1 of 1 taken",
    ] {
        assert!(failed.out.contains(said), "{said} in {}", failed.out);
    }
    assert!(failed.err.contains("1 of 2 cases failed"), "{}", failed.err);
    let one = scratch.run(&["pipeline", "test", "./p.test.yaml", "--case", "it is built and signed"]);
    assert!(one.code == 0 && one.out.contains("1 case passed"), "{one:?}");
    assert!(one.out.contains("build/gate:ok/0: rework build, never"), "{}", one.out);
    let mistyped = scratch.run(&["pipeline", "test", "./p.yaml", "--case", "it is build again"]);
    assert!(mistyped.code == 2 && mistyped.err.contains("did you mean “it is built again”?"), "{mistyped:?}");
    let json = scratch.run(&["pipeline", "test", "./p.yaml", "--json"]);
    assert_eq!((json.code, json.json()["failed"].as_u64()), (1, Some(1)));
    assert_eq!(json.json()["cases"][1]["differences"][0]["path"], "steps.build.rounds");
    assert!(!scratch.data().exists(), "no data folder is made");
}

#[test]
fn a_first_case_that_does_not_hold_says_so_at_once() {
    let scratch = Scratch::new();
    let pipeline = "name: p\nsteps:\n  - id: build\n    command: make\n    outputs: { match: { v: \"(ok)\" } }\n    gates: [{ id: g, expression: \"output.v == 'ok'\" }]\n";
    scratch.write("p.yaml", pipeline);
    let made = scratch.run(&["pipeline", "test", "./p.yaml", "--init"]);
    assert!(made.code == 0 && made.out.contains("it does not hold yet: fill in the outputs"), "{made:?}");
    assert!(made.out.contains("failed: output.v is") || made.out.contains("- status: succeeded"), "{made:?}");
    let text = std::fs::read_to_string(scratch.path("p.test.yaml")).unwrap();
    assert!(text.starts_with("# It does not hold yet") && text.contains("an example of v"), "{text}");
    scratch.write("p.test.yaml", &text.replace("an example of v", "ok"));
    assert_eq!(scratch.run(&["pipeline", "test", "./p.yaml"]).code, 0);
}

#[test]
fn pipeline_test_without_cases_says_how_to_write_the_first_one() {
    let scratch = Scratch::new();
    scratch.write("p.yaml", PIPELINE);
    let none = scratch.run(&["pipeline", "test", "./p.yaml"]);
    assert!(none.code == 2 && none.err.contains("everfold pipeline test ./p.yaml --init"), "{none:?}");
    let made = scratch.run(&["pipeline", "test", "./p.yaml", "--init"]);
    assert!(made.code == 0 && made.out.contains("everfold pipeline test ./p.yaml"), "{made:?}");
    assert!(!made.out.contains("does not hold"), "{made:?}");
    let again = scratch.run(&["pipeline", "test", "./p.yaml", "--init"]);
    assert!(again.code == 2 && again.err.contains("never overwritten"), "{again:?}");
    let played = scratch.run(&["pipeline", "test", "./p.yaml"]);
    assert!(played.code == 0 && played.out.contains("1 case passed"), "{played:?}");
    let checked = scratch.run(&["pipeline", "check", "./p.test.yaml"]);
    assert!(
        checked.code == 0 && checked.out.contains("./p.yaml: 2 steps, 1 test case, no errors"),
        "{checked:?}"
    );
    scratch.write("p.test.yaml", "- name: a\n  steps: { biuld: {} }\n");
    for verb in ["check", "test"] {
        let refused = scratch.run(&["pipeline", verb, "./p.yaml"]);
        assert_eq!(refused.code, 2, "{refused:?}");
        assert!(
            refused.err.contains("p.test.yaml:2:12") && refused.err.contains("did you mean `build`?"),
            "{refused:?}"
        );
    }
    let built_in = scratch.run(&["pipeline", "test", "delivery"]);
    assert!(built_in.code == 0 && built_in.out.contains("gates   7 of 7 passed and failed"), "{built_in:?}");
}

/// The text behind a line of the page of testing, up to the end of its block.
fn of_page(from: &str) -> &'static str {
    const PAGE: &str = include_str!("../../../../docs/reference/testing-pipelines.md");
    let (_, text) = PAGE.split_once(from).unwrap_or_else(|| panic!("the page has no {from}"));
    text.split_once("\n```").unwrap().0.trim_start_matches('\n')
}

#[test]
fn the_page_of_testing_prints_what_the_commands_print() {
    let scratch = Scratch::new();
    scratch.write("greet.yaml", of_page("# file: greet.yaml"));
    scratch.write("greet.test.yaml", of_page("# file: greet.test.yaml"));
    let played = scratch.run(&["pipeline", "test", "./greet.yaml"]);
    assert_eq!(played.code, 1, "{played:?}");
    let timeless = |line: &str| {
        let words = line.split(' ').collect::<Vec<_>>();
        let taken = |at: usize| words.get(at + 1).is_some_and(|unit| unit.trim_end_matches(',') == "ms");
        let kept = words.iter().enumerate().filter(|(at, _)| !taken(*at)).map(|(_, word)| *word);
        kept.collect::<Vec<_>>().join(" ")
    };
    let printed: Vec<String> = played.out.lines().map(timeless).collect();
    for line in of_page("The last case fails, and says so:\n\n```").lines().filter(|line| line.trim() != "…")
    {
        assert!(printed.contains(&timeless(line)), "{line}: {printed:#?}");
    }
    let dry = scratch.run(&["run", "greet.yaml", "-i", "who=Ada", "--dry-run"]);
    assert_eq!(
        (dry.code, dry.out.trim_end()),
        (0, of_page("$ everfold run greet.yaml -i who=Ada --dry-run"))
    );
}
