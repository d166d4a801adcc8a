//! Where the gates of deployments find their logs: in the worktree, else on origin/main (O66, O67).

use std::path::Path;
use std::process::Command;

use super::super::fixtures::Scratch;
use super::cases::folder;

const SUCCESS: &str = "---\ndeploy_status: SUCCESS\n---\n";
const FAILED: &str = "---\ndeploy_status: FAILED\n---\n";

/// A log: where it stands; what stands in the worktree, what on origin/main; whether the gate passes, and why.
type LogRow = (&'static str, Option<&'static str>, Option<&'static str>, bool, &'static str);

const ROWS: [LogRow; 6] = [
    ("on origin/main alone", None, Some(SUCCESS), true, "Deploy status: SUCCESS"),
    ("on origin/main alone, FAILED", None, Some(FAILED), false, "Deploy status: FAILED"),
    ("in both, FAILED here", Some(FAILED), Some(SUCCESS), false, "Deploy status: FAILED"),
    ("in both, FAILED there", Some(SUCCESS), Some(FAILED), true, "Deploy status: SUCCESS"),
    (
        "in both, none that can be read here",
        Some("SUCCESS"),
        Some(SUCCESS),
        false,
        "No machine-readable deploy_status in frontmatter (got: '')",
    ),
    ("in neither", None, None, false, "Deploy log not found (14-deploy-log.md)"),
];

fn git(at: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new("git");
    command.args(["-c", "user.name=ada", "-c", "user.email=ada@example.org", "-c", "commit.gpgsign=false"]);
    let output = command.args(arguments).current_dir(at).output().unwrap();
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A clone whose origin has the logs of the rows on main, and a pipeline with a gate for each row.
fn prepared() -> Scratch {
    let scratch = Scratch::new();
    let origin = scratch.path("first");
    std::fs::create_dir_all(&origin).unwrap();
    git(&origin, &["init", "--quiet", "--initial-branch=main"]);
    git(&origin, &["commit", "--quiet", "--allow-empty", "-m", "first"]);
    git(&scratch.path(""), &["clone", "--quiet", "first", "clone"]);
    // Behind the clone's back: another pull request brings the logs to main.
    for (number, (_, _, there, ..)) in ROWS.iter().enumerate() {
        let Some(text) = there else { continue };
        std::fs::create_dir_all(origin.join(format!("r{number}"))).unwrap();
        std::fs::write(origin.join(format!("r{number}/14-deploy-log.md")), text).unwrap();
    }
    git(&origin, &["add", "."]);
    git(&origin, &["commit", "--quiet", "-m", "logs"]);
    std::fs::create_dir_all(scratch.path("orch")).unwrap();
    std::fs::copy(folder().join("orch/gates.yaml"), scratch.path("orch/gates.yaml")).unwrap();
    let mut gates = String::new();
    for number in 0..ROWS.len() {
        gates += &format!(
            "      - {{ id: r{number}, on_fail: next, policy: deployed, frontmatter: {{ file: r{number}/14-deploy-log.md, fields: [deploy_status], pass: [SUCCESS], from: [worktree, origin/main], fetch: true }} }}\n"
        );
    }
    scratch.write(
        "logs.yaml",
        &format!(
            "name: logs\ninclude: orch/gates.yaml\nlocals: {{ strict: false }}\nworkspace: {{ git: clone, base: main }}\nsteps:\n  - id: deployer\n    command: [sh, write.sh]\n    gates:\n{gates}output: \"${{steps.deployer.gates}}\"\n"
        ),
    );
    scratch
}

fn gates(scratch: &Scratch) -> serde_json::Value {
    let mut script = String::new();
    for (number, (_, here, ..)) in ROWS.iter().enumerate() {
        let Some(text) = here else { continue };
        let text = text.replace('\n', "\\n");
        script += &format!("mkdir -p r{number} && printf -- '{text}' > r{number}/14-deploy-log.md\n");
    }
    let pipeline = std::fs::read_to_string(scratch.path("logs.yaml")).unwrap();
    let command = serde_json::json!(["sh", "-c", script]).to_string();
    scratch.write("run.yaml", &pipeline.replace("[sh, write.sh]", &command));
    let run = scratch.run(&["run", "./run.yaml"]);
    assert_eq!(run.code, 0, "{run:?}");
    scratch.run(&["show", "@", "--json"]).json()["output"].clone()
}

fn assert_rows(judged: &serde_json::Value) {
    for (number, (what, here, there, passes, reason)) in ROWS.iter().enumerate() {
        let gate = &judged[format!("r{number}")];
        let verdict = if *passes { "pass" } else { "fail" };
        assert_eq!(
            (&gate["verdict"], &gate["reason"]),
            (&verdict.into(), &(*reason).into()),
            "{what}: {gate}"
        );
        let from = here.map(|_| "worktree").or(there.map(|_| "origin/main"));
        assert_eq!(gate["evidence"]["from"].as_str(), from, "{what}: {gate}");
    }
}

#[test]
fn o066_a_log_is_taken_from_the_worktree_and_where_there_is_none_from_origin_main() {
    let scratch = prepared();
    let main = git(&scratch.path("first"), &["rev-parse", "main"]);
    let judged = gates(&scratch);
    assert_rows(&judged);
    let source = &judged["r0"]["evidence"]["source"];
    assert_eq!((source["commit"].as_str(), &source["fetched"][0]["ok"]), (Some(main.trim()), &true.into()));
}

/// The verdict stands on two places: a log of the worktree (row 2), and one of origin/main (row 0).
#[test]
fn o7_a_verdict_is_recorded_with_its_policy_its_source_its_field_and_who_judged() {
    let scratch = prepared();
    let base = git(&scratch.path("clone"), &["rev-parse", "main"]);
    let main = git(&scratch.path("first"), &["rev-parse", "main"]);
    gates(&scratch);
    let events = scratch.run(&["events", "@", "--json"]).out;
    let events: Vec<serde_json::Value> =
        events.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for (gate, from, commit) in [("r0", "origin/main", &main), ("r2", "worktree", &base)] {
        let of_gate =
            |it: &&serde_json::Value| it["event"]["type"] == "GateEvaluated" && it["event"]["gate"] == gate;
        let recorded = events.iter().find(of_gate).unwrap_or_else(|| panic!("{gate} among {events:#?}"));
        let event = &recorded["event"];
        let policy = event["policy"].as_str().unwrap();
        assert!(policy.contains("No machine-readable "), "the whole of it: {policy}");
        assert_eq!(event["policy_hash"], blake3::hash(policy.as_bytes()).to_hex().as_str());
        assert!(event["evaluator"].is_u64(), "the version that read it: {event}");
        let evidence = &event["evidence"];
        assert_eq!(evidence["order"], serde_json::json!(["deploy_status"]));
        assert!(evidence["fields"]["deploy_status"].is_string(), "{evidence}");
        assert_eq!(evidence["from"], from);
        assert_eq!(evidence["source"]["path"], format!("{gate}/14-deploy-log.md"));
        assert_eq!(evidence["source"]["commit"], commit.trim(), "{gate}");
        assert_eq!(recorded["actor"], "engine");
        let audited = scratch.run(&["audit", "--run", "@", "--json"]).json();
        let audited = audited["items"].as_array().unwrap().iter().find(|it| it["gate"] == gate).unwrap();
        for key in ["verdict", "reason", "policy_hash"] {
            assert_eq!(audited[key], event[key], "{key}: {audited}");
        }
    }
}

#[test]
fn o067_where_origin_does_not_answer_what_was_fetched_before_counts_with_its_commit() {
    let scratch = prepared();
    git(&scratch.path("clone"), &["fetch", "--quiet", "origin"]);
    let main = git(&scratch.path("first"), &["rev-parse", "main"]);
    std::fs::rename(scratch.path("first"), scratch.path("gone")).unwrap();
    let judged = gates(&scratch);
    assert_rows(&judged);
    let source = &judged["r0"]["evidence"]["source"];
    assert_eq!((source["commit"].as_str(), &source["fetched"][0]["ok"]), (Some(main.trim()), &false.into()));
    assert!(source["fetched"][0]["problem"].is_string(), "{source}");
}
