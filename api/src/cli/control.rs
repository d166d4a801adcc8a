//! `cancel`, `pause`, `interrupt`, `unblock`, `recheck` and `breakpoints`.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::args::{
    BreakpointsArgs, CancelArgs, InterruptArgs, ManyRuns, PauseArgs, RecheckArgs, UnblockArgs,
};
use super::bulk;
use super::context::CommandContext;
use super::engine_pause;
use super::output::note;
use super::wait_state;
use crate::body::bulk::BulkOrder;
use crate::body::steering::{BreakpointsBody, CancelBody, ReasonBody, RecheckBody, UnblockBody};
use crate::client::encode;
use crate::fault::{Code, Fault};
use crate::text::does;
use crate::view::RunView;

pub(crate) async fn cancel(context: &CommandContext, args: CancelArgs) -> Result<u8, Fault> {
    let body = CancelBody { step: args.step, reason: args.why.message };
    let run = match meant(args.run, &args.many)? {
        Meant::Many(_) if args.force => {
            return Err(Fault::new(Code::Usage, "--force ends one run").hint("everfold cancel RUN --force"));
        }
        Meant::Many(filter) => {
            return bulk::order(context, &args.many, filter, BulkOrder::Cancel(body)).await;
        }
        Meant::One(run) => run,
    };
    if args.force {
        return abandon(context, &run, &ReasonBody { reason: body.reason }).await;
    }
    act(context, &run, "cancel", &body, "cancellation is recorded").await
}

pub(crate) async fn pause(context: &CommandContext, args: PauseArgs) -> Result<u8, Fault> {
    let body = ReasonBody { reason: args.why.message };
    match (&args.run, &args.many.filter) {
        (Some(run), _) => stop(context, run, "pause", &body, "pause is recorded").await,
        (None, Some(filter)) => bulk::order(context, &args.many, filter, BulkOrder::Pause(body)).await,
        (None, None) => {
            engine_pause::set(context, "pause", args.pipeline.as_deref(), body.reason.as_deref()).await
        }
    }
}

pub(crate) async fn interrupt(context: &CommandContext, args: InterruptArgs) -> Result<u8, Fault> {
    let body = ReasonBody { reason: args.why.message };
    match meant(args.run, &args.many)? {
        Meant::One(run) => stop(context, &run, "interrupt", &body, "interrupt is recorded").await,
        Meant::Many(filter) => bulk::order(context, &args.many, filter, BulkOrder::Interrupt(body)).await,
    }
}

pub(crate) async fn unblock(context: &CommandContext, args: UnblockArgs) -> Result<u8, Fault> {
    let output = args.output.as_deref().map(serde_json::from_str::<Value>).transpose();
    let output = output.map_err(|error| Fault::new(Code::Usage, format!("--output is no JSON: {error}")))?;
    let policy = policies(&args.policy)?;
    let body =
        UnblockBody { step: args.step, decision: args.decision, output, policy, reason: args.why.message };
    match meant(args.run, &args.many)? {
        Meant::One(run) => act(context, &run, "unblock", &body, "decision is recorded").await,
        Meant::Many(filter) => bulk::order(context, &args.many, filter, BulkOrder::Unblock(body)).await,
    }
}

/// Which runs a command means.
enum Meant<'a> {
    One(String),
    Many(&'a str),
}

fn meant(run: Option<String>, many: &ManyRuns) -> Result<Meant<'_>, Fault> {
    match (run, &many.filter) {
        (Some(run), None) => Ok(Meant::One(run)),
        (None, Some(filter)) => Ok(Meant::Many(filter)),
        _both_or_none => Err(Fault::new(Code::Usage, "a run or --filter is wanted")),
    }
}

pub(crate) async fn recheck(context: &CommandContext, args: RecheckArgs) -> Result<u8, Fault> {
    let policy = policies(&args.policy)?;
    let body = RecheckBody { step: args.step, policy, reason: args.why.message };
    act(context, &args.run, "recheck", &body, "recheck is recorded").await
}

pub(crate) async fn breakpoints(context: &CommandContext, args: BreakpointsArgs) -> Result<u8, Fault> {
    let path = format!("/api/v1/runs/{}", encode(&args.run));
    let view: RunView = if args.steps.is_empty() && !args.clear {
        context.client.get(&path).await?
    } else {
        context.client.put(&format!("{path}/breakpoints"), &BreakpointsBody { steps: args.steps }).await?
    };
    if context.json {
        context.out.json(&view)?;
        return Ok(0);
    }
    context.out.line(match view.breakpoints.as_slice() {
        [] => format!("run {} has no breakpoints", view.short_id),
        steps => format!("run {} pauses before {}", view.short_id, steps.join(", ")),
    });
    Ok(0)
}

/// `GATE=EXPR`, by gate.
fn policies(given: &[String]) -> Result<BTreeMap<String, String>, Fault> {
    let mut policies = BTreeMap::new();
    for one in given {
        let named = one.split_once('=').map(|(gate, policy)| (gate.trim(), policy.trim()));
        let is_gate = |gate: &str| {
            !gate.is_empty() && gate.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
        };
        match named {
            Some((gate, policy)) if is_gate(gate) && !policy.is_empty() && !policy.starts_with('=') => {
                if policies.insert(gate.to_owned(), policy.to_owned()).is_some() {
                    let what = format!("--policy names the gate {gate} twice");
                    return Err(
                        Fault::new(Code::Usage, what).hint("say of each gate once by what it is judged")
                    );
                }
            }
            _not_named => {
                return Err(Fault::new(Code::Usage, format!("--policy {one} names no gate"))
                    .hint("write GATE=EXPR, as in --policy 'tests=evidence.exit <= 1'"));
            }
        }
    }
    Ok(policies)
}

/// Ends a run that cannot be gone on with, nor shown where its history is damaged.
async fn abandon(context: &CommandContext, run: &str, body: &ReasonBody) -> Result<u8, Fault> {
    let path = format!("/api/v1/runs/{}/abandon", encode(run));
    let ended: Value = context.client.post(&path, body).await?;
    if context.json {
        context.out.json(&ended)?;
        return Ok(0);
    }
    let short = ended["short_id"].as_str().unwrap_or(run);
    context.out.line(format!("run {short} was ended where it stood; its key and its slots are free"));
    Ok(0)
}

async fn act(
    context: &CommandContext,
    run: &str,
    verb: &str,
    body: &impl Serialize,
    done: &str,
) -> Result<u8, Fault> {
    ordered(context, run, verb, body, done).await?;
    Ok(0)
}

/// As [`act`], and says which runs go on: those that it started are not stopped with it.
async fn stop(
    context: &CommandContext,
    run: &str,
    verb: &str,
    body: &ReasonBody,
    done: &str,
) -> Result<u8, Fault> {
    let view = ordered(context, run, verb, body, done).await?;
    let below = if context.json { Vec::new() } else { wait_state::below(context, &view).await? };
    if !below.is_empty() {
        let go_on =
            if below.len() == 1 { "run that it started goes on" } else { "runs that it started go on" };
        note(format!("{} {go_on}: {} runs --parent {}", below.len(), context.program, view.short_id));
    }
    Ok(0)
}

/// Gives an order, and says what became of it.
async fn ordered(
    context: &CommandContext,
    run: &str,
    verb: &str,
    body: &impl Serialize,
    done: &str,
) -> Result<RunView, Fault> {
    let path = format!("/api/v1/runs/{}/{verb}", encode(run));
    let view: RunView = context.client.post(&path, body).await?;
    if context.json {
        context.out.json(&view)?;
        return Ok(view);
    }
    context.out.line(format!("the {done}; run {} {}", view.short_id, does(view.status)));
    context.say_next(&view);
    Ok(view)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The last one counted, and nothing said that the other did not.
    #[test]
    fn a_gate_is_given_one_policy() {
        let given = |policies_given: &[&str]| {
            policies(&policies_given.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(given(&["tests=true", "lint=false"]).unwrap().len(), 2);
        let twice = given(&["tests=true", "tests=evidence.exit <= 1"]).unwrap_err();
        assert_eq!(
            (twice.code, twice.message.as_str()),
            (Code::Usage, "--policy names the gate tests twice")
        );
    }
}
