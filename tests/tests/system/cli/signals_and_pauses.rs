//! Signals, breakpoints and pauses on the command line: what is said, and how it ends.

use rustix::process::Signal;
use serde_json::json;

use super::fixtures::{Scratch, await_that, lines};

const WAITS: &str = "name: p\nlabels: { team: '${input.team}' }\ninput: { type: object, required: [team], properties: { team: { type: string } } }\nsteps:\n  - id: w\n    wait: { signal: go }\n  - id: b\n    command: echo done\n";

#[test]
fn a_signal_goes_to_every_unended_run_with_the_labels_and_says_who_took_it() {
    let scratch = Scratch::new();
    scratch.write("p.yaml", WAITS);
    for team in ["red", "red", "blue"] {
        let done = scratch.run(&["run", "./p.yaml", "-i", &format!("team={team}"), "--no-wait"]);
        assert_eq!(done.code, 6, "{}", done.err);
    }
    let answer = scratch.run(&["signal", "--label", "team=red", "go", "{}"]);
    assert_eq!((answer.code, answer.out.matches("w waited for it").count()), (0, 2), "{}", answer.out);
    scratch.await_status("@1", "succeeded");
    scratch.await_status("@2", "succeeded");
    assert_eq!(scratch.run(&["show", "@", "--json"]).json()["status"], "waiting");
    let none = scratch.run(&["signal", "--label", "team=red", "go"]);
    assert!(none.out.contains("no unended run"), "{}", none.out);
    let ended = scratch.run(&["signal", "@1", "go"]);
    assert_eq!(ended.code, 4);
    assert!(ended.err.contains("the run is over"), "{}", ended.err);
    let json = scratch.run(&["signal", "@", "other", "words", "--json"]).json();
    assert_eq!((&json["taken"], &json["repeated"]), (&serde_json::json!([]), &false.into()), "{json}");
    assert_eq!(scratch.run(&["signal", "@"]).code, 2);
    assert_eq!(scratch.run(&["signal", "--label", "nothing", "go"]).code, 2);
}

#[test]
fn what_is_awaited_names_the_signal_and_the_command_that_sends_it() {
    let scratch = Scratch::new();
    scratch.write("p.yaml", WAITS);
    let started = scratch.run(&["run", "./p.yaml", "-i", "team=red", "--no-wait"]);
    let short = scratch.short("@");
    assert!(started.out.contains(&format!("everfold signal {short} go")), "{}", started.out);
    assert!(scratch.run(&["show"]).out.contains("w: the signal go"));
    assert_eq!(scratch.run(&["breakpoints", "@", "b", "nope"]).code, 3);
    assert_eq!(scratch.run(&["breakpoints", "@", "b"]).code, 0);
    let cleared = scratch.run(&["breakpoints", "@", "--clear"]);
    assert!(cleared.out.contains("no breakpoints"), "{}", cleared.out);
    assert_eq!(scratch.run(&["cancel", "@", "b"]).code, 4, "it has not begun");
    assert_eq!(scratch.run(&["cancel", "@", "nope"]).code, 3);
}

#[test]
fn a_pause_of_the_engine_is_said_where_one_looks_and_lifted_by_name() {
    let scratch = Scratch::new();
    scratch.write("p.yaml", WAITS);
    scratch.run(&["run", "./p.yaml", "-i", "team=red", "--no-wait"]);
    let paused = scratch.run(&["pause", "--all", "-m", "moving house"]);
    assert!(paused.out.contains("everfold resume --all"), "{}", paused.out);
    assert_eq!(scratch.run(&["pause"]).code, 2);
    assert_eq!(scratch.run(&["pause", "@", "--all"]).code, 2);
    let shown = scratch.run(&["show"]).out;
    assert!(shown.contains("the whole engine") && shown.contains("moving house"), "{shown}");
    assert!(shown.contains("everfold resume --all"), "{shown}");
    assert!(scratch.run(&["runs"]).out.contains("moving house"));
    assert!(scratch.run(&["doctor"]).out.contains("moving house"));
    let own = scratch.run(&["resume", "@", "--no-wait"]);
    assert_eq!(own.code, 6, "what it shares is not its own to lift: {}", own.err);
    let resumed = scratch.run(&["resume", "--all", "--json"]).json();
    assert_eq!(resumed["paused"], serde_json::json!([]));
    assert_eq!(scratch.run(&["show", "@", "--json"]).json()["status"], "waiting");
    assert_eq!(scratch.run(&["resume", "--all"]).code, 4);
}

/// The pause of a name that was spelled wrong held nothing, and the end of a pause without an engine said that runs go on.
#[test]
fn a_pause_of_no_pipeline_warns_and_its_end_says_where_no_engine_goes_on() {
    let scratch = Scratch::new();
    scratch.write("p.yaml", WAITS);
    scratch.run(&["run", "./p.yaml", "-i", "team=red", "--no-wait"]);
    let paused = scratch.run(&["pause", "--pipeline", "orc"]);
    let said = "no pipeline “orc” is saved, and no run is of one; did you mean orch?";
    assert!(paused.code == 0 && paused.err.contains(said), "{paused:?}");
    let known = scratch.run(&["pause", "--pipeline", "p"]);
    assert!(known.code == 0 && !known.err.contains("no pipeline"), "{known:?}");
    let lifted = scratch.run(&["resume", "--pipeline", "p"]);
    for part in ["is no longer paused", "no engine goes on with all runs", "everfold serve"] {
        assert!(lifted.code == 0 && lifted.out.contains(part), "{part}: {lifted:?}");
    }
    let (mut server, _) = scratch.serve(&[]);
    let lifted = scratch.run(&["resume", "--pipeline", "orc"]);
    assert!(lifted.out.contains("the pipeline orc goes on"), "{lifted:?}");
    server.signal(Signal::TERM);
    server.end();
}

/// It hinted `watch`, which waited for ever: no engine goes on with the run behind the command.
#[test]
fn a_run_that_is_left_in_a_queue_without_a_server_names_the_command_that_goes_on() {
    let scratch = Scratch::new();
    let steps = "steps: [{ id: ok, approval: { title: Right? } }]";
    scratch.write("hall.yaml", &format!("name: hall\nconcurrency: {{ key: hall, limit: 1 }}\n{steps}\n"));
    scratch.run(&["run", "./hall.yaml", "--no-wait"]);
    let second = scratch.run(&["run", "./hall.yaml", "--no-wait"]);
    let short = scratch.short("@");
    assert!(second.out.contains(&format!("everfold resume {short} ")), "{second:?}");
    assert!(!second.out.contains("everfold watch"), "{second:?}");
}

#[test]
fn a_pause_of_a_run_says_which_runs_that_it_started_go_on() {
    let scratch = Scratch::new();
    scratch.write("below.yaml", "name: below\nsteps: [{ id: asks, approval: { title: Go? } }]\n");
    scratch.write("whole.yaml", "name: whole\nsteps: [{ id: part, run: { pipeline: ./below.yaml } }]\n");
    scratch.run(&["run", "./whole.yaml", "--no-wait"]);
    let whole =
        scratch.run(&["runs", "--pipeline", "whole", "--json"]).json()["items"][0]["short_id"].clone();
    let whole = whole.as_str().unwrap();
    for verb in ["pause", "interrupt"] {
        let done = scratch.run(&[verb, whole]);
        let said = format!("1 run that it started goes on: everfold runs --parent {whole}");
        assert!(done.code == 0 && done.err.contains(&said), "{done:?}");
        let json = scratch.run(&[verb, whole, "--json"]);
        assert!(json.code == 0 && json.err.is_empty(), "{json:?}");
    }
    let below = scratch.run(&["runs", "--parent", whole, "--json"]).json();
    assert_eq!(below["items"][0]["status"], "waiting", "{below}");
    // What is next for a run that waits for another one is told there.
    scratch.run(&["resume", whole, "--no-wait"]);
    let part = below["items"][0]["short_id"].as_str().unwrap();
    assert_eq!(scratch.run(&["pause", part]).code, 0);
    let shown = scratch.run(&["show", whole]).out;
    assert!(shown.contains(&format!("everfold show {part} ")), "{shown}");
}

#[test]
fn a_gates_command_of_a_paused_run_is_left_to_the_next_engine_and_not_done_again() {
    for by_signal in [false, true] {
        let scratch = Scratch::new();
        let trace = scratch.path("trace");
        let gate = format!("echo gate >> {}; sleep 2", trace.display());
        let text = format!("name: judged\nsteps: [{{ id: a, gates: [{{ id: g, command: '{gate}' }}] }}]\n");
        scratch.write("judged.yaml", &text);
        let (mut server, _) = scratch.serve(&[]);
        let mut client = scratch.start(&["run", "./judged.yaml"]);
        await_that("the gate is asked", || (lines(&trace) == ["gate"]).then_some(()));
        // It would own the folder next.
        client.kill();
        assert_eq!(scratch.run(&["pause", "@"]).code, 0);
        match by_signal {
            true => server.signal(Signal::TERM),
            false => server.kill(),
        }
        server.end();
        let (mut server, _) = scratch.serve(&[]);
        assert_eq!(scratch.run(&["resume", "@", "--no-wait"]).code, 0);
        scratch.await_status("@", "succeeded");
        assert_eq!(lines(&trace), ["gate"], "by_signal: {by_signal}");
        server.signal(Signal::TERM);
        server.end();
    }
}

#[test]
fn a_run_that_begins_while_its_pipeline_is_paused_says_so() {
    let scratch = Scratch::new();
    scratch.write("p.yaml", "name: p\nsteps: [{ id: a, function: everfold.noop }]\n");
    assert_eq!(scratch.run(&["pipeline", "save", "./p.yaml"]).code, 0);
    assert_eq!(scratch.run(&["pause", "--pipeline", "p", "-m", "a freeze"]).code, 0);
    let run = scratch.run(&["run", "p", "--no-wait"]);
    assert!(run.err.contains("paused     p: a freeze"), "{run:?}");
    assert_eq!(scratch.run(&["resume", "--pipeline", "p"]).code, 0);
}

#[test]
fn l26_a_signal_is_addressed_by_run_by_key_or_by_labels() {
    let scratch = Scratch::new();
    let keyed = WAITS.replace("name: p\n", "name: p\nkey: 'card/${input.team}'\n");
    scratch.write("keyed.yaml", &keyed);
    for team in ["red", "blue"] {
        let started = scratch.run(&["run", "./keyed.yaml", "-i", &format!("team={team}"), "--no-wait"]);
        assert_eq!(started.code, 6, "{started:?}");
    }
    let answer = scratch.run(&["signal", "--key", "card/red", "go", "{}"]);
    let red = scratch.short("@1");
    assert!(answer.out.starts_with(&format!("run {red}: ")) && answer.out.lines().count() == 1, "{answer:?}");
    scratch.await_status("@1", "succeeded");
    let blue = scratch.short("@");
    assert_eq!(
        scratch.run(&["show", &blue, "--json"]).json()["status"],
        "waiting",
        "the other one still waits"
    );
    let ended = scratch.run(&["signal", "--key", "card/red", "go"]);
    assert_eq!(ended.code, 3, "{ended:?}");
    assert!(ended.err.contains("no unended run has the key “card/red”"), "{}", ended.err);
    assert_eq!(scratch.run(&["signal", "--label", "team=blue", "go"]).code, 0);
    let both = scratch.run(&["signal", "--key", "card/red", "--label", "team=blue", "go"]);
    assert_eq!(both.code, 2, "{both:?}");
}

#[test]
fn a_run_that_a_trigger_starts_works_in_a_folder_of_its_own() {
    let scratch = Scratch::new();
    scratch.write(
        "intake.yaml",
        "name: intake
triggers:
  - { hook: tracker, start: { input: {} } }
steps:
  - id: a
    command: pwd; echo hi > here.txt
  - id: b
    gates: [{ id: there, file: { exists: here.txt } }]
",
    );
    assert_eq!(scratch.run(&["pipeline", "save", "./intake.yaml"]).code, 0);
    scratch.write("event.json", "{}");
    for id in ["1", "2"] {
        assert_eq!(scratch.run(&["hook", "deliver", "tracker", "event.json", "--id", id]).code, 0);
        assert_eq!(scratch.run(&["resume", "@"]).code, 0);
        let run = scratch.run(&["show", "@", "--json"]).json()["id"].as_str().unwrap().to_owned();
        let folder = scratch.data().join("scratch").join(&run);
        assert!(folder.join("here.txt").is_file(), "{run}");
        let printed = scratch.run(&["logs", "@", "a"]).out;
        assert_eq!(printed.trim(), folder.canonicalize().unwrap().display().to_string());
    }
    assert!(!scratch.path("here.txt").exists(), "not where the command was typed");
}

/// `hooks redeliver` listed each trigger that ignored the delivery, twice; of a source that there is not nothing was delivered.
#[test]
fn what_ignores_a_delivery_again_stands_in_one_line_and_a_source_that_there_is_not_is_told() {
    let scratch = Scratch::new();
    let trigger = "  - { hook: tracker, when: 'event.body.go == true', start: { input: {} } }\n";
    let steps = "steps: [{ id: a, function: everfold.noop }]";
    scratch.write("intake.yaml", &format!("name: intake\ntriggers:\n{}{steps}\n", trigger.repeat(3)));
    assert_eq!(scratch.run(&["pipeline", "save", "./intake.yaml"]).code, 0);
    scratch.write("event.json", "\u{feff}{\"go\": false}");
    let delivered = scratch.run(&["hook", "deliver", "tracker", "event.json", "--id", "1"]);
    assert!(delivered.out.contains("ignored by 3 triggers"), "{delivered:?}");
    let again = scratch.run(&["hooks", "redeliver", "1"]);
    assert_eq!((again.code, again.out.matches("ignored").count()), (0, 2), "{again:?}");
    assert_eq!(again.out.matches("ignored by 3 triggers").count(), 2, "{again:?}");
    assert_eq!(scratch.run(&["hooks", "show", "1"]).out.matches("ignored").count(), 6);
    let missed = scratch.run(&["hooks", "traker"]);
    assert!(missed.code == 3 && missed.err.contains("there is no source “traker”"), "{missed:?}");
    assert!(missed.err.contains("did you mean “tracker”?"), "{missed:?}");
    assert_eq!(scratch.run(&["hooks", "tracker"]).code, 0);
}

/// What is asked before a run begins is asked in the folder that it is going to work in.
#[test]
fn row_18_a_command_admits_what_is_started_from_afar() {
    let scratch = Scratch::new();
    scratch.write(
        "intake.yaml",
        "name: intake
input: { type: object, properties: { go: { type: boolean, default: true } } }
triggers:
  - { hook: tracker, start: { input: { go: '${event.body.go}' } } }
admit:
  - { id: ready, command: 'test ${input.go} = true && pwd' }
steps:
  - id: a
    command: pwd
",
    );
    assert_eq!(scratch.run(&["pipeline", "save", "./intake.yaml"]).code, 0);
    scratch.write("event.json", "{\"go\": true}");
    let delivered = scratch.run(&["hook", "deliver", "tracker", "event.json", "--id", "1", "--json"]);
    assert_eq!(delivered.code, 0, "{delivered:?}");
    assert_eq!(scratch.run(&["resume", "@"]).code, 0, "{delivered:?}");
    let run = scratch.run(&["show", "@", "--json"]).json()["id"].as_str().unwrap().to_owned();
    let folder = scratch.data().join("scratch").join(&run).canonicalize().unwrap();
    let evaluated = scratch.run(&["events", "@", "--json"]).out;
    assert!(evaluated.contains(&folder.display().to_string()), "{evaluated}");
    // A start that is refused leaves nothing behind.
    scratch.write("event.json", "{\"go\": false}");
    let refused = scratch.run(&["hook", "deliver", "tracker", "event.json", "--id", "2", "--json"]);
    assert!(refused.out.contains("ready"), "{refused:?}");
    let left: Vec<_> = std::fs::read_dir(scratch.data().join("scratch")).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}");
}

/// A run that is to get another run's key waits for that run; the key is never without a run.
#[test]
fn row_19_a_run_that_takes_anothers_key_is_not_left_before_it_has_it() {
    let scratch = Scratch::new();
    scratch.write(
        "card.yaml",
        "name: card
key: { value: 'card:1', on_taken: replace }
steps:
  - id: work
    command: echo worked >> trace
  - id: ok
    approval: { title: Is it right? }
",
    );
    for n in 0..6 {
        let started = scratch.run(&["run", "./card.yaml", "--no-wait"]);
        assert_eq!(started.code, 6, "{started:?}");
        let view = scratch.run(&["show", "@", "--json"]).json();
        assert_eq!(view["status"], "waiting", "start {n}: {started:?}");
        if n > 0 {
            assert_eq!(scratch.run(&["show", "@1", "--json"]).json()["status"], "cancelled", "start {n}");
        }
    }
    let again = scratch.run(&["restart", "@", "--from", "work", "--no-wait"]);
    assert_eq!(again.code, 6, "{again:?}");
    assert_eq!(scratch.run(&["show", "@", "--json"]).json()["status"], "waiting", "{again:?}");
    assert_eq!(scratch.run(&["show", "@1", "--json"]).json()["status"], "cancelled");
    assert_eq!(super::fixtures::lines(&scratch.path("trace")).len(), 7);
    // In its queue for a slot, which no run gives up for it, a run rests.
    scratch.write("one.yaml", "name: one\nconcurrency: { key: one, limit: 1 }\nsteps:\n  - id: ok\n    approval: { title: Go on? }\n");
    assert_eq!(scratch.run(&["run", "./one.yaml", "--no-wait"]).code, 6);
    assert_eq!(scratch.run(&["run", "./one.yaml", "--no-wait"]).code, 6);
    assert_eq!(scratch.run(&["show", "@", "--json"]).json()["status"], "queued");
    // Behind one that waits already it rests as well, though it would take a second slot.
    scratch.write("two.yaml", "name: two\nconcurrency: { key: one, limit: 2 }\nsteps:\n  - id: ok\n    approval: { title: Go on? }\n");
    assert_eq!(scratch.run(&["run", "./two.yaml", "--no-wait"]).code, 6);
    let behind = scratch.run(&["show", "@", "--json"]).json();
    assert!(behind["status"] == "queued" && behind["awaits"][0]["key"] == "one", "{behind}");
    // Where another one ends for it, it does not.
    scratch.write("new.yaml", "name: new\nconcurrency: { key: new, limit: 1, on_limit: cancel-oldest }\nsteps:\n  - id: ok\n    approval: { title: Go on? }\n");
    for again in [&["run", "./new.yaml", "--no-wait"][..], &["restart", "@", "--from", "ok", "--no-wait"]] {
        assert_eq!(scratch.run(&["run", "./new.yaml", "--no-wait"]).code, 6);
        let again = scratch.run(again);
        assert_eq!(scratch.run(&["show", "@", "--json"]).json()["status"], "waiting", "{again:?}");
        assert_eq!(scratch.run(&["show", "@1", "--json"]).json()["status"], "cancelled", "{again:?}");
    }
    // While the pipeline is paused no other one ends for it, so it rests.
    assert_eq!(scratch.run(&["pause", "--pipeline", "new"]).code, 0);
    let again = scratch.run(&["run", "./new.yaml", "--no-wait"]);
    for run in ["@", "@1"] {
        assert_eq!(scratch.run(&["show", run, "--json"]).json()["status"], "paused", "{run}: {again:?}");
    }
    // A pause gives it nothing.
    assert_eq!(scratch.run(&["run", "./one.yaml", "--no-wait"]).code, 6);
    assert_eq!(scratch.run(&["pause", "@"]).code, 0);
    let paused = scratch.run(&["show", "@"]);
    assert!(paused.out.contains("paused") && paused.out.contains("slots     waits for one"), "{paused:?}");
}

#[test]
fn row_23_a_trigger_by_hand_whose_start_is_refused_is_no_success() {
    let scratch = Scratch::new();
    scratch.write(
        "nightly.yaml",
        "name: nightly
triggers:
  - { schedule: { every: 24h }, start: { input: {} } }
admit:
  - { id: open, code: CLOSED, file: { exists: /nowhere/open } }
steps:
  - id: a
    command: 'true'
",
    );
    assert_eq!(scratch.run(&["pipeline", "save", "./nightly.yaml"]).code, 0);
    let answer = scratch.run(&["schedule", "trigger", "nightly:1"]);
    assert_eq!(answer.code, 4, "{answer:?}");
    assert!(answer.out.contains("refused") && answer.out.contains("open"), "{}", answer.out);
    let json = scratch.run(&["schedule", "trigger", "nightly:1", "--json"]);
    assert_eq!((json.code, &json.json()["triggered"]["outcome"]), (4, &json!("refused")), "{json:?}");
    let open = "name: nightly\ntriggers:\n  - { schedule: { every: 24h }, start: { input: {} } }\nsteps:\n  - id: a\n    command: 'true'\n";
    scratch.write("nightly.yaml", open);
    assert_eq!(scratch.run(&["pipeline", "save", "./nightly.yaml"]).code, 0);
    let answer = scratch.run(&["schedule", "trigger", "nightly:1"]);
    assert!(answer.code == 0 && answer.out.contains("started run"), "{answer:?}");
    scratch.await_status("@", "succeeded");
}

#[test]
fn row_24_a_retry_of_what_succeeded_is_refused_for_what_it_is() {
    let scratch = Scratch::new();
    scratch.write("p.yaml", "name: p\nsteps:\n  - id: a\n    command: 'true'\n");
    assert_eq!(scratch.run(&["run", "./p.yaml"]).code, 0);
    let refused = scratch.run(&["retry", "@"]);
    assert_eq!(refused.code, 4, "{refused:?}");
    assert!(refused.err.contains("EF0380") && refused.err.contains("nothing of the run"), "{}", refused.err);
    assert!(refused.err.contains("everfold restart"), "{}", refused.err);
}

#[test]
fn row_25_show_says_who_cancelled_a_run_and_why() {
    let scratch = Scratch::new();
    scratch.write("p.yaml", WAITS);
    scratch.run(&["run", "./p.yaml", "-i", "team=red", "--no-wait"]);
    assert!(scratch.run(&["show", "@", "--json"]).json().get("cancelled").is_none());
    assert_eq!(scratch.run(&["cancel", "@", "-m", "the card was moved"]).code, 0);
    scratch.await_status("@", "cancelled");
    let shown = scratch.run(&["show", "@"]).out;
    assert!(shown.contains("cancelled by user:ada") && shown.contains("the card was moved"), "{shown}");
    let answer = scratch.run(&["show", "@", "--json"]).json()["cancelled"].clone();
    assert_eq!(
        (&answer["by"], &answer["reason"]),
        (&json!("user:ada"), &json!("the card was moved")),
        "{answer}"
    );
    scratch.run(&["restart", "@", "--from", "w", "--no-wait"]);
    assert!(
        scratch.run(&["show", "@", "--json"]).json().get("cancelled").is_none(),
        "no caller cancelled that one"
    );
}

#[test]
fn row_26_a_mistyped_role_makes_no_token_and_its_name_stays_free() {
    let scratch = Scratch::new();
    let wrong = scratch.run(&["token", "create", "ci", "--role", "oprator"]);
    assert_eq!(wrong.code, 2, "{wrong:?}");
    assert!(
        wrong.err.contains("did you mean operator?") && wrong.err.contains("--approves"),
        "{}",
        wrong.err
    );
    let unknown = scratch.run(&["token", "create", "ci", "--role", "product"]);
    assert_eq!(unknown.code, 2, "{unknown:?}");
    let made = scratch.run(&["token", "create", "ci", "--role", "operator", "--json"]);
    assert_eq!(
        (made.code, &made.json()["role"]),
        (0, &json!("operator")),
        "the name was not taken: {made:?}"
    );
    let own = scratch.run(&["token", "create", "ada", "--approves", "product", "--json"]).json();
    assert_eq!((&own["role"], &own["approves"]), (&json!("approver"), &json!(["product"])));
    let make = |role: &str| {
        scratch.run(&["token", "create", "eve", "--role", role, "--approves", "product", "--json"])
    };
    for role in ["viewer", "worker"] {
        let refused = make(role);
        assert!(refused.code == 2 && refused.err.contains("needs --role approver"), "{role}: {refused:?}");
    }
    let both = make("operator").json();
    assert_eq!(
        (&both["role"], &both["approves"]),
        (&json!("operator"), &json!(["product"])),
        "the name is free"
    );
    assert_eq!(scratch.run(&["token", "create", "nobody"]).code, 2, "without either");
}

/// The receivers of a trigger: runs with some labels, one run, or the named ones though a start was wanted as well.
#[test]
fn t_a_trigger_tells_those_with_its_labels_the_run_that_it_names_or_the_holder_of_a_key() {
    let scratch = Scratch::new();
    let triggers = r#"key: "card/${input.card}"
triggers:
  - { hook: teams, signal: go, to: { labels: { team: "${event.body.team}" } } }
  - { hook: runs, signal: go, to: { run: "${event.body.run}" }, payload: { team: "${event.body.by}" } }
  - hook: cards
    start: { input: { team: "${event.body.team}", card: "${event.body.card}" } }
    signal: go
    to: { labels: { team: "${event.body.tell}" } }
"#;
    let waits = WAITS.replace("name: p\n", &format!("name: p\n{triggers}"));
    scratch.write(
        "p.yaml",
        &format!(
            "{waits}output: \"${{steps.w.output.?body.?team.orValue(steps.w.output.?team.orValue('?'))}}\"\n"
        ),
    );
    assert_eq!(scratch.run(&["pipeline", "save", "./p.yaml"]).code, 0);
    let start = |team: &str, card: &str| {
        let (team, card) = (format!("team={team}"), format!("card={card}"));
        let started = scratch.run(&["run", "p", "-i", &team, "-i", &card, "--no-wait", "--json"]);
        assert_eq!(started.code, 6, "{started:?}");
        started.json()["id"].as_str().unwrap().to_owned()
    };
    let deliver = |source: &str, id: &str, body: serde_json::Value| {
        scratch.write("d.json", &body.to_string());
        let done = scratch.run(&["hook", "deliver", source, "d.json", "--id", id, "--json"]);
        assert_eq!(done.code, 0, "{done:?}");
        done.json()["handled"][0]["outcomes"][0].clone()
    };
    let of = |outcome: &serde_json::Value| {
        let word = outcome["outcome"].as_str().unwrap().to_owned();
        let runs = outcome["runs"].as_array().into_iter().flatten();
        let mut runs: Vec<String> = runs.map(|run| run.as_str().unwrap().to_owned()).collect();
        runs.sort();
        (word, runs)
    };
    let output = |run: &str| {
        scratch.await_status(run, "succeeded");
        scratch.run(&["show", run, "--json"]).json()["output"].as_str().unwrap().to_owned()
    };
    let (one, two, blue) = (start("red", "1"), start("red", "2"), start("blue", "3"));
    let mut red = vec![one.clone(), two.clone()];
    red.sort();
    assert_eq!(of(&deliver("teams", "t1", json!({"team": "red"}))), ("signalled".into(), red));
    assert_eq!((output(&one).as_str(), output(&two).as_str()), ("red", "red"), "the event is what it says");
    assert_eq!(of(&deliver("teams", "t2", json!({"team": "red"}))).0, "ignored", "both have ended");
    assert_eq!(
        of(&deliver("runs", "r1", json!({"run": blue, "by": "hand"}))),
        ("signalled".into(), vec![blue.clone()])
    );
    assert_eq!(output(&blue), "hand");
    assert_eq!(of(&deliver("runs", "r2", json!({"run": blue, "by": "hand"}))).0, "ignored");
    assert_eq!(of(&deliver("runs", "r3", json!({"run": "that one", "by": "hand"}))).0, "refused");
    // The key is free: a run is started. It is taken: the runs that the trigger names get the signal, not its holder.
    let card = |id: &str| deliver("cards", id, json!({"team": "green", "card": "9", "tell": "grey"}));
    let (word, green) = of(&card("c1"));
    assert_eq!((word.as_str(), green.len()), ("started", 1));
    let grey = start("grey", "10");
    assert_eq!(of(&card("c2")), ("signalled".into(), vec![grey.clone()]));
    assert_eq!(output(&grey), "green");
    assert_eq!(scratch.run(&["show", &green[0], "--json"]).json()["status"], "waiting");
}

#[test]
fn t_without_an_input_the_event_is_the_input_and_who_has_the_key_is_the_answer() {
    let scratch = Scratch::new();
    scratch.write(
        "plain.yaml",
        "name: plain\nkey: \"${input.body.id}\"\ntriggers:\n  - { hook: tracker, start: true }\n  - { hook: words, signal: go }\nsteps:\n  - id: w\n    wait: { signal: go }\noutput: \"${input.source} ${input.body.id} ${input.headers.x_event}\"\n"
            .replace("headers.x_event", "headers['x-event']")
            .as_str(),
    );
    assert_eq!(scratch.run(&["pipeline", "save", "./plain.yaml"]).code, 0);
    scratch.write("d.json", "{\"id\": \"i7\"}");
    let deliver = |source: &str, id: &str| {
        let args = ["hook", "deliver", source, "d.json", "--id", id, "--header", "X-Event:opened", "--json"];
        scratch.run(&args).json()["handled"][0]["outcomes"][0].clone()
    };
    let (first, second) = (deliver("tracker", "1"), deliver("tracker", "2"));
    assert_eq!((&first["outcome"], &second["outcome"]), (&json!("started"), &json!("held")));
    assert_eq!(first["runs"], second["runs"]);
    // A signal without a receiver goes to the holder of the key that a start by this event would have.
    let answer = deliver("words", "3");
    assert_eq!((&answer["outcome"], &answer["runs"]), (&json!("signalled"), &first["runs"]));
    scratch.await_status("@", "succeeded");
    assert_eq!(scratch.run(&["show", "@", "--json"]).json()["output"], "tracker i7 opened");
    assert_eq!(deliver("words", "4")["outcome"], "ignored");
}

#[test]
fn t_a_signal_that_was_parked_for_labels_reaches_the_run_that_gets_them() {
    let scratch = Scratch::new();
    scratch.write(
        "p.yaml",
        "name: p\ntriggers:\n  - { hook: forge, signal: go, to: { labels: { pr: \"${event.body.pr}\" } }, park: true }\nsteps:\n  - id: open\n    function: everfold.noop\n    labels: { pr: \"17\" }\n  - id: w\n    wait: { signal: go }\noutput: \"${steps.w.output.body.pr}\"\n",
    );
    assert_eq!(scratch.run(&["pipeline", "save", "./p.yaml"]).code, 0);
    scratch.write("d.json", "{\"pr\": 17}");
    let kept = scratch.run(&["hook", "deliver", "forge", "d.json", "--id", "1", "--json"]).json();
    assert_eq!(kept["handled"][0]["outcomes"][0]["outcome"], "parked", "{kept}");
    let done = scratch.run(&["run", "p", "--json"]);
    assert_eq!((done.code, &done.json()["output"]), (0, &json!(17)), "{done:?}");
}
