//! The pipelines that come with the project.

use std::path::Path;

use everfold_language::definition::{Problem, parse, schema, value_of};

/// Every pipeline beside the built-in ones.
#[test]
fn built_in_pipelines_are_checked_without_a_word() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines");
    let validator = jsonschema::validator_for(&schema()).unwrap();
    let mut seen = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        // Test cases are no pipelines.
        if !name.ends_with(".yaml") || name.ends_with(".test.yaml") {
            continue;
        }
        seen += 1;
        let text = std::fs::read_to_string(&path).unwrap();
        let files = |name: &str| Ok(std::fs::read_to_string(folder.join(name)).ok());
        let warnings: Vec<Problem> = match parse(&text, &path.to_string_lossy(), &files) {
            Ok(checked) => checked.warnings,
            Err(problems) => panic!("{problems}"),
        };
        assert_eq!(warnings, []);
        let value = value_of(&text).unwrap();
        let errors: Vec<String> = validator
            .iter_errors(&value)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(errors.is_empty(), "{errors:#?}");
    }
    assert!(seen > 0);
}
