//! Gates under the real program: several probes of one gate killed half-way, every prober that needs no
//! git host, rechecks by an operator's policy.

use std::io::{Read as _, Write as _};

use serde_json::{Value, json};

use super::fixtures::{Event, Lab, UNTIL_GO, await_that, only, places};

/// The only verdict of a gate.
fn verdicts<'a>(events: &'a [Event], gate: &str) -> Vec<&'a Event> {
    let verdicts = events.iter().filter(|event| event.kind() == "GateEvaluated");
    verdicts.filter(|event| event.field("gate") == gate).collect()
}

#[test]
fn l18_a_kill_during_the_probe_of_a_member_repeats_none_that_lives_or_has_ended() {
    let mark = |name: &str| format!(r#"echo {name} >> "$TRACE""#);
    let lab = Lab::with(&format!(
        r#"
name: p
steps:
  - id: build
    command: "true"
    gates:
      - id: checks
        at_least:
          n: 3
          of:
            - {{ id: slow, command: '{slow}; {UNTIL_GO}; echo done' }}
            - {{ id: quick, command: '{quick}' }}
            - id: either
              any:
                - {{ id: red, command: '{red}; exit 3' }}
                - {{ expression: "output.exit_code == 0" }}
            - {{ id: never, when: "false", otherwise: not today, command: "exit 1" }}
"#,
        slow = mark("slow"),
        quick = mark("quick"),
        red = mark("red"),
    ));
    let engine = lab.start(&["run", "./p.yaml"]);
    // All members are asked at once; two of the three commands end while the first goes on.
    await_that("three probes", || (lab.trace().len() == 3).then_some(()));
    let probe = "build-r1-a1-checks-p1";
    lab.await_attempt(&format!("{probe}-m1"), "exit.json");
    lab.await_attempt(&format!("{probe}-m2.0"), "exit.json");
    engine.kill().was_killed();
    lab.go();
    lab.run(&["resume", "@"]).ended_with(0);
    let mut trace = lab.trace();
    trace.sort_unstable();
    assert_eq!(trace, ["quick", "red", "slow"], "nothing was asked twice");
    let events = lab.events("@");
    let verdict = only(&events, "GateEvaluated");
    assert_eq!(verdict.field("reason"), "3 of 3 pass, 3 needed: slow, quick, either");
    let members = verdict.field("evidence")["members"].clone();
    let said: Vec<(&str, &str)> = members
        .as_array()
        .unwrap()
        .iter()
        .map(|member| (member["id"].as_str().unwrap(), member["verdict"].as_str().unwrap()))
        .collect();
    assert_eq!(said, [("slow", "pass"), ("quick", "pass"), ("either", "pass"), ("never", "skipped")]);
    assert_eq!(members[0]["evidence"]["output"].as_str().unwrap().trim(), "done");
    assert_eq!(members[2]["evidence"]["members"][0]["evidence"]["exit"], 3);
    assert_eq!(members[3]["reason"], "not today");
    lab.assert_left_in_order();
}

/// A run whose only gate has two members that wait for the test.
fn two_members() -> Lab {
    Lab::with(&format!(
        r#"
name: p
steps:
  - id: wait
    gates:
      - id: both
        all:
          - {{ id: one, command: 'echo one >> "$TRACE"; {UNTIL_GO}' }}
          - {{ id: two, command: 'echo two >> "$TRACE"; {UNTIL_GO}' }}
"#
    ))
}

#[test]
fn l18_members_that_lived_on_end_when_the_run_is_cancelled_after_a_crash() {
    let lab = two_members();
    let engine = lab.start(&["run", "./p.yaml"]);
    await_that("both probes", || (lab.trace().len() == 2).then_some(()));
    engine.kill().was_killed();
    lab.run(&["cancel", "@"]).ended_with(0);
    lab.run(&["resume", "@"]).ended_with(5);
    lab.assert_left_in_order();
}

#[test]
fn l18_a_cancel_ends_the_members_that_are_still_asked() {
    let lab = two_members();
    let engine = lab.start(&["run", "./p.yaml"]);
    await_that("both probes", || (lab.trace().len() == 2).then_some(()));
    lab.run(&["cancel", "@"]).ended_with(0);
    engine.end().ended_with(5);
    lab.assert_left_in_order();
}

/// Answers every request with this.
fn server(status: &'static str, body: &'static str) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = Vec::new();
            let mut buffer = [0; 1024];
            while !request.windows(4).any(|end| end == b"\r\n\r\n") {
                let read = stream.read(&mut buffer).unwrap();
                if read == 0 {
                    break;
                }
                request.extend_from_slice(&buffer[..read]);
            }
            let kind = "content-type: application/json";
            let length = body.len();
            let answer = format!("HTTP/1.1 {status}\r\n{kind}\r\ncontent-length: {length}\r\n\r\n{body}");
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    url
}

#[test]
fn every_probe_without_a_git_host_collects_its_evidence() {
    let url = server("200 OK", r#"{"deployed": "abc"}"#);
    let lab = Lab::with(&format!(
        r#"
name: p
labels: {{ lane: "deploy" }}
config:
  team: [own.yaml, team.yaml]
steps:
  - id: report
    command: |
      mkdir -p reports
      echo '<testsuite><testcase name="ok"/><testcase name="later"><skipped/></testcase></testsuite>' > reports/a.xml
    gates:
      - {{ id: tests, tests: ["reports/*.xml"], fresh: true }}
      - {{ id: deployed, http: {{ url: "{url}/status", expect: [200] }}, policy: "evidence.body.deployed == 'abc'" }}
      - {{ id: switch, config: {{ path: team.deploy.auto }}, policy: "evidence.value == true" }}
      - {{ id: agreed, function: everfold.echo, with: {{ ok: true, reason: "nobody minds" }} }}
      - {{ id: free, runs: {{ labels: {{ lane: deploy }}, status: [running, waiting] }}, policy: "evidence.total == 0" }}
      - {{ id: before, runs: {{ labels: {{ lane: deploy }}, status: succeeded }}, code: FIRST, on_fail: next }}
"#
    ));
    lab.write("team.yaml", "deploy: { auto: false, hosts: [a] }\n");
    lab.write("own.yaml", "deploy: { auto: true }\n");
    lab.run(&["run", "./p.yaml"]).ended_with(0);
    let events = lab.events("@");
    let reasons: Vec<String> = events
        .iter()
        .filter(|event| event.kind() == "GateEvaluated")
        .map(|event| {
            let text = |name: &str| event.field(name).as_str().unwrap_or_default().to_owned();
            format!("{} {}: {}", text("gate"), text("verdict"), text("reason"))
        })
        .collect();
    assert_eq!(
        reasons,
        [
            "tests pass: 1 test passed, 1 skipped",
            "deployed pass: `evidence.body.deployed == 'abc'` is true",
            "switch pass: `evidence.value == true` is true",
            "agreed pass: nobody minds",
            "free pass: `evidence.total == 0` is true",
            "before fail: no run fits",
        ]
    );
    let warned = verdicts(&events, "before")[0];
    assert_eq!((warned.field("tolerated"), warned.field("code")), (&json!(true), &json!("FIRST")));
    // The next run finds this one.
    lab.run(&["run", "./p.yaml"]).ended_with(0);
    let again = lab.events("@");
    assert_eq!(verdicts(&again, "before")[0].field("verdict"), "pass");
    lab.assert_left_in_order();
}

#[test]
fn l18_a_report_of_a_former_round_is_not_fresh() {
    let lab = Lab::with(
        r#"
name: p
workspace: { git: repo, save: commit }
steps:
  - id: test
    command: |
      echo "$EVERFOLD_ROUND" >> rounds
      if [ "$EVERFOLD_ROUND" != 2 ]; then
        mkdir -p reports
        echo "<testsuite><testcase name='round $EVERFOLD_ROUND'/></testsuite>" > reports/a.xml
      fi
    gates:
      - { id: tests, tests: ["reports/*.xml"], fresh: true, on_fail: { rework: test } }
      - { id: enough, expression: "step.round == 3", on_fail: { rework: test } }
"#,
    );
    lab.repository();
    lab.write("repo/.gitignore", "reports\n");
    lab.git(&["add", "."]);
    lab.git(&["-c", "user.name=A", "-c", "user.email=a@b", "commit", "-q", "-m", "ignore"]);
    lab.run(&["run", "./p.yaml"]).ended_with(0);
    let events = lab.events("@");
    let said: Vec<&Value> = verdicts(&events, "tests").iter().map(|event| event.field("reason")).collect();
    assert_eq!(said, ["1 test passed", "no test report was found", "1 test passed"]);
    assert_eq!(places(&events, "StepScheduled"), ["test 1.1", "test 2.1", "test 3.1"]);
    lab.assert_left_in_order();
}

#[test]
fn l18_an_operator_has_a_gate_judged_by_another_policy() {
    let lab = Lab::with(
        r#"
name: p
steps:
  - id: build
    command: "true"
    gates:
      - { id: lint, command: "exit 0" }
      - { id: tests, command: "echo 1 of 90 failed; exit 1", on_fail: block }
      - id: deployed
        command: "exit 7"
        policy: "evidence.exit == 7 ? 'pending' : 'pass'"
        poll: { every: 1h, max: 5 }
"#,
    );
    let engine = lab.start(&["run", "./p.yaml"]);
    lab.await_status("blocked");
    for (policy, code, part) in [
        ("tests=evidence.exit <", 2, "cannot be used"),
        ("tests=evidenc.exit == 1", 2, "there is no name"),
        ("teste=true", 3, "no gate “teste”"),
        ("evidence.exit == 1", 2, "names no gate"),
    ] {
        let done =
            lab.run(&["unblock", "@", "build", "--decision", "recheck", "--policy", policy, "-m", "why"]);
        done.ended_with(code);
        assert!(done.err.contains(part), "{policy}: {}", done.err);
    }
    let own = "tests=evidence.output.contains('1 of 90')";
    lab.run(&["unblock", "@", "build", "--decision", "recheck", "--policy", own, "-m", "a known flake"])
        .ended_with(0);
    await_that("the pending gate", || {
        let events = lab.events("@");
        events.iter().any(|event| event.kind() == "TimerSet").then_some(())
    });
    lab.run(&["recheck", "@", "build", "--policy", own, "--policy", "deployed=true", "-m", "it is up"])
        .ended_with(0);
    engine.end().ended_with(0);
    let events = lab.events("@");
    let tests: Vec<(&Value, &Value)> = verdicts(&events, "tests")
        .iter()
        .map(|event| (event.field("verdict"), event.field("policy")))
        .collect();
    let own = json!("evidence.output.contains('1 of 90')");
    let (pass, fail, default) = (json!("pass"), json!("fail"), json!("default:command"));
    assert_eq!(tests, [(&fail, &default), (&pass, &own), (&pass, &own)]);
    assert_eq!(verdicts(&events, "lint").len(), 3, "all gates are judged again");
    let recheck = only(&events, "RecheckRequested");
    assert_eq!(recheck.field("reason"), "it is up");
    assert_eq!(recheck.0["actor"], "user:ada");
    let done = lab.run(&["recheck", "@", "build"]);
    done.ended_with(4);
    lab.assert_left_in_order();
}
