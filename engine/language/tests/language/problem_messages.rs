//! Every problem as people read it.

use everfold_language::definition::{Code, Severity, parse};

use super::fixtures::{files, folder};

#[test]
fn every_bad_file_is_refused_with_all_its_problems() {
    for path in folder("bad") {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        let problems = parse(&text, &name, &files()).expect_err(&name);
        let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
        insta::with_settings!({ snapshot_path => "snapshots", prepend_module_to_snapshot => false, omit_expression => true }, {
            insta::assert_snapshot!(stem, problems.to_string());
        });
    }
}

#[test]
fn every_error_has_a_bad_file_and_every_code_an_explanation() {
    let mut seen: Vec<Code> = folder("bad")
        .iter()
        .filter_map(|path| parse(&std::fs::read_to_string(path).unwrap(), "x", &files()).err())
        .flat_map(|problems| problems.0.into_iter().map(|problem| problem.code))
        .collect();
    seen.sort_unstable();
    seen.dedup();
    let unseen: Vec<&Code> = Code::ALL.iter().filter(|code| !seen.contains(code)).collect();
    assert!(unseen.is_empty(), "without an example: {unseen:?}");
    let mut names: Vec<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
    names.dedup();
    assert_eq!(names.len(), Code::ALL.len());
    for code in Code::ALL {
        assert!(code.explanation().len() > 60, "{code}");
        assert_eq!(code.as_str().parse(), Ok(*code));
        assert_eq!(code.severity() == Severity::Warning, code.as_str() >= "EF0180");
    }
}

/// What a check must find, one after the other: a file in which it is wrong, and how that is said.
const CHECK_ERRORS: [(&str, &str, &str); 27] = [
    ("unknown key", "unknown_keys", "a step has no key “comand”"),
    ("unknown name", "unknown_names", "there is no name “inptu”"),
    ("two works", "work_counts", "a step has one kind of work"),
    ("neither work nor gate", "work_counts", "this step has neither work nor gate"),
    ("duplicate id", "duplicates", "there is a step “a” already"),
    ("bad needs", "needs", "there is no step “biuld”"),
    ("cycle", "cycles", "these steps wait for each other"),
    ("unreachable", "unreachable", "“b” never starts"),
    ("standby never named", "standby_and_rework", "no route names the standby step “helper”"),
    ("rework neither to self nor upstream", "standby_and_rework", "does not lie before"),
    ("unbounded loop", "loops", "this loop has no end"),
    ("wrong type", "wrong_types", "`env` is a map, this is a list"),
    ("wrong format", "bad_values", "is no duration"),
    ("expression syntax", "expressions", "breaks off"),
    ("attempts below 1", "too_small", "`attempts` is at least 1"),
    ("max_rounds below 1", "too_small", "`max_rounds` is at least 1"),
    ("quorum below 1", "too_small", "`quorum` is at least 1"),
    ("a limit of concurrency below 1", "control", "`limit` is at least 1"),
    ("an expression in single quotes", "shell_quotes", "an expression in single quotes"),
    ("an expression in a quoted here-document", "shell_quotes", "in a quoted here-document"),
    ("CEL type", "expression_types", "a text and a whole number are never equal"),
    ("unguarded absent value", "absent", "its `when` may skip it"),
    ("misplaced secret", "secrets", "a secret has no place here"),
    ("a person or a rework in on_finish", "on_finish", "has no place in `on_finish`"),
    ("foreach over a non-list", "foreach", "`foreach` goes over a list"),
    ("signal route without its task", "signals", "asks nobody to approve"),
    ("duplicate gate id", "duplicates", "there is a gate “t” already"),
];

#[test]
fn each_error_that_a_check_must_find_has_a_bad_file_that_names_its_place() {
    for (what, stem, said) in CHECK_ERRORS {
        let path = folder("bad").into_iter().find(|path| path.file_stem().is_some_and(|it| it == stem));
        let text = std::fs::read_to_string(path.expect(stem)).unwrap();
        let problems = parse(&text, stem, &files()).expect_err(what);
        let found = problems.0.iter().find(|problem| problem.message.contains(said));
        let found = found.unwrap_or_else(|| panic!("{what}: {problems}"));
        assert!(found.line > 0 && found.column > 0 && found.file == stem, "{what}: {found:?}");
        assert_eq!(found.severity, Severity::Error, "{what}");
        // Some say in the message itself what would be right.
        let tells = ["is at least", "this is a", "breaks off", "does not belong here"]
            .iter()
            .any(|word| found.message.contains(word));
        assert!(found.hint.is_some() || tells, "{what}: {found:?}");
    }
}

#[test]
fn row_48_every_problem_says_what_to_write() {
    for path in folder("bad") {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let problems = parse(&std::fs::read_to_string(&path).unwrap(), &name, &files()).expect_err(&name);
        for problem in problems.0 {
            assert!(
                problem.hint.as_deref().is_some_and(|hint| hint.len() > 5),
                "{name}: {}",
                problem.message
            );
        }
    }
}
