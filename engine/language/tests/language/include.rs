//! Included files: what a pipeline becomes, and where problems are.

use std::collections::BTreeMap;

use everfold_language::builder::{Pipeline, Step};
use everfold_language::definition::{CheckedPipeline, Code, Problems, child, parse};

use super::fixtures::read;

type Files = BTreeMap<String, String>;

fn files(files: &[(&str, &str)]) -> Files {
    files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect()
}

fn check(text: &str, beside: &Files) -> Result<CheckedPipeline, Problems> {
    parse(text, "pipeline.yaml", beside)
}

const PIPELINE: &str = "name: x
include: [parts/texts.yaml, parts/notices.yaml]
locals: { doc: 'docs/${input.item}' }
templates: { own: { like: base, env: { A: '${local.greeting}' } } }
notify: [{ id: first, like: log, events: RunStarted }]
steps: [{ id: a, like: own, command: x }]
";

fn parts() -> Files {
    files(&[
        (
            "parts/texts.yaml",
            "locals:\n  greeting: 'Hello ${local.doc}'\n  long: { file: parts/long.html }\ntemplates:\n  base: { timeout: 1m }\n",
        ),
        (
            "parts/notices.yaml",
            "templates: { log: { function: notify.log, with: { text: '${local.long}' } } }\nnotify: [{ id: second, like: log, events: RunFailed }]\nsecrets: { T: { env: T } }\n",
        ),
        ("parts/long.html", "<b>${run.title}</b>\n"),
    ])
}

#[test]
fn what_is_included_stands_in_the_pipeline_and_its_files_are_pinned() {
    let checked = check(PIPELINE, &parts()).unwrap();
    assert_eq!(checked.warnings, []);
    let mut definition = checked.definition;
    let pinned: Vec<&str> = definition.files.keys().map(String::as_str).collect();
    assert_eq!(pinned, ["parts/long.html", "parts/notices.yaml", "parts/texts.yaml"]);
    // With the pinned files alone it is the same pipeline.
    let again = check(PIPELINE, &definition.files).unwrap().definition;
    assert_eq!(again.hash(), definition.hash());
    definition.files.clear();
    let written = read(
        "name: x
secrets: { T: { env: T } }
notify:
  - { id: first, function: notify.log, events: RunStarted, with: { text: '<b>${run.title}</b>' } }
  - { id: second, function: notify.log, events: RunFailed, with: { text: '<b>${run.title}</b>' } }
steps: [{ id: a, timeout: 1m, env: { A: 'Hello docs/${input.item}' }, command: x }]
",
    );
    assert_eq!(definition.document(), written.document());
}

#[test]
fn a_pipeline_in_a_folder_includes_files_of_its_folder() {
    let mut beside: Files = parts().into_iter().map(|(path, text)| (format!("sub/{path}"), text)).collect();
    beside.insert("sub/child.yaml".to_owned(), PIPELINE.to_owned());
    let parent = "name: p\nsteps: [{ id: a, run: { pipeline: ./sub/child.yaml, input: {} } }]";
    let definition = check(parent, &beside).unwrap().definition;
    assert!(definition.files.contains_key("sub/parts/long.html"));
    let inner = child(&definition, "./sub/child.yaml").unwrap().definition;
    assert_eq!(inner.hash(), check(PIPELINE, &parts()).unwrap().definition.hash());
}

/// The problems of a pipeline: code, file, line, column and excerpt.
fn found(text: &str, beside: &Files) -> Vec<(Code, String, usize, usize, String)> {
    let problems = check(text, beside).map_or_else(|problems| problems.0, |checked| checked.warnings);
    let of = |problem: everfold_language::definition::Problem| {
        (problem.code, problem.file, problem.line, problem.column, problem.excerpt)
    };
    problems.into_iter().map(of).collect()
}

#[test]
fn a_problem_in_an_included_file_has_its_place_there() {
    let mut beside = parts();
    let inner = "templates:\n  each:\n    foreach:\n      in: [1]\n      steps:\n        - { id: i, command: 'echo ${secret.x}' }\n  unused: { timeout: 1m }\nlocals: { x: '${é + inptu.x}' }";
    beside.insert("parts/notices.yaml".to_owned(), inner.to_owned());
    let text = "name: x\ninclude: parts/notices.yaml\nsteps: [{ id: a, like: each }, { id: b, when: local.x == 'y', command: x }]\n";
    let line = |at: usize| inner.lines().nth(at - 1).unwrap().to_owned();
    let at = "parts/notices.yaml".to_owned();
    assert_eq!(
        found(text, &beside),
        [
            (Code::UnknownName, at.clone(), 6, 37, line(6)),
            (Code::Unused, at.clone(), 7, 3, line(7)),
            (Code::Expression, at, 8, 17, line(8)),
        ]
    );
}

#[test]
fn a_name_that_stands_twice_is_refused_with_both_places() {
    let mut beside = parts();
    beside.insert("parts/notices.yaml".to_owned(), "\nlocals: { greeting: b, doc: c }\n".to_owned());
    let problems = check(PIPELINE, &beside).unwrap_err().0;
    let said: Vec<_> = problems
        .iter()
        .filter(|problem| problem.code == Code::DuplicateKey)
        .map(|problem| (problem.file.as_str(), problem.line, problem.message.as_str()))
        .collect();
    assert_eq!(
        said,
        [
            ("parts/notices.yaml", 2, "“greeting” of `locals` stands in parts/texts.yaml:2 already"),
            ("parts/notices.yaml", 2, "“doc” of `locals` stands in pipeline.yaml:3 already"),
        ]
    );
}

#[test]
fn included_files_are_bounded() {
    let mut beside = Files::new();
    for at in 0..20 {
        beside.insert(format!("p{at}.yaml"), format!("locals: {{ l{at}: '{}' }}\n", "x".repeat(1000)));
        beside.insert(format!("big{at}.yaml"), format!("locals: {{ b{at}: '{}' }}\n", "x".repeat(900_000)));
        let many: String = (0..9_000).map(|n| format!("n{at}_{n}: 1, ")).collect();
        beside.insert(format!("many{at}.yaml"), format!("locals: {{ {many} }}\n"));
    }
    for (name, said) in [
        ("p", "at most 16 files"),
        ("big", "with big4.yaml, the pipeline is too large"),
        ("many", "has too many values"),
    ] {
        let list: String = (0..17).map(|at| format!("{name}{at}.yaml, ")).collect();
        let text = format!("name: x\ninclude: [{list}]\nsteps: [{{ id: a, command: x }}]\n");
        let problems = check(&text, &beside).unwrap_err();
        assert!(problems.to_string().contains(said), "{name}");
        assert!(problems.0.iter().any(|problem| problem.code == Code::Limit), "{name}");
    }
}

#[test]
fn the_builder_includes_files() {
    let built = Pipeline::new("x")
        .include("parts/texts.yaml")
        .local("doc", "a")
        .step(Step::command("a", "x").like("base"))
        .build_with(&parts())
        .unwrap();
    assert_eq!(
        built.steps[0].timeout.as_ref().map(|timeout| format!("{timeout:?}").contains("60")),
        Some(true)
    );
}
