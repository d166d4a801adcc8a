//! `diff`: a run at two moments, or two runs.

use std::time::Duration;

use everfold_engine::id::Version;
use everfold_engine::time::Timestamp;
use serde_json::Value;

use super::args::DiffArgs;
use super::context::CommandContext;
use super::lines::difference_text::difference_lines;
use super::moments::{TypedMoment, moment, version_at};
use crate::client::{encode, query};
use crate::fault::{Code, Fault};
use crate::node::{ComparedGate, ComparedRound, ComparedRun, RoundPair, RunDiff, RunsDiff};
use crate::text::{count, instant, span};

pub(crate) async fn run(context: &CommandContext, args: DiffArgs) -> Result<u8, Fault> {
    match args.other.split_once("..") {
        Some((from, to)) => {
            let from = version(context, &args.run, from, DiffSide::From).await?;
            let to = version(context, &args.run, to, DiffSide::To).await?;
            moments(context, &args.run, from, to).await
        }
        None => runs(context, &args.run, &args.other).await,
    }
}

/// A side of `A..B`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum DiffSide {
    From,
    To,
}

/// The version that one side of `A..B` names, by its number or by a time. `None` is what the route takes where a side
/// is left out: the beginning of the run on the left, now on the right.
async fn version(
    context: &CommandContext,
    run: &str,
    text: &str,
    side: DiffSide,
) -> Result<Option<String>, Fault> {
    if text.is_empty() {
        return Ok(None);
    }
    let read = moment("A..B", text).map_err(|_neither| {
        Fault::new(Code::Usage, format!("“{text}” is no version and no time")).hint(
            "write A..B, as in 5..12, -10m.. or yesterday..today; `everfold events RUN` shows the versions",
        )
    });
    match read? {
        TypedMoment::Number(version) => Ok(Some(version.to_string())),
        TypedMoment::Time(at) => match (version_at(context, run, at).await?, side) {
            (Some(version), _) => Ok(Some(version.to_string())),
            // Before the beginning is the beginning.
            (None, DiffSide::From) => Ok(None),
            (None, DiffSide::To) => {
                let began: Value = context.client.get(&format!("/api/v1/runs/{}", encode(run))).await?;
                Err(began_later(text, at, began["started_at"].as_str().unwrap_or_default()))
            }
        },
    }
}

fn began_later(text: &str, at: Timestamp, began: &str) -> Fault {
    let began = began.parse().map_or_else(|_| began.to_owned(), instant);
    let then = instant(at);
    Fault::new(Code::NotYet, format!("..{text} is {then}, and the run began later, at {began}"))
        .hint("name a later time or a version behind the dots, or leave it out for now")
}

async fn moments(
    context: &CommandContext,
    run: &str,
    from: Option<String>,
    to: Option<String>,
) -> Result<u8, Fault> {
    let path = format!("/api/v1/runs/{}/diff{}", encode(run), query([("from", from), ("to", to)]));
    let diff: RunDiff = context.client.get(&path).await?;
    if context.json {
        context.out.json(&diff)?;
        return Ok(0);
    }
    let (from, to) = (&diff.from, &diff.to);
    context.out.line(format!("run {}: version {} → {}", diff.short_id, from.version, to.version));
    let mut lines = Vec::new();
    diff.changes.iter().for_each(|difference| difference_lines("", difference, &mut lines));
    for step in &diff.steps {
        lines.push(format!("step {}", step.step));
        step.changes.iter().for_each(|difference| difference_lines("  ", difference, &mut lines));
    }
    if !diff.rounds.is_empty() {
        lines.push("rounds".to_owned());
        lines.extend(diff.rounds.iter().map(round_line));
    }
    lines.iter().for_each(|line| context.out.line(line));
    let word = if diff.events_total == 1 { "event" } else { "events" };
    context.out.line(format!("{} {word} between", diff.events_total));
    for event in &diff.events {
        let step = event.step.as_deref().unwrap_or_default();
        context.out.line(format!("  {:>6}  {:<18} {step}", event.version.get(), event.kind).trim_end());
    }
    if diff.next_cursor.is_some() {
        let next = diff.events.last().map_or(from.version, |event| event.version).next();
        context.out.line(format!("  … {} events {} --from {next}", context.program, diff.short_id));
    }
    Ok(0)
}

async fn runs(context: &CommandContext, one: &str, other: &str) -> Result<u8, Fault> {
    let path = format!("/api/v1/runs/{}/diff/{}", encode(one), encode(other));
    if context.json {
        let diff: Value = context.client.get(&path).await?;
        context.out.json(&diff)?;
        return Ok(0);
    }
    let diff: RunsDiff = context.client.get(&path).await?;
    context.out.raw(&runs_text(&diff));
    Ok(0)
}

/// What is different in two runs, as a text.
pub(crate) fn runs_text(diff: &RunsDiff) -> String {
    let RunsDiff { from, to, same_input, same_definition, first, .. } = diff;
    if first.is_none() && diff.differences.is_empty() {
        return format!("runs {from} and {to} are the same\n");
    }
    let mut lines = vec![format!("run {from} → run {to}")];
    lines.push(format!("  {} → {}", side_text(&diff.runs[0]), side_text(&diff.runs[1])));
    lines.push(match (same_input, same_definition) {
        (true, true) => "the same input and definition".to_owned(),
        (false, true) => "another input".to_owned(),
        (true, false) => "another definition".to_owned(),
        (false, false) => "another input and another definition".to_owned(),
    });
    lines.push(match first {
        Some(first) => {
            let event = |at: Option<Version>| at.map_or("none".to_owned(), |version| version.to_string());
            let events = format!("[events {} and {}]", event(first.from), event(first.to));
            format!("they part first at {}, round {}: {} {events}", first.step, first.round, first.cause)
        }
        None => "both went the same way".to_owned(),
    });
    lines.extend(diff.rounds.iter().map(round_line));
    let unlisted = diff.rounds_total.saturating_sub(diff.rounds.len());
    if unlisted > 0 {
        lines.push(format!("  … {} more", count(unlisted as u64, "round")));
    }
    for difference in diff.differences.iter().filter(|difference| !is_said_by_rounds(&difference.path)) {
        difference_lines("", difference, &mut lines);
    }
    lines.join("\n") + "\n"
}

/// Whether the rounds, or the statuses in front of them, say it already.
fn is_said_by_rounds(path: &str) -> bool {
    match path.strip_prefix("steps.") {
        Some(of_step) => {
            let field = of_step.split('.').nth(1).unwrap_or_default();
            matches!(field, "round" | "attempt" | "status" | "gates")
        }
        None => matches!(path.split('.').next(), Some("status" | "awaits" | "routes" | "usage")),
    }
}

fn side_text(run: &ComparedRun) -> String {
    format!("{} {}{}", run.status, span(Duration::from_millis(run.took_ms)), cost_text(&run.cost_usd))
}

/// What something cost, where it did.
fn cost_text(usd: &str) -> String {
    if usd.bytes().all(|digit| matches!(digit, b'0' | b'.')) { String::new() } else { format!(" {usd} USD") }
}

/// A round on both sides, and what is different.
fn round_line(pair: &RoundPair) -> String {
    let side = |round: &Option<ComparedRound>| match round {
        Some(round) => round_text(round),
        None => "did not begin".to_owned(),
    };
    let RoundPair { step, round, from, to, .. } = pair;
    let notes = round_notes(pair).join("; ");
    format!("  {step} {round}: {} → {}, {notes}", side(from), side(to))
}

fn round_text(round: &ComparedRound) -> String {
    let took = round.took_ms.map(|took| format!(" {}", span(Duration::from_millis(took))));
    let attempts = if round.attempts > 1 { format!(" {} attempts", round.attempts) } else { String::new() };
    let end = round.end.as_deref().unwrap_or("goes on");
    format!("{end}{}{attempts}{}", took.unwrap_or_default(), cost_text(&round.cost_usd))
}

fn round_notes(pair: &RoundPair) -> Vec<String> {
    let (Some(from), Some(to)) = (&pair.from, &pair.to) else {
        return vec![if pair.from.is_some() { "only in the first" } else { "only in the second" }.to_owned()];
    };
    if pair.differs.is_empty() {
        return vec!["the same".to_owned()];
    }
    if pair.differs.iter().any(|differs| differs == "ran") {
        let [one, other] = [(from, "first"), (to, "second")].map(|(round, side)| {
            let why = round.skipped.as_ref()?;
            Some(format!("passed over in the {side}: {why}"))
        });
        let not_begun = || "on one side it had not begun".to_owned();
        return vec![one.or(other).unwrap_or_else(not_begun)];
    }
    let has = |part: &str| pair.differs.iter().any(|differs| differs == part);
    let mut notes = Vec::new();
    if has("work") {
        notes.push("given other values".to_owned());
    }
    if has("output") {
        notes.push("another output".to_owned());
    }
    for gate in from.gates.keys().chain(to.gates.keys().filter(|gate| !from.gates.contains_key(*gate))) {
        let (one, other) = (from.gates.get(gate), to.gates.get(gate));
        let verdict = |said: Option<&ComparedGate>| said.map_or("not asked", |said| &said.verdict).to_owned();
        let (was, is) = (verdict(one), verdict(other));
        if was != is {
            notes.push(format!("gate {gate}: {was} → {is}"));
        }
        if let (Some(one), Some(other)) = (one, other) {
            if one.evidence != other.evidence {
                notes.push(format!("other evidence of {gate}"));
            }
            if one.policy != other.policy {
                notes.push(format!("another policy of {gate}"));
            }
        }
    }
    if notes.is_empty() {
        // How it ended and its attempts stand in front.
        notes.push("not the same".to_owned());
    }
    notes
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cli::output::Out;
    use crate::client::{Client, FolderOptions, Leave};
    use everfold_engine::data_folder::Layout;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_time_before_the_run_is_its_beginning_on_the_left_and_refused_on_the_right() {
        let root = tempfile::tempdir().unwrap();
        let place = FolderOptions {
            layout: Layout::new(root.path().join("data")),
            config: None,
            url: None,
            crash_after: None,
            create: true,
            progress: None,
        };
        let client = Client::new(place);
        let definition = "name: t\nsteps: [{ id: ask, approval: { title: Go? } }]";
        let started: Value =
            client.post("/api/v1/runs", &json!({ "definition": definition, "input": {} })).await.unwrap();
        let run = started["id"].as_str().unwrap().to_owned();
        let program = "everfold".to_owned();
        let context = CommandContext { client, out: Out::new(), json: false, program, name: None };
        let side = async |text: &str, side| version(&context, &run, text, side).await;

        assert_eq!(side("yesterday", DiffSide::From).await.unwrap(), None);
        let fault = side("yesterday", DiffSide::To).await.unwrap_err();
        assert_eq!(fault.code, Code::NotYet);
        assert!(fault.message.contains("the run began later, at 20"), "{fault}");
        assert!(side("now", DiffSide::To).await.unwrap().is_some_and(|version| version != "0"));
        assert_eq!(side("", DiffSide::To).await.unwrap(), None);
        context.client.leave(Leave::Nothing).await;
    }
}
