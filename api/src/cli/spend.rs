//! `budget` and `spend`: what may be used up, and what was.

use everfold_engine::definition::Period;
use everfold_engine::event::Measure;
use serde_json::Value;

use super::args::{BudgetArgs, BudgetVerb, RunBudgetArgs, SharedBudgetName, SpendArgs};
use super::bulk;
use super::context::{CommandContext, items};
use super::moments::{date_of, moment_param, time};
use super::output::{columns, note};
use super::table::{Cell, TableColumn, fitted};
use crate::body::budget::{SharedBudgetBody, SharedBudgetView};
use crate::body::bulk::BulkOrder;
use crate::body::spend::RaiseBody;
use crate::client::{encode, query};
use crate::fault::{Code, Fault};
use crate::http::{BudgetsAnswer, CounterView, SpendAnswer, SpendItem};
use crate::text::{count, cut, does, instant, quoted, span, table};
use crate::view::{AmountsView, BudgetStatus, RunView};

/// The budgets of a run, or those that runs share.
pub(crate) async fn budget(context: &CommandContext, args: BudgetArgs) -> Result<u8, Fault> {
    match args.verb {
        None => of_run(context, args.run).await,
        Some(BudgetVerb::List { scope }) => {
            let path = format!("/api/v1/budgets{}", query([("scope", scope)]));
            let answer: Value = context.client.get(&path).await?;
            if context.json {
                context.out.json(&answer)?;
                return Ok(0);
            }
            let all: Vec<SharedBudgetView> = items(&answer)?;
            if all.is_empty() {
                note("no shared budgets; a pipeline names them with `scope`");
                note(format!("  {} budget set SCOPE --per month --cost 500.00", context.program));
            } else {
                context.out.line(shared(&all, columns()));
            }
            Ok(0)
        }
        Some(BudgetVerb::Set(args)) => {
            let SharedBudgetName { scope, per, zone, why } = args.name;
            named(&scope)?;
            if args.cost.is_none() && args.tokens.is_none() && args.wall.is_none() {
                return Err(Fault::new(Code::Usage, format!("budget set {scope}: no limit is given")).hint(format!(
                    "add --cost 500.00, --tokens 2000000 or --wall 40h; `{} budget unset {}` takes its limits away",
                    context.program,
                    quoted(&scope)
                )));
            }
            let body = SharedBudgetBody {
                per: period(&per)?,
                zone,
                cost: args.cost.map(Value::String),
                tokens: args.tokens,
                wall: args.wall,
                reason: why.message,
            };
            let view = context.client.put(&format!("/api/v1/budgets/{}", encode(&scope)), &body).await?;
            say_shared(context, &view)
        }
        Some(BudgetVerb::Unset(name)) => {
            named(&name.scope)?;
            let per = period(&name.per)?;
            let per = serde_json::to_value(per).ok().and_then(|per| per.as_str().map(str::to_owned));
            let asked = query([("per", per), ("zone", name.zone), ("reason", name.why.message)]);
            let path = format!("/api/v1/budgets/{}{asked}", encode(&name.scope));
            let view = context.client.delete(&path).await?;
            say_shared(context, &view)
        }
    }
}

fn named(scope: &str) -> Result<(), Fault> {
    if !scope.trim().is_empty() {
        return Ok(());
    }
    Err(Fault::new(
        Code::Usage,
        "SCOPE is empty: it is the text that budgets share, their `scope` in the pipeline",
    )
    .hint("`everfold budget list` shows those that there are"))
}

fn period(word: &str) -> Result<Period, Fault> {
    serde_json::from_value(Value::from(word)).map_err(|_unknown| {
        Fault::new(Code::Invalid, format!("--per: “{word}” is none of total, day, week, month"))
    })
}

fn say_shared(context: &CommandContext, view: &SharedBudgetView) -> Result<u8, Fault> {
    if context.json {
        context.out.json(view)?;
        return Ok(0);
    }
    context.out.line(shared(std::slice::from_ref(view), columns()));
    for run in view.resumed.iter().flatten() {
        context.out.line(format!("  run {} goes on", run.short()));
    }
    Ok(0)
}

/// Shared budgets as a table; `within` is the width of the terminal.
fn shared(views: &[SharedBudgetView], within: Option<usize>) -> String {
    let amount = |amounts: &AmountsView, tokens: bool| {
        let time = |ms: u64| span(std::time::Duration::from_millis(ms));
        let parts = [
            amounts.cost_usd.as_ref().map(|usd| format!("{usd} USD")),
            amounts
                .tokens
                .filter(|tokens_used| tokens || *tokens_used > 0)
                .map(|tokens| format!("{tokens} tokens")),
            amounts.wall_ms.filter(|ms| tokens || *ms > 0).map(time),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        if parts.is_empty() { "-".to_owned() } else { parts.join(", ") }
    };
    let row = |view: &SharedBudgetView| {
        let per = serde_json::to_value(view.per).ok().and_then(|per| per.as_str().map(str::to_owned));
        let written = view.written.as_ref().map(|written| format!(" ({written})")).unwrap_or_default();
        [
            cut(&view.scope, 60),
            format!(
                "{}{}",
                per.unwrap_or_default(),
                view.zone.as_ref().map_or_else(String::new, |zone| format!(" {zone}"))
            ),
            format!("{}{}", amount(&view.spent, false), reserved(&view.reserved_usd)),
            format!("{}{written}", amount(&view.set, true)),
            amount(&raises(&view.raised), false),
            amount(&view.limit, true),
            view.until.map_or_else(|| "-".to_owned(), instant),
            match (view.over, view.waiting) {
                (None, 0) if view.set == AmountsView::default() => "no limit of its own".to_owned(),
                (None, 0) => "open".to_owned(),
                (Some(measure), 0) => over(measure, view.is_reserved),
                (_reserved, number) => {
                    let verb = if number == 1 { "waits" } else { "wait" };
                    format!("{}, {} {verb}", over(Measure::Cost, true), count(number as u64, "start"))
                }
            },
        ]
    };
    let columns = [
        TableColumn::text("SCOPE"),
        TableColumn::fixed("PER"),
        TableColumn::text("SPENT"),
        TableColumn::text("OWN LIMIT"),
        TableColumn::text("RAISED"),
        TableColumn::text("IN ALL"),
        TableColumn::text("UNTIL"),
        // A narrow table keeps this column: it says whether a person has to act.
        TableColumn::fixed("STATE"),
    ];
    let rows: Vec<_> = views.iter().map(|view| row(view).map(Cell::from)).collect();
    fitted(columns, &rows, within)
}

/// What is kept free for work that runs, behind what was spent.
fn reserved(usd: &str) -> String {
    if is_more_than_nothing(usd) { format!(" + {usd} reserved") } else { String::new() }
}

/// Whether an amount of money, as a decimal, is not 0.
pub(super) fn is_more_than_nothing(usd: &str) -> bool {
    usd.chars().any(|digit| ('1'..='9').contains(&digit))
}

/// What limits were raised by, those that runs bring along included.
fn raises(raised: &AmountsView) -> AmountsView {
    let cost_usd = raised.cost_usd.clone().filter(|usd| is_more_than_nothing(usd));
    AmountsView { cost_usd, ..raised.clone() }
}

/// Shows the budgets of a run, or raises one.
async fn of_run(context: &CommandContext, args: RunBudgetArgs) -> Result<u8, Fault> {
    let path = format!("/api/v1/runs/{}", encode(&args.run));
    if args.add.is_none() && args.tokens.is_none() && args.wall.is_none() {
        if args.many.filter.is_some() {
            return Err(Fault::new(Code::Usage, "with --filter budgets are raised")
                .hint("say by how much: --add, --tokens or --wall"));
        }
        let answer: BudgetsAnswer = context.client.get(&format!("{path}/budget")).await?;
        if context.json {
            context.out.json(&answer)?;
        } else if answer.items.is_empty() {
            note("the run has no budget; a pipeline names them under `budget`");
        } else {
            context.out.line(budgets(&answer.items, columns()));
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
    if let Some(filter) = &args.many.filter {
        return bulk::order(context, &args.many, filter, BulkOrder::Budget(body)).await;
    }
    let view: RunView = context.client.post(&format!("{path}/budget"), &body).await?;
    if context.json {
        context.out.json(&view)?;
        return Ok(0);
    }
    context.out.line(budgets(&view.budget, columns()));
    context.out.line(format!("run {} {}", view.short_id, does(view.status)));
    context.say_next(&view);
    Ok(0)
}

/// The budgets of a run as a table; `within` is the width of the terminal.
fn budgets(items: &[BudgetStatus], within: Option<usize>) -> String {
    let row = |budget: &BudgetStatus| {
        let state = match budget.over {
            None => "open".to_owned(),
            Some(measure) if budget.is_reserved => format!("{}, starts wait", over(measure, true)),
            Some(measure) => over(measure, false),
        };
        [
            budget.id.clone(),
            budget.scope.as_ref().map_or_else(|| "this run".to_owned(), |scope| cut(scope, 60)),
            budget.summary.clone(),
            budget.until.map_or_else(|| "-".to_owned(), instant),
            state,
        ]
    };
    let columns = [
        TableColumn::text("BUDGET"),
        TableColumn::text("SCOPE"),
        TableColumn::text("USED"),
        TableColumn::text("UNTIL"),
        TableColumn::fixed("STATE"),
    ];
    let rows: Vec<_> = items.iter().map(|budget| row(budget).map(Cell::from)).collect();
    fitted(columns, &rows, within)
}

/// What of a budget leaves no room: `cost used up`.
fn over(measure: Measure, is_reserved: bool) -> String {
    format!("{} {}", measure.as_str(), if is_reserved { "reserved" } else { "used up" })
}

/// What was used up, in groups.
pub(crate) async fn spend(context: &CommandContext, args: SpendArgs) -> Result<u8, Fault> {
    let since = args.since.as_deref().map(|text| time("--since", text).map(date_of)).transpose()?;
    let filter = query([
        ("by", Some(args.by.clone())),
        ("run", args.run.clone()),
        ("pipeline", args.pipeline.clone()),
        ("since", since),
        ("at", moment_param("--at", args.at.as_ref())?),
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_reserved_stands_behind_what_was_spent() {
        let nothing = json!({"cost_usd": null, "tokens": null, "wall_ms": null});
        let view = |reserved: &str| -> SharedBudgetView {
            serde_json::from_value(json!({
                "scope": "team", "per": "day", "zone": null, "set": nothing, "limit": nothing, "written": null,
                "spent": {"cost_usd": "0.90", "tokens": 0, "wall_ms": 0}, "reserved_usd": reserved,
                "raised": nothing, "over": null, "until": null, "running": 1, "reason": null,
            }))
            .unwrap()
        };
        assert!(
            shared(&[view("0.30")], None).contains("0.90 USD + 0.30 reserved"),
            "{}",
            shared(&[view("0.30")], None)
        );
        assert!(!shared(&[view("0.00")], None).contains("reserved"));
        let over = |is_reserved| SharedBudgetView { over: Some(Measure::Cost), is_reserved, ..view("0.30") };
        assert!(shared(&[over(true)], None).contains("cost reserved"), "{}", shared(&[over(true)], None));
        assert!(shared(&[over(false)], None).contains("cost used up"));
        let waited_for = shared(&[SharedBudgetView { waiting: 1, ..view("0.30") }], None);
        assert!(waited_for.contains("0.30 reserved") && waited_for.contains("cost reserved, 1 start waits"));
    }
    /// The table was as wide as it was.
    #[test]
    fn budgets_fit_a_narrow_terminal_and_tell_how_they_stand() {
        let amounts = json!({"cost_usd": "500.000000", "tokens": 2_000_000, "wall_ms": 60_000});
        let view: SharedBudgetView = serde_json::from_value(json!({
            "scope": "the whole department", "per": "month", "zone": "Europe/Berlin", "set": amounts, "limit": amounts,
            "written": null, "spent": amounts, "reserved_usd": "0.80", "raised": amounts, "over": "cost",
            "until": "2026-12-01T00:00:00Z", "running": 1, "waiting": 3, "is_reserved": true, "reason": null,
        }))
        .unwrap();
        for within in [80, 60] {
            let table = shared(std::slice::from_ref(&view), Some(within));
            assert!(table.lines().all(|line| line.chars().count() <= within), "{table}");
            assert!(table.contains("cost reserved, 3 starts wait"), "{table}");
        }
    }
}
