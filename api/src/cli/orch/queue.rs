//! `orch queue`: the attempts of agents.

use everfold_engine::clock;
use everfold_engine::time::Timestamp;
use serde_json::Value;

use super::task_list::{age, text};
use crate::cli::context::CommandContext;
use crate::fault::Fault;
use crate::text::{plain, table};

pub(super) async fn queue(context: &CommandContext) -> Result<u8, Fault> {
    let queue: Value = context.client.get("/api/v1/orch/queue").await?;
    if context.json {
        context.out.json(&queue)?;
        return Ok(0);
    }
    context.out.line(queue_text(&queue, clock::now()));
    Ok(0)
}

/// How many wait, work and ended, what holds them back, and those that ended last.
fn queue_text(queue: &Value, now: Timestamp) -> String {
    let counts = ["queued", "running", "done", "failed"].map(|name| queue["counts"][name].to_string());
    let max = queue["max_concurrency"].as_u64().map(|max| format!(", {max} at once at most"));
    let breaker = text(&queue["resilience"], "breaker");
    let [queued, running, done, failed] = &counts;
    let mut lines = vec![format!(
        "{queued} in line, {running} at work, {done} done, {failed} failed{}; the breaker is {breaker}",
        max.unwrap_or_default()
    )];
    for open in queue["resilience"]["breakers"].as_array().into_iter().flatten() {
        if let Some(last) = open["last"].as_str().filter(|_| open["state"] != "closed") {
            lines.push(format!("{}: {}", text(open, "service"), plain(last)));
        }
    }
    for found in queue["resilience"]["preflights"].as_array().into_iter().flatten() {
        if found["ok"] == false {
            let (since, waiting) = (age(&found["since"], now), found["waiting"].as_u64().unwrap_or_default());
            let what = match text(found, "code").as_str() {
                "UNAUTHORISED" => "is not logged in",
                "NO_PROGRAM" => "has no program",
                "UNREACHABLE" => "has no network",
                _other => "is not ready",
            };
            lines.push(format!(
                "{} {what} ({since}), {}: {}; {}",
                text(found, "profile"),
                match waiting {
                    1 => "1 attempt waits for it".to_owned(),
                    many => format!("{many} attempts wait for it"),
                },
                plain(&text(found, "reason")),
                plain(&text(found, "hint"))
            ));
        }
    }
    for task in queue["held"].as_array().into_iter().flatten() {
        lines.push(plain(&format!("{}: {}", text(task, "item"), text(task, "reason"))));
    }
    let recent: Vec<&Value> = queue["recent"].as_array().into_iter().flatten().collect();
    if !recent.is_empty() {
        let row = |job: &&Value| {
            let status = match job["failure"].as_str() {
                Some(failure) => format!("{} ({failure})", text(job, "status")),
                None => text(job, "status"),
            };
            let about = [text(job, "item"), plain(&text(job, "title"))].join(" ");
            [text(job, "id"), status, age(&job["ended_at"], now), text(job, "repo"), about]
        };
        lines.push(format!("\n{}", table(["JOB", "ENDED", "AGO", "REPO", "ABOUT"], recent.iter().map(row))));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_queue_shows_its_counts_what_holds_it_back_and_what_ended_last() {
        let job = |id: &str, failure: Value, ended_at: &str| {
            json!({
                "id": id, "item": "ET-018", "title": "Roman\nnumerals", "repo": "roman", "agent": "developer",
                "status": if failure.is_null() { "done" } else { "failed" }, "failure": failure, "ended_at": ended_at,
            })
        };
        let queue = json!({
            "counts": { "queued": 2, "running": 1, "done": 7, "failed": 1 },
            "max_concurrency": 3,
            "resilience": { "breaker": "open", "breakers": [
                { "service": "agent.claude", "state": "open", "last": "429: try again in 60 s" },
                { "service": "agent.codex", "state": "closed", "last": "503" },
            ], "preflight": "failing", "preflights": [
                { "profile": "claude", "ok": false, "code": "UNAUTHORISED", "reason": "no credentials for the agent claude: KEY",
                    "hint": "log in", "since": "2026-11-20T10:50:00Z", "waiting": 2 },
                { "profile": "codex", "ok": true, "code": null, "reason": null, "hint": null, "since": "2026-11-20T10:50:00Z", "waiting": 0 },
            ] },
            "held": [{ "item": "ET-019", "reason": "waits for ET-018" }],
            "recent": [
                job("5b8093ed:developer:2.1", Value::Null, "2026-11-20T10:56:00Z"),
                job("5b8093ed:developer:1.3", json!("exit"), "2026-11-20T09:00:00Z"),
            ],
        });
        let now = "2026-11-20T11:00:00Z".parse().unwrap();
        insta::assert_snapshot!(queue_text(&queue, now), @r"
        2 in line, 1 at work, 7 done, 1 failed, 3 at once at most; the breaker is open
        agent.claude: 429: try again in 60 s
        claude is not logged in (10m00s), 2 attempts wait for it: no credentials for the agent claude: KEY; log in
        ET-019: waits for ET-018

        JOB                     ENDED          AGO    REPO   ABOUT
        5b8093ed:developer:2.1  done           4m00s  roman  ET-018 Roman numerals
        5b8093ed:developer:1.3  failed (exit)  2h00m  roman  ET-018 Roman numerals
        ");
        let idle = json!({
            "counts": { "queued": 0, "running": 0, "done": 0, "failed": 0 }, "max_concurrency": null,
            "resilience": { "breaker": "closed", "breakers": [] }, "recent": [],
        });
        insta::assert_snapshot!(
            queue_text(&idle, now),
            @"0 in line, 0 at work, 0 done, 0 failed; the breaker is closed"
        );
    }
}
