//! What gates find behind the agents of a day.

use everfold_engine::execution::{ProbeFailure, ProbeRequest};
use everfold_engine::json::Value;
use serde_json::json;

use super::plan::Finding;
use super::town::Town;

/// What the architect writes of a conflict.
pub const CONFLICT: &str = "the queue has no <owner>";
const QUESTIONS: &str = "Who uses it & why?";

/// The evidence of a gate.
pub fn of(town: &Town, kind: &str, request: &ProbeRequest) -> Result<Value, ProbeFailure> {
    let Some((number, round)) = town.agent_round(&request.id) else {
        town.violated(format!("{} of {} was never to be judged", request.gate, request.id));
        return Err(ProbeFailure::passing("not planned"));
    };
    let (step, nth) = (request.id.attempt.path.step.as_str(), request.id.attempt.round.0);
    let finding = round.finding;
    let there = |is: bool| json!({ "exists": is, "matches": if is { vec!["ADR-001-how.md"] } else { vec![] }, "files": [] });
    let given = match (step, request.gate.as_str(), kind) {
        ("analyst", "report", _) => {
            let docs = request.spec["glob"].as_str().unwrap_or_default().trim_end_matches("/0*");
            match finding {
                Finding::Good => {
                    json!({ "matches": [format!("{docs}/00-business-request.md"), format!("{docs}/01-brd.md")] })
                }
                _other => json!({ "matches": [] }),
            }
        }
        (_, "criteria", _) => json!({ "exists": false, "path": null, "matches": [], "files": [] }),
        (_, "check_analysis_complete", _) => files(&request.spec, finding == Finding::Good),
        (_, "questions", _) if finding == Finding::Questions => {
            json!({ "from": "worktree", "text": QUESTIONS })
        }
        (_, "questions", _) => json!({ "problem": "does not exist", "from": null }),
        ("architect", "report", _) if finding == Finding::Conflict => {
            json!({ "from": "worktree", "text": CONFLICT, "problem": "has no front matter" })
        }
        ("architect", "report", _) => json!({ "problem": "does not exist", "from": null }),
        (_, "check_architecture_done", _) => there(finding != Finding::NoDecision),
        ("developer", "report", _) => {
            json!({ "ok": null, "output": { "number": town.seen().pull_request(number) } })
        }
        (_, "check_ci_green", _) => return ci(town, (number, nth), finding, request.probe_no),
        (_, "documented", _) => json!({ "names": ["CHANGELOG.md", "src/a.py"], "files": 2, "lines": 2 }),
        ("reviewer", ..) => {
            let verdict = if finding == Finding::Changes { "REQUEST_CHANGES" } else { "APPROVED" };
            let open = if finding == Finding::OpenP1 { "- [ ] P1: there is no test." } else { "" };
            document("verdict", verdict, &format!("round {nth}\n{open}"))
        }
        ("tester", ..) => {
            let result = if finding == Finding::Failed { "FAIL" } else { "PASS" };
            let mut found = document("result", result, &format!("round {nth}"));
            found["order"] = json!(["verdict", "status", "result"]);
            found["fields"] = json!({ "verdict": null, "status": null, "result": result });
            found
        }
        ("staging" | "deployer", ..) => {
            let field = if step == "staging" { "staging_status" } else { "deploy_status" };
            document(
                field,
                if finding == Finding::Failed { "FAILED" } else { "SUCCESS" },
                &format!("round {nth}"),
            )
        }
        _diffs => json!({}),
    };
    let given = match kind {
        "diff" if request.gate != "documented" => {
            json!({ "files": 0, "lines": 0, "names": [], "added": 0, "deleted": 0 })
        }
        "command" => json!({ "exit": 0, "output": "" }),
        _other => given,
    };
    let mut all = request.spec.clone();
    if let (Some(all), Value::Object(given)) = (all.as_object_mut(), given) {
        all.extend(given);
    }
    Ok(all)
}

fn files(spec: &Value, are_there: bool) -> Value {
    let names = spec["all"].as_array().cloned().unwrap_or_default();
    let listed: Vec<Value> = names.iter().map(|name| json!({ "path": name, "exists": are_there })).collect();
    json!({ "exists": are_there, "matches": if are_there { names } else { Vec::new() }, "files": listed })
}

fn document(field: &str, word: &str, text: &str) -> Value {
    json!({ "order": [field], "fields": { field: word }, "text": text, "pass": [], "fail": [] })
}

fn ci(town: &Town, of: (usize, u32), finding: Finding, poll: u32) -> Result<Value, ProbeFailure> {
    let checks = |state: &str, status: &str| {
        let count = |word: &str| u8::from(state == word);
        // The developer of each round left a commit of its own.
        json!({
            "sha": format!("commit-{}-{}", of.0, of.1),
            "found": true, "total": 1, "failed": count("fail"), "pending": count("pending"),
            "checks": [{ "name": "ci", "state": state, "status": status }],
        })
    };
    Ok(match finding {
        Finding::Red => checks("fail", "failure"),
        Finding::Pending(polls) if poll <= polls => checks("pending", "pending"),
        Finding::Unsettled if !town.seen().green.contains(&of) => checks("pending", "pending"),
        Finding::Unanswered(polls) if poll <= polls => {
            return Err(ProbeFailure::passing("Gitea answered 502"));
        }
        _green => checks("pass", "success"),
    })
}
