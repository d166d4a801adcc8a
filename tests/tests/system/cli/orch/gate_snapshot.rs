//! All by which `orch` decides, in one snapshot: admission, triggers, stages and what follows each, gates with probes, scopes,
//! policies and caps, routes, signals (O2).
//!
//! Law: none of it changes unseen. A change that is meant is accepted so:
//! `INSTA_UPDATE=new cargo test -p everfold-tests --test system gate_snapshot`, a look at the `.snap.new` beside the snapshot, and
//! renaming it. The line `blake3` changes with it. What agents and people are told is not in it: texts have cases of their own.

use everfold_engine::definition::parse;
use everfold_workflows::builtin;
use serde_json::{Map, Value};

/// What is written out wherever a local is used, and the name under which the snapshot has it. A local that is changed is
/// no longer found, and stands there whole.
const SHORT: [(&str, &str); 7] = [
    (
        "[config.orch.?projects.orValue({})].map(p, type(p) != map || p == {} ? config.builtin.projects : p)[0]",
        "PROJECTS",
    ),
    ("((PROJECTS)[?input.project].orValue({'repo': '', 'prefix': ''}))", "PROJECT"),
    ("[PROJECT.repo.trim()].map(r, r.lowerAscii() == 'orchestrator' ? 'orchestrator' : r)[0]", "REPO"),
    ("'docs/work-items/' + run.labels.item", "DOCS"),
    ("(evidence.?problem.orValue(''))", "FLAW"),
    (
        "(evidence.order.map(f, evidence.fields[?f].orValue(null)) .map(x, x == null ? '' : toJson(x).replaceRegex('^\"|\"$', '').trim().upperAscii()))",
        "WORDS",
    ),
    (
        "[PROJECT.?deploy.orValue({})].map(d, {'hook': d.?hook.orValue(''), 'service': d.?service.orValue('orchestrator-staging'), 'port': string(d.?port.orValue(8501)), 'probe': d.?probe.orValue(''), 'health': d.?health.orValue('')})[0]",
        "TARGET",
    ),
];
/// Of a step: what says how it works, and not what follows.
const WORK: [&str; 5] = ["env", "grace", "id", "retry", "timeout"];
/// The steps of which the environment says what is deployed, and where to.
const DEPLOYS: [&str; 2] = ["rollout", "rollback"];

const AGENTS: [&str; 7] = ["analyst", "architect", "developer", "reviewer", "tester", "staging", "deployer"];

/// A value in one line, texts as they are.
fn line(value: &Value) -> String {
    match value {
        Value::String(text) => text.replace('\n', "\\n"),
        Value::Array(all) => format!("[{}]", all.iter().map(line).collect::<Vec<_>>().join(", ")),
        Value::Object(all) => {
            let all: Vec<String> = all.iter().map(|(key, value)| format!("{key}: {}", line(value))).collect();
            format!("{{ {} }}", all.join(", "))
        }
        other => other.to_string(),
    }
}

/// The fields of a mapping, a line for each, but for these.
fn fields(of: &Map<String, Value>, but: &[&str], indent: &str, into: &mut String) {
    for (key, value) in of.iter().filter(|(key, _)| !but.contains(&key.as_str())) {
        *into += &format!("{indent}{key}: {}\n", line(value));
    }
}

fn gates(of: &Value, indent: &str, into: &mut String) {
    for gate in of["gates"].as_array().into_iter().flatten() {
        *into += &format!("{indent}gate {}\n", gate["id"].as_str().unwrap());
        let of_one = gate["probe"]["any"].as_array();
        fields(
            gate.as_object().unwrap(),
            if of_one.is_some() { &["id", "probe"] } else { &["id"] },
            &format!("{indent}  "),
            into,
        );
        for member in of_one.into_iter().flatten() {
            *into += &format!("{indent}  any of\n");
            fields(member.as_object().unwrap(), &[], &format!("{indent}    "), into);
        }
    }
}

/// The work of a step: its kind, and of all but agents what it does.
fn work(step: &Value) -> String {
    let task = &step["work"]["task"];
    match task["kind"].as_str() {
        Some("agent") => format!("agent, {}", line(&task["spec"]["role"])),
        Some(kind) => format!("{kind}, {}", line(&task["spec"])),
        None => line(&step["work"]),
    }
}

fn document() -> Value {
    let found = builtin::find("orch").unwrap();
    let definition = parse(found.text, found.name, found).unwrap().definition;
    serde_json::from_str(&definition.document()).unwrap()
}

/// How long the agents of a task work, and how often and when they are tried again: what each of their steps comes to.
fn terms_of_work(step: &Value) -> String {
    let mut text = String::new();
    fields(step.as_object().unwrap(), &[], "", &mut text);
    let told = text
        .lines()
        .filter(|line| ["grace", "retry", "timeout"].iter().any(|key| line.starts_with(&format!("{key}: "))));
    told.collect::<Vec<_>>().join("\n")
}

fn rendered() -> String {
    let document = document();
    let mut text = String::new();
    fields(document["admit"].as_object().unwrap(), &["gates"], "admit ", &mut text);
    gates(&document["admit"], "  ", &mut text);
    for part in ["key", "rounds", "on_signal"] {
        text += &format!("{part}: {}\n", line(&document[part]));
    }
    for trigger in document["triggers"].as_array().unwrap() {
        text += "trigger\n";
        fields(trigger.as_object().unwrap(), &[], "  ", &mut text);
    }
    for step in document["steps"].as_array().unwrap() {
        let id = step["id"].as_str().unwrap();
        text += &format!("\nstep {id}\n  work: {}\n", work(step));
        let mut but = [&WORK[..], &["gates", "work", "on_signal"]].concat();
        but.retain(|field| *field != "env" || !DEPLOYS.contains(&id));
        fields(step.as_object().unwrap(), &but, "  ", &mut text);
        for (signal, routes) in step["on_signal"].as_object().into_iter().flatten() {
            text += &format!("  signal {signal}: {}\n", line(routes));
        }
        gates(step, "  ", &mut text);
    }
    for (long, short) in SHORT {
        text = text.replace(long, short);
    }
    format!("blake3: {}\n\n{text}", blake3::hash(text.as_bytes()))
}

#[test]
fn o2_no_gate_policy_route_cap_scope_or_signal_changes_unseen() {
    insta::assert_snapshot!(rendered());
}

/// What the snapshot is for: each of these was once changed without a test that failed.
#[test]
fn o2_the_snapshot_has_all_by_which_a_task_is_judged() {
    let text = rendered();
    for told in [
        "gate check_staging_status",
        "fresh: true",
        "if_unchanged: block",
        "refuse: the analysis is not complete, so there is nothing to approve",
        "matches: \\bAPPROVE\\b",
        "allow: [${DOCS}/12-review.md]",
        "sha: ${workspace.commit}",
        "max_rounds: 3",
        "approved-via-status",
        "Staging gate N/A for ${REPO}",
        "signal in-progress",
        "git log -p",
        "grep -qiE",
        "EXPECTED_COMMIT",
        "LOCK_WAIT",
        "TARGET_SERVICE",
    ] {
        assert!(text.contains(told), "{told}\n{text}");
    }
    // Of how a step works the snapshot says nothing; of agents these numbers are ORCH's own (O136, O139).
    let document = document();
    let steps = document["steps"].as_array().unwrap();
    let agents: Vec<&Value> =
        steps.iter().filter(|step| AGENTS.contains(&step["id"].as_str().unwrap())).collect();
    assert_eq!(agents.len(), AGENTS.len());
    for agent in agents {
        let terms = terms_of_work(agent);
        for number in ["grace: 20s", "attempts: 3", "backoff_min: 30s", "backoff_max: 15m", "orValue('30m')"]
        {
            assert!(terms.contains(number), "{number}: {terms}");
        }
    }
    for (_, short) in SHORT {
        assert!(text.contains(short), "{short} has another text now; mend the list of the test");
    }
}
