//! What must be true of everything that was recorded, once the world is quiet.

use std::collections::{BTreeMap, BTreeSet};

use everfold_engine::budgets::room;
use everfold_engine::effect::Effect;
use everfold_engine::envelope::{Envelope, StreamId, StreamKind, flag};
use everfold_engine::event::{self, RunEvent};
use everfold_engine::hooks::HookEvent;
use everfold_engine::id::{InputId, Position, RunId, Version};
use everfold_engine::json::Hash;
use everfold_engine::schedules::ScheduleEvent;
use everfold_engine::state::{EventMeta, RunState, effects};
use everfold_engine::store::{EventStore as _, MemoryStore};
use everfold_projections::Models;

use super::coverage::Coverage;
use super::fake_ports::UNWANTED;
use super::play::{PlayedPlan, Stage};
use super::triggers::TriggerRecord;

/// A run's events with what surrounds them.
pub async fn history(store: &MemoryStore, run: RunId) -> Result<Vec<(Envelope, RunEvent)>, String> {
    let envelopes = store.read(&StreamId::run(run), Version::FIRST, usize::MAX).await.unwrap();
    let decode = |envelope: Envelope| {
        let header = &envelope.header;
        let event = event::decode(header.kind, header.schema, &envelope.payload);
        event.map(|event| (envelope, event)).map_err(|error| error.to_string())
    };
    envelopes.into_iter().map(decode).collect()
}

fn said(event: Result<impl std::fmt::Debug, impl std::fmt::Display>) -> String {
    event.map_or_else(|error| error.to_string(), |event| format!("{event:?}"))
}

/// The whole log, a line per event.
pub async fn log(store: &MemoryStore) -> String {
    let log = store.read_all(Position::FIRST, usize::MAX).await.unwrap();
    let line = |envelope: &Envelope| {
        let header = &envelope.header;
        let stream = header.stream.to_string();
        let name = stream.get(stream.len().saturating_sub(12)..).unwrap_or(&stream);
        let said = match header.stream.kind {
            StreamKind::Run => said(event::decode(header.kind, header.schema, &envelope.payload)),
            StreamKind::Hook => said(HookEvent::decode(header.kind, header.schema, &envelope.payload)),
            StreamKind::Schedule => {
                said(ScheduleEvent::decode(header.kind, header.schema, &envelope.payload))
            }
            StreamKind::Key | StreamKind::Engine | StreamKind::Budget => format!("kind {}", header.kind),
        };
        let said: String = said.chars().take(200).collect();
        let copied = if header.flags & flag::COPIED != 0 { " copied" } else { "" };
        format!(
            "{:>12} {name} {}{copied} {} {said}\n",
            header.recorded_at.0 - 1_790_000_000_000,
            header.version,
            header.actor
        )
    };
    log.iter().map(|envelope| line(envelope)).collect()
}

/// Judges all that was recorded; gives what there is of it.
pub async fn check(stage: &Stage<'_>) -> Result<PlayedPlan, String> {
    let mut pairs = Coverage::default();
    let log = stage.store.inner.read_all(Position::FIRST, usize::MAX).await.unwrap();
    let of_models = |what: &dyn std::fmt::Display| format!("projections: {what}");
    let mut models = Models::in_memory().map_err(|error| of_models(&error))?;
    models.apply(log.clone(), &*stage.store.inner).await.map_err(|error| of_models(&error))?;
    if let Some(stopped) = models.stopped() {
        return Err(of_models(&stopped));
    }
    let triggers = TriggerRecord::of(&log);
    let count = triggers.count();
    triggers.check(&log)?;
    let (mut runs, mut numbers) = (0, BTreeSet::new());
    for run in stage.runs().await {
        let history = history(&stage.store.inner, run).await?;
        if history.last().is_some_and(|(envelope, _)| envelope.header.flags & flag::COPIED != 0) {
            // A copy that a crash cut short is no run.
            continue;
        }
        runs += 1;
        if let Some((envelope, RunEvent::RunStarted(started))) = history.first()
            && envelope.header.flags & flag::COPIED == 0
            && let Some(given) = &started.number
            && !numbers.insert((given.key.clone(), given.number))
        {
            return Err(format!(
                "numbers: {} of {} is given to a second run, {run}",
                given.number, given.key
            ));
        }
        one(stage, run, &history, &models, &mut pairs).await.map_err(|what| format!("run {run}: {what}"))?;
    }
    if let Some(hit) = pairs.impossible().first() {
        return Err(format!("table: {hit}"));
    }
    let shown = models.runs().map_err(|error| of_models(&error))?.len();
    if shown != runs {
        return Err(format!("projections: {shown} runs are shown, {runs} there are"));
    }
    let asked = models.inbox().and_then(|inbox| inbox.list(None, None, None, 1, None));
    let asked = asked.map_err(|error| of_models(&error))?;
    if let Some(task) = asked.items.first() {
        return Err(format!("projections: every run has ended, and the inbox still asks {task:?}"));
    }
    let mut text = String::new();
    for envelope in &log {
        let Envelope { header, position, committed_at, hash, .. } = &**envelope;
        text.push_str(&format!("{} {position} {committed_at:?} {hash}\n", header.stream));
    }
    let fingerprint = Some(Hash::of(text.as_bytes()));
    Ok(PlayedPlan { fingerprint, runs, events: log.len(), triggers: count, pairs, ..PlayedPlan::default() })
}

async fn one(
    stage: &Stage<'_>,
    run: RunId,
    history: &[(Envelope, RunEvent)],
    models: &Models,
    pairs: &mut Coverage,
) -> Result<(), String> {
    let live = stage.engine.state(run).await.map_err(|error| error.to_string())?;
    let mut folded = RunState::new(live.definition().clone());
    let mut inputs: BTreeMap<InputId, bool> = BTreeMap::new();
    let mut former = None;
    for (envelope, event) in history {
        let header = &envelope.header;
        let cause = header.cause;
        // An engine ended a process that it took for nobody's, and the run waited for it.
        if let RunEvent::AttemptFailed(failed) = event
            && failed.failure.message == UNWANTED
        {
            return Err(format!("processes: {} was ended as unwanted, and its run wanted it", failed.id));
        }
        // The end of a child that no step waited for has the id of its start, which ended the attempt.
        let is_second_end = matches!(event, RunEvent::ChildStopped(_));
        // After the clock was set back a timer may be due at the same moment of the calendar once more.
        if matches!(event, RunEvent::ClockRead(_)) {
            inputs.retain(|_, is_timer| !*is_timer);
        }
        let is_timer = matches!(event, RunEvent::TimerFired(_));
        if former != Some((cause.input, cause.because))
            && !is_second_end
            && inputs.insert(cause.input, is_timer).is_some()
        {
            return Err(format!(
                "version {}: {} records an input for the second time",
                header.version,
                event.name()
            ));
        }
        former = Some((cause.input, cause.because));
        if header.flags & flag::COPIED == 0 {
            pairs.note(&folded, event);
        }
        if let RunEvent::FundsGranted(granted) = event
            && !granted.exempt
        {
            let own = folded.budgets(header.recorded_at).filter(|budget| budget.terms.scope.is_none());
            if let Some(full) = own.into_iter().find(|budget| room(budget.terms, &budget.used).is_err()) {
                let (id, version) = (&full.terms.id, header.version);
                return Err(format!("budgets: version {version} gives money of {id}, where none is left"));
            }
        }
        if let RunEvent::AttemptStarted(started) = event
            && started.holder.is_some()
            && header.flags & flag::COPIED == 0
            && folded.is_paused()
        {
            let begun = Effect::Attempt { id: started.id.clone(), started: true };
            if !effects(&folded).contains(&begun) {
                let (id, version) = (&started.id, header.version);
                return Err(format!(
                    "pause: version {version} has a worker take {id}, and nothing may start"
                ));
            }
        }
        let (at, actor, input) = (header.recorded_at, header.actor.clone(), cause.input);
        folded.apply(event, &EventMeta { at, actor, input });
    }
    if folded != live {
        return Err("a fold from the first event is not the live state".into());
    }
    let replayed = stage.engine.replay(run).await.map_err(|error| error.to_string())?;
    if let Some(difference) = replayed.differences.first() {
        return Err(format!("H5: {difference:?}"));
    }
    let left = effects(&live);
    if !left.is_empty() {
        return Err(format!("an ended run wants {left:?}"));
    }
    let row = models.runs().and_then(|runs| runs.get(run, None));
    let row = row.map_err(|error| format!("projections: {error}"))?;
    let Some(row) = row else { return Err("projections: it is not shown".into()) };
    let row = row.shown;
    if row.status != live.status() || *row.labels != *live.labels() {
        let (shown, is) = ((row.status, row.labels), (live.status(), live.labels()));
        return Err(format!("projections: shown as {shown:?}, it is {is:?}"));
    }
    if *row.search != *live.search() {
        return Err(format!("projections: found by {:?}, it is {:?}", row.search, live.search()));
    }
    Ok(())
}
