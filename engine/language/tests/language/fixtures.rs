//! Files and shortcuts for these tests.

use std::collections::BTreeMap;
use std::path::PathBuf;

use everfold_language::definition::{CheckedPipeline, Code, Definition, Problems, Work, parse};
use serde_json::Value;

/// The folder of examples.
pub(crate) fn folder(name: &str) -> Vec<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("language").join(name);
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "yaml" || ending == "json"))
        .collect();
    files.sort();
    files
}

/// The files that examples name.
pub(crate) fn files() -> BTreeMap<String, String> {
    [
        ("prompts/analyst.md", "Write the BRD for: ${input.task}\n"),
        ("prompts/broken.md", "# Work\n\nDo ${input.task and\nmore.\n"),
        ("prompts/unknown.md", "# Work\n\nDo ${inptu.task}, please, in $HOME.\nAnd $${this} is literal.\n"),
        (
            "roles/fixer.md",
            "---\nprofile: script\nmodel: small\neffort: null\n---\nYou fix CI. ${rework.?findings}\n",
        ),
        (
            "parts/shared.yaml",
            "# Shared by several pipelines.\ntemplates:\n  quick: { timeout: 1m }\n  wrong: { timout: 1m }\nlocals: { doc: 'docs/${inptu.a}' }\nnotify:\n  - { id: a, events: [RunFialed], function: notify.log }\nsteps: []\ninclude: x.yaml\n",
        ),
        ("parts/list.yaml", "- a\n"),
        ("parts/broken.yaml", "templates:\n  a: [\n"),
        ("parts/types.yaml", "notify: { a: b }\npolicies: [a]\nlocals: ~\n"),
        ("roles/developer.md", "You develop.\n"),
        ("roles/odd.md", "---\nprofile: script\nmodle: small\n---\nHello ${run.shrt_id}\n"),
    ]
    .into_iter()
    .map(|(path, text)| (path.to_owned(), text.to_owned()))
    .collect()
}

pub(crate) fn check(text: &str) -> Result<CheckedPipeline, Problems> {
    parse(text, "pipeline.yaml", &files())
}

pub(crate) fn read(text: &str) -> Definition {
    match check(text) {
        Ok(checked) => checked.definition,
        Err(problems) => panic!("{problems}\n{text}"),
    }
}

/// The codes of the problems or warnings of a pipeline, in their order.
pub(crate) fn codes(text: &str) -> Vec<Code> {
    let found = check(text).map_or_else(|problems| problems.0, |checked| checked.warnings);
    found.iter().map(|problem| problem.code).collect()
}

/// The parameters of the first step's work, which an executor does.
pub(crate) fn spec(text: &str) -> Value {
    match &read(text).steps[0].work {
        Some(Work::Task(task)) => task.spec.source().clone(),
        other => panic!("{other:?}"),
    }
}

/// A pipeline with some steps.
pub(crate) fn steps(steps: &str) -> String {
    format!("name: test\nsteps:\n{steps}\n")
}

/// `1_500` is a number in the language alone.
pub(crate) fn plain_numbers(text: &str) -> String {
    let grouped = regex::Regex::new(r"(: [0-9]+)_([0-9]{3})").unwrap();
    let once = grouped.replace_all(text, "$1$2").into_owned();
    grouped.replace_all(&once, "$1$2").into_owned()
}
