//! Every problem as people read it.

use everfold_engine::definition::{Code, Severity, parse};

use super::support::{files, folder};

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
    // Every key of the language works: nothing is refused as not there yet.
    assert!(!seen.contains(&Code::NotYet));
    let unseen: Vec<&Code> =
        Code::ALL.iter().filter(|code| !seen.contains(code) && **code != Code::NotYet).collect();
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
