//! `limits`: slots, rates and breakers, and who waits for them.

use everfold_engine::clock;
use everfold_engine::driver::{BreakerStand, BreakerView, PoolView, RateView};
use everfold_engine::time::Timestamp;
use owo_colors::OwoColorize as _;

use super::args::{LimitsArgs, LimitsVerb};
use super::context::CommandContext;
use crate::body::limits::SlotsView;
use crate::body::steering::ReasonBody;
use crate::client::encode;
use crate::fault::Fault;
use crate::http::LimitsAnswer;
use crate::text::{cut, instant, span, table};

/// Resets that are shown.
const RESETS_SHOWN: usize = 5;

pub(crate) async fn run(context: &CommandContext, args: LimitsArgs) -> Result<u8, Fault> {
    let view: LimitsAnswer = match args.verb {
        None => context.client.get("/api/v1/engine/limits").await?,
        Some(LimitsVerb::Reset { breaker, message }) => {
            let path = format!("/api/v1/engine/breakers/{}/reset", encode(&breaker));
            let body = ReasonBody { reason: message };
            let view: LimitsAnswer = context.client.post(&path, &body).await?;
            if !context.json {
                context.out.line(format!("the breaker {breaker} is closed; what waited for it starts"));
                return Ok(0);
            }
            view
        }
    };
    if context.json {
        context.out.json(&view)?;
    } else {
        context.out.raw(&text(&view, clock::now(), &context.program));
    }
    Ok(0)
}

fn text(view: &LimitsAnswer, now: Timestamp, program: &str) -> String {
    let LimitsAnswer { line: view, slots, resets } = view;
    let pool = |pool: &PoolView| {
        [pool.name.clone(), pool.in_use.to_string(), pool.size.to_string(), pool.waiting.to_string()]
    };
    let mut parts = vec![format!(
        "{}\n\nplaces are shared out evenly by {}",
        table(["PLACES", "IN USE", "OF", "WAITING"], view.places.iter().map(pool)),
        view.fair_by
    )];
    if !view.resources.is_empty() {
        parts.push(table(["RESOURCE", "IN USE", "OF", "WAITING"], view.resources.iter().map(pool)));
    }
    if !slots.is_empty() {
        let row = |slots: &SlotsView| {
            let SlotsView { key, limit, in_use, waiting } = slots;
            [cut(key, 60), in_use.to_string(), limit.to_string(), waiting.to_string()]
        };
        parts.push(table(["SLOTS", "IN USE", "OF", "WAITING"], slots.iter().map(row)));
    }
    if !view.rates.is_empty() {
        let rows = view.rates.iter().map(|rate| rate_row(rate, now));
        parts.push(table(["RATE", "LIMIT", "LEFT", "NEXT", "WAITING"], rows));
    }
    if !view.breakers.is_empty() {
        let rows = view.breakers.iter().map(|breaker| breaker_row(breaker, now));
        parts.push(table(["BREAKER", "STATE", "FAILURES", "NEXT TRY", "WAITING", "LAST FAILURE"], rows));
    }
    if !resets.is_empty() {
        let rows = resets.iter().take(RESETS_SHOWN).map(|reset| {
            let why = reset.reason.as_ref().map(|reason| cut(reason, 60)).unwrap_or_default();
            [reset.service.clone(), instant(reset.at), reset.by.clone(), reset.failures.to_string(), why]
        });
        parts.push(table(["CLOSED BY HAND", "AT", "BY", "FAILURES", "WHY"], rows));
    }
    let open: Vec<String> = view
        .breakers
        .iter()
        .filter(|breaker| breaker.state != BreakerStand::Closed)
        .map(|breaker| format!("  {program} limits reset {}", breaker.service))
        .collect();
    if !open.is_empty() {
        parts.push(format!("{}\n{}", "next".bold(), open.join("\n")));
    }
    parts.join("\n\n") + "\n"
}

fn when(at: Option<Timestamp>, now: Timestamp) -> String {
    match at {
        Some(at) if at > now => format!("{} (in {})", instant(at), span(at.since(now))),
        _now => "now".to_owned(),
    }
}

fn rate_row(rate: &RateView, now: Timestamp) -> [String; 5] {
    let burst = if rate.burst == rate.starts { String::new() } else { format!(", {} at once", rate.burst) };
    [
        rate.service.clone(),
        format!("{} in {}{burst}", rate.starts, rate.per),
        rate.left.to_string(),
        when(rate.next, now),
        rate.waiting.to_string(),
    ]
}

/// The outages in a row.
fn failures(breaker: &BreakerView) -> String {
    match (breaker.is_asked(), breaker.failures_max) {
        (true, 0) => "a pause was asked for".to_owned(),
        (true, max) => format!("{} of {max}, a pause was asked for", breaker.failures),
        (false, max) => format!("{} of {max}", breaker.failures),
    }
}

fn breaker_row(breaker: &BreakerView, now: Timestamp) -> [String; 6] {
    let since = breaker.since.map(|since| format!(" since {}", instant(since))).unwrap_or_default();
    let state = match breaker.state {
        BreakerStand::Closed => "closed".to_owned(),
        BreakerStand::Open => format!("open{since}"),
        BreakerStand::HalfOpen => format!("one tries, open{since}"),
    };
    let next = if breaker.state == BreakerStand::Closed { String::new() } else { when(breaker.next, now) };
    let last = breaker.last.as_ref().map(|last| cut(last, 80)).unwrap_or_default();
    let at = breaker.last_at.map(|at| format!("{}: ", instant(at))).unwrap_or_default();
    [
        breaker.service.clone(),
        state,
        failures(breaker),
        next,
        breaker.waiting.to_string(),
        format!("{at}{last}"),
    ]
}
