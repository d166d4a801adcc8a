//! The table of ORCH's rules: each rule has a row, and each test that a row names exists.

use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};

use super::cases::{case_files, folder};

fn root() -> PathBuf {
    folder().join("../..")
}

fn sources(folder: &Path, found: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            sources(&path, found);
        } else if name.ends_with(".rs") || name.ends_with(".py") || name.ends_with(".sh") {
            found.push_str(&std::fs::read_to_string(&path).unwrap_or_default());
        }
    }
}

/// The rows of the table: the rules of each, and the tests that it names.
fn rows() -> Vec<(String, Vec<String>)> {
    let page = std::fs::read_to_string(root().join("docs/guides/orch-rules.md")).unwrap();
    let cells =
        |line: &str| line.trim_matches('|').split(" | ").map(|it| it.trim().to_owned()).collect::<Vec<_>>();
    let rows = page.lines().filter(|line| line.starts_with("| O")).map(cells);
    let quoted = regex::Regex::new("`([^`]+)`").unwrap();
    rows.map(|row| {
        let last = row.last().cloned().unwrap_or_default();
        (row[0].clone(), quoted.captures_iter(&last).map(|it| it[1].to_owned()).collect())
    })
    .collect()
}

#[test]
fn every_rule_of_orch_has_a_row_of_its_own() {
    let named: BTreeSet<String> = rows().into_iter().map(|(rule, _)| rule).collect();
    let wanted = (1..=202).map(|n| format!("O{n}")).chain((1..=25).map(|n| format!("OV{n}")));
    let missing: Vec<String> = wanted.filter(|rule| !named.contains(rule)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn every_test_that_the_table_of_rules_names_exists() {
    let mut code = String::new();
    for part in ["api", "engine", "projections", "workflows", "tests", "ops"] {
        sources(&root().join(part), &mut code);
    }
    let defined = |word: &'static str| {
        let behind = code.split(word).skip(1);
        behind.filter_map(|behind| behind.split_once('(')).map(|(name, _)| name)
    };
    let functions: HashSet<&str> = defined("fn ").chain(defined("def ")).collect();
    let cases: String = case_files().iter().map(|file| std::fs::read_to_string(file).unwrap()).collect();
    for (rule, tests) in rows() {
        for test in tests {
            let is_case = test.starts_with('O') && cases.contains(&format!("name: \"{test}"));
            let is_function = functions.contains(test.as_str());
            assert!(is_case || is_function, "{rule} names a test that there is not: {test}");
        }
    }
}

#[test]
fn every_rule_that_a_case_begins_with_is_named_by_its_row() {
    let table: Vec<(String, Vec<String>)> = rows();
    for file in case_files() {
        for line in std::fs::read_to_string(&file).unwrap().lines() {
            let Some(name) = line.strip_prefix("- name: \"") else { continue };
            let name = name.trim_end_matches('"');
            let rules = name.split(':').next().unwrap_or_default().split(' ');
            for rule in rules.filter(|rule| rule.starts_with('O')) {
                let row =
                    table.iter().find(|(it, _)| it == rule).unwrap_or_else(|| panic!("{rule} of {name}"));
                assert!(!row.1.is_empty(), "{rule} is shown by {name}, and its row names no test");
            }
        }
    }
}
