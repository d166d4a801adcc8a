//! `audit backtest`: a new policy over recorded verdicts, before it is turned on.

use super::args::{AuditArgs, AuditVerb, BacktestArgs};
use super::context::CommandContext;
use super::moments::time_param;
use super::output::note;
use crate::body::backtest::BacktestBody;
use crate::fault::Fault;
use crate::http::{BacktestAnswer, Changed};
use crate::text::{count, cut, instant};

/// Verdicts that are printed one by one.
const ITEMS_MAX: usize = 50;
/// Verdicts that are asked for at once.
const PART: usize = 500;

pub(crate) async fn run(context: &CommandContext, args: AuditArgs) -> Result<u8, Fault> {
    match args.verb {
        AuditVerb::Backtest(args) => backtest(context, args).await,
    }
}

async fn backtest(context: &CommandContext, args: BacktestArgs) -> Result<u8, Fault> {
    let since = time_param("--since", args.since.as_ref())?;
    let part = async |cursor: Option<&str>| -> Result<BacktestAnswer, Fault> {
        let body = BacktestBody {
            gate: args.gate.clone(),
            policy: args.policy.clone(),
            since: since.clone(),
            pipeline: args.pipeline.clone(),
            limit: Some(PART),
            cursor: cursor.map(str::to_owned),
        };
        context.client.post("/api/v1/audit/backtest", &body).await
    };
    let mut all = part(None).await?;
    while let Some(cursor) = all.next_cursor.clone() {
        if let (false, Some(back_to)) = (context.json, all.back_to) {
            note(format!("{}, back to {}", count(all.verdicts, "verdict"), instant(back_to)));
        }
        all.and(part(Some(&cursor)).await?);
    }
    if context.json {
        context.out.json(&all)?;
        return Ok(0);
    }
    if all.verdicts == 0 {
        context.out.line(format!("gate {} has given no verdict", args.gate));
        return Ok(0);
    }
    context.out.line(format!(
        "gate {}: {} given again: {} equal, {} changed, {} without a verdict, {} not judged",
        all.gate,
        count(all.verdicts, "verdict"),
        all.equal,
        all.changed,
        all.failed,
        all.not_judged
    ));
    for (what, count) in &all.becomes {
        context.out.line(format!("  {what}: {count}"));
    }
    for item in all.items.iter().take(ITEMS_MAX) {
        tell(context, item);
    }
    if all.items.len() > ITEMS_MAX {
        context.out.line(format!("… and {} more; --json tells all", all.items.len() - ITEMS_MAX));
    }
    Ok(0)
}

fn tell(context: &CommandContext, item: &Changed) {
    let Changed { short_id, step, round, recorded, judged, problem, .. } = item;
    context.out.line(format!("{short_id}  {step}, round {round}, {}", instant(item.at)));
    context.out.line(format!("  - {}: {}", recorded.verdict, cut(&recorded.reason, 200)));
    match (judged, problem) {
        (Some(judged), _) => {
            context.out.line(format!("  + {}: {}", judged.verdict, cut(&judged.reason, 200)));
        }
        (None, problem) => {
            context.out.line(format!("  ! {}", cut(problem.as_deref().unwrap_or("no verdict"), 200)));
        }
    }
}
