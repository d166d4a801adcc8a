//! `budget` and `spend`: what may be used up, and what was.

use serde_json::Value;

use super::args::{BudgetArgs, SpendArgs};
use super::context::CommandContext;
use super::moments::{date_of, time};
use super::output::note;
use crate::body::spend::RaiseBody;
use crate::client::{encode, query};
use crate::fault::Fault;
use crate::http::{BudgetsAnswer, CounterView, SpendAnswer, SpendItem};
use crate::text::{cut, does, instant, table};
use crate::view::{BudgetStatus, RunView};

/// Shows the budgets of a run, or raises one.
pub(crate) async fn budget(context: &CommandContext, args: BudgetArgs) -> Result<u8, Fault> {
    let path = format!("/api/v1/runs/{}", encode(&args.run));
    if args.add.is_none() && args.tokens.is_none() && args.wall.is_none() {
        let answer: BudgetsAnswer = context.client.get(&format!("{path}/budget")).await?;
        if context.json {
            context.out.json(&answer)?;
        } else if answer.items.is_empty() {
            note("the run has no budget; a pipeline names them under `budget`");
        } else {
            context.out.line(budgets(&answer.items));
        }
        return Ok(0);
    }
    let body = RaiseBody {
        budget: args.budget,
        add: args.add.map(Value::String),
        tokens: args.tokens,
        wall: args.wall,
        reason: args.why.message,
    };
    let view: RunView = context.client.post(&format!("{path}/budget"), &body).await?;
    if context.json {
        context.out.json(&view)?;
        return Ok(0);
    }
    context.out.line(budgets(&view.budget));
    context.out.line(format!("run {} {}", view.short_id, does(view.status)));
    context.say_next(&view);
    Ok(0)
}

fn budgets(items: &[BudgetStatus]) -> String {
    let row = |budget: &BudgetStatus| {
        let state = match budget.over {
            None => "open".to_owned(),
            Some(measure) => format!("{} used up", measure.as_str()),
        };
        [
            budget.id.clone(),
            budget.scope.as_ref().map_or_else(|| "this run".to_owned(), |scope| cut(scope, 60)),
            budget.summary.clone(),
            budget.until.map_or_else(|| "-".to_owned(), instant),
            state,
        ]
    };
    table(["BUDGET", "SCOPE", "USED", "UNTIL", "STATE"], items.iter().map(row))
}

/// What was used up, in groups.
pub(crate) async fn spend(context: &CommandContext, args: SpendArgs) -> Result<u8, Fault> {
    let since = args.since.as_deref().map(|text| time("--since", text).map(date_of)).transpose()?;
    let filter = query([
        ("by", Some(args.by.clone())),
        ("run", args.run.clone()),
        ("pipeline", args.pipeline.clone()),
        ("since", since),
    ]);
    let answer: SpendAnswer = context.client.get(&format!("/api/v1/spend{filter}")).await?;
    if context.json {
        context.out.json(&answer)?;
        return Ok(0);
    }
    if answer.items.is_empty() {
        note("nothing was used up");
    } else {
        let group = args.by.to_uppercase();
        let head = [group.as_str(), "COST USD", "TOKENS READ", "CACHED", "WRITTEN"];
        context.out.line(table(head, answer.items.iter().chain([&answer.total]).map(row)));
    }
    if !answer.budgets.is_empty() {
        let row = |counter: &CounterView| {
            [
                cut(&counter.counter, 60),
                counter.spent.cost_usd.clone().unwrap_or_default(),
                counter.reserved_usd.clone(),
                counter.until.map_or_else(|| "-".to_owned(), instant),
            ]
        };
        let head = ["SHARED BUDGET", "SPENT USD", "RESERVED", "UNTIL"];
        context.out.line(format!("\n{}", table(head, answer.budgets.iter().map(row))));
    }
    Ok(0)
}

fn row(item: &SpendItem) -> [String; 5] {
    let name = if item.name.is_empty() { "(unknown)".to_owned() } else { cut(&item.name, 60) };
    [
        name,
        item.cost_usd.clone(),
        item.input_tokens.to_string(),
        item.cached_tokens.to_string(),
        item.output_tokens.to_string(),
    ]
}
