//! The tables `steps`, `attempts`, `step_times` and `signals`: what is folded of a run's own events when it is asked for.
//!
//! Law: without a run in the query these tables go through all runs, the newest first, one by one; what bounds that is the
//! time of the query.

use std::sync::Arc;

use everfold_engine::envelope::Envelope;
use everfold_engine::event::{self, RunEvent};
use everfold_engine::id::RunId;
use everfold_projections::{RunFilter, StepsOfRun, StoredRow, attempts as attempts_of};
use serde_json::{Value, json};

use super::columns::{ATTEMPTS, SIGNALS, STEP_TIMES, STEPS};
use super::moment::QueryMoment;
use super::row_table::{Conditions, PartReader, RowTable, json_rows};
use super::runs::{kept, unreadable};
use super::table_text::TableText;
use crate::fault::Fault;
use crate::view::RunView;

/// Runs that are looked up at once.
const RUNS: usize = 200;

/// The steps of runs.
pub(super) fn steps(moment: Arc<QueryMoment>) -> RowTable {
    table(moment, &STEPS, |moment, run| {
        let Some(last) = history(moment, run)?.last().map(|event| event.header.version) else {
            return Ok(Vec::new());
        };
        let state = moment.wait(moment.app.engine().state_at(run, last))?;
        let view = RunView::of(&state, None, false);
        Ok(view.map(|view| with_run(run, &view.steps)).unwrap_or_default())
    })
}

/// The attempts of runs.
pub(super) fn attempts(moment: Arc<QueryMoment>) -> RowTable {
    table(moment, &ATTEMPTS, |moment, run| {
        let mut rows = with_run(run, &attempts_of(&history(moment, run)?));
        for row in &mut rows {
            let took = |from: &Value, to: &Value| -> Option<i64> {
                let moment = |text: &Value| text.as_str()?.parse::<everfold_engine::time::Timestamp>().ok();
                i64::try_from(moment(to)?.since(moment(from)?).as_millis()).ok()
            };
            let (waited, worked) =
                (took(&row["scheduled_at"], &row["started_at"]), took(&row["started_at"], &row["end"]["at"]));
            row["waited_ms"] = json!(waited);
            row["worked_ms"] = json!(worked);
        }
        Ok(rows)
    })
}

/// How long the steps of runs took.
pub(super) fn step_times(moment: Arc<QueryMoment>) -> RowTable {
    table(moment, &STEP_TIMES, |moment, run| {
        let mut steps = StepsOfRun::default();
        history(moment, run)?.iter().for_each(|event| steps.fold(event));
        Ok(with_run(run, &steps.into_rows(moment.now)))
    })
}

/// The signals that runs got.
pub(super) fn signals(moment: Arc<QueryMoment>) -> RowTable {
    table(moment, &SIGNALS, |moment, run| {
        let signal = |envelope: Envelope| -> Option<Value> {
            let header = &envelope.header;
            let decoded = event::decode(header.kind, header.schema, &envelope.payload).ok()?;
            let RunEvent::SignalReceived(signal) = decoded else { return None };
            let mut row = json!({
                "run": run,
                "version": header.version,
                "position": envelope.position,
                "at": header.recorded_at,
                "actor": header.actor,
            });
            row["signal"] = serde_json::to_value(signal).unwrap_or_default();
            Some(row)
        };
        Ok(history(moment, run)?.into_iter().filter_map(signal).collect())
    })
}

/// A run's events up to the moment.
fn history(moment: &QueryMoment, run: RunId) -> Result<Vec<Envelope>, Fault> {
    moment.wait(moment.app.history_until(run, Some(moment.position)))
}

fn with_run<T: serde::Serialize>(run: RunId, items: &[T]) -> Vec<Value> {
    let row = |item: &T| {
        let mut row = serde_json::to_value(item).unwrap_or_default();
        row["run"] = json!(run);
        row
    };
    items.iter().map(row).collect()
}

fn table(
    moment: Arc<QueryMoment>,
    text: &'static TableText,
    read: fn(&QueryMoment, RunId) -> Result<Vec<Value>, Fault>,
) -> RowTable {
    let open = move |asked: &Conditions<'_>| {
        let moment = Arc::clone(&moment);
        let mut runs = wanted(&moment, asked)?;
        Ok(Box::new(move |_| match runs.next()? {
            Some(run) => json_rows(read(&moment, run)?).map(Some),
            None => Ok(None),
        }) as PartReader)
    };
    RowTable::new(text, Box::new(open))
}

/// The runs whose rows are wanted, one after the other.
pub(super) struct WantedRuns {
    ready: std::vec::IntoIter<RunId>,
    /// More of them, where every run is wanted.
    more: Option<super::runs::RunParts>,
}

impl WantedRuns {
    pub(super) fn next(&mut self) -> Result<Option<RunId>, Fault> {
        loop {
            if let Some(run) = self.ready.next() {
                return Ok(Some(run));
            }
            let Some(more) = &mut self.more else { return Ok(None) };
            match more(RUNS)? {
                Some(rows) => {
                    let runs = rows.iter().map(StoredRow::id).collect::<Result<Vec<_>, _>>();
                    self.ready = runs.map_err(unreadable)?.into_iter();
                }
                None => self.more = None,
            }
        }
    }
}

/// The runs that the argument of the table or its column `run` name, else all.
pub(super) fn wanted(moment: &Arc<QueryMoment>, asked: &Conditions<'_>) -> Result<WantedRuns, Fault> {
    if let Some(names) = asked.texts("of_run") {
        let runs: Result<Vec<RunId>, Fault> = names.into_iter().map(|name| moment.run(name)).collect();
        return Ok(WantedRuns { ready: runs?.into_iter(), more: None });
    }
    Ok(match asked.runs("run") {
        Some(runs) => WantedRuns { ready: runs.into_iter(), more: None },
        None => WantedRuns { ready: Vec::new().into_iter(), more: Some(kept(moment, RunFilter::default())) },
    })
}
