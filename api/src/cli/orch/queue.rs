//! `orch queue`: the attempts of agents.

use everfold_engine::clock;
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
    let now = clock::now();
    let counts = ["queued", "running", "done", "failed"].map(|name| queue["counts"][name].to_string());
    let max = queue["max_concurrency"].as_u64().map(|max| format!(", {max} at once at most"));
    let breaker = text(&queue["resilience"], "breaker");
    let [queued, running, done, failed] = &counts;
    context.out.line(format!(
        "{queued} in line, {running} at work, {done} done, {failed} failed{}; the breaker is {breaker}",
        max.unwrap_or_default()
    ));
    for open in queue["resilience"]["breakers"].as_array().into_iter().flatten() {
        if let Some(last) = open["last"].as_str().filter(|_| open["state"] != "closed") {
            context.out.line(format!("{}: {}", text(open, "service"), plain(last)));
        }
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
        context
            .out
            .line(format!("\n{}", table(["JOB", "ENDED", "AGO", "REPO", "ABOUT"], recent.iter().map(row))));
    }
    Ok(0)
}
