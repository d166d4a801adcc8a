//! A retry of a `foreach` does what is not done, in a new run and in place; what it keeps can be read where it was done.

use super::fixtures::{Done, Scratch};

const BATCH: &str = "name: batch
steps:
  - id: each
    foreach: { in: [1, 2, 3], as: n, fail_fast: false }
    command: 'echo \"item ${n}\" | tee -a did; test ${n} != 2 || test -e mended'
output: '${steps.each.output.map(part, part.output.stdout)}'
";

fn ended(done: Done, code: i32) -> Done {
    assert_eq!(done.code, code, "{done:?}");
    done
}

fn did(scratch: &Scratch) -> Vec<String> {
    let mut lines: Vec<String> =
        std::fs::read_to_string(scratch.path("did")).unwrap().lines().map(str::to_owned).collect();
    lines.sort_unstable();
    lines
}

#[test]
fn l24_a_retry_does_what_is_not_done_and_shows_what_it_keeps() {
    for on_fail in ["", "    on_fail: block\n"] {
        let scratch = Scratch::new();
        scratch.write("batch.yaml", &BATCH.replace("output:", &format!("{on_fail}output:")));
        let code = if on_fail.is_empty() { 1 } else { 6 };
        ended(scratch.run(&["run", "./batch.yaml", "--no-wait"]), code);
        assert_eq!(did(&scratch), ["item 1", "item 2", "item 3"], "{code}");
        scratch.write("mended", "");
        let retried = ended(scratch.run(&["retry", "@"]), 0);
        assert!(retried.err.contains("kept"), "{retried:?}");
        assert_eq!(did(&scratch), ["item 1", "item 2", "item 2", "item 3"]);
        let origin = scratch.run(&["show", "@", "--json"]).json()["origin"]["run"].clone();
        if let Some(origin) = origin.as_str() {
            let diff = scratch.run(&["diff", origin, "@", "--json"]).json();
            assert_eq!(diff["first"]["step"], "each.1", "{diff}");
            for round in diff["rounds"].as_array().unwrap() {
                let is_same = matches!(round["step"].as_str(), Some("each.0" | "each.2"));
                assert!(!is_same || round["differs"] == serde_json::json!([]), "{diff}");
            }
        }
        let view = scratch.run(&["show", "@", "--json"]).json();
        assert_eq!(view["output"], serde_json::json!(["item 1\n", "item 2\n", "item 3\n"]));
        for (item, text) in [("each.0", "item 1\n"), ("each.1", "item 2\n")] {
            let log = ended(scratch.run(&["logs", "@", item]), 0);
            assert_eq!(log.out, text, "{item}");
        }
    }
}

/// The log of an item stands where its work was done: in the first run, or in the retry before this one, whose history
/// also holds the attempt of the same number that failed.
#[test]
fn l24_a_retry_of_a_retry_shows_the_log_of_the_run_that_did_the_item() {
    let scratch = Scratch::new();
    let command = "echo \"item ${n}\"; test ${n} = 1 || cat ${n}";
    let text = BATCH.replace(
        "'echo \"item ${n}\" | tee -a did; test ${n} != 2 || test -e mended'",
        &format!("'{command}'"),
    );
    scratch.write("batch.yaml", &text);
    ended(scratch.run(&["run", "./batch.yaml"]), 1);
    for (name, code) in [("2", 1), ("3", 0)] {
        scratch.write(name, "mended\n");
        ended(scratch.run(&["retry", "@"]), code);
    }
    for (item, log) in
        [("each.0", "item 1\n"), ("each.1", "item 2\nmended\n"), ("each.2", "item 3\nmended\n")]
    {
        assert_eq!(ended(scratch.run(&["logs", "@", item]), 0).out, log, "{item}");
    }
}
