//! `board`: runs in columns, now or at any moment. `stats`: how many there are.

use everfold_engine::clock;
use everfold_engine::time::Timestamp;
use serde_json::Value;

use super::args::{BoardArgs, StatsArgs};
use super::context::CommandContext;
use super::output::note;
use crate::client::query;
use crate::fault::Fault;
use crate::text::{cut, span, table};

pub(crate) async fn run(context: &CommandContext, args: BoardArgs) -> Result<u8, Fault> {
    let params = query([
        ("at", args.at.clone()),
        ("group_by", Some(args.group_by)),
        ("limit", Some(args.limit.to_string())),
    ]);
    let board: Value = context.client.get(&format!("/api/v1/board{params}")).await?;
    if context.json {
        context.out.json(&board)?;
        return Ok(0);
    }
    let columns = board["columns"].as_array().cloned().unwrap_or_default();
    let filled: Vec<&Value> = columns.iter().filter(|column| column["count"] != 0).collect();
    if filled.is_empty() {
        note("no runs");
        return Ok(0);
    }
    // Ages are those of the moment that is shown.
    let now = args.at.as_deref().and_then(|at| at.parse().ok()).unwrap_or_else(clock::now);
    for column in filled {
        let name = column["name"].as_str().unwrap_or_default();
        let count = column["count"].as_u64().unwrap_or_default();
        let cards = column["cards"].as_array().cloned().unwrap_or_default();
        context.out.line(format!("{name} ({count})"));
        if !cards.is_empty() {
            context.out.line(list(&cards, now));
        }
        let rest = count - cards.len() as u64;
        if rest > 0 {
            context.out.line(format!("… and {rest} more"));
        }
        context.out.line("");
    }
    Ok(0)
}

fn list(cards: &[Value], now: Timestamp) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let rows = cards.iter().map(|card| {
        let at = |name: &str| card[name].as_str().and_then(|text| text.parse::<Timestamp>().ok());
        let steps: Vec<String> = card["active_steps"].as_array().into_iter().flatten().map(text).collect();
        let age = at("started_at").map(|started| span(at("ended_at").unwrap_or(now).since(started)));
        let what = card["note"].as_str().map_or_else(|| steps.join(", "), str::to_owned);
        [
            text(&card["short_id"]),
            text(&card["pipeline"]),
            cut(card["title"].as_str().unwrap_or_default(), 40),
            cut(&what, 50),
            age.unwrap_or_default(),
            cost(card["usage"]["cost_usd"].as_str().unwrap_or_default()),
            awaited(&card["awaits"]),
        ]
    });
    table(["RUN", "PIPELINE", "TITLE", "AT", "AGE", "COST", "WAITS FOR"], rows)
}

/// Money in a column of a table: as many digits as it needs, nothing for nothing.
fn cost(usd: &str) -> String {
    let (whole, part) = usd.split_once('.').unwrap_or((usd, ""));
    let part = part.trim_end_matches('0');
    match (whole, part) {
        ("" | "0", "") => String::new(),
        _spent => format!("{whole}.{part:0<2} USD"),
    }
}

/// Who is awaited, in words.
fn awaited(awaits: &Value) -> String {
    let one = |awaits: &Value| {
        let roles: Vec<&str> =
            awaits["roles"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let who = if roles.is_empty() { "anyone".to_owned() } else { roles.join(" or ") };
        format!("{who} ({})", awaits["kind"].as_str().unwrap_or_default())
    };
    let mut words: Vec<String> = awaits.as_array().into_iter().flatten().map(one).collect();
    words.dedup();
    cut(&words.join(", "), 40)
}

pub(crate) async fn stats(context: &CommandContext, args: StatsArgs) -> Result<u8, Fault> {
    let params = query([("at", args.at)]);
    let stats: Value = context.client.get(&format!("/api/v1/stats{params}")).await?;
    if context.json {
        context.out.json(&stats)?;
        return Ok(0);
    }
    let mut rows: Vec<[String; 2]> = Vec::new();
    for (status, count) in stats["by_status"].as_object().into_iter().flatten() {
        rows.push([status.clone(), count.to_string()]);
    }
    rows.push(["all".to_owned(), stats["total"].to_string()]);
    rows.push(["open tasks".to_owned(), stats["open_tasks"].to_string()]);
    context.out.line(table(["RUNS", "COUNT"], rows));
    Ok(0)
}
