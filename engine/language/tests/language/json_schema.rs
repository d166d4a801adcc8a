//! The JSON Schema for editors.

use everfold_language::definition::{Code, parse, schema};
use serde_json::Value;

use super::fixtures::{files, folder};

/// Problems that show in the shape of a file alone.
const SHAPE: [Code; 11] = [
    Code::UnknownKey,
    Code::MissingKey,
    Code::Type,
    Code::Value,
    Code::TooSmall,
    Code::Empty,
    Code::TwoWorks,
    Code::Probes,
    Code::Combination,
    Code::ForeachList,
    Code::Unbounded,
];

fn value(text: &str) -> Option<Value> {
    // The examples' own YAML, read by the parser under test: JSON is what an editor sees.
    everfold_language::definition::value_of(text)
}

#[test]
fn good_files_satisfy_the_schema() {
    let validator = jsonschema::validator_for(&schema()).unwrap();
    for path in folder("good") {
        let value = value(&std::fs::read_to_string(&path).unwrap()).unwrap();
        let errors: Vec<String> = validator
            .iter_errors(&value)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(errors.is_empty(), "{}: {errors:#?}", path.display());
    }
}

#[test]
fn files_of_a_wrong_shape_do_not() {
    let validator = jsonschema::validator_for(&schema()).unwrap();
    let mut refused = 0;
    for path in folder("bad") {
        let text = std::fs::read_to_string(&path).unwrap();
        let Some(value) = value(&text) else { continue };
        let problems = parse(&text, "x", &files()).unwrap_err();
        let shape = problems.0.iter().filter(|problem| SHAPE.contains(&problem.code)).count();
        let all_shape = shape == problems.0.len();
        if validator.is_valid(&value) {
            let loops = problems.0.iter().any(|problem| problem.code == Code::Unbounded);
            assert!(!all_shape || loops, "{} satisfies the schema", path.display());
        } else {
            refused += 1;
            assert!(shape > 0, "{} does not satisfy the schema, but has no problem of shape", path.display());
        }
    }
    assert!(refused >= 10, "{refused}");
}
