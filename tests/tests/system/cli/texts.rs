//! The shape of what people read, with ids and times left out.

use super::fixtures::{Scratch, fixed};

/// Puts a word for every span and instant.
fn timeless(text: &str) -> String {
    let word = |word: &str| {
        let bare = word.trim_end_matches([',', ')']);
        let is_span =
            bare.ends_with(['s', 'm']) && bare.starts_with(|c: char| c.is_ascii_digit() || c == '+');
        let is_date = bare.len() == 10 && bare.starts_with("20") && bare.contains('-');
        let is_time =
            bare.len() >= 9 && bare.as_bytes().get(2) == Some(&b':') && bare.as_bytes().get(5) == Some(&b':');
        match () {
            () if is_span => word.replace(bare, "SPAN"),
            () if is_date => word.replace(bare, "DATE"),
            () if is_time => word.replace(bare, "TIME"),
            () => word.to_owned(),
        }
    };
    let line = |line: &str| line.split_whitespace().map(word).collect::<Vec<_>>().join(" ");
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn show_runs_inbox_and_events_answer_at_a_glance() {
    let scratch = Scratch::new();
    scratch.write(
        "ship.yaml",
        "name: ship\nsteps:\n  - id: build\n    command: echo built\n    gates:\n      - { id: made, command: 'true' }\n  - id: approve\n    approval: { title: Ship it?, roles: [product] }\n  - id: deploy\n    command: echo broken >&2; exit 2\n",
    );
    scratch.run(&["run", "./ship.yaml", "--no-wait", "--title", "The first"]);
    let short = scratch.short("@");
    let see = |args: &[&str]| {
        let done = scratch.run(args);
        let shown = fixed(&timeless(&done.out), &scratch, &[(&short, "SHORT")]);
        format!("$ everfold {}\n{shown}\n", args.join(" "))
    };
    let mut texts = vec![see(&["show"]), see(&["runs"]), see(&["inbox"])];
    // Whether a process is seen to begin before it ends is a matter of chance, and so are the numbers.
    let events = see(&["events"]);
    let seen = events.lines().filter(|line| !line.contains("AttemptStarted"));
    let unnumbered: Vec<&str> =
        seen.map(|line| line.trim_start_matches(|c: char| c.is_ascii_digit())).collect();
    texts.push(unnumbered.join("\n"));
    assert_eq!(scratch.run(&["approve", &short]).code, 0);
    scratch.await_status("@", "failed");
    texts.push(see(&["show"]));
    insta::assert_snapshot!(texts.join("\n"));
}

#[test]
fn help_names_every_verb() {
    let scratch = Scratch::new();
    let help = scratch.run(&["--help"]);
    assert_eq!(help.code, 0);
    insta::assert_snapshot!(help.out);
}

const PAID: &str = r#"name: paid
budget:
  - { id: own, cost: "0.50 USD", tokens: 1000 }
  - { id: team, scope: team, per: month, cost: "10 USD", reserve: "0.05 USD" }
steps:
  - id: a
    agent: { profile: script, role: dev, prompt: Do, args: [sh, work.sh] }
  - id: b
    agent: { profile: script, prompt: Do, args: [sh, work.sh] }
"#;

#[test]
fn budgets_spending_and_limits_answer_at_a_glance() {
    let scratch = Scratch::new();
    scratch.write("paid.yaml", PAID);
    scratch.write(
        "work.sh",
        // The second one ends when it may.
        r#"case $EVERFOLD_STEP in b) until [ -e go ]; do sleep 0.02; done;; esac
echo '{"everfold": {"usage": {"model": "m-1", "input_tokens": 5, "output_tokens": 7, "cost": 0.50}}}' > "$EVERFOLD_OUTPUT""#,
    );
    std::fs::create_dir_all(scratch.data()).unwrap();
    std::fs::write(
        scratch.data().join("everfold.toml"),
        "[resources]\ngpu = 2\n[limits.command.curl]\nstarts = 5\nper = \"1m\"\n",
    )
    .unwrap();
    let started = scratch.run(&["run", "./paid.yaml", "--no-wait"]);
    let short = scratch.short("@");
    // The counter of a shared budget hears of an attempt's end behind it, and a reader at any time.
    let counted = |text: &str| {
        let text = text.replace(", 0.05 USD reserved", "");
        let text = ["0.50", "1.00"].into_iter().fold(text, |text, spent| {
            text.replace(&format!("{spent} USD of 10.00 USD"), "SPENT of 10.00 USD")
        });
        // Whether the end of the command or the news of it comes first is a matter of chance.
        let lines = text.lines().filter(|line| !line.starts_with("SPAN b 1.1 held")).map(|line| {
            match line.starts_with("month@UTC:team ") {
                true => "month@UTC:team SPENT RESERVED DATE TIME",
                false => line,
            }
        });
        lines.map(|line| format!("{line}\n")).collect::<String>()
    };
    let fix = |text: &str| counted(&fixed(&timeless(text), &scratch, &[(&short, "SHORT")]));
    let mut texts =
        vec![format!("$ everfold run ./paid.yaml --no-wait\n{}\n{}\n", fix(&started.err), fix(&started.out))];
    let mut see = |args: &[&str]| {
        let done = scratch.run(args);
        texts.push(format!("$ everfold {}\n{}{}\n", args.join(" "), fix(&done.out), fix(&done.err)));
    };
    see(&["show"]);
    see(&["inbox"]);
    see(&["budget"]);
    see(&["budget", "@", "--budget", "nobody", "--add", "1"]);
    see(&["budget", "@", "--budget", "own", "--add", "0.25", "-m", "nearly done"]);
    scratch.write("go", "");
    scratch.await_status("@", "succeeded");
    let mut see = |args: &[&str]| {
        let done = scratch.run(args);
        texts.push(format!("$ everfold {}\n{}{}\n", args.join(" "), fix(&done.out), fix(&done.err)));
    };
    see(&["budget"]);
    for by in ["run", "step", "role", "model", "pipeline"] {
        see(&["spend", "--by", by]);
    }
    see(&["limits"]);
    see(&["limits", "reset", "agent.claude", "-m", "it is back"]);
    see(&["limits", "reset", "agent.nobody"]);
    insta::assert_snapshot!(texts.join("\n"));
}
