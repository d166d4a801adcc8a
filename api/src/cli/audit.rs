//! `audit`: decisions of all runs, newest first. `audit backtest`: a new policy over recorded verdicts, before it is
//! turned on.

use serde_json::Value;

use super::args::{AuditArgs, AuditVerb, BacktestArgs, DecisionsArgs};
use super::context::CommandContext;
use super::list_pages::ListedItems;
use super::moments::{moment_param, time_param};
use super::output::note;
use crate::body::backtest::BacktestBody;
use crate::client::query;
use crate::fault::Fault;
use crate::http::{BacktestAnswer, Changed};
use crate::text::{count, cut, instant, table};
use crate::view::answer_line;

/// Verdicts that are printed one by one.
const ITEMS_MAX: usize = 50;
/// Verdicts that are asked for at once.
const PART: usize = 500;
/// The longest reason in a row.
const REASON_CHARS: usize = 80;
/// Characters of a value that a person put in another's place.
const VALUE_CHARS: usize = 40;

pub(crate) async fn run(context: &CommandContext, args: AuditArgs) -> Result<u8, Fault> {
    match args.verb {
        None => decisions(context, args.decisions).await,
        Some(AuditVerb::Backtest(args)) => backtest(context, args).await,
    }
}

async fn decisions(context: &CommandContext, args: DecisionsArgs) -> Result<u8, Fault> {
    let filter = query([
        ("kind", args.kind),
        ("actor", args.actor),
        ("gate", args.gate),
        ("verdict", args.verdict),
        ("pipeline", args.pipeline),
        ("run", args.run),
        ("filter", args.filter),
        ("since", time_param("--since", args.since.as_ref())?),
        ("until", time_param("--until", args.until.as_ref())?),
        ("at", moment_param("--at", args.at.as_ref())?),
    ]);
    let path = format!("/api/v1/audit/decisions{filter}");
    let listed = ListedItems::read(context, &path, None, args.limit).await?;
    if context.json {
        context.out.json(&listed.json())?;
        return Ok(0);
    }
    listed.say_undecided("decisions");
    let items = &listed.items;
    if items.is_empty() {
        note("no decision fits");
    } else {
        let rows = items.iter().map(row);
        context.out.line(table(["WHEN", "RUN", "STEP", "WHAT", "BY", "BECAUSE"], rows));
    }
    Ok(0)
}

/// A decision as a row.
fn row(item: &Value) -> [String; 6] {
    let text = |name: &str| item[name].as_str().unwrap_or_default();
    let said = ["verdict", "vote", "decision"].map(text).into_iter().find(|said| !said.is_empty());
    let what = match (text("kind"), text("gate"), said) {
        ("gate", gate, Some(verdict)) => format!("gate {gate}: {verdict}"),
        (kind, _, Some(said)) => {
            format!("{kind}: {said}{}{}{}", by_another_policy(item), past(&item["bypassed"]), given(item))
        }
        ("rework", gate, None) if !gate.is_empty() => format!("rework after gate {gate}"),
        ("part", ..) => "part of an answer".to_owned(),
        ("unjudged", gate, None) => {
            // A later answer may have judged it.
            let yet = if item["permanent"] == true { "" } else { " yet" };
            format!("gate {gate}: not judged{yet}{}", asked(" in the recheck", &item["asked"]))
        }
        (kind, ..) => format!("{kind}{}{}", by_another_policy(item), displaced(&item["displaced"])),
    };
    let step = match (text("step"), item["round"].as_u64()) {
        (step, Some(round)) => format!("{step}, round {round}"),
        (step, None) => step.to_owned(),
    };
    let because = [text("reason"), text("comment")].into_iter().find(|text| !text.is_empty());
    let because = because.map_or_else(|| answer_line(&item["answer"]), str::to_owned);
    let when = serde_json::from_value(item["at"].clone()).map(instant).unwrap_or_default();
    [when, text("short_id").to_owned(), step, what, text("actor").to_owned(), cut(&because, REASON_CHARS)]
}

/// The gates that were judged by other policies than the pipeline's.
fn by_another_policy(item: &Value) -> String {
    let gates = item["policies"].as_object().into_iter().flatten();
    let gates: Vec<&str> = gates.map(|(gate, _)| gate.as_str()).collect();
    if gates.is_empty() { String::new() } else { format!(" by another policy of {}", gates.join(", ")) }
}

/// The recheck that another one took the place of.
fn displaced(recheck: &Value) -> String {
    let gate = recheck["gate"].as_str().map(|gate| format!(" while gate {gate} was judged"));
    let asked = asked(" in the place of that", recheck);
    if asked.is_empty() { asked } else { asked + &gate.unwrap_or_default() }
}

/// By whom a recheck was asked for, and when; empty where there is none.
fn asked(which: &str, recheck: &Value) -> String {
    let Some(actor) = recheck["actor"].as_str() else { return String::new() };
    let at = serde_json::from_value(recheck["at"].clone()).map(instant).unwrap_or_default();
    format!("{which} of {actor}, {at}")
}

/// The gates that a person passed over.
fn past(bypassed: &Value) -> String {
    let gates: Vec<&str> = bypassed.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if gates.is_empty() { String::new() } else { format!(" past {}", gates.join(", ")) }
}

/// The value that a person put in the place of what was shown, or of what the step gave.
fn given(item: &Value) -> String {
    let value = ["edited", "output"].iter().map(|name| &item[*name]).find(|value| !value.is_null());
    value.map(|value| format!(" with {}", cut(&value.to_string(), VALUE_CHARS))).unwrap_or_default()
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_recheck_of_which_nothing_came_is_told_with_its_gate_and_who_asked_for_it() {
        let asked = json!({ "version": 8, "at": "2026-11-20T10:00:00Z", "actor": "user:ada", "reason": null, "gate": "tests" });
        let what = |item: Value| row(&item)[3].clone();
        let when = instant("2026-11-20T10:00:00Z".parse().unwrap());
        let failed = json!({ "kind": "unjudged", "gate": "tests", "reason": "no answer", "asked": asked });
        assert_eq!(
            what(failed.clone()),
            format!("gate tests: not judged yet in the recheck of user:ada, {when}")
        );
        assert_eq!(row(&failed)[5], "no answer");
        let second = json!({ "kind": "recheck", "policies": { "tests": "true" }, "displaced": asked });
        let told = format!(
            "recheck by another policy of tests in the place of that of user:ada, {when} while gate tests was judged"
        );
        assert_eq!(what(second), told);
        assert_eq!(what(json!({ "kind": "recheck" })), "recheck");
    }
}
