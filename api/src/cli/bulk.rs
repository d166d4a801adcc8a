//! `--filter` of the verbs that steer: one order to many runs.
//!
//! Without `--yes` the runs are shown that would get it. An order has a name, `POSITION-KEY`: the position says which
//! runs are meant, the key makes a repeat recognisable. The same command with `--order` goes on where it was cut short.

mod shared_raises;

use std::collections::BTreeMap;

use everfold_engine::clock::draw_u128;
use indicatif::ProgressBar;
use serde_json::{Value, json};

use super::args::ManyRuns;
use super::background_owner;
use super::context::CommandContext;
use super::output::{is_terminal, note};
use crate::body::bulk::{BulkAnswer, BulkBody, BulkOrder, BulkOutcome, BulkRun};
use crate::fault::{Code, Fault};
use crate::text::{count, cut, plain, table};
use shared_raises::in_all;

/// Runs that one request looks at.
const LOOK: usize = 1_000;
/// Runs that one request gives the order: what a lost answer makes the client repeat.
const PART: usize = 100;
/// Runs that are shown of those that would get the order, and of those that refuse it.
const SHOWN: usize = 20;

/// The name of an order.
struct OrderName {
    at: u64,
    key: u128,
}

impl OrderName {
    fn read(text: &str) -> Result<Self, Fault> {
        let parts = text.split_once('-').and_then(|(at, key)| {
            let key = u128::from_str_radix(key, 16).ok().filter(|_| key.len() == 32);
            Some(Self { at: at.parse().ok()?, key: key? })
        });
        parts.ok_or_else(|| {
            Fault::new(Code::Usage, format!("--order {}: that is no order", cut(&plain(text), 60)))
                .hint("it was printed when the order began: POSITION-KEY, the key of 32 hexadecimal digits")
        })
    }
}

impl std::fmt::Display for OrderName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{:032x}", self.at, self.key)
    }
}

/// Shows which runs an order would go to, or gives it.
pub(super) async fn order(
    context: &CommandContext,
    many: &ManyRuns,
    filter: &str,
    order: BulkOrder,
) -> Result<u8, Fault> {
    let begun = many.order.as_deref().map(OrderName::read).transpose()?;
    let begins = matches!(order, BulkOrder::Resume(_) | BulkOrder::Retry(_) | BulkOrder::Restart(_));
    let verb = word(&order);
    let body = BulkBody {
        order,
        filter: filter.to_owned(),
        dry_run: true,
        at: begun.as_ref().map(|order| order.at),
        cursor: None,
        limit: Some(LOOK),
    };
    let looked = look(context, &body, many.at_most()).await?;
    if !many.yes {
        return shown(context, &looked, &verb);
    }
    let name = begun.unwrap_or_else(|| OrderName { at: looked.at, key: draw_u128() });
    // What begins or goes on needs an owner of the folder when this process has ended.
    if begins && !looked.runs.is_empty() {
        background_owner::reach(context).await?;
    }
    if looked.runs.len() > PART {
        note(format!("should this be cut short, the same command with --order {name} goes on"));
    }
    let body = BulkBody { dry_run: false, at: Some(name.at), limit: Some(PART), ..body };
    let given = give(context, body, &name, looked.runs.len()).await?;
    report(context, &given, &name, &verb)
}

/// The runs that an order is for.
struct ShownRuns {
    at: u64,
    runs: Vec<BulkRun>,
    undecided: u64,
    why: Option<String>,
}

async fn look(context: &CommandContext, body: &BulkBody, at_most: usize) -> Result<ShownRuns, Fault> {
    let mut looked = ShownRuns { at: 0, runs: Vec::new(), undecided: 0, why: None };
    let mut body = body.clone();
    loop {
        let part: BulkAnswer = context.client.post("/api/v1/runs:bulk", &body).await?;
        looked.at = part.at;
        looked.runs.extend(part.items);
        if let Some(undecided) = part.filter.and_then(|filter| filter.undecided) {
            looked.undecided += undecided.rows;
            looked.why.get_or_insert(undecided.why);
        }
        if looked.runs.len() > at_most {
            return Err(Fault::new(Code::Refused, format!("more than {at_most} runs fit"))
                .hint("narrow --filter, or say how many you mean with --at-most N"));
        }
        (body.at, body.cursor) = (Some(part.at), part.next_cursor);
        if body.cursor.is_none() {
            return Ok(looked);
        }
    }
}

async fn give(
    context: &CommandContext,
    mut body: BulkBody,
    order: &OrderName,
    total: usize,
) -> Result<Vec<BulkRun>, Fault> {
    let mut given = Vec::new();
    let bar = (is_terminal() && total > PART).then(|| ProgressBar::new(total as u64));
    loop {
        let asked = context.client.post_once::<BulkAnswer>("/api/v1/runs:bulk", &body, order.key).await;
        let part = asked.map_err(|fault| {
            let what = format!(
                "{} of {} were gone over; {}",
                given.len(),
                count(total as u64, "run"),
                fault.message
            );
            Fault { message: what, ..fault }.hint(format!("the same command with --order {order} goes on"))
        })?;
        given.extend(part.items);
        if let Some(bar) = &bar {
            bar.set_position(given.len() as u64);
        }
        body.cursor = part.next_cursor;
        if body.cursor.is_none() {
            if let Some(bar) = bar {
                bar.finish_and_clear();
            }
            return Ok(given);
        }
    }
}

/// Which runs would get the order.
fn shown(context: &CommandContext, looked: &ShownRuns, verb: &str) -> Result<u8, Fault> {
    if context.json {
        let answer =
            json!({ "dry_run": true, "at": looked.at, "count": looked.runs.len(), "items": looked.runs });
        context.out.json(&with_shared(answer, &looked.runs))?;
        return Ok(0);
    }
    let number = looked.runs.len();
    context.out.line(match number {
        0 => "no run fits".to_owned(),
        _ => format!("{} would get the order: {}", count(number as u64, "run"), verb),
    });
    rows(context, looked.runs.iter());
    for raises in in_all(looked.runs.iter()) {
        note(raises.sentence("would grow"));
    }
    if let Some(why) = &looked.why {
        note(format!(
            "{} are left out, of which the filter is neither true nor false: {why}",
            count(looked.undecided, "run")
        ));
    }
    if number > 0 {
        note("nothing was ordered; the same command with --yes does it");
    }
    Ok(0)
}

/// What became of the order.
fn report(context: &CommandContext, given: &[BulkRun], order: &OrderName, verb: &str) -> Result<u8, Fault> {
    let of = |outcome| given.iter().filter(move |run| run.outcome == outcome);
    let [ordered, refused, changed] =
        [BulkOutcome::Ordered, BulkOutcome::Refused, BulkOutcome::Changed].map(|outcome| of(outcome).count());
    let exit = if refused == 0 { 0 } else { Code::Refused.exit() };
    if context.json {
        let answer = json!({
            "order": order.to_string(), "at": order.at,
            "ordered": ordered, "refused": refused, "changed": changed, "items": given,
        });
        context.out.json(&with_shared(answer, given))?;
        return Ok(exit);
    }
    if given.is_empty() {
        context.out.line("no run fits");
        return Ok(0);
    }
    let mut line = format!("{} got the order: {}", count(ordered as u64, "run"), verb);
    if refused > 0 {
        line.push_str(&format!("; {refused} refused it"));
    }
    if changed > 0 {
        line.push_str(&format!("; {changed} no longer fitted and did not get it"));
    }
    context.out.line(line);
    for raises in in_all(given.iter()) {
        context.out.line(format!("  {}", raises.sentence("grew")));
    }
    let mut why: BTreeMap<&str, (usize, &str)> = BTreeMap::new();
    for run in of(BulkOutcome::Refused) {
        let problem = run.problem.as_ref().map_or("", |problem| problem.message.as_str());
        why.entry(problem).or_insert((0, &run.short_id)).0 += 1;
    }
    for (problem, (number, first)) in why.iter().take(SHOWN) {
        let others = if *number > 1 { format!(" and {} more", number - 1) } else { String::new() };
        context.out.line(format!("  {first}{others}: {}", plain(problem)));
    }
    if why.len() > SHOWN {
        context.out.line(format!("  and {} more reasons; --json has them all", why.len() - SHOWN));
    }
    Ok(exit)
}

fn rows<'a>(context: &CommandContext, runs: impl ExactSizeIterator<Item = &'a BulkRun>) {
    let more = runs.len().saturating_sub(SHOWN);
    let lines: Vec<[String; 4]> = runs
        .take(SHOWN)
        .map(|run| {
            let title = run.title.as_deref().map(plain).unwrap_or_default();
            [run.short_id.clone(), run.pipeline.clone(), run.status.as_str().to_owned(), cut(&title, 60)]
        })
        .collect();
    if !lines.is_empty() {
        context.out.line(table(["RUN", "PIPELINE", "STATUS", "TITLE"], lines));
    }
    if more > 0 {
        context.out.line(format!("and {more} more"));
    }
}

/// The answer with the shared budgets that the order raises, where it raises any.
fn with_shared(mut answer: Value, runs: &[BulkRun]) -> Value {
    let shared = in_all(runs.iter());
    if !shared.is_empty() {
        answer["shared"] = json!(shared);
    }
    answer
}

/// The verb as people type it.
fn word(order: &BulkOrder) -> String {
    let tagged = serde_json::to_value(order).ok();
    let verb = tagged.as_ref().and_then(Value::as_object).and_then(|tagged| tagged.keys().next());
    verb.cloned().unwrap_or_default()
}
