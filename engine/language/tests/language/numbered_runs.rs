//! `number`, and where `run.number` is there.

use everfold_language::builder::{Pipeline, Step};
use everfold_language::definition::{Code, Numbering};

use super::fixtures::{check, codes, read};

const STEPS: &str = "steps: [{ id: a, command: 'true' }]\n";

#[test]
fn a_pipeline_numbers_its_runs_by_its_name_or_by_a_key_and_the_builder_writes_the_same() {
    let number = |line: &str| read(&format!("name: x\n{line}{STEPS}")).number.clone();
    assert_eq!(number(""), None);
    assert_eq!(number("number: false\n"), None);
    assert_eq!(number("number: true\n"), Some(Numbering::default()));
    let keyed = number("number: { key: '${input.board}' }\n").unwrap();
    assert_eq!(keyed.key.as_ref().unwrap().source(), "${input.board}");
    let pipeline = || Pipeline::new("x").step(Step::command("a", "true"));
    assert_eq!(pipeline().numbered().build().unwrap().number, Some(Numbering::default()));
    assert_eq!(pipeline().numbered_by("${input.board}").build().unwrap().number, Some(keyed));
}

#[test]
fn a_number_that_is_not_there_is_reported_with_what_to_write() {
    let step = "steps: [{ id: a, command: 'echo ${run.number}' }]\n";
    for (text, code, hint) in [
        (format!("name: x\n{step}"), Code::Unguarded, "number: true"),
        (
            format!("name: x\nnumber: true\nlabels: {{ n: '${{run.number}}' }}\n{STEPS}"),
            Code::UnknownName,
            "a step may",
        ),
        (format!("name: x\nnumber: {{ key: '${{run.number}}' }}\n{STEPS}"), Code::UnknownName, "a step may"),
        (format!("name: x\nnumber: {{}}\n{STEPS}"), Code::MissingKey, "number: true"),
    ] {
        let problems = check(&text).unwrap_err();
        assert_eq!(codes(&text), [code], "{text}");
        assert!(problems.0[0].hint.as_ref().unwrap().contains(hint), "{text}: {problems}");
    }
    let fine = format!("name: x\nnumber: true\n{step}output: '${{run.number}}'\n");
    assert_eq!(check(&fine).unwrap().warnings, []);
}
