//! `run --dry-run`: what a start would do is said, and none of it is done.

use super::fixtures::{Done, Scratch};

const SHIP: &str = r#"name: ship
input: { type: object, required: [who], properties: { who: { type: string }, files: { type: array, default: [a.md, b.md] } } }
secrets: { TOKEN: { env: SHIP_TOKEN } }
notify:
  - { id: asked, events: [ApprovalRequested], function: notify.log, with: { text: "“${event.title}” is asked" } }
steps:
  - id: write
    agent:
      prompt: "Greet ${input.who}."
      schema: { type: object, required: [verdict, text], properties: { verdict: { enum: [ready, broken] }, text: { type: string }, tasks: { type: array, items: { type: string } } } }
    gates:
      - { id: polite, command: ["./polite", "${output.text}"], on_fail: { rework: write, max: 1 } }
      - { id: ready, expression: "output.verdict == 'broken'" }
  - id: each
    foreach: { in: "${input.files}" }
    command: ./check.sh ${item} > /dev/null
  - id: mail
    http: { method: POST, url: "https://example.org/${input.who}", headers: { authorization: "Bearer ${secrets.TOKEN}" } }
  - id: sign
    approval: { title: "Send it to ${input.who}?", roles: [lead], quorum: 2, timeout: 2d }
  - id: which
    question: { title: Where to?, options: [north, south] }
  - { id: rest, wait: { for: 3h } }
  - { id: merged, wait: { signal: merged, timeout: 1d } }
  - id: below
    run: { pipeline: ./below.yaml, input: { what: "${steps.write.output.text}" } }
  - { id: never, when: "input.who == 'nobody'", command: ./never }
  - { id: send, command: ["./send", "${steps.below.output.count}", "${steps.which.output.choice}"] }
on_finish:
  - { id: tidy, command: ./tidy }
output: { sent: "${steps.send.output.receipt}", way: "${steps.which.output.choice}" }
"#;

const BELOW: &str = "name: below\ninput: { type: object, required: [what] }\nsteps:\n  - { id: count, command: [\"./count\", \"${input.what}\"], outputs: { match: { n: \"(\\\\d+)\" } } }\noutput: { count: \"${steps.count.output.n}\" }\n";

fn dry(scratch: &Scratch, more: &[&str]) -> Done {
    let done = scratch.run(&[&["run", "./ship.yaml", "--dry-run"], more].concat());
    assert!(!scratch.data().exists(), "no data folder is made");
    done
}

fn ship() -> Scratch {
    let scratch = Scratch::new();
    scratch.write("ship.yaml", SHIP);
    scratch.write("below.yaml", BELOW);
    scratch
}

/// The moment to which a timer is set is a real one.
fn timeless(text: &str) -> String {
    let word = |word: &str| match word.len() == 10 && word.starts_with("20") {
        true => "DATE".to_owned(),
        false if word.ends_with('Z') && word.contains(':') => "TIME".to_owned(),
        false => word.to_owned(),
    };
    text.lines().map(|line| line.split(' ').map(word).collect::<Vec<_>>().join(" ") + "\n").collect()
}

#[test]
fn a_dry_run_says_what_would_happen_and_does_none_of_it() {
    let scratch = ship();
    let done = dry(&scratch, &["-i", "who=Ada"]);
    assert_eq!((done.code, done.err.as_str()), (0, ""), "{}", done.out);
    insta::assert_snapshot!(timeless(&done.out));
}

#[test]
fn a_dry_run_masks_a_token_of_its_input_and_refuses_one_that_an_escape_hides() {
    let scratch = ship();
    let token: String = "aB3dE5gH7jK9mN1pQ2sT4vW6yZ8".chars().cycle().take(36).collect();
    let token = format!("ghp_{token}");
    let done = dry(&scratch, &["-i", &format!("who={token}")]);
    assert!(!done.out.contains(&token) && done.out.contains("Greet ***"), "{done:?}");
    let hidden = token.replacen('g', "\\x67", 1);
    scratch.write("ship.yaml", &format!("name: ship\nsteps: [{{ id: a, command: \"echo {hidden}\" }}]\n"));
    let done = dry(&scratch, &[]);
    assert!(done.code == 2 && done.err.contains("in a text of step “a”"), "{done:?}");
}

#[test]
fn a_dry_run_as_json_marks_what_is_made_up() {
    let scratch = ship();
    let done = dry(&scratch, &["-i", "who=Ada", "--json"]);
    let report = done.json();
    assert_eq!((done.code, report["status"].as_str()), (0, Some("succeeded")), "{report:#}");
    let lines = report["lines"].as_array().unwrap();
    let of = |step: &str, what: &str| {
        let found = lines.iter().find(|line| line["step"] == step && line["what"] == what);
        found.unwrap_or_else(|| panic!("{step} {what} in {report:#}")).clone()
    };
    assert_eq!(of("write", "gives")["value"]["verdict"], "ready");
    assert_eq!(of("write", "gives")["made_up"], true);
    assert_eq!(of("mail", "http")["value"]["headers"]["authorization"], "Bearer ***");
    assert_eq!(of("count", "command")["child_of"], "below");
    assert_eq!(of("never", "skipped")["made_up"], false);
    assert_eq!(report["output"]["way"], "north");
    assert_eq!(report["not_taken"][0]["to"], "rework write");
}

#[test]
fn a_dry_run_of_a_case_has_its_stubs() {
    let scratch = ship();
    scratch.write(
        "ship.test.yaml",
        "- name: it is broken\n  input: { who: Eve }\n  steps: { write: [{ output: { text: Hey, verdict: ready } }, { output: { text: Hey, verdict: broken } }] }\n  gates: { write: { polite: [fail, pass] } }\n  decide: [{ reject: sign, by: bob, roles: [lead], comment: no }]\n  expect: { status: failed }\n",
    );
    let done = dry(&scratch, &["--case", "it is broken"]);
    assert_eq!(done.code, 1, "{done:?}");
    for said in ["Greet Eve", "rework", "write begins anew", "reject", "not begun\n  below"] {
        assert!(done.out.contains(said), "{said} in {}", done.out);
    }
    let none = dry(&scratch, &["--case", "it is brokn"]);
    assert!(none.code == 2 && none.err.contains("did you mean “it is broken”?"), "{none:?}");
}

#[test]
fn a_start_that_would_be_refused_is_refused_in_the_same_words() {
    let scratch = ship();
    scratch.write(
        "shut.yaml",
        "name: shut\nadmit: [{ id: open, code: SHUT, expression: \"input.open\" }]\nsteps: [{ id: a, command: ./a }]\n",
    );
    for args in [
        &["./ship.yaml", "-i", "whom=Ada"][..],
        &["./shut.yaml", "-i", "open=false"],
        &["./nothing.yaml"],
        &["nothing"],
    ] {
        let played = scratch.run(&[&["run", "--dry-run"], args].concat());
        assert!(!scratch.data().exists(), "no data folder is made");
        let other = ship();
        other.write("shut.yaml", &std::fs::read_to_string(scratch.path("shut.yaml")).unwrap());
        let real = other.run(&[&["run"], args].concat());
        assert_eq!((played.code, played.err), (real.code, real.err), "{args:?}");
        assert_ne!(played.code, 0);
    }
}

#[test]
fn a_dry_run_without_an_end_is_stopped() {
    let scratch = Scratch::new();
    scratch.write(
        "loop.yaml",
        "name: loop\nrounds: 1000000\nsteps:\n  - { id: a, command: ./a, on_success: [{ rework: a, max: 100000 }] }\n",
    );
    let done = scratch.run(&["run", "./loop.yaml", "--dry-run"]);
    assert_eq!(done.code, 1, "{}", done.err);
    // A machine under load reaches the limit of time before that of events.
    let bounds = ["over 10000 events", "playing takes longer than 10 seconds"];
    let stopped = bounds.iter().any(|why| done.err.contains(&format!("the dry run was stopped: {why}")));
    assert!(stopped, "{}", done.err);
}
