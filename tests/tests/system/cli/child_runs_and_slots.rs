//! Child runs, saved pipelines, keys, slots, and what comes after the end.

use serde_json::{Value, json};

use super::fixtures::{Done, Scratch, await_that, lines};

const CHILD: &str = "name: part
input: { type: object, required: [n], properties: { n: { type: integer } } }
steps:
  - { id: work, command: 'echo part ${input.n}' }
output: { n: '${input.n}' }
";

#[test]
fn l25_a_saved_pipeline_is_started_by_a_step_and_can_be_found_by_its_parent() {
    let scratch = Scratch::new();
    scratch.write("part.yaml", CHILD);
    let parent = "name: whole
steps:
  - id: parts
    foreach: { in: [1, 2, 3] }
    run: { pipeline: part, input: { n: '${item}' } }
  - { id: one, run: { pipeline: ./part.yaml, input: { n: 7 } } }
output: { parts: '${steps.parts.output}', one: '${steps.one.output.n}' }
";
    scratch.write("whole.yaml", parent);
    let saved = scratch.run(&["pipeline", "save", "part.yaml"]);
    assert_eq!(
        (saved.code, saved.out.lines().next().unwrap()),
        (0, "part.yaml is saved as part@1"),
        "{saved:?}"
    );
    assert!(scratch.run(&["pipeline", "save", "part.yaml"]).out.contains("is saved already as part@1"));
    let done = scratch.run(&["run", "whole.yaml", "--json"]);
    assert_eq!(done.code, 0, "{done:?}");
    let run = done.json();
    assert_eq!(run["output"]["one"], 7);
    assert_eq!(run["output"]["parts"][2]["output"], json!({"n": 3}));
    let id = run["id"].as_str().unwrap();
    let children = scratch.run(&["runs", "--parent", id, "--json"]).json();
    assert_eq!(children["items"].as_array().unwrap().len(), 4);
    let child = run["steps"][1]["child"].as_str().unwrap();
    let shown = scratch.run(&["show", child]);
    assert!(
        shown.out.contains(&format!("parent    {} step one", run["short_id"].as_str().unwrap())),
        "{shown:?}"
    );
    assert_eq!(scratch.run(&["replay", id]).code, 0);
}

#[test]
fn runs_below_a_run_at_every_depth_are_found_by_the_topmost() {
    let scratch = Scratch::new();
    let step = |file: &str| format!("steps: [{{ id: below, run: {{ pipeline: ./{file}.yaml }} }}]\n");
    scratch.write("top.yaml", &format!("name: top\n{}", step("middle")));
    scratch.write("middle.yaml", &format!("name: middle\n{}", step("leaf")));
    scratch.write(
        "leaf.yaml",
        "name: leaf\nsteps: [{ id: a, function: everfold.noop }]\noutput: \"${run.top}\"\n",
    );
    let top = scratch.run(&["run", "./top.yaml", "--json"]).json();
    let id = top["id"].as_str().unwrap();
    let pipelines = |args: &[&str]| -> Vec<String> {
        let listed = scratch.run(&[&["runs", "--sort", "started", "--json"], args].concat()).json();
        let names = listed["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|run| run["pipeline"].as_str().unwrap().to_owned());
        names.collect()
    };
    assert_eq!(pipelines(&["--top", id]), ["middle", "leaf"]);
    assert_eq!(pipelines(&["--parent", id]), ["middle"]);
    assert!(top.get("parent").is_none(), "{top}");
    let leaf = scratch.run(&["show", "@", "--json"]).json();
    assert_eq!(
        (&leaf["pipeline"], &leaf["parent"]["top"], &leaf["output"]),
        (&"leaf".into(), &top["id"], &top["id"])
    );
    let shown = scratch.run(&["show", "@"]);
    let said = format!(", below {}", top["short_id"].as_str().unwrap());
    assert!(shown.out.contains(&said), "{shown:?}");
    let middle = scratch.run(&["show", "@1"]);
    assert!(middle.out.contains("parent    ") && !middle.out.contains(", below "), "{middle:?}");
}

#[test]
fn l25_the_end_of_a_failed_child_is_reported_with_its_name() {
    let scratch = Scratch::new();
    scratch.write("bad.yaml", "name: bad\nsteps:\n  - { id: work, command: 'exit 3' }\n");
    scratch.write("top.yaml", "name: top\nsteps:\n  - { id: call, run: ./bad.yaml }\n");
    let done = scratch.run(&["run", "top.yaml"]);
    assert_eq!(done.code, 1);
    let child = scratch.run(&["runs", "--parent", "@1", "--json"]);
    let children = if child.code == 0 { child.json() } else { Value::Null };
    let listed = scratch.run(&["runs", "--json"]).json();
    let top = listed["items"].as_array().unwrap().iter().find(|run| run["pipeline"] == "top").unwrap();
    let bad = listed["items"].as_array().unwrap().iter().find(|run| run["pipeline"] == "bad").unwrap();
    assert_eq!(bad["parent"]["run"], top["id"], "{children}");
    let short = bad["short_id"].as_str().unwrap();
    assert!(done.out.contains(&format!("child run {short} (./bad.yaml) failed")), "{done:?}");
    assert!(done.out.contains(&format!("everfold show {short}")), "{done:?}");
}

#[test]
fn l1_versions_are_named_shown_and_compared() {
    let scratch = Scratch::new();
    let version =
        |word: &str| format!("name: say\nsteps:\n  - {{ id: a, command: 'echo {word}' }}\noutput: {word}\n");
    scratch.write("say.yaml", &version("one"));
    scratch.run(&["pipeline", "save", "say.yaml"]);
    scratch.write("say.yaml", &version("two"));
    let would = scratch.run(&["pipeline", "diff", "./say.yaml"]);
    assert!(would.out.contains("- output: \"one\"\n+ output: \"two\""), "{would:?}");
    scratch.run(&["pipeline", "save", "say.yaml"]);
    assert!(scratch.run(&["pipeline", "diff", "say"]).out.starts_with("say@1 → say@2\n"));
    for (name, word) in [("say", "two"), ("say@1", "one"), ("say@2", "two")] {
        let run = scratch.run(&["run", name, "--json"]).json();
        assert_eq!(run["output"], word, "{name}");
        assert_eq!(scratch.run(&["pipeline", "show", name, "--text"]).out, version(word));
    }
    let hash =
        scratch.run(&["pipeline", "show", "say@1", "--json"]).json()["hash"].as_str().unwrap().to_owned();
    let run = scratch.run(&["run", &format!("say@{}", &hash[..10]), "--json"]).json();
    assert_eq!(run["output"], "one");
    let listed = scratch.run(&["pipeline", "list"]);
    assert!(listed.out.lines().any(|line| line.starts_with("say") && line.contains("@2")), "{listed:?}");
    let unknown = scratch.run(&["run", "sya"]);
    assert_eq!(unknown.code, 3);
    assert!(unknown.err.contains("did you mean “say”"), "{unknown:?}");
}

#[test]
fn l3_settings_are_read_where_the_run_starts() {
    let scratch = Scratch::new();
    let text = "name: p
config: { app: [own.yaml, { model: small, jobs: 2 }] }
steps:
  - { id: a, command: 'echo ${config.app.model}' }
output: '${config.app}'
";
    scratch.write("p.yaml", text);
    scratch.write("own.yaml", "model: large\n");
    let run = scratch.run(&["run", "p.yaml", "--json"]).json();
    assert_eq!(run["output"], json!({"model": "large", "jobs": 2}));
    scratch.write("q.yaml", &text.replace(", { model: small, jobs: 2 }", ""));
    std::fs::remove_file(scratch.path("own.yaml")).unwrap();
    let refused = scratch.run(&["run", "q.yaml"]);
    assert_eq!(refused.code, 2, "{refused:?}");
    assert!(refused.err.contains("EF0221") && refused.err.contains("own.yaml"), "{refused:?}");
}

/// What is pinned and what a gate reads later were put together in two ways: an earlier null gave way to a
/// later value, and the home of a user was a folder named `~`.
#[test]
fn l3_settings_are_pinned_as_a_gate_reads_them_and_may_lie_below_the_home() {
    let scratch = Scratch::new();
    std::fs::create_dir_all(scratch.path("home/conf")).unwrap();
    scratch.write("home/conf/own.yaml", "a: { x: ~, y: [1], n: +1 }\nb: 1_000\n");
    scratch.write("team.json", r#"{"a": {"x": 1, "y": [2, 3], "z": 18446744073709551615}, "b": null}"#);
    scratch.write(
        "p.yaml",
        "name: p\nconfig: { app: [~/conf/own.yaml, team.json, { a: { x: 2 }, c: no }] }\nsteps:\n  - id: a\n    gates: [{ config: app, \
         policy: \"{'verdict': evidence.value == config.app, 'reason': toJson(evidence.value)}\" }]\noutput: '${config.app}'\n",
    );
    let mut command = scratch.command(&["run", "p.yaml", "--json"]);
    let done: super::fixtures::Done = command.env("HOME", scratch.path("home")).output().unwrap().into();
    assert_eq!(done.code, 0, "{done:?}");
    let expected = json!({"a": {"x": null, "y": [1], "n": 1, "z": u64::MAX}, "b": "1_000", "c": "no"});
    assert_eq!(done.json()["output"], expected);
}

#[test]
fn l4_who_comes_second_gets_the_run_that_has_the_key() {
    let scratch = Scratch::new();
    let text = "name: p
key: { value: task, release: unsuccessful }
steps:
  - { id: a, command: 'echo once >> log' }
";
    scratch.write("p.yaml", text);
    let first = scratch.run(&["run", "p.yaml", "--json"]).json();
    let second = scratch.run(&["run", "p.yaml", "--json"]).json();
    assert_eq!(first["id"], second["id"]);
    assert_eq!(std::fs::read_to_string(scratch.path("log")).unwrap(), "once\n");
    scratch
        .write("r.yaml", &text.replace("release: unsuccessful", "release: unsuccessful, on_taken: reject"));
    let refused = scratch.run(&["run", "r.yaml"]);
    assert_eq!(refused.code, 4, "{refused:?}");
    assert!(refused.err.contains("EF0312") && refused.err.contains(first["short_id"].as_str().unwrap()));
}

#[test]
fn l5_a_gate_before_the_start_names_its_code() {
    let scratch = Scratch::new();
    let text = "name: p
admit:
  - { id: ready, code: REPO_NOT_READY, file: { exists: ready } }
steps:
  - { id: a, command: 'true' }
";
    scratch.write("p.yaml", text);
    let refused = scratch.run(&["run", "p.yaml"]);
    assert_eq!(refused.code, 4, "{refused:?}");
    assert!(refused.err.contains("EF0314") && refused.err.contains("REPO_NOT_READY"), "{refused:?}");
    assert_eq!(scratch.run(&["runs", "--json"]).json()["items"], json!([]));
    scratch.write("ready", "");
    assert_eq!(scratch.run(&["run", "p.yaml"]).code, 0);
    let events = scratch.run(&["events", "@"]);
    assert!(events.out.contains("$admit 1.1"), "{events:?}");
}

#[test]
fn d9_a_run_waits_for_its_slot_and_goes_on_when_it_is_free() {
    let scratch = Scratch::new();
    let text = "name: p
concurrency: { key: one }
steps:
  - { id: a, command: 'echo begin >> log; until [ -e go ]; do sleep 0.02; done; echo end >> log' }
";
    scratch.write("p.yaml", text);
    let first = scratch.start(&["run", "p.yaml"]);
    await_that("the first one works", || scratch.path("log").exists().then_some(()));
    let second = scratch.run(&["run", "p.yaml", "--detach", "--json"]);
    assert_eq!(second.code, 0, "{second:?}");
    let id = second.json()["id"].as_str().unwrap().to_owned();
    let shown = scratch.run(&["show", &id]);
    assert!(shown.out.contains("queued") && shown.out.contains("one: held by"), "{shown:?}");
    scratch.write("go", "");
    assert_eq!(first.end().code, 0);
    assert_eq!(scratch.run(&["resume", &id]).code, 0);
    let log = std::fs::read_to_string(scratch.path("log")).unwrap();
    assert_eq!(log, "begin\nend\nbegin\nend\n");
}

#[test]
fn l30_a_failed_run_is_retried_restarted_and_forked() {
    let scratch = Scratch::new();
    let text = "name: p
input: { type: object, properties: { word: { type: string, default: no } } }
steps:
  - { id: first, command: 'echo first >> log' }
  - { id: second, command: 'echo second ${input.word} >> log; test -e fixed' }
  - { id: third, command: 'echo third >> log' }
output: '${input.word}'
";
    scratch.write("p.yaml", text);
    assert_eq!(scratch.run(&["run", "p.yaml"]).code, 1);
    let origin = scratch.short("@");
    scratch.write("fixed", "");
    let retried = scratch.run(&["retry", &origin]);
    assert_eq!(retried.code, 0, "{retried:?}");
    let log = || std::fs::read_to_string(scratch.path("log")).unwrap();
    assert_eq!(log(), "first\nsecond no\nsecond no\nthird\n");
    let shown = scratch.run(&["show", "@"]);
    assert!(shown.out.contains(&format!("retry of {origin}")), "{shown:?}");
    let restarted = scratch.run(&["restart", "@", "--from", "third", "-i", "word=yes", "--json"]).json();
    assert_eq!(restarted["output"], "yes");
    assert_eq!(log(), "first\nsecond no\nsecond no\nthird\nthird\n");
    let forked = scratch.run(&["fork", &origin, "--at", "2", "--json"]);
    assert_eq!(forked.code, 0, "{forked:?}");
    assert_eq!(forked.json()["origin"]["how"], "fork");
    assert!(log().ends_with("third\nfirst\nsecond no\nthird\n"), "{}", log());
    assert_eq!(scratch.run(&["runs", "--json"]).json()["items"].as_array().unwrap().len(), 4);
    assert_eq!(scratch.run(&["show", &origin]).out.lines().nth(1).unwrap().trim(), "status    failed");
    let verified = scratch.run(&["store", "verify"]);
    assert_eq!(verified.code, 0, "{verified:?}");
    for run in ["@", "@1", "@2"] {
        assert_eq!(scratch.run(&["replay", run]).code, 0, "{run}");
    }
    let nowhere = scratch.run(&["restart", &origin, "--from", "nowhere"]);
    assert_eq!(nowhere.code, 3, "{nowhere:?}");
}

#[test]
fn l30_a_blocked_run_is_retried_in_place() {
    let scratch = Scratch::new();
    let text = "name: p
steps:
  - { id: a, on_fail: block, command: 'test -e fixed' }
";
    scratch.write("p.yaml", text);
    assert_eq!(scratch.run(&["run", "p.yaml", "--no-wait"]).code, 6);
    let run = scratch.short("@");
    scratch.write("fixed", "");
    let retried = scratch.run(&["retry", &run]);
    assert_eq!(retried.code, 0, "{retried:?}");
    assert_eq!(scratch.short("@"), run);
}

#[test]
fn l25_a_child_that_nobody_waits_for_goes_on_behind_the_command() {
    let scratch = Scratch::new();
    scratch.write(
        "slow.yaml",
        "name: slow\nsteps:\n  - { id: a, command: 'until [ -e go ]; do sleep 0.02; done' }\n",
    );
    scratch.write("top.yaml", "name: top\nsteps:\n  - { id: call, run: { pipeline: ./slow.yaml, wait: false } }\noutput: '${steps.call.output.run}'\n");
    let top = scratch.run(&["run", "top.yaml", "--json"]);
    assert_eq!(top.code, 0, "{top:?}");
    let child = top.json()["output"].as_str().unwrap().to_owned();
    assert!(top.err.contains("goes on in the background"), "{top:?}");
    scratch.write("go", "");
    scratch.await_status(&child, "succeeded");
}

/// Where a run comes from and what went on from it, from any of them, and as it was before.
#[test]
fn a_lineage_is_the_tree_of_runs_that_went_on_from_one_another() {
    let scratch = Scratch::new();
    scratch
        .write("p.yaml", "name: p\nsteps:\n  - { id: a, command: 'true' }\n  - { id: b, command: 'true' }\n");
    assert_eq!(scratch.run(&["run", "./p.yaml"]).code, 0);
    let first = scratch.short("@");
    assert!(scratch.run(&["lineage", &first]).err.contains("no run went on from it"));
    let before = scratch.run(&["show", "@", "--json"]).json()["updated_at"].as_str().unwrap().to_owned();
    assert_eq!(scratch.run(&["fork", &first, "--at", "2"]).code, 0);
    let fork = scratch.short("@");
    assert_eq!(scratch.run(&["restart", &fork, "--from", "b"]).code, 0);
    let again = scratch.short("@");
    assert_eq!(scratch.run(&["fork", &first, "--at", "3"]).code, 0);
    let other = scratch.short("@");
    for asked in [&first, &fork, &again, &other] {
        let shown = scratch.run(&["lineage", asked]);
        assert_eq!(shown.code, 0, "{shown:?}");
        let lines: Vec<&str> = shown.out.lines().collect();
        let begins: Vec<&str> =
            lines.iter().map(|line| line.split("  succeeded").next().unwrap().trim_end()).collect();
        let restarted = scratch.run(&["show", &again, "--json"]).json()["origin"]["version"].to_string();
        assert_eq!(
            begins,
            [
                first.clone(),
                format!("├─ {fork}  fork at 2"),
                format!("│  └─ {again}  restart at {restarted}"),
                format!("└─ {other}  fork at 3"),
            ],
            "{shown:?}"
        );
        let marked: Vec<&&str> = lines.iter().filter(|line| line.ends_with("← this run")).collect();
        assert!(marked.len() == 1 && marked[0].contains(asked.as_str()), "{shown:?}");
    }
    let past = scratch.run(&["lineage", &first, "--at", &before, "--json"]).json();
    assert_eq!(past["items"].as_array().unwrap().len(), 1, "{past}");
    // The runs that went on from one are found by an index.
    let id = scratch.run(&["show", &first, "--json"]).json()["id"].as_str().unwrap().to_owned();
    let listed = scratch.run(&["runs", "--filter", &format!("origin.run == '{id}'"), "--json"]).json();
    let found: Vec<&str> =
        listed["items"].as_array().unwrap().iter().map(|run| run["short_id"].as_str().unwrap()).collect();
    assert_eq!(found, [other.as_str(), fork.as_str()], "{listed}");
    assert_eq!(listed["filter"]["by_index"], serde_json::json!(["origin.run"]), "{listed}");
    let upgrade = scratch.run(&["doctor", "--upgrade"]);
    assert!(upgrade.out.contains("4 runs decided again, all as recorded"), "{upgrade:?}");
}

#[test]
fn a_fork_goes_on_until_a_step_and_pauses_before_it() {
    let scratch = Scratch::new();
    let text = "name: p\nsteps:\n  - { id: a, command: 'true' }\n  - { id: b, command: 'true' }\n  - { id: c, command: 'true' }\n";
    scratch.write("p.yaml", text);
    assert_eq!(scratch.run(&["run", "./p.yaml"]).code, 0);
    let origin = scratch.short("@");
    let forked = scratch.run(&["fork", &origin, "--at", "2", "--until", "c", "--no-wait"]);
    assert_eq!(forked.code, 6, "{forked:?}");
    let view = scratch.run(&["show", "@", "--json"]).json();
    assert_eq!(view["status"], "paused");
    let steps: Vec<&str> =
        view["steps"].as_array().unwrap().iter().map(|step| step["status"].as_str().unwrap()).collect();
    assert_eq!(steps, ["succeeded", "succeeded", "pending"]);
    assert_eq!(scratch.run(&["resume", "@"]).code, 0);
    let unknown = scratch.run(&["fork", &origin, "--at", "2", "--until", "d"]);
    assert_eq!(unknown.code, 3, "{unknown:?}");
}

#[test]
fn l30_a_restart_and_a_fork_go_on_by_a_mended_file_or_report_what_does_not_fit() {
    let scratch = Scratch::new();
    let text = |second: &str, more: &str| {
        format!(
            "name: p
config: {{ words: [{{ greeting: hello }}] }}
steps:
  - {{ id: first, command: 'echo first >> log' }}
  - {{ id: second, {second} }}
{more}output: '${{config.words.greeting}}'
"
        )
    };
    scratch.write("p.yaml", &text("command: 'exit 7'", ""));
    assert_eq!(scratch.run(&["run", "./p.yaml"]).code, 1);
    let origin = scratch.short("@");
    let third = "  - { id: third, needs: [second, first], command: 'echo third >> log' }\n";
    scratch.write("mended.yaml", &text("gates: [{ file: { exists: log } }]", third));
    let mended = ["--definition", "./mended.yaml", "--json"];
    let restarted = scratch.run(&[&["restart", &origin, "--from", "second"][..], &mended].concat());
    assert_eq!(restarted.code, 0, "{restarted:?}");
    assert_eq!(restarted.json()["output"], "hello");
    assert_eq!(std::fs::read_to_string(scratch.path("log")).unwrap(), "first\nthird\n");
    let word = ["--config-value", "words={\"greeting\": \"moin\"}"];
    let forked = scratch.run(&[&["fork", &origin, "--at", "2"][..], &mended, &word].concat());
    assert_eq!(forked.json()["output"], "moin", "{forked:?}");
    let late = scratch.run(&["fork", &origin, "--at", "6", "--definition", "./mended.yaml"]);
    assert_eq!(late.code, 4, "{late:?}");
    assert!(
        late.err.contains("EF0315")
            && late.err.contains("is of step “second”: it was command, and is without work"),
        "{late:?}"
    );
    assert!(scratch.run(&["explain", "EF0315"]).out.contains("may differ freely"));
    // A saved name is as good as a file.
    assert_eq!(scratch.run(&["pipeline", "save", "./mended.yaml"]).code, 0);
    let named = scratch.run(&["restart", &origin, "--from", "second", "--definition", "p"]);
    assert_eq!(named.code, 0, "{named:?}");
    for run in ["@", "@1", "@2"] {
        assert_eq!(scratch.run(&["replay", run]).code, 0, "{run}");
    }
    let verified = scratch.run(&["store", "verify"]);
    assert_eq!(verified.code, 0, "{verified:?}");
    let nothing = scratch.run(&["restart", &origin, "--from", "second", "--config-value", "words=hello"]);
    assert_eq!(nothing.code, 2, "{nothing:?}");
    // A document that the pipeline does not have would be read by no step.
    for (name, hint) in [("wrods", "did you mean “words”?"), ("project", "it has words")] {
        let value = format!("{name}={{}}");
        for verb in [&["restart", &origin, "--from", "second"][..], &["fork", &origin, "--at", "2"]] {
            for by in [&[][..], &["--definition", "./mended.yaml"], &["--definition", "p"]] {
                let unknown = scratch.run(&[verb, &["--config-value", &value], by].concat());
                assert_eq!(unknown.code, 2, "{unknown:?}");
                let words = format!("--config-value {name}: the pipeline has no such document");
                assert!(unknown.err.contains(&words) && unknown.err.contains(hint), "{unknown:?}");
            }
        }
    }
}

/// A process that is ended where the command does not end by itself.
fn ends(scratch: &Scratch, args: &[&str]) -> Done {
    let mut running = scratch.start(args);
    await_that(&format!("{args:?} ends"), || running.has_ended().then_some(()));
    running.end()
}

#[test]
fn no_wait_leaves_where_the_runs_that_it_waits_for_wait_for_people() {
    let scratch = Scratch::new();
    scratch.write(
        "part.yaml",
        "name: part\nsteps:\n  - { id: work, command: 'sleep 0.3; echo done >> trace' }\n  - { id: ok, needs: [work], approval: { title: Right? } }\n",
    );
    scratch.write("mid.yaml", "name: mid\nsteps:\n  - { id: down, run: ./part.yaml }\n");
    scratch.write(
        "top.yaml",
        "name: top\nsteps:\n  - { id: call, run: ./mid.yaml }\n  - { id: parts, needs: [], foreach: { in: [1, 2] }, run: ./part.yaml }\n  - { id: own, needs: [], command: 'sleep 0.6; echo own >> trace' }\n",
    );
    let top = ends(&scratch, &["run", "./top.yaml", "--no-wait"]);
    assert_eq!(top.code, 6, "{top:?}");
    let mut trace = lines(&scratch.path("trace"));
    trace.sort_unstable();
    assert_eq!(trace, ["done", "done", "done", "own"], "nothing was left undone");
    let tasks: Vec<&str> =
        top.out.lines().filter_map(|line| line.trim().strip_prefix("everfold approve ")).collect();
    assert_eq!(tasks.len(), 3, "each is named: {top:?}");
    let run = top.out.split_whitespace().nth(1).unwrap().to_owned();
    let again = ends(&scratch, &["resume", &run, "--no-wait"]);
    assert_eq!(again.code, 6, "{again:?}");
    for task in tasks {
        assert_eq!(scratch.run(&["approve", task.split_whitespace().next().unwrap()]).code, 0);
    }
    assert_eq!(scratch.run(&["resume", &run]).code, 0);
}

#[test]
fn no_wait_stays_while_a_run_that_it_started_and_does_not_wait_for_works() {
    let scratch = Scratch::new();
    scratch.write("slow.yaml", "name: slow\nsteps:\n  - { id: a, command: 'sleep 0.5' }\n  - { id: b, needs: [a], command: 'echo done >> trace' }\n");
    scratch.write(
        "top.yaml",
        "name: top\nsteps:\n  - { id: call, run: { pipeline: ./slow.yaml, wait: false } }\n  - { id: ok, needs: [call], approval: { title: Right? } }\n",
    );
    let top = ends(&scratch, &["run", "./top.yaml", "--no-wait"]);
    assert_eq!(top.code, 6, "{top:?}");
    assert_eq!(lines(&scratch.path("trace")), ["done"]);
}

#[test]
fn a_decision_for_a_child_lets_the_run_that_waits_for_it_go_on() {
    let scratch = Scratch::new();
    scratch.write(
        "parts.yaml",
        "name: parts
steps:
  - id: each
    foreach: { in: [x, y], max_in_flight: 1, steps: [{ id: ok, approval: { title: 'Right?' } }] }
  - { id: last, command: echo done }
",
    );
    let started = scratch.run(&["run", "parts.yaml", "--no-wait", "--json"]).json();
    let run = started["id"].as_str().unwrap();
    for _item in 0..2 {
        let task = await_that("an item asks", || {
            scratch.run(&["inbox", "--json"]).json()["items"][0]["id"].as_str().map(str::to_owned)
        });
        let approved = scratch.run(&["approve", &task]);
        assert_eq!(approved.code, 0, "{approved:?}");
    }
    await_that("the run ends", || {
        (scratch.run(&["show", run, "--json"]).json()["status"] == "succeeded").then_some(())
    });
}
