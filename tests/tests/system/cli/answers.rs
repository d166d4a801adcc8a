//! What each answer says, and what it says to type next.

use super::fixtures::{Done, Scratch};
use crate::workflow_fixtures::program::write_program;

fn said(done: &Done, code: i32, words: &[&str]) {
    assert_eq!(done.code, code, "{done:?}");
    for word in words {
        assert!(done.out.contains(word) || done.err.contains(word), "{word} in {done:#?}");
    }
}

fn as_user(scratch: &Scratch, user: &str, args: &[&str]) -> Done {
    scratch.command(args).env("EVERFOLD_USER", user).output().unwrap().into()
}

#[test]
fn l20_a_vote_that_a_quorum_waits_for_is_counted_and_says_so() {
    let scratch = Scratch::new();
    let ask = "approval: { title: Ship it?, quorum: 2, self_approval: false }";
    scratch.write("ask.yaml", &format!("name: ask\nsteps:\n  - {{ id: ok, {ask} }}\n"));
    said(&scratch.run(&["run", "./ask.yaml", "--no-wait"]), 6, &["everfold approve"]);
    said(&scratch.run(&["approve", "@"]), 4, &["EF0305", "EVERFOLD_USER"]);
    said(&as_user(&scratch, "ben", &["approve", "@"]), 0, &["counted (1 of 2)", "is waiting"]);
    said(&as_user(&scratch, "eve", &["reject", "@", "-m", "no"]), 0, &["rejected; run", "has failed"]);
    said(&scratch.run(&["show"]), 0, &["    rejected by user:eve: no\n"]);
    said(&scratch.run(&["cancel", "@"]), 4, &["EF0302", "everfold run"]);
}

/// Those for the value before were counted beside the others, so that an open task stood at “5 of 5”.
#[test]
fn l19_approvals_of_a_value_that_was_replaced_stand_nowhere_as_votes() {
    let scratch = Scratch::new();
    scratch.write(
        "sign.yaml",
        "name: sign\nsteps:\n  - { id: sign, approval: { title: Sign?, quorum: 2, edit: '${input}' } }\n",
    );
    said(&scratch.run(&["run", "./sign.yaml", "-i", "limit=3", "--no-wait"]), 6, &[]);
    said(&as_user(&scratch, "ben", &["approve", "@"]), 0, &["counted (1 of 2)"]);
    let edited = as_user(&scratch, "eve", &["approve", "@", "--value", "{\"limit\": 9}"]);
    said(&edited, 0, &["counted (1 of 2)", "is waiting"]);
    said(&scratch.run(&["show"]), 0, &["1 of 2 votes"]);
    let inbox = scratch.run(&["inbox", "--json"]).json();
    let task = &inbox["items"][0];
    assert_eq!(task["votes"], serde_json::json!({"user:eve": "approve"}), "{inbox}");
    // The inbox went on showing the digest of the value before, and a vote that named it was refused.
    let seen = task["seen"]["digest"].as_str().unwrap();
    said(&as_user(&scratch, "ben", &["approve", "@", "--seen", seen]), 0, &["approved; run"]);
    said(&scratch.run(&["audit"]), 0, &[r#"vote: approve with {"limit":9}"#]);
    said(&scratch.run(&["events"]), 0, &[r#"approve with {"limit":9}"#]);
}

const BLOCKED: &str = "name: stuck\nsteps:\n  - id: work\n    command: echo again >> tries\n    gates:\n      - { id: there, command: 'test -e there || { echo no file; exit 3; }', on_fail: block }\n  - id: after\n    command: 'true'\noutput: ${steps.work.status}\n";

#[test]
fn l23_each_decision_on_a_blocked_step_leads_where_it_says() {
    let scratch = Scratch::new();
    scratch.write("stuck.yaml", BLOCKED);
    for (decision, code, status) in [
        ("retry", 6, "blocked"),
        ("recheck", 6, "blocked"),
        ("proceed", 0, "succeeded"),
        ("skip", 0, "succeeded"),
        ("fail", 1, "failed"),
    ] {
        scratch.write("tries", "");
        let run = scratch.run(&["run", "./stuck.yaml", "--no-wait"]);
        said(&run, 6, &["--decision retry   # or recheck, proceed, skip, fail: the gate there failed"]);
        let unblock =
            |step: &str| scratch.run(&["unblock", "@", step, "--decision", decision, "-m", "so be it"]);
        said(&unblock("wrok"), 3, &["did you mean “work”?"]);
        said(&unblock("after"), 4, &["everfold show @"]);
        if decision == "proceed" {
            let silent = scratch.run(&["unblock", "@", "--decision", decision]);
            said(&silent, 2, &["EF0239", "to proceed past a blocked step needs a reason", "add -m WHY"]);
            assert_eq!(scratch.run(&["show", "@", "--json"]).json()["status"], "blocked");
        }
        said(&scratch.run(&["unblock", "@", "--decision", decision, "-m", "so be it"]), 0, &[]);
        if decision == "proceed" {
            said(
                &scratch.run(&["audit", "--kind", "override"]),
                0,
                &["override: proceed past there", "so be it"],
            );
        }
        let done = scratch.run(&["resume", "@", "--no-wait"]);
        assert_eq!(done.code, code, "{decision}: {done:?}");
        assert_eq!(scratch.run(&["show", "@", "--json"]).json()["status"], status, "{decision}");
        let tries = std::fs::read_to_string(scratch.path("tries")).unwrap().lines().count();
        assert_eq!(tries, if decision == "retry" { 2 } else { 1 }, "{decision}");
        scratch.run(&["cancel", "@"]);
    }
    scratch.run(&["run", "./stuck.yaml", "--no-wait"]);
    scratch.write("there", "");
    said(&scratch.run(&["unblock", "@", "--decision", "recheck"]), 0, &["decision is recorded"]);
    said(&scratch.run(&["resume", "@"]), 0, &["output \"succeeded\""]);
}

#[test]
fn logs_say_why_a_step_has_none() {
    let scratch = Scratch::new();
    let many = "  - id: many\n    foreach: { in: [1, 2, 3], as: n }\n    command: echo item ${n}\n";
    let rest = "  - { id: off, command: 'true', when: 'steps.ok.round > 3' }\n  - { id: silent, command: 'true' }\n  - { id: fails, command: exit 1 }\n  - { id: later, command: 'true' }\n";
    scratch
        .write("p.yaml", &format!("name: p\nsteps:\n{many}  - {{ id: ok, wait: {{ for: 1ms }} }}\n{rest}"));
    said(&scratch.run(&["run", "./p.yaml"]), 1, &[]);
    said(&scratch.run(&["logs", "@", "many"]), 3, &["made of items", "many.0 to many.2"]);
    said(&scratch.run(&["logs", "@", "many.2"]), 0, &["item 3\n"]);
    said(&scratch.run(&["logs", "@", "many.7"]), 3, &["no such attempt", "many.0 to many.2"]);
    said(&scratch.run(&["logs", "@", "ok"]), 3, &["starts no process"]);
    said(&scratch.run(&["logs", "@", "later"]), 3, &["never began", "everfold show"]);
    said(
        &scratch.run(&["logs", "@", "off"]),
        3,
        &["did not run: it was passed over", "everfold why", " off`"],
    );
    let values = "its `when` was false: steps.ok.round > 3, where steps.ok.round was 1";
    said(&scratch.run(&["why", "@", "off"]), 0, &["off was passed over", values]);
    let silent = scratch.run(&["logs", "@", "silent"]);
    assert_eq!((silent.code, silent.out.as_str()), (0, ""), "it printed nothing: {silent:?}");
    // What printed something and has no log any more was damaged.
    let runs = std::fs::read_dir(scratch.data().join("attempts")).unwrap();
    let logs = runs.map(|run| run.unwrap().path().join("many.2-r1-a1/log")).filter(|log| log.exists());
    let removed = logs.map(|log| std::fs::remove_file(log).unwrap()).count();
    assert_eq!(removed, 1);
    said(&scratch.run(&["logs", "@", "many.2"]), 7, &["many.2/1/1 is damaged: it is missing"]);
    said(&scratch.run(&["state", "@", "--at", "999"]), 3, &["not yet at 999", "everfold events"]);
    for verb in [&["show", ""][..], &["logs", "@", ""], &["approve", ""], &["run", ""]] {
        said(&scratch.run(verb), 2, &["EF0501"]);
    }
    said(&scratch.run(&["runs", "-q", "nowhere"]), 0, &["no run fits"]);
}

#[test]
fn logs_of_a_step_that_a_retry_kept_are_those_of_the_run_that_made_them() {
    let scratch = Scratch::new();
    scratch.write(
        "p.yaml",
        "name: p\nsteps:\n  - { id: a, command: echo made once }\n  - { id: b, command: exit 1 }\n",
    );
    said(&scratch.run(&["run", "./p.yaml"]), 1, &[]);
    for _of_it_and_of_its_retry in 0..2 {
        said(&scratch.run(&["retry", "@"]), 1, &[]);
        said(&scratch.run(&["logs", "@", "a"]), 0, &["made once\n"]);
        said(
            &scratch.run(&["logs", "@", "a", "--round", "1", "--attempt", "1", "--json"]),
            0,
            &["made once"],
        );
        said(&scratch.run(&["logs", "@", "a", "--round", "2"]), 3, &["no such attempt"]);
    }
}

#[test]
fn logs_of_work_that_a_fork_did_not_do_are_those_of_the_work_that_stands_in_and_its_evidence_is_the_same() {
    let scratch = Scratch::new();
    scratch.write(
        "p.yaml",
        "name: p\nsteps:\n  - id: a\n    command: echo made once\n    outside: true\n    \
         gates: [{ id: g, command: echo found }]\n",
    );
    let origin = scratch.run(&["run", "./p.yaml", "--json"]).json()["id"].as_str().unwrap().to_owned();
    said(&scratch.run(&["fork", &origin, "--at", "1", "--replay-effects"]), 0, &[]);
    said(&scratch.run(&["logs", "@", "a"]), 0, &["made once\n"]);
    let diff = scratch.run(&["diff", &origin, "@"]);
    said(&diff, 0, &[]);
    assert!(!diff.out.contains("other evidence"), "{diff:?}");
    said(&scratch.run(&["fork", "@", "--at", "1", "--replay-effects"]), 0, &[]);
    said(&scratch.run(&["logs", "@", "a"]), 0, &["made once\n"]);
    said(&scratch.run(&["fork", &origin, "--at", "1"]), 0, &[]);
    said(&scratch.run(&["logs", "@", "a"]), 3, &["held back", "--live"]);
}

#[test]
fn what_a_program_prints_cannot_drive_the_terminal() {
    let scratch = Scratch::new();
    scratch.write(
        "p.yaml",
        "name: p\nsteps:\n  - id: a\n    command: \"printf '\\\\033[2Jgone\\\\033[31m red\\\\007\\\\n'; exit 1\"\n",
    );
    let done = scratch.run(&["run", "./p.yaml"]);
    said(&done, 1, &["| gone red"]);
    for done in [done, scratch.run(&["show", "@"])] {
        assert!(!done.out.contains(['\u{1b}', '\u{7}']), "{done:?}");
    }
    assert!(scratch.run(&["logs", "@"]).out.contains("\u{1b}[2J"), "logs print what was written");
}

#[test]
fn pipelines_say_what_they_want_and_their_graph_is_a_document_too() {
    let scratch = Scratch::new();
    said(&scratch.run(&["pipeline", "show", "delivery"]), 0, &["everfold run delivery -i repo=… -i task=…"]);
    let graph = scratch.run(&["pipeline", "graph", "delivery", "--json"]).json();
    assert_eq!((&graph["name"], &graph["format"]), (&"delivery".into(), &"text".into()));
    let picture = scratch.run(&["pipeline", "graph", "delivery", "--svg", "--json"]).json();
    assert!(picture["graph"].as_str().unwrap().starts_with("<svg"), "{picture}");
}

#[test]
fn a_damaged_journal_is_repaired_by_typing_what_each_answer_says() {
    let scratch = Scratch::new();
    scratch
        .write("p.yaml", "name: p\nsteps:\n  - { id: a, command: echo a }\n  - { id: b, command: echo b }\n");
    said(&scratch.run(&["run", "./p.yaml"]), 0, &[]);
    let before = scratch.run(&["events", "@", "--json"]).out;
    let segment = scratch.data().join("journal/0000000001.segment");
    let mut bytes = std::fs::read(&segment).unwrap();
    let groups: Vec<usize> = (0..bytes.len() - 4).filter(|at| bytes[*at..].starts_with(b"EVGR")).collect();
    bytes[groups[1] + 100] ^= 1;
    std::fs::write(&segment, bytes).unwrap();
    said(&scratch.run(&["show"]), 7, &["everfold store verify"]);
    said(&scratch.run(&["store", "verify"]), 7, &["everfold store repair"]);
    said(&scratch.run(&["store", "repair"]), 0, &["lost    position", "store repair --from-sled "]);
    let without = ["not in the journal; the index may hold ", "store repair --from-sled says"];
    said(&scratch.run(&["store", "repair", "--yes"]), 7, &without);
    said(&scratch.run(&["store", "repair", "--from-sled"]), 0, &["would ", "repair --from-sled --yes"]);
    said(&scratch.run(&["store", "repair", "--from-sled", "--yes"]), 0, &["did ", "everfold store verify"]);
    said(&scratch.run(&["store", "verify"]), 0, &["there is no index", "as it was written"]);
    assert_eq!(scratch.run(&["events", "@", "--json"]).out, before);
    said(&scratch.run(&["store", "repair"]), 0, &["nothing need be repaired"]);
    // What is no segment in the place of one: no repair knows what it was to be.
    let foreign = scratch.data().join("journal/0000000002.segment");
    std::fs::write(&foreign, "").unwrap();
    let unmended = ["damage  ", "0000000002.segment", "cannot mend it", "is to be moved out of `journal`"];
    for repair in [&["store", "repair"][..], &["store", "repair", "--yes"]] {
        said(&scratch.run(repair), 7, &unmended);
    }
    std::fs::remove_file(&foreign).unwrap();
    said(&scratch.run(&["runs"]), 0, &[]);
}

#[test]
fn bisect_says_never_only_when_it_has_looked_at_everything() {
    let scratch = Scratch::new();
    scratch.write("p.yaml", "name: p\nsteps:\n  - { id: a, command: echo a }\n");
    for _ in 0..3 {
        said(&scratch.run(&["run", "./p.yaml"]), 0, &[]);
    }
    let answers = |args: &[&str], words: &[&str], never: &str| {
        let done = scratch.run(args);
        said(&done, 0, words);
        assert!(!done.out.contains(never), "{done:#?}");
    };
    let (of_run, of_runs) = (["bisect", "@", "steps.a.round > 5"], ["bisect", "--pipeline", "p", "false"]);
    answers(&of_run, &["was never true"], "--from");
    let bounded = [&of_run[..], &["--limit", "2"]].concat();
    answers(&bounded, &["after any of the 2 events looked at", "`--from 3` goes on"], "never");
    answers(&[&of_run[..], &["--from", "3"]].concat(), &["is not true after any of the"], "never");
    said(&scratch.run(&[&of_run[..], &["--from", "99"]].concat()), 3, &["EF0215"]);
    answers(&["bisect", "@", "steps.a.round > 0", "--limit", "3"], &["as far as it was looked at"], "--from");
    answers(&of_runs, &["is true of no run"], "--from");
    let bounded = [&of_runs[..], &["--limit", "2"]].concat();
    answers(&bounded, &["is true of none of the 2 runs looked at", "goes on"], "of no run");
    let cursor = scratch.run(&[&bounded[..], &["--json"]].concat()).json()["next_cursor"].clone();
    let rest = [&of_runs[..], &["--from", cursor.as_str().unwrap()]].concat();
    answers(&rest, &["is true of none of the 1 run looked at"], "of no run");
    answers(
        &["bisect", "--pipeline", "p", "labels.tem == 'x'"],
        &["none of the runs has the label “tem”"],
        "--from",
    );
}

/// Programs that speak as the real ones do, without what they cost.
fn with_agents(mode: &str) -> Scratch {
    let scratch = Scratch::new();
    let claude = r#"#!/bin/sh
cat > prompt.txt
echo '{"type":"system","subtype":"init","session_id":"s-1","model":"opus"}'
echo '{"type":"assistant","message":{"content":[{"type":"tool_use","id":"t","name":"Bash","input":{"command":"ls"}}]}}'
case "$MODE" in
cut) printf '%s\n' '{"type":"resu' ;;
failed) printf '%s\n' '{"type":"result","subtype":"error_max_turns","is_error":true,"total_cost_usd":0.5,"usage":{"input_tokens":1,"output_tokens":2}}' ;;
*) printf '%s\n' '{"type":"result","subtype":"success","is_error":false,"result":"So:\n```json\n{\"ok\": true}\n```","session_id":"s-1","total_cost_usd":0.0123,"usage":{"input_tokens":100,"output_tokens":50}}' ;;
esac
"#;
    let codex = r#"#!/bin/sh
cat > prompt.txt
printf '%s\n' '{"type":"thread.started","thread_id":"t-1"}'
printf '%s\n' '{"type":"item.completed","item":{"id":"i","type":"agent_message","text":"the answer is {\"n\": 42}"}}'
printf '%s\n' '{"type":"turn.completed","usage":{"input_tokens":10,"cached_input_tokens":4,"output_tokens":3}}'
"#;
    for (name, text) in [("claude", claude.replace("$MODE", mode)), ("codex", codex.to_owned())] {
        write_program(&scratch.path(&format!("bin/{name}")), &text);
    }
    scratch.write(
        "agents.yaml",
        "name: agents\nsteps:\n  - id: one\n    agent: { profile: claude, prompt: Do it }\n    outputs: { json: lenient }\n  - id: two\n    agent: { profile: codex, prompt: Do it }\n    outputs: { json: lenient }\n  - id: three\n    agent: { profile: script, prompt: Do it, args: [sh, -c, 'cat \"$EVERFOLD_PROMPT\"'] }\noutput: [\"${steps.one.output}\", \"${steps.two.output}\", \"${steps.three.output}\"]\n",
    );
    scratch
}

fn run_agents(scratch: &Scratch) -> Done {
    let path = format!("{}:{}", scratch.path("bin").display(), std::env::var("PATH").unwrap());
    scratch.command(&["run", "./agents.yaml"]).env("PATH", path).output().unwrap().into()
}

#[test]
fn the_declared_output_of_an_agent_is_read_from_its_answer() {
    let scratch = with_agents("");
    said(&run_agents(&scratch), 0, &[r#"output [{"ok":true},{"n":42},"Do it"]"#]);
    said(&scratch.run(&["show"]), 0, &["110 tokens read, 53 written, 0.0123"]);
}

#[test]
fn an_agent_that_fails_by_its_own_account_fails_whatever_is_read_from_it() {
    for (mode, words) in
        [("cut", ["ended before its result", "| Bash: ls\n"]), ("failed", ["error max turns"; 2])]
    {
        let scratch = with_agents(mode);
        said(&run_agents(&scratch), 1, &words);
    }
}

#[test]
fn a_missing_agent_program_leads_to_the_doctor() {
    let scratch = Scratch::new();
    scratch.write("p.yaml", "name: p\nsteps:\n  - id: a\n    agent: { profile: mine, prompt: Do it }\n");
    std::fs::create_dir(scratch.data()).unwrap();
    scratch.write(".everfold/everfold.toml", "[agents.mine]\ncommand = [\"no-such-program\"]\n");
    said(&scratch.run(&["run", "./p.yaml"]), 1, &["spawn", "agents.mine.command", "next\n  everfold doctor"]);
}

#[test]
fn logs_that_are_followed_wait_for_a_step_that_has_not_begun() {
    let scratch = Scratch::new();
    let text = "name: p\nsteps:\n  - { id: gate, approval: { title: go on? } }\n  - { id: say, command: echo hello }\n  - { id: never, when: 'has(input.x)', command: echo no }\n";
    scratch.write("p.yaml", text);
    let waiting = scratch.start(&["run", "./p.yaml"]);
    scratch.await_status("@", "waiting");
    let at_once = scratch.run(&["logs", "@", "say"]);
    assert_eq!(at_once.code, 3, "{at_once:?}");
    let (said, never) =
        (scratch.start(&["logs", "@", "say", "-f"]), scratch.start(&["logs", "@", "never", "-f"]));
    let any = scratch.start(&["logs", "@", "-f"]);
    assert_eq!(scratch.run(&["approve", "@"]).code, 0);
    for followed in [said, any] {
        let followed = followed.end();
        assert_eq!((followed.code, followed.out.as_str()), (0, "hello\n"), "{followed:?}");
    }
    let never = never.end();
    assert_eq!(never.code, 3, "{never:?}");
    assert_eq!(waiting.end().code, 0);
}

#[test]
fn a_new_store_that_is_killed_early_opens_without_a_warning() {
    let scratch = Scratch::new();
    scratch.write("p.yaml", "name: p\nsteps:\n  - { id: ask, approval: { title: go on? } }\n");
    let mut waiting = scratch.start(&["run", "./p.yaml"]);
    scratch.await_status("@", "waiting");
    waiting.kill();
    let listed = scratch.run(&["runs"]);
    assert_eq!((listed.code, listed.err.as_str()), (0, ""), "{listed:?}");
}

#[test]
fn a_name_of_a_person_that_looks_like_a_credential_is_refused_and_recorded_nowhere() {
    let scratch = Scratch::new();
    let name = format!("ghp_{}", "a1B2c3D4e5F6".repeat(3));
    scratch.write("p.yaml", "name: p\nsteps:\n  - { id: a, approval: { title: Right? } }\n");
    said(
        &as_user(&scratch, &name, &["run", "./p.yaml", "--no-wait"]),
        2,
        &["EF0211", "looks like a credential"],
    );
    said(&as_user(&scratch, "ada", &["run", "./p.yaml", "--no-wait"]), 6, &["everfold approve"]);
    said(&as_user(&scratch, &name, &["approve", "@"]), 2, &["EF0211", "EVERFOLD_USER"]);
    said(&as_user(&scratch, &name, &["runs"]), 0, &["waiting"]);
    let whole = scratch.run(&["events", "@", "--json"]);
    assert!(!whole.out.contains(&name), "{}", whole.out);
}

/// A vote of “Ada Lovelace” was recorded as one of the login name's.
#[test]
fn a_text_that_is_no_name_is_refused_and_nothing_is_done_under_another_name() {
    let scratch = Scratch::new();
    scratch.write("p.yaml", "name: p\nsteps:\n  - { id: a, approval: { title: Right? } }\n");
    said(&as_user(&scratch, "ada", &["run", "./p.yaml", "--no-wait"]), 6, &["everfold approve"]);
    let before = scratch.run(&["events", "@", "--json"]).out;
    for name in ["Ada Lovelace", "CORP\\ada", "user:ada", "ada ", &"x".repeat(65)] {
        said(&as_user(&scratch, name, &["approve", "@"]), 2, &["EF0211", "EVERFOLD_USER", "ada.lovelace"]);
        said(&as_user(&scratch, name, &["run", "./p.yaml"]), 2, &["EF0211"]);
        said(&as_user(&scratch, name, &["runs"]), 0, &["waiting"]);
    }
    assert_eq!(scratch.run(&["events", "@", "--json"]).out, before);
    said(&as_user(&scratch, "Jürgen", &["approve", "@"]), 0, &[]);
    assert!(scratch.run(&["audit"]).out.contains("Jürgen"));
}
