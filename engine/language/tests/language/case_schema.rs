//! The JSON Schema of files with test cases, and the reader: what one takes the other takes.

use everfold_language::definition::{Definition, NoFiles, case_schema, cases_of, parse, value_of};
use serde_json::{Value, json};

const PIPELINE: &str = r#"name: p
config: { rules: { a: 1 } }
admit: [{ id: open, command: ./open }]
notify: [{ id: told, events: [RunSucceeded], function: notify.log, with: { text: hi } }]
steps:
  - id: work
    command: ./work
    outputs: { log: { file: out.txt } }
    gates:
      - { id: g, command: ./g }
      - { id: both, all: [{ command: ./a, id: a }, { command: ./b, id: b }] }
  - { id: each, foreach: { in: [1, 2] }, command: ./each }
  - { id: below, run: { pipeline: known } }
  - { id: sign, approval: { title: Sign? } }
  - { id: which, question: { title: Which?, options: [a, b] } }
  - { id: heard, wait: { signal: go } }
"#;

fn definition(text: &str) -> Definition {
    parse(text, "p.yaml", &NoFiles).unwrap_or_else(|problems| panic!("{problems}")).definition
}

/// Whether the schema takes a file, and whether the reader does.
fn taken(cases: &Value) -> (bool, bool) {
    let validator = jsonschema::validator_for(&case_schema()).unwrap();
    let known = |name: &str| {
        let child =
            "name: known\nsteps: [{ id: a, command: ./a }, { id: sign, approval: { title: Sign? } }]\n";
        (name == "known").then(|| definition(child))
    };
    let read = cases_of(&cases.to_string(), "p.test.yaml", &definition(PIPELINE), &known);
    (validator.is_valid(cases), read.is_ok())
}

#[test]
fn every_key_of_a_case_is_taken_by_the_schema_and_the_reader() {
    let decide = json!([
        {"approve": "sign", "by": "eve", "roles": ["lead"], "after": "2h", "comment": "fine", "value": 3, "refused": "x"},
        {"reject": "sign", "comment": "no"}, {"changes": "sign", "roles": "lead"},
        {"answer": "which", "choice": "a", "text": "b", "items": {"x": 1}, "states": {"x": "dismissed"}},
        {"unblock": "work", "decision": "proceed", "output": {}, "reason": "by hand"},
    ]);
    let stubs = [
        json!({}),
        json!({"output": {"n": 1}, "takes": "3m", "files": {"log": "text"}, "usage": {"model": "m", "input_tokens": 1, "cached_tokens": 2, "output_tokens": 3, "cost": "0.02 USD"}}),
        json!({"output": null, "usage": [{"cost": 1}]}),
        json!({"fail": "broken"}),
        json!({"fail": {"kind": "exit", "code": "X", "message": "broken"}}),
        json!({"ask": "how?"}),
        json!({"ask": {"text": "how?", "options": ["a"]}}),
        json!({"lost": "power"}),
        json!([{"fail": "broken"}, {"output": 1}]),
    ];
    for stub in stubs {
        let file = json!([{"name": "a", "steps": {"work": stub}}]);
        assert_eq!(taken(&file), (true, true), "{file}");
    }
    let whole = json!({"cases": [{
        "name": "all", "input": {"a": 1}, "title": "T", "labels": {"team": "blue"}, "by": "bob",
        "at": "2026-03-01T09:00:00Z", "config": {"rules": {"a": 2}}, "until": "7d",
        "steps": {
            "each": {"items": [{"output": 1}, [{"fail": "x"}, {}]]},
            "below": {"run": {"steps": {"a": {}}, "gates": {}, "admit": {}, "decide": [{"approve": "sign"}]}},
        },
        "gates": {"work": {"g": ["fail", {"exit": 1}, {"unavailable": "gone"}, "pass"], "both": {"a": "pass", "b": ["fail"]}}},
        "admit": {"open": "pending"},
        "decide": decide,
        "signals": [{"signal": "go", "data": {"a": 1}, "after": "3h", "at": "heard", "by": "eve", "refused": "x"}],
        "expect": {
            "status": "failed", "failure": {"step": "work", "kind": "exit", "code": "X", "message": "m"},
            "output": null, "labels": {"team": "blue"},
            "steps": {"work": "failed", "each": {"status": "succeeded", "rounds": 1, "attempts": 2, "output": [], "failure": {"code": "X"}}},
            "gates": {"work": {"g": "pass"}}, "blocked": ["work"],
            "notices": ["told", {"notice": "told", "function": "notify.log", "event": "RunSucceeded", "with": {}}],
            "cost": "1.00 USD", "took": "3h", "events": ["RunStarted"],
        },
    }, {"name": "refused", "expect": {"refused": "invalid_input"}}]});
    assert_eq!(taken(&whole), (true, true), "{whole:#}");
}

#[test]
fn what_no_case_has_is_refused_by_the_schema_and_the_reader() {
    for case in [
        json!({}),
        json!({"name": "a", "stpes": {}}),
        json!({"name": "a", "until": "soon"}),
        json!({"name": "a", "at": "tomorrow"}),
        json!({"name": "a", "steps": {"work": {"outptu": 1}}}),
        json!({"name": "a", "steps": {"work": {"output": 1, "fail": "x"}}}),
        json!({"name": "a", "steps": {"work": {"fail": {"kind": "odd"}}}}),
        json!({"name": "a", "steps": {"work": {"takes": 3}}}),
        json!({"name": "a", "steps": {"work": {"usage": {"tokens": 1}}}}),
        json!({"name": "a", "steps": {"below": {"run": {"signals": []}}}}),
        json!({"name": "a", "gates": {"work": {"g": "maybe"}}}),
        json!({"name": "a", "decide": [{"by": "eve"}]}),
        json!({"name": "a", "decide": [{"approve": "sign", "reject": "sign"}]}),
        json!({"name": "a", "decide": [{"approve": "sign", "choice": "a"}]}),
        json!({"name": "a", "decide": [{"unblock": "work", "decision": "hope"}]}),
        json!({"name": "a", "signals": [{"data": 1}]}),
        json!({"name": "a", "signals": [{"signal": "go", "form": 1}]}),
        json!({"name": "a", "expect": {"state": "failed"}}),
        json!({"name": "a", "expect": {"status": "fialed"}}),
        json!({"name": "a", "expect": {"steps": {"work": "done"}}}),
        json!({"name": "a", "expect": {"steps": {"work": {"round": 1}}}}),
        json!({"name": "a", "expect": {"failure": {"why": "x"}}}),
        json!({"name": "a", "expect": {"notices": [{"function": "notify.log"}]}}),
        json!({"name": "a", "expect": {"events": ["RunBegun"]}}),
        json!({"name": "a", "expect": {"cost": "much"}}),
    ] {
        assert_eq!(taken(&json!([case])), (false, false), "{case}");
    }
    for file in [json!({"case": []}), json!({"cases": [{"name": "a"}], "more": 1}), json!([]), json!("a")] {
        assert_eq!(taken(&file), (false, false), "{file}");
    }
}

#[test]
fn the_examples_of_the_page_satisfy_the_schema() {
    let page = include_str!("../../../../docs/reference/testing-pipelines.md");
    let validator = jsonschema::validator_for(&case_schema()).unwrap();
    let mut seen = 0;
    for block in page.split("```yaml cases").skip(1) {
        let (info, text) = block.split_once('\n').unwrap();
        let text = text.split("```").next().unwrap();
        let mut value = value_of(text).unwrap();
        if info.trim() == "fragment" {
            value["name"] = json!("a fragment");
            value = json!([value]);
        }
        let errors: Vec<String> = validator
            .iter_errors(&value)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(errors.is_empty(), "{errors:#?}");
        seen += 1;
    }
    assert_eq!(seen, 2);
}
