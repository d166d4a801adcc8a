//! One order to the runs of which an expression is true: shown first, given once to each, gone on with after a kill.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;

use rustix::process::Signal;
use serde_json::{Value, json};

use super::fixtures::{Done, Scratch};

const ASKS: &str = "\
name: asks
labels: { team: '${input.team}' }
input: { team: text }
steps:
  - id: build
    command: echo built
  - id: approve
    approval: { title: Ship it?, roles: [product] }
";

/// A folder with waiting runs, `T 1` the oldest.
fn waiting(teams: &[&str]) -> Scratch {
    let scratch = Scratch::new();
    scratch.write("asks.yaml", ASKS);
    for (number, team) in teams.iter().enumerate() {
        let (title, team) = (format!("T {}", number + 1), format!("team={team}"));
        let done = scratch.run(&["run", "./asks.yaml", "--no-wait", "--title", &title, "-i", &team]);
        assert_eq!(done.code, 6, "{done:?}");
    }
    scratch
}

/// The titles of runs in this status, the newest first.
fn titles(scratch: &Scratch, status: &str) -> Vec<String> {
    let list = scratch.run(&["runs", "--status", status, "--json"]).json();
    let title = |run: &Value| run["title"].as_str().unwrap().to_owned();
    list["items"].as_array().unwrap().iter().map(title).collect()
}

/// How often an order of this kind is in the histories of all runs.
fn recorded(scratch: &Scratch, kind: &str) -> usize {
    let list = scratch.run(&["runs", "--json"]).json();
    let of = |run: &Value| {
        let events = scratch.run(&["events", run["id"].as_str().unwrap(), "--json"]);
        assert_eq!(events.code, 0, "{events:?}");
        events.out.lines().filter(|line| line.contains(&format!("\"{kind}\""))).count()
    };
    list["items"].as_array().unwrap().iter().map(of).sum()
}

/// Posts an order to the owner of the folder under an idempotency key.
fn post(scratch: &Scratch, key: &str, body: &Value) -> (u16, Value) {
    let mut stream = UnixStream::connect(scratch.data().join("everfold.sock")).unwrap();
    let body = body.to_string();
    let head = format!(
        "host: localhost\r\nidempotency-key: {key}\r\ncontent-length: {}\r\nconnection: close",
        body.len()
    );
    stream.write_all(format!("POST /api/v1/runs:bulk HTTP/1.1\r\n{head}\r\n\r\n{body}").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), serde_json::from_str(body).unwrap())
}

fn outcomes(answer: &Value) -> Vec<&str> {
    answer["items"].as_array().unwrap().iter().map(|run| run["outcome"].as_str().unwrap()).collect()
}

fn orders(done: &Done) -> (i32, Value) {
    let answer = done.json();
    (done.code, json!([answer["ordered"], answer["refused"], answer["changed"]]))
}

#[test]
fn an_order_to_many_is_shown_before_it_is_given() {
    let scratch = waiting(&["blue", "red", "blue"]);
    let filter = "labels.team == 'blue' && status == 'waiting'";
    let shown = scratch.run(&["cancel", "--filter", filter, "-m", "over"]);
    assert_eq!(shown.code, 0, "{shown:?}");
    assert!(shown.out.starts_with("2 runs would get the order: cancel\n"), "{shown:?}");
    assert!(
        shown.out.contains("T 1") && shown.out.contains("T 3") && !shown.out.contains("T 2"),
        "{shown:?}"
    );
    assert!(shown.err.contains("nothing was ordered; the same command with --yes does it"), "{shown:?}");
    assert_eq!(titles(&scratch, "waiting"), ["T 3", "T 2", "T 1"]);

    let given = scratch.run(&["cancel", "--filter", filter, "-m", "over", "--yes"]);
    assert_eq!((given.code, given.out.as_str()), (0, "2 runs got the order: cancel\n"), "{given:?}");
    assert_eq!(titles(&scratch, "waiting"), ["T 2"]);
    assert_eq!(titles(&scratch, "cancelled"), ["T 3", "T 1"]);
}

#[test]
fn a_run_that_refuses_an_order_is_named_with_its_reason_and_the_others_get_it() {
    let scratch = waiting(&["blue", "blue", "blue"]);
    assert_eq!(scratch.run(&["cancel", "--filter", "title == 'T 2'", "--yes"]).code, 0);
    let given = scratch.run(&["signal", "--filter", "labels.team == 'blue'", "go", r#"{"a": 1}"#, "--yes"]);
    assert_eq!(given.code, 4, "{given:?}");
    assert!(given.out.starts_with("2 runs got the order: signal; 1 refused it\n"), "{given:?}");
    assert!(given.out.contains(": the run is over: it was cancelled"), "{given:?}");
    assert_eq!(recorded(&scratch, "SignalReceived"), 2);
}

#[test]
fn every_steering_verb_goes_to_many_runs() {
    let scratch = waiting(&["blue", "blue"]);
    let many = |verb: &[&str]| {
        let done = scratch.run(&[verb, &["--filter", "labels.team == 'blue'", "--yes", "--json"]].concat());
        orders(&done)
    };
    assert_eq!(many(&["pause", "-m", "freeze"]), (0, json!([2, 0, 0])));
    assert_eq!(titles(&scratch, "paused"), ["T 2", "T 1"]);
    assert_eq!(many(&["resume"]), (0, json!([2, 0, 0])));
    assert_eq!(many(&["interrupt"]), (0, json!([2, 0, 0])));
    // No run is blocked, and none has a budget.
    assert_eq!(many(&["unblock", "--decision", "skip"]), (4, json!([0, 2, 0])));
    assert_eq!(many(&["budget", "--add", "2.00"]), (4, json!([0, 2, 0])));
    assert_eq!(many(&["cancel"]), (0, json!([2, 0, 0])));
    let ended = ["--filter", "status == 'cancelled'", "--yes", "--json"];
    let restarted = scratch.run(&[&["restart", "--from", "build"][..], &ended].concat());
    assert_eq!(orders(&restarted), (0, json!([2, 0, 0])), "{restarted:?}");
    let new = restarted.json()["items"][0]["new_run"].as_str().unwrap().to_owned();
    assert_eq!(scratch.run(&["show", &new, "--json"]).json()["origin"]["how"], "restart");
    let retried = scratch.run(&[&["retry"][..], &ended].concat());
    assert_eq!(orders(&retried), (0, json!([2, 0, 0])), "{retried:?}");
}

/// Each run raised the budget that all of them share, and nothing said so.
#[test]
fn a_raise_of_a_budget_that_runs_share_is_told_with_what_it_comes_to_in_all() {
    let scratch = Scratch::new();
    let budget = "budget: { id: team, scope: team, per: month, cost: 5 USD }";
    let steps = "steps: [{ id: ask, approval: { title: Go? } }]";
    scratch.write("paid.yaml", &format!("name: paid\n{budget}\n{steps}\n"));
    scratch.write("own.yaml", &format!("name: own\nbudget: {{ cost: 5 USD }}\n{steps}\n"));
    for file in ["./paid.yaml", "./paid.yaml", "./paid.yaml", "./own.yaml"] {
        assert_eq!(scratch.run(&["run", file, "--no-wait"]).code, 6);
    }
    let raise = ["budget", "--filter", "true", "--add", "2.00"];
    let in_all = "by 6.00 USD in all: 3 runs share it, and each adds to it";
    let shown = scratch.run(&raise);
    assert!(
        shown.err.contains(&format!("the shared budget team of the month would grow {in_all}")),
        "{shown:?}"
    );
    let json = scratch.run(&[&raise[..], &["--json"]].concat()).json();
    let shared = json!([{
        "scope": "team", "per": "month", "zone": null, "runs": 3,
        "add": { "cost_usd": "6.000000", "tokens": 0, "wall_ms": 0 },
    }]);
    assert_eq!(json["shared"], shared, "{json}");
    let given = scratch.run(&[&raise[..], &["--yes"]].concat());
    assert!(given.code == 0 && given.out.contains(&format!("of the month grew {in_all}")), "{given:?}");
    // A measure that the budget does not limit raises none.
    let refused = scratch.run(&["budget", "--filter", "true", "--tokens", "9", "--json"]).json();
    assert_eq!(refused["shared"], Value::Null, "{refused}");
}

#[test]
fn more_runs_than_are_meant_are_refused_before_any_gets_the_order() {
    let scratch = waiting(&["blue", "blue", "blue"]);
    let done = scratch.run(&["cancel", "--filter", "true", "--at-most", "2", "--yes"]);
    assert_eq!(done.code, 4, "{done:?}");
    assert!(done.err.contains("more than 2 runs fit") && done.err.contains("--at-most N"), "{done:?}");
    assert_eq!(titles(&scratch, "waiting").len(), 3);
}

#[test]
fn words_that_make_no_order_are_refused_with_what_to_write() {
    let scratch = waiting(&["blue"]);
    for (args, code, says) in [
        (&["cancel", "--filter", "titel == 'T 1'"][..], 2, "did you mean `title`?"),
        (&["cancel", "@", "--filter", "true"], 2, "cannot be used with"),
        (&["cancel"], 2, "<RUN>"),
        (&["cancel", "@", "--yes"], 2, "cannot be used with"),
        (&["cancel", "--filter", "true", "--force"], 2, "--force ends one run"),
        (&["cancel", "--filter", "true", "--order", "12-zz", "--yes"], 2, "that is no order"),
        (&["unblock", "--filter", "true", "--decision", "nope", "--yes"], 2, "“nope” is no decision"),
        (&["unblock", "--filter", "true", "--decision", "proceed", "--yes"], 2, "EF0239"),
        (&["budget", "--filter", "true"], 2, "say by how much"),
        (&["restart", "--filter", "true", "--from", "build", "--title", "x"], 2, "restarted as they are"),
    ] {
        let done = scratch.run(args);
        assert_eq!(done.code, code, "{args:?}: {done:?}");
        assert!(done.err.contains(says), "{args:?}: {done:?}");
    }
    assert_eq!(titles(&scratch, "waiting"), ["T 1"]);
}

#[test]
fn an_order_goes_to_the_runs_that_were_shown_and_only_while_they_still_fit() {
    let scratch = waiting(&["blue", "blue"]);
    let (mut server, _) = scratch.serve(&[]);
    let look = json!({ "order": { "pause": {} }, "filter": "status == 'waiting'", "dry_run": true });
    let (status, shown) = post(&scratch, "look", &look);
    assert_eq!((status, outcomes(&shown)), (200, vec!["fits", "fits"]), "{shown}");
    // One is cancelled, and one begins, behind the look.
    let oldest = shown["items"][1]["id"].as_str().unwrap().to_owned();
    assert_eq!(scratch.run(&["cancel", &oldest]).code, 0);
    scratch.await_status(&oldest, "cancelled");
    assert_eq!(
        scratch.run(&["run", "./asks.yaml", "--no-wait", "--title", "T 3", "-i", "team=blue"]).code,
        6
    );
    let order = json!({ "order": { "pause": {} }, "filter": "status == 'waiting'", "at": shown["at"] });
    let (status, given) = post(&scratch, "order", &order);
    assert_eq!((status, outcomes(&given)), (200, vec!["ordered", "changed"]), "{given}");
    assert_eq!(titles(&scratch, "paused"), ["T 2"]);
    assert_eq!(titles(&scratch, "waiting"), ["T 3"]);

    let other = json!({ "order": { "cancel": {} }, "filter": "status == 'waiting'", "at": shown["at"] });
    let (status, refused) = post(&scratch, "order", &other);
    assert_eq!((status, refused["code"].as_str()), (422, Some("EF0214")), "{refused}");
    server.signal(Signal::TERM);
    assert_eq!(server.end().code, 0);
}

#[test]
fn an_order_that_was_cut_short_by_a_kill_goes_on_and_reaches_each_run_once() {
    let scratch = waiting(&["blue"; 6]);
    let (mut server, served) = scratch.serve(&[]);
    let look = json!({ "order": { "signal": { "name": "go" } }, "filter": "true", "dry_run": true });
    let (_, shown) = post(&scratch, "look", &look);
    let order =
        json!({ "order": { "signal": { "name": "go" } }, "filter": "true", "at": shown["at"], "limit": 2 });
    let (status, first) = post(&scratch, "order-1", &order);
    assert_eq!((status, outcomes(&first)), (200, vec!["ordered", "ordered"]), "{first}");
    server.kill();
    drop(server);

    let (mut server, _) = scratch.serve(&["--listen", &served.listen()]);
    // The caller does not know what arrived: it begins at the begin, and goes through to the end.
    let mut part = json!({ "next_cursor": null });
    let mut got = 0;
    loop {
        let mut order = order.clone();
        order["cursor"] = part["next_cursor"].take();
        let (status, answer) = post(&scratch, "order-1", &order);
        assert_eq!(status, 200, "{answer}");
        assert!(outcomes(&answer).iter().all(|outcome| *outcome == "ordered"), "{answer}");
        got += outcomes(&answer).len();
        part = answer;
        if part["next_cursor"].is_null() {
            break;
        }
    }
    assert_eq!((got, recorded(&scratch, "SignalReceived")), (6, 6));
    // By the command line the order is named by the same position and key.
    let name = format!("{}-{:032x}", shown["at"], 7);
    let args = ["signal", "--filter", "true", "go", "--yes", "--json", "--order", &name];
    assert_eq!(orders(&scratch.run(&args)), (0, json!([6, 0, 0])));
    assert_eq!(orders(&scratch.run(&args)), (0, json!([6, 0, 0])));
    assert_eq!(recorded(&scratch, "SignalReceived"), 12);
    server.signal(Signal::TERM);
    assert_eq!(server.end().code, 0);
}
