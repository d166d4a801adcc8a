//! `doctor` asks the engine that has the folder about its store, its clock, and the runs and services that it leaves alone.

use std::time::Duration;

use everfold_engine::clock;
use everfold_engine::driver::{BreakerStand, LineView};
use everfold_engine::duration;
use everfold_engine::id::RunId;
use everfold_engine::time::Timestamp;
use serde_json::Value;

use super::finding::{Finding, Health};
use crate::cli::context::{CommandContext, items};
use crate::cli::pipeline::definition_of;
use crate::cli::pipeline_source::named;
use crate::cli::serve::save_listener;
use crate::client::FolderOptions;
use crate::fault::Fault;
use crate::http::PipelineView;
use crate::node::{self, HaltView};
use crate::settings::Settings;
use crate::text::{count, cut, instant};

/// Pipelines that people paused, and the engine where they paused all of it.
pub(super) async fn paused(context: &CommandContext) -> Vec<Finding> {
    let Ok(engine) = context.client.get::<Value>("/api/v1/engine").await else {
        return Vec::new();
    };
    let halts: Vec<HaltView> = serde_json::from_value(engine["paused"].clone()).unwrap_or_default();
    let finding = |halt: HaltView| {
        let what =
            halt.pipeline.as_ref().map_or_else(|| "engine".to_owned(), |name| format!("pipeline {name}"));
        let reason = halt.reason.map(|reason| format!(": {reason}")).unwrap_or_default();
        let flag = halt.pipeline.map_or_else(|| "--all".to_owned(), |name| format!("--pipeline {name}"));
        Finding::new(&what, Health::Notable, format!("paused by {} since {}{reason}", halt.by, halt.since))
            .hint(format!("{} resume {flag}", context.program))
    };
    halts.into_iter().map(finding).collect()
}

/// Sources of deliveries to which no saved pipeline listens.
pub(super) async fn unheard(context: &CommandContext, settings: &Settings) -> Vec<Finding> {
    if settings.hooks.is_empty() {
        return Vec::new();
    }
    let listed = context.client.get("/api/v1/pipelines").await.and_then(|page: Value| items(&page));
    let Ok(listed): Result<Vec<PipelineView>, Fault> = listed else {
        return Vec::new();
    };
    let mut saved = Vec::new();
    for listed in listed.iter().filter(|listed| listed.version.is_some()) {
        let Ok(view) = named(context, &listed.name).await else { continue };
        saved.extend(definition_of(&view));
    }
    let sources = settings.hooks.keys().filter(|source| !saved.iter().any(|saved| saved.listens_to(source)));
    let finding = |source: &String| {
        let found =
            format!("no saved pipeline has a trigger with hook: {source}, so deliveries lead to nothing");
        Finding::new(&format!("hook {source}"), Health::Lacking, found).hint(format!(
            "{} {}",
            context.program,
            save_listener(source)
        ))
    };
    sources.map(finding).collect()
}

/// Saved pipelines with the name of a built-in one that are another one: saved by a former version, or changed.
pub(super) async fn other_built_ins(context: &CommandContext) -> Vec<Finding> {
    let listed = context.client.get("/api/v1/pipelines").await.and_then(|page: Value| items(&page));
    let Ok(listed): Result<Vec<PipelineView>, Fault> = listed else {
        return Vec::new();
    };
    let finding = |saved: &PipelineView| {
        let (name, version) = (&saved.name, saved.version?);
        let own = node::built_in(name).ok()?.definition;
        let is_other = saved.hash != own.hash().to_string();
        let found =
            format!("what is saved as {name}@{version} is not what this version of everfold has built in");
        let hint = format!(
            "runs go by what is saved; {} pipeline save {name} takes what is built in",
            context.program
        );
        is_other.then(|| Finding::new(&format!("pipeline {name}"), Health::Notable, found).hint(hint))
    };
    listed.iter().filter_map(finding).collect()
}

/// Services behind open breakers.
pub(super) async fn left_alone(context: &CommandContext) -> Vec<Finding> {
    let Ok(line) = context.client.get::<LineView>("/api/v1/engine/limits").await else {
        return Vec::new();
    };
    let open = line.breakers.into_iter().filter(|breaker| breaker.state != BreakerStand::Closed);
    open.map(|breaker| {
        let failed = count(u64::from(breaker.failures), "failure");
        let why = match breaker.is_asked() {
            true => "as it asked for".to_owned(),
            false => format!("after {failed} in a row"),
        };
        let next = breaker.next.map(|next| format!(", next try at {}", instant(next))).unwrap_or_default();
        let last = breaker.last.map(|last| format!("; last: {}", cut(&last, 120))).unwrap_or_default();
        let found = format!("left alone {why}, {} waiting{next}{last}", breaker.waiting);
        Finding::new(&breaker.service, Health::Notable, found)
            .hint(format!("{} limits reset {}", context.program, breaker.service))
    })
    .collect()
}

/// A clock that says less than when the store was written: it was ahead then, or is behind now.
pub(super) async fn clock_behind(context: &CommandContext, info: &Value) -> Option<Finding> {
    const BEHIND_MIN: Duration = Duration::from_secs(1);
    let last = info["position"].as_u64().filter(|position| *position > 0)?;
    let event: Value = context.client.get(&format!("/api/v1/events?from={last}")).await.ok()?;
    let written: Timestamp = event["committed_at"].as_str()?.parse().ok()?;
    let behind = written.since(clock::now());
    (behind > BEHIND_MIN).then(|| {
        let behind = duration::format(Duration::from_secs(behind.as_secs()));
        let found = format!("it says {behind} less than when the store was last written ({written})");
        Finding::new("clock", Health::Notable, found).hint(
            "it was ahead then, or is behind now: compare it with the time; spans go on by what it says, and what is \
             recorded keeps the later time until it is reached",
        )
    })
}

/// Runs that cannot be gone on with.
pub(super) fn set_aside(context: &CommandContext, info: &Value) -> Vec<Finding> {
    let finding = |aside: &Value| {
        let run: RunId = aside[0].as_str()?.parse().ok()?;
        let why = cut(aside[1].as_str().unwrap_or_default(), 240);
        let (program, short) = (&context.program, run.short());
        Some(Finding::new(&format!("run {short}"), Health::Bad, format!("set aside: {why}")).hint(format!(
            "{program} resume {short} tries again when that is mended, {program} cancel {short} --force ends it"
        )))
    };
    info["set_aside"].as_array().into_iter().flatten().filter_map(finding).collect()
}

/// Whether the store is there and takes writes.
pub(super) fn store(place: &FolderOptions, info: &Result<Value, Fault>) -> Finding {
    match info {
        Ok(_) if !place.layout.root().exists() => {
            Finding::new("store", Health::Good, "none yet; the first run makes it")
        }
        Ok(info) => {
            let found = {
                let number = |name: &str| info[name].as_u64().unwrap_or(0);
                format!("{}, {}", count(number("runs"), "run"), count(number("position"), "event"))
            };
            let writability = &info["writability"];
            let refuses = |why: &str, hint: &str| {
                Finding::new("store", Health::Bad, format!("{found}; it takes no writes: {why}")).hint(hint)
            };
            if writability == "writable" {
                Finding::new("store", Health::Good, found)
            } else if writability == "full" {
                refuses("the disk is full", "make room; it goes on by itself")
            } else if info["adopted"] == false {
                let why = writability["read_only"].as_str().unwrap_or("it is a copy");
                refuses(why, "if no other copy acts: everfold store adopt")
            } else if let Some(why) = writability["not_ours"].as_str() {
                refuses(why, "end its process; the next one opens what lies there now")
            } else {
                let why =
                    writability["read_only"].as_str().map_or_else(|| writability.to_string(), str::to_owned);
                refuses(&why, "look after the disk; it tries again by itself, and runs go on then")
            }
        }
        Err(fault) => {
            let finding = Finding::new("store", Health::Bad, fault.message.clone());
            fault.hint.iter().fold(finding, Finding::hint)
        }
    }
}
