//! `everfold insights`: what real commits, commands and agents leave, and the queries that it prints.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::fixtures::Scratch;

fn git(folder: &Path, arguments: &[&str]) {
    let output = Command::new("git").args(arguments).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn repository(scratch: &Scratch) {
    let folder = scratch.path("repo");
    std::fs::create_dir(&folder).unwrap();
    git(&folder, &["init", "--quiet", "--initial-branch=main"]);
    git(&folder, &["config", "user.name", "Ada"]);
    git(&folder, &["config", "user.email", "ada@example.org"]);
    std::fs::write(folder.join("readme"), "one\n").unwrap();
    git(&folder, &["add", "."]);
    git(&folder, &["commit", "--quiet", "-m", "first"]);
}

/// The rows of an insight, which `everfold sql` gives for its query as well.
fn rows(scratch: &Scratch, args: &[&str]) -> Vec<Vec<Value>> {
    let done = scratch.run(&[&["insights", "--json"], args].concat());
    assert_eq!(done.code, 0, "{done:?}");
    let answer = done.json();
    let [item] = answer["items"].as_array().unwrap().as_slice() else { panic!("{answer}") };
    let asked = scratch.run(&["sql", item["sql"].as_str().unwrap(), "--json"]);
    assert_eq!((asked.code, &asked.json()["rows"]), (0, &item["rows"]), "{asked:?}");
    serde_json::from_value(item["rows"].clone()).unwrap()
}

#[test]
fn a_step_that_fails_in_one_run_and_not_in_the_next_on_the_same_commit_is_flaky() {
    let scratch = Scratch::new();
    repository(&scratch);
    let place = scratch.path("once");
    let place = place.display();
    scratch.write(
        "tests.yaml",
        &format!(
            "name: tests\ninput: {{ type: object, required: [n], properties: {{ n: {{ type: integer }} }} }}\n\
             workspace: {{ git: repo, branch: 'work/${{input.n}}' }}\nsteps:\n  \
             - {{ id: steady, command: 'true' }}\n  \
             - {{ id: unit, command: 'test -e {place} || {{ touch {place}; exit 1; }}' }}\n"
        ),
    );
    assert_eq!(scratch.run(&["run", "./tests.yaml", "-i", "n=1"]).code, 1);
    assert_eq!(scratch.run(&["run", "./tests.yaml", "-i", "n=2"]).code, 0);
    let wanted = json!([["tests", "unit", null, 1, 1, 2, 1]]);
    assert_eq!(json!(rows(&scratch, &["flaky"])), wanted);

    // Another commit is another place: who fails there for good is not flaky there.
    std::fs::write(scratch.path("repo").join("readme"), "two\n").unwrap();
    git(&scratch.path("repo"), &["commit", "--quiet", "-am", "second"]);
    assert_eq!(scratch.run(&["run", "./tests.yaml", "-i", "n=3"]).code, 0);
    assert_eq!(json!(rows(&scratch, &["flaky"])), wanted);
    let heads = scratch.run(&["sql", "select count(distinct head) from attempts", "--json"]);
    assert_eq!(heads.json()["rows"], json!([[2]]), "{heads:?}");
}

#[test]
fn without_a_worktree_a_retry_that_passes_makes_a_step_flaky_and_so_does_a_gate_that_is_judged_again() {
    let scratch = Scratch::new();
    let [step, gate] = ["step", "gate"].map(|name| scratch.path(name).display().to_string());
    scratch.write(
        "again.yaml",
        &format!(
            "name: again\nsteps:\n  \
             - {{ id: tried, retry: {{ attempts: 2, backoff: 1ms..2ms }}, command: 'test -e {step} || {{ touch {step}; exit 1; }}' }}\n  \
             - id: judged\n    command: 'true'\n    gates:\n      \
             - {{ id: green, command: 'test -e {gate} || {{ touch {gate}; exit 1; }}', on_fail: block }}\n"
        ),
    );
    scratch.run(&["run", "./again.yaml", "--no-wait"]);
    scratch.await_status("@", "blocked");
    assert_eq!(scratch.run(&["recheck", "@", "judged"]).code, 0);
    scratch.await_status("@", "succeeded");
    let found = json!(rows(&scratch, &["flaky"]));
    assert_eq!(
        found,
        json!([["again", "judged", "green", 1, 0, 2, 1], ["again", "tried", null, 1, 0, 2, 1]])
    );
}

#[test]
fn a_success_costs_what_the_runs_without_one_cost_too() {
    let scratch = Scratch::new();
    scratch.write(
        "work.sh",
        r#"echo '{"everfold": {"usage": {"model": "m-1", "input_tokens": 5, "output_tokens": 7, "cost": 0.30}}}' > "$EVERFOLD_OUTPUT""#,
    );
    scratch.write(
        "paid.yaml",
        "name: paid\ninput: { type: object, required: [code], properties: { code: { type: integer } } }\nsteps:\n  \
         - { id: one, agent: { profile: script, prompt: Do, args: [sh, work.sh] } }\n  \
         - { id: two, needs: [one], command: 'exit ${input.code}' }\n",
    );
    for (code, end) in [(0, 0), (0, 0), (1, 1)] {
        let done = scratch.run(&["run", "./paid.yaml", "-i", &format!("code={code}")]);
        assert_eq!(done.code, end, "{done:?}");
    }
    assert_eq!(json!(rows(&scratch, &["cost"])), json!([["paid", 3, 2, 0.9, 0.3, 0.45]]));
}

#[test]
fn an_empty_folder_has_a_sentence_and_a_query_is_printed_on_demand() {
    let scratch = Scratch::new();
    let none = scratch.run(&["insights"]);
    assert_eq!(
        (none.code, none.out.trim_end()),
        (0, "There are no runs yet. Insights come from what runs did: `everfold run PIPELINE` starts one.")
    );
    scratch.write(
        "a.yaml",
        "name: a\nsteps:\n  - { id: one, command: sleep 0.05, gates: [{ id: made, command: 'true' }] }\n",
    );
    assert_eq!(scratch.run(&["run", "./a.yaml"]).code, 0);
    let shown = scratch.run(&["insights"]).out;
    for line in [
        "Of the one run that fits, which has ended.",
        "Where time goes (time)",
        "No ended run has cost anything.",
    ] {
        assert!(shown.contains(line), "{shown}");
    }
    assert!(!shown.contains("with chosen"), "{shown}");
    let with_queries = scratch.run(&["insights", "gates", "--at-least", "1", "--queries"]).out;
    let (text, query) = with_queries.split_once("\n\nwith chosen").unwrap();
    assert!(
        text.contains("PIPELINE  STEP  GATE  VERDICTS  RUNS  LAST AT\na         one   made  1"),
        "{text}"
    );
    let asked = scratch.run(&["sql", &format!("with chosen{query}"), "--json"]);
    assert_eq!(asked.json()["rows"][0][2], "made", "{asked:?}");
    let narrow = scratch.run(&["insights", "--pipeline", "nothing"]);
    assert_eq!(narrow.out.trim_end(), "No run fits, so there is nothing to learn from.");
    let wrong = scratch.run(&["insights", "flakey"]);
    assert_eq!(wrong.code, 2, "{wrong:?}");
    assert!(wrong.err.contains("did you mean `flaky`?"), "{wrong:?}");
}
