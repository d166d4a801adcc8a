//! Tasks that fit a filter, joined of two read models as of one position.
//!
//! Law: a request looks at so many tasks at most; where it found too few among them, its cursor goes on behind them.

use std::collections::BTreeMap;

use everfold_engine::clock;
use everfold_engine::event::OriginKind;
use everfold_engine::id::{EffectId, Position, RunId};
use everfold_engine::time::Timestamp;
use everfold_projections::{FoldError, Judged, RunRow, RunsView, StageFilter, StageRow};
use everfold_workflows::agent::PreflightWait;

use super::staged_task::staged_task;
use crate::body::orch::StagedTask;
use crate::fault::Fault;
use crate::http::app::App;

/// Tasks that are looked at together, and for one request.
const CHUNK: usize = 200;
const LOOKED_AT_MAX: usize = 2_000;
/// Runs that one task went through by restarts and retries.
const FORMER_MAX: usize = 100;

/// Of which moment an answer is.
#[derive(Debug, Clone, Copy)]
pub(super) struct ShownMoment {
    pub(super) at: Option<Position>,
    pub(super) min: Option<Position>,
    /// Spans that go on are counted up to here.
    pub(super) now: Timestamp,
}

impl ShownMoment {
    pub(super) async fn of(app: &App, at: Option<Position>, min: Option<Position>) -> Result<Self, Fault> {
        let now = match at {
            None => clock::now(),
            Some(position) => {
                let event = app.store().read_all(position, 1).await?.into_iter().next();
                event.map_or_else(clock::now, |event| event.committed_at)
            }
        };
        Ok(Self { at, min, now })
    }

    /// The attempts that do not begin because their agent lacks something; none of a past moment, because that is
    /// recorded nowhere.
    pub(super) fn held(&self, app: &App) -> Vec<(EffectId, PreflightWait)> {
        if self.at.is_some() { Vec::new() } else { app.preflights().waits() }
    }
}

/// Tasks that were found.
pub(super) struct FoundTasks {
    pub(super) position: Position,
    /// The stages of their pipelines, in the order of their use.
    pub(super) stages: Vec<String>,
    pub(super) tasks: Vec<StagedTask>,
    pub(super) next: Option<u64>,
}

/// The tasks that fit, newest first, at most `limit` from `cursor` on.
pub(super) async fn scan(
    app: &App,
    filter: StageFilter,
    moment: ShownMoment,
    (mut cursor, limit): (Option<u64>, usize),
    mut fits: impl FnMut(&StagedTask) -> Result<Judged, Fault>,
) -> Result<FoundTasks, Fault> {
    let aside: BTreeMap<RunId, String> = app.set_aside().into_iter().collect();
    let held = moment.held(app);
    let (stages, tasks) = Default::default();
    let mut found = FoundTasks { position: Position::ZERO, stages, tasks, next: None };
    let mut looked_at = 0;
    loop {
        let (wanted, from) = (filter.clone(), cursor);
        let ask = app.views().stages(moment.min, move |view| view.list(&wanted, from, CHUNK, moment.at));
        let answer = ask.await?;
        if found.position == Position::ZERO {
            found.position = answer.position;
        }
        let (rows, next) = (answer.value.items, answer.value.next);
        looked_at += rows.len();
        for (row, run) in joined(app, rows, moment.at.unwrap_or(answer.position)).await? {
            let task = staged_task(&row, run, aside.get(&row.run).cloned(), &held, moment.now);
            match fits(&task)? {
                Judged::Fits => {}
                Judged::DoesNotFit => continue,
                Judged::Later => {
                    found.next = Some(row.number);
                    return Ok(found);
                }
            }
            if found.tasks.len() == limit {
                found.next = Some(row.number);
                return Ok(found);
            }
            add_stages(&mut found.stages, &row.layout.stages);
            found.tasks.push(task);
        }
        cursor = next;
        if cursor.is_none() || looked_at >= LOOKED_AT_MAX {
            found.next = cursor;
            return Ok(found);
        }
    }
}

/// Adds the stages of a pipeline, each behind the one that it follows there.
fn add_stages(known: &mut Vec<String>, stages: &[String]) {
    let mut place = 0;
    for stage in stages {
        place = match known.iter().position(|other| other == stage) {
            Some(at) => at + 1,
            None => {
                known.insert(place.min(known.len()), stage.clone());
                place + 1
            }
        };
    }
}

/// Rows of tasks with those of their runs, as of a position. What runs used up that a run continues counts with it.
pub(super) async fn joined(
    app: &App,
    rows: Vec<StageRow>,
    at: Position,
) -> Result<Vec<(StageRow, RunRow)>, Fault> {
    app.runs(Some(at), move |runs| {
        let mut both = Vec::with_capacity(rows.len());
        for row in rows {
            let Some(mut run) = runs.get(row.run, Some(at))? else { continue };
            for former in former_runs(runs, &run, at)? {
                let (whole, of_it) = (&mut run.shown.usage, former.shown.usage);
                whole.input_tokens = whole.input_tokens.saturating_add(of_it.input_tokens);
                whole.output_tokens = whole.output_tokens.saturating_add(of_it.output_tokens);
                whole.cost_micros = whole.cost_micros.saturating_add(of_it.cost_micros);
            }
            both.push((row, run));
        }
        Ok(both)
    })
    .await
}

/// The runs that a run continues by a restart or a retry, the last one first.
pub(super) fn former_runs(runs: &RunsView<'_>, run: &RunRow, at: Position) -> Result<Vec<RunRow>, FoldError> {
    let mut former: Vec<RunRow> = Vec::new();
    while former.len() < FORMER_MAX {
        let origin = former.last().unwrap_or(run).origin.as_ref();
        let Some(origin) = origin.filter(|origin| origin.how != OriginKind::Fork) else { break };
        let Some(row) = runs.get(origin.run, Some(at))? else { break };
        former.push(row);
    }
    Ok(former)
}

#[cfg(test)]
mod tests {
    use super::add_stages;

    #[test]
    fn stages_of_several_pipelines_stand_in_the_order_of_their_use() {
        let mut known: Vec<String> = Vec::new();
        for stages in [&["analysis", "review", "deploy"][..], &["analysis", "design", "review"], &["other"]] {
            add_stages(&mut known, &stages.iter().map(|stage| (*stage).to_owned()).collect::<Vec<_>>());
        }
        assert_eq!(known, ["other", "analysis", "design", "review", "deploy"]);
    }
}
