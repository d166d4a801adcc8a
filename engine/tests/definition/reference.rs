//! The reference page says what is true: its examples are read, its tables have every key.

use std::collections::BTreeMap;
use std::path::Path;

use everfold_engine::definition::{parse, schema};

fn page() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference/pipeline.md");
    std::fs::read_to_string(path).unwrap()
}

/// A whole pipeline round a fragment: a list of steps, or keys of the top level.
fn whole(example: &str) -> String {
    if example.starts_with("name:") {
        example.to_owned()
    } else if example.starts_with("- id:") {
        let steps: String = example.lines().map(|line| format!("  {line}\n")).collect();
        format!("name: example\nworkspace: {{ dir: . }}\nsteps:\n{steps}")
    } else {
        format!("name: example\n{example}steps:\n  - id: a\n    command: make\n")
    }
}

#[test]
fn every_example_of_the_reference_is_a_pipeline() {
    let page = page();
    let examples: Vec<&str> =
        page.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(examples.len() >= 15, "{}", examples.len());
    for example in examples {
        let text = whole(example);
        match parse(&text, "pipeline.md", &BTreeMap::new()) {
            Ok(checked) => {
                let warnings: Vec<_> =
                    checked.warnings.iter().filter(|warning| warning.code.as_str() != "EF0183").collect();
                assert!(warnings.is_empty(), "{warnings:?}");
            }
            Err(problems) => panic!("{problems}\n{text}"),
        }
    }
}

#[test]
fn the_reference_names_every_key() {
    let (page, schema) = (page(), schema());
    for pointer in [
        "",
        "/$defs/step",
        "/$defs/gate",
        "/$defs/routeMap",
        "/$defs/approval",
        "/$defs/agent/oneOf/1",
        "/$defs/foreach",
        "/$defs/retry",
        "/$defs/poll",
    ] {
        let properties =
            schema.pointer(&format!("{pointer}/properties")).and_then(|keys| keys.as_object()).unwrap();
        for key in properties.keys() {
            let named =
                page.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).any(|word| word == key);
            assert!(named, "{pointer}/{key} is not in the reference");
        }
    }
}
