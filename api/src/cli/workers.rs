//! `workers`: who polls, what they hold, what waits for them.

use everfold_engine::clock;
use everfold_engine::time::Timestamp;
use everfold_workflows::remote::WorkerView;

use super::context::CommandContext;
use super::output::note;
use crate::fault::Fault;
use crate::node::WorkersAnswer;
use crate::text::{instant, span, table};

pub(crate) async fn run(context: &CommandContext) -> Result<u8, Fault> {
    let answer: WorkersAnswer = context.client.get("/api/v1/workers").await?;
    if context.json {
        context.out.json(&answer)?;
        return Ok(0);
    }
    if answer.functions.is_empty() {
        note("no function is left to workers; everfold.toml names them:");
        note("  [workers.functions.\"deploy.canary\"]");
        return Ok(0);
    }
    context.out.raw(&text(&answer, clock::now()));
    if answer.items.is_empty() {
        note("no worker was heard of since this engine began; a token for one:");
        note(format!("  {} token create NAME --role worker", context.program));
    }
    Ok(0)
}

fn text(answer: &WorkersAnswer, now: Timestamp) -> String {
    let functions = answer
        .functions
        .iter()
        .map(|it| [it.name.clone(), it.waiting.to_string(), it.polls.to_string(), it.summary.clone()]);
    let mut parts = vec![table(["FUNCTION", "WAITING", "POLLS", "SUMMARY"], functions)];
    if !answer.items.is_empty() {
        let rows = answer.items.iter().map(|worker| worker_row(worker, now));
        parts.push(table(["WORKER", "INSTANCE", "POLLS", "HOLDS", "SINCE", "LAST HEARD", "FUNCTIONS"], rows));
    }
    let attempts =
        answer.items.iter().flat_map(|worker| worker.holds.iter().map(move |attempt| (worker, attempt)));
    let rows: Vec<[String; 6]> = attempts
        .map(|(worker, attempt)| {
            let state = match &attempt.stopping {
                Some(why) => format!("is to end: {why}"),
                None => format!("for {}", span(attempt.lease_until.since(now))),
            };
            [
                attempt.run.short(),
                attempt.step.clone(),
                attempt.function.clone(),
                worker.worker().to_string(),
                format!("{} ago", span(now.since(attempt.since))),
                state,
            ]
        })
        .collect();
    if !rows.is_empty() {
        parts.push(table(["RUN", "STEP", "FUNCTION", "HELD BY", "SINCE", "LEASE"], rows));
    }
    parts.join("\n\n") + "\n"
}

fn worker_row(worker: &WorkerView, now: Timestamp) -> [String; 7] {
    [
        worker.name.clone(),
        worker.instance.as_ref().map(ToString::to_string).unwrap_or_default(),
        worker.polls.to_string(),
        worker.holds.len().to_string(),
        instant(worker.since),
        format!("{} ago", span(now.since(worker.seen_at))),
        worker.functions.join(", "),
    ]
}
