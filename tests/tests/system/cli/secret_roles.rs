//! Secrets with a source per role, seen from outside: which value steps, gates, items and notices are given.

use std::collections::BTreeMap;

use super::fixtures::{Done, Scratch, lines};

const VALUES: [(&str, &str); 3] = [
    ("VOICE_ANALYST", "token-of-the-analyst"),
    ("VOICE_TESTER", "token-of-the-tester"),
    ("VOICE_SHARED", "token-of-all"),
];

const VOICES: &str = r#"name: voices
secrets:
  BOT:
    of: { analyst: { env: VOICE_ANALYST }, developer: { env: VOICE_DEVELOPER }, tester: { env: VOICE_TESTER } }
    else: { env: VOICE_SHARED }
defaults: { as: tester }
notify:
  - id: said
    events: [RunSucceeded]
    as: "${steps.by-agent.role}"
    function: notify.command
    with: { argv: [sh, -c, "cat > HERE/notice"], text: "${secrets.BOT}" }
steps:
  - id: by-default
    secrets: BOT
    command: printf '%s' "$BOT" > by-default; env | grep -c VOICE_ > inherited || true
  - id: by-item
    foreach: { in: [analyst, developer, nobody, null], as: who }
    as: "${who}"
    env: { AUTH: "Bearer ${secrets.BOT}" }
    command: printf '%s' "$AUTH" > by-item-${index}
  - id: by-agent
    agent: { profile: script, role: analyst, prompt: x, args: [sh, -c, "printf '%s' \"$BOT\" > by-agent; cat HERE/others; echo fine"] }
    secrets: BOT
    gates:
      - { id: as-step, command: printf '%s' "$BOT" > by-step }
      - { id: as-gate, as: tester, command: printf '%s' "$BOT" > by-gate }
  - id: by-function
    as: analyst
    function: notify.command
    with: { argv: [sh, -c, "cat > HERE/function"], text: "${secrets.BOT}" }
"#;

fn voices(scratch: &Scratch, text: &str) -> Done {
    let here = scratch.path("").to_string_lossy().trim_end_matches('/').to_owned();
    scratch.write("voices.yaml", &text.replace("HERE", &here).replace("steps.by-agent", "steps['by-agent']"));
    let all: Vec<&str> = VALUES.iter().map(|(_, value)| *value).collect();
    scratch.write("others", &all.join(" "));
    let mut command = scratch.command(&["run", "./voices.yaml"]);
    command.envs(VALUES).output().unwrap().into()
}

#[test]
fn o178_each_step_gate_item_and_notice_is_given_the_value_of_its_role_and_all_are_masked() {
    let scratch = Scratch::new();
    let done = voices(&scratch, VOICES);
    assert_eq!(done.code, 0, "{done:?}");
    let file = |name: &str| std::fs::read_to_string(scratch.path(name)).unwrap_or_default();
    let of: BTreeMap<&str, &str> = VALUES.into();
    let [analyst, tester, shared] = [of["VOICE_ANALYST"], of["VOICE_TESTER"], of["VOICE_SHARED"]];
    assert_eq!(file("by-default"), tester, "the role of `defaults`");
    assert_eq!(file("inherited").trim(), "0", "no variable of any role is inherited");
    assert_eq!(file("by-item-0"), format!("Bearer {analyst}"));
    for not_listed_or_not_set in ["by-item-1", "by-item-2", "by-item-3"] {
        assert_eq!(file(not_listed_or_not_set), format!("Bearer {shared}"), "{not_listed_or_not_set}");
    }
    assert_eq!(file("by-agent"), analyst, "the role of the agent");
    assert_eq!((file("by-step").as_str(), file("by-gate").as_str()), (analyst, tester));
    for said in ["function", "notice"] {
        assert!(file(said).contains(analyst) && !file(said).contains(shared), "{said}: {}", file(said));
    }
    // The agent printed the values of all roles.
    let logs = scratch.run(&["logs", "@", "by-agent"]);
    assert!(logs.out.contains("*** *** ***"), "{logs:?}");
    let events = scratch.run(&["events", "@", "--json"]);
    let recorded: Vec<&str> = events.out.lines().filter(|line| line.contains(r#""as":"analyst""#)).collect();
    assert!(recorded.len() >= 4, "the role is recorded with what it chose for: {}", events.out);
    for out in [&logs.out, &events.out, &done.out, &done.err] {
        assert!(VALUES.iter().all(|(_, value)| !out.contains(value)), "{out}");
    }
}

#[test]
fn o178_a_role_without_a_source_fails_the_step_with_the_roles_that_there_are() {
    let scratch = Scratch::new();
    let text = "name: voices\nsecrets: { BOT: { of: { analyst: { env: VOICE_ANALYST } } } }\nsteps:\n  - { id: a, as: \"${'../' + 'analyst'}\", secrets: BOT, command: touch ran }\n";
    let done = voices(&scratch, text);
    assert_eq!(done.code, 1, "{done:?}");
    let failure = &scratch.run(&["show", "@", "--json"]).json()["steps"][0]["failure"];
    assert_eq!(
        (failure["kind"].as_str(), failure["code"].as_str()),
        (Some("spawn"), Some("SECRET")),
        "{failure}"
    );
    let message = failure["message"].as_str().unwrap_or_default();
    assert!(message.contains("no source for the role “../analyst”, only for analyst"), "{failure}");
    assert!(lines(&scratch.path("ran")).is_empty());
}
