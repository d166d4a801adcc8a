//! `everfold why` and `everfold diff`: what people read, of real programs; ids, times and numbers of events are left out.

use super::fixtures::{Scratch, await_that, fixed};

/// Puts a word for every instant and for the numbers of events, and leaves spans out: where no time passed there is none.
fn timeless(text: &str) -> String {
    let mut lines = Vec::new();
    for line in text.lines() {
        let mut words: Vec<String> = Vec::new();
        for word in line.split(' ') {
            let bare = word.trim_matches(['(', ')', ',', ']']);
            let has_digit = bare.starts_with(|c: char| c.is_ascii_digit());
            let is_date = bare.len() == 10 && bare.starts_with("20") && bare.contains('-');
            let is_time = bare.len() == 9 && bare.ends_with('Z') && bare.contains(':');
            let is_span = has_digit && bare.ends_with(['s', 'm', 'h']);
            let is_of_events = words.last().is_some_and(|before| before == "[events");
            let is_event = (word.ends_with(']') || is_of_events) && bare.chars().all(|c| c.is_ascii_digit());
            match () {
                () if is_date => words.push(word.replace(bare, "DATE")),
                () if is_time => words.push(word.replace(bare, "TIME")),
                () if is_event => words.push(word.replace(bare, "N")),
                () if is_span => {
                    let kept: String = word.replace(bare, "").replace("()", "");
                    if let Some(last) = words.last_mut() {
                        last.push_str(&kept);
                    }
                }
                () => words.push(word.to_owned()),
            }
        }
        lines.push(words.join(" "));
    }
    lines.join("\n") + "\n"
}

fn see(scratch: &Scratch, names: &[(&str, &str)], args: &[&str]) -> String {
    let done = scratch.run(args);
    assert_eq!(done.code, 0, "{args:?}: {done:?}");
    fixed(&format!("$ everfold {}\n{}", args.join(" "), timeless(&done.out)), scratch, names)
}

/// Starts a file, and waits until its run has this status.
fn started(scratch: &Scratch, file: &str, status: &str) -> String {
    scratch.run(&["run", file, "--no-wait"]);
    let short = scratch.short("@");
    scratch.await_status(&short, status);
    short
}

#[test]
fn why_tells_what_holds_a_run_up_and_how_one_ended() {
    let scratch = Scratch::new();
    scratch.write(
        "gated.yaml",
        "name: gated
steps:
  - { id: build, command: echo built }
  - id: check
    command: 'true'
    gates: [{ id: tests, command: exit 3, on_fail: { rework: build, max: 1, then: block } }]
  - { id: tell, command: 'true' }
",
    );
    scratch.write(
        "asks.yaml",
        "name: asks\nsteps:\n  - { id: ok, approval: { title: Ship it?, roles: [product] } }\n  - { id: ship, command: 'true' }\n",
    );
    scratch.write(
        "fails.yaml",
        "name: fails\nsteps:\n  - { id: broken, command: exit 7, retry: { attempts: 2, backoff: 1ms..1ms } }\n",
    );
    scratch.write("child.yaml", "name: child\nsteps:\n  - { id: pick, question: { title: Which one? } }\n");
    scratch.write(
        "parent.yaml",
        "name: parent\nsteps:\n  - { id: below, run: { pipeline: child } }\n  - { id: after, command: 'true' }\n",
    );
    scratch.write("done.yaml", "name: done\nsteps:\n  - { id: only, command: 'true' }\n");
    assert_eq!(scratch.run(&["pipeline", "save", "./child.yaml"]).code, 0);
    let gated = started(&scratch, "./gated.yaml", "blocked");
    let asks = started(&scratch, "./asks.yaml", "waiting");
    let fails = started(&scratch, "./fails.yaml", "failed");
    let done = started(&scratch, "./done.yaml", "succeeded");
    scratch.run(&["run", "./parent.yaml", "--no-wait"]);
    let runs = scratch.run(&["runs", "--json"]).json();
    let of = |pipeline: &str| {
        let rows = runs["items"].as_array().unwrap();
        let row = rows.iter().find(|row| row["pipeline"] == pipeline);
        row.unwrap_or_else(|| panic!("no run of {pipeline}: {runs}"))["short_id"].as_str().unwrap().to_owned()
    };
    let (parent, child) = (of("parent"), of("child"));
    scratch.await_status(&child, "waiting");
    let names = [
        (gated.as_str(), "GATED"),
        (asks.as_str(), "ASKS"),
        (fails.as_str(), "FAILS"),
        (done.as_str(), "DONE"),
        (parent.as_str(), "PARENT"),
        (child.as_str(), "CHILD"),
    ];
    let see = |args: &[&str]| see(&scratch, &names, args);
    let texts = [
        see(&["why", &gated]),
        see(&["why", &gated, "check"]),
        see(&["why", &gated, "build"]),
        see(&["why", &gated, "tell"]),
        see(&["why", &asks]),
        see(&["why", &asks, "ship"]),
        see(&["why", &fails]),
        see(&["why", &fails, "broken"]),
        see(&["why", &parent]),
        see(&["why", &parent, "after"]),
        see(&["why", &done]),
        see(&["why", &done, "only"]),
    ];
    insta::assert_snapshot!(texts.join("\n"));
    let missed = scratch.run(&["why", &gated, "chekc"]);
    assert!(missed.code != 0 && missed.err.contains("has no step “chekc”"), "{missed:?}");
    for run in [&gated, &asks, &parent, &child] {
        scratch.run(&["cancel", run]);
    }
}

#[test]
fn diff_tells_where_two_runs_part_first_and_what_each_round_came_to() {
    let scratch = Scratch::new();
    scratch.write(
        "judged.yaml",
        "name: judged
input: { type: object, required: [failed], properties: { failed: { type: integer } } }
steps:
  - id: build
    command: echo \"${input.failed}\"
    outputs: { json: stdout }
  - id: check
    command: 'true'
    gates: [{ id: tests, expression: steps.build.output, policy: evidence.value < 3, on_fail: { rework: build, max: 1, then: block } }]
  - { id: tell, command: 'true' }
",
    );
    let run = |failed: &str, status: &str| {
        let input = format!("failed={failed}");
        scratch.run(&["run", "./judged.yaml", "-i", &input, "--no-wait"]);
        let short = scratch.short("@");
        scratch.await_status(&short, status);
        short
    };
    let (good, alike, bad) = (run("1", "succeeded"), run("1", "succeeded"), run("7", "blocked"));
    let names = [(good.as_str(), "GOOD"), (alike.as_str(), "ALIKE"), (bad.as_str(), "BAD")];
    let texts = [
        see(&scratch, &names, &["diff", &good, &alike]),
        see(&scratch, &names, &["diff", &good, &bad]),
        see(&scratch, &names, &["diff", &bad, &good]),
    ];
    insta::assert_snapshot!(texts.join("\n"));
    let json = scratch.run(&["diff", &good, &bad, "--json"]).json();
    assert_eq!((json["from"].as_str(), json["to"].as_str()), (Some(good.as_str()), Some(bad.as_str())));
    assert_eq!(json["first"]["step"], "build", "{json}");
    assert!(json["differences"].as_array().is_some_and(|differences| !differences.is_empty()), "{json}");
    scratch.run(&["cancel", &bad]);
}

/// `retry` was named, which failed at once and named itself again; a limit could not be set before the first run.
#[test]
fn a_run_that_failed_for_want_of_a_shared_budget_is_told_what_makes_room() {
    const WITHOUT_ROOM: &str = "a retry fails as long as this budget has no room";
    let scratch = Scratch::new();
    let set = scratch.run(&["budget", "set", "team", "--cost", "1.00", "--tokens", "1000000"]);
    assert_eq!(set.code, 0, "{set:?}");
    let work = "steps: [{ id: a, agent: { profile: script, prompt: Do, args: [sh, work.sh] } }]";
    let paid = |on_over: &str| {
        format!("name: paid\nbudget: {{ id: team, scope: team, on_over: {on_over} }}\n{work}\n")
    };
    scratch.write("first.yaml", &paid("pause"));
    scratch.write("second.yaml", &paid("fail"));
    scratch.write("work.sh", "echo '{\"everfold\": {\"usage\": {\"cost\": 1.2}}}' > \"$EVERFOLD_OUTPUT\"\n");
    assert_eq!(scratch.run(&["run", "./first.yaml"]).code, 0);
    let failed = scratch.run(&["run", "./second.yaml"]);
    assert_eq!(failed.code, 1, "{failed:?}");
    let short = scratch.short("@");
    let raise = "everfold budget set team --per total --cost 2.00 --tokens 1000000 -m 'why'";
    let shown = scratch.run(&["show", &short]).out;
    let (at, retry) = (shown.find(raise), shown.find(&format!("everfold retry {short}")));
    assert!(at.is_some() && at < retry && shown.contains(WITHOUT_ROOM), "{shown}");
    assert_eq!(scratch.run(&["budget", "set", "team", "--cost", "5.00"]).code, 0);
    let shown = scratch.run(&["show", &short]).out;
    assert!(!shown.contains(WITHOUT_ROOM) && shown.contains(&format!("everfold retry {short}")), "{shown}");
    assert_eq!(scratch.run(&["retry", &short]).code, 0);
}

/// It said that the attempt waits for money, and no more: what is in its way is other runs' work, and in no event of its run.
#[test]
fn a_start_that_waits_for_money_that_a_shared_budget_keeps_for_other_runs_is_told_with_those_runs() {
    let scratch = Scratch::new();
    let budget = "{ id: team, scope: team, cost: 1 USD, reserve: 0.80 USD, on_over: stop }";
    let work = "{ id: a, agent: { profile: script, prompt: Do, args: [sh, work.sh] } }";
    scratch.write("paid.yaml", &format!("name: paid\nbudget: {budget}\nsteps: [{work}]\n"));
    scratch.write("work.sh", "until [ -e go ]; do sleep 0.02; done\n");
    let start = || {
        scratch.run(&["run", "./paid.yaml", "--detach"]);
        scratch.short("@")
    };
    let first = start();
    let works = || scratch.run(&["why", &first]).out.contains("is at work");
    await_that("its work has begun, with what is reserved for it", || works().then_some(()));
    let second = start();
    let told = await_that("it waits for money", || {
        let told = scratch.run(&["why", &second]).out;
        told.contains("waits for money").then_some(told)
    });
    let kept = format!("0.80 USD is reserved for work of the run {first} (paid)");
    for part in ["the budget team, shared as team, is reserved for work that runs", &kept, "is at work"] {
        assert!(told.contains(part), "{part}: {told}");
    }
    // Each place that tells of the budget says that a start waits. They said that it was open, or nothing.
    let waits = format!("run {second} (paid) waits for money");
    for (asked, parts) in [
        (vec!["budget", &second], ["0.80 USD reserved", "cost reserved, starts wait"]),
        (vec!["show", &second], ["0.80 USD reserved", "starts wait for what is reserved"]),
        (vec!["budget", "list"], ["0.800000 reserved", "cost reserved, 1 start waits"]),
        (
            vec!["why"],
            [
                "0.80 USD of the shared budget team is reserved for work that runs, and 1 attempt waits",
                &waits,
            ],
        ),
    ] {
        let told = scratch.run(&asked).out;
        for part in parts {
            assert!(told.contains(part), "{asked:?}: {part}: {told}");
        }
    }
    let of_first = scratch.run(&["budget", &first]).out;
    assert!(of_first.contains("open"), "nothing of this run waits: {of_first}");
    scratch.write("go", "");
    for run in [first, second] {
        scratch.await_status(&run, "succeeded");
    }
}

/// Work that waits for a run which it started, and keeps what that run wants, waits for itself: nothing said so.
#[test]
fn a_run_that_wants_what_is_reserved_for_the_work_that_started_it_is_told_of_it() {
    let scratch = Scratch::new();
    let budget = "{ id: team, scope: team, cost: 1 USD, reserve: 0.80 USD }";
    for name in ["outer", "inner"] {
        let work = format!("agent: {{ profile: script, prompt: Do, args: [sh, {name}.sh] }}");
        let step = format!("{{ id: a, api: {{ role: operator }}, {work} }}");
        scratch.write(&format!("{name}.yaml"), &format!("name: {name}\nbudget: {budget}\nsteps: [{step}]\n"));
    }
    let (program, data) = (env!("CARGO_BIN_EXE_everfold-under-test"), scratch.data());
    let starts = format!("{program} --dir {} run ./inner.yaml --detach", data.display());
    scratch.write("outer.sh", &format!("{starts}\nuntil [ -e go ]; do sleep 0.02; done\n"));
    scratch.write("inner.sh", "true\n");
    let started = scratch.run(&["run", "./outer.yaml", "--detach", "--json=short_id"]).json();
    let outer = started["short_id"].as_str().unwrap().to_owned();
    let told = await_that("the run that it starts waits for money", || {
        let told = scratch.run(&["why", "@"]).out;
        told.contains("waits for money").then_some(told)
    });
    let kept =
        format!("0.80 USD is reserved for work of the run {outer} (outer), by which this one was started");
    assert!(told.contains(&kept) && told.contains("waits for itself"), "{told}");
    let inner = scratch.short("@");
    scratch.write("go", "");
    for run in [outer, inner] {
        scratch.await_status(&run, "succeeded");
    }
}
