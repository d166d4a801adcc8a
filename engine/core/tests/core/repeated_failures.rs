//! A gate that fails on the evidence of its failure before: what counts as the same evidence (`if_unchanged`).

use serde_json::{Value, json};

use crate::fixtures::scenario::{function, names, run, with};

/// The reviewer left the review that was refused as it was: the developer went round once more (O10).
#[test]
fn o10_a_refused_document_that_is_left_as_it_is_is_the_same_evidence_whoever_was_sent_back() {
    let route = json!([{"to": {"rework": "a"}, "if_unchanged": "block"}]);
    let file = json!({"task": {"kind": "frontmatter", "spec": {"file": "review.md", "fields": ["verdict"]}}});
    let found = |since: &str, blob: &str, unchanged: Value, compare: Value| {
        json!({"file": "review.md", "from": "worktree", "value": "NO", "pass": ["OK"], "fail": ["NO"],
            "fields": {"verdict": "NO"}, "match": "exact", "unchanged": unchanged,
            "source": {"path": "review.md", "blob": blob, "fresh_since": {"commit": since, "at": 1, "compare": compare}}})
    };
    let any = |found: Value| {
        json!({"members": [{"id": "frontmatter", "kind": "frontmatter", "evidence": found},
            {"id": "person", "kind": "function", "skipped": "does not apply"}]})
    };
    let last_of = |probe: &Value, left: Value, is_member: bool, compare: &Value| {
        let gate = json!({"id": "g", "probe": probe, "fresh": true, "on_fail": route});
        let mut world =
            run(json!([function("a", &[]), with(function("b", &["a"]), json!({"gates": [gate]}))]));
        let mut last = Vec::new();
        for (round, found) in [(1, found("c1", "b1", json!([]), compare.clone())), (2, left)] {
            world.succeed(&format!("a/{round}/1"), json!(1));
            world.succeed(&format!("b/{round}/1"), json!(1));
            let found = if is_member { any(found) } else { found };
            last = names(&world.probe(&format!("b/{round}/1"), "g", 1, found));
        }
        world.check_fold();
        last[1].to_owned()
    };
    let person = json!({"id": "person", "when": "false", "probe": {"task": {"kind": "function", "spec": {"name": "f"}}}});
    let either = json!({"any": [{"probe": file}, person]});
    for (probe, is_member) in [(&file, false), (&either, true)] {
        let told = json!("found");
        let left = |blob: &str, compare: &Value| found("c2", blob, json!(["review.md"]), compare.clone());
        assert_eq!(last_of(probe, left("b1", &told), is_member, &told), "StepBlocked", "{probe}");
        assert_eq!(
            last_of(probe, left("b2", &told), is_member, &told),
            "ReworkRequested",
            "another document"
        );
        // What a former release recorded is decided as it was.
        let former = Value::Null;
        assert_eq!(last_of(probe, left("b1", &former), is_member, &former), "ReworkRequested", "{probe}");
    }
}

/// What a gate looks at is the change, not how many lines it has.
#[test]
fn o10_another_change_of_as_many_lines_is_other_evidence() {
    let route = json!([{"to": {"rework": "a"}, "if_unchanged": "block"}]);
    let probe = json!({"task": {"kind": "diff", "spec": {"max_lines": 1}}});
    let gate = json!({"id": "size", "probe": probe, "on_fail": route});
    let mut world = run(json!([with(function("a", &[]), json!({"gates": [gate]}))]));
    for (round, commit, patch, then) in [
        (1, "c1", "p1", "ReworkRequested"),
        (2, "c2", "p2", "ReworkRequested"),
        (3, "c3", "p2", "StepBlocked"),
    ] {
        world.succeed(&format!("a/{round}/1"), json!(1));
        let found = json!({"files": 1, "lines": 9, "names": ["a"], "max_lines": 1, "source": {"commit": commit, "patch": patch}});
        let batch = world.probe(&format!("a/{round}/1"), "size", 1, found);
        assert_eq!(names(&batch)[1], then, "round {round}");
    }
}
