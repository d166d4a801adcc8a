//! Decisions: those of a run, those of all runs, and the verdicts of gates over all runs.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::Response;
use everfold_engine::actor::{Actor, BadActor};
use everfold_engine::envelope::{Envelope, StreamId};
use everfold_engine::id::{Position, RunId, Version};
use everfold_engine::policy::Verdict;
use everfold_engine::time::Timestamp;
use everfold_projections::{
    AskedRecheck, Decision, DecisionFilter, DecisionPlace, DecisionType, GateFilter, RunRow, decision_of,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::answer::{Page, read};
use super::app::App;
use super::extract::{Params, Path};
use super::filter::FilteredPage;
use super::list_fields::{DECISION_FIELDS, GATE_FIELDS};
use super::list_scan::{ListScan, expression, with_expression};
use super::parameters::{limit, min_position, moment};
use super::state::begun_by;
use super::values::time;
use crate::fault::{Code, Fault};
use crate::node::CursorOf;
use crate::schema;

/// A verdict with its run.
#[derive(Debug, Serialize)]
pub(crate) struct RunDecision {
    run: RunId,
    short_id: String,
    #[serde(flatten)]
    decision: Decision,
}

#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct GatesParams {
    /// `pass`, `fail`, `pending` or `skipped`.
    verdict: Option<String>,
    gate: Option<String>,
    pipeline: Option<String>,
    /// An expression over the fields of a row: `verdict == 'fail' && reason.contains('test')`.
    filter: Option<String>,
    /// A time: verdicts from then on.
    since: Option<String>,
    /// A time or a position: what was known then.
    at: Option<String>,
    limit: Option<usize>,
    cursor: Option<String>,
    min_position: Option<u64>,
}

/// `GET /audit/gates`: verdicts of gates, newest first.
#[utoipa::path(
    get,
    path = "/audit/gates",
    tag = "history",
    params(GatesParams),
    responses((status = 200, description = "Part of the list, newest first.", body = FilteredPage<schema::RunDecisionSchema>))
)]
pub(crate) async fn gates(
    State(app): State<App>,
    Params(params): Params<GatesParams>,
) -> Result<Response, Fault> {
    let since = since(&app, params.since.as_deref()).await?;
    let filters = [params.verdict.as_deref(), params.gate.as_deref(), params.pipeline.as_deref()];
    let paged = CursorOf::Gates.with(&with_expression(&filters, params.filter.as_deref()));
    let until = moment(&app, params.at.as_deref()).await?;
    let times = (params.at.as_deref(), until);
    let asked_by = expression(&app, params.filter.as_deref(), &GATE_FIELDS, times).await?;
    let filter = GateFilter {
        verdict: params.verdict.as_deref().map(verdict).transpose()?,
        gate: params.gate,
        pipeline: params.pipeline,
        since,
        until,
    };
    let mut cursor = app.in_list(paged, params.cursor.as_deref())?;
    let limit = limit(params.limit)?;
    let min = min_position(&app, params.min_position)?;
    let mut scan = ListScan::begin(asked_by.as_ref(), limit);
    loop {
        let (asked, from, wanted) = (filter.clone(), cursor, scan.wanted());
        let answer = app.views().audit(min, move |audit| audit.gates(&asked, from, wanted)).await?;
        let mut items = Vec::with_capacity(answer.value.items.len());
        for place in answer.value.items {
            let decision = decided(&app, &place).await?;
            items.extend(decision.map(|decision| RunDecision {
                run: place.run,
                short_id: place.run.short(),
                decision,
            }));
        }
        let is_added = scan.add(items)?;
        cursor = if is_added { answer.value.next } else { cursor };
        if cursor.is_none() || !is_added || !scan.goes_on() {
            let found = scan.found(cursor.is_some());
            return Ok(read(answer.position, found.page(app.list_cursor(paged, cursor))));
        }
    }
}

/// A decision with its run, as the list over all runs has it.
#[derive(Debug, Serialize)]
pub(crate) struct ListedDecision {
    run: RunId,
    short_id: String,
    pipeline: String,
    title: Option<String>,
    #[serde(flatten)]
    decision: Decision,
}

#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct DecisionsParams {
    /// `gate`, `vote`, `answer`, `expiry`, `approval`, `override`, `recheck`, `unjudged`, `rework`, `cancel`; several by commas.
    /// `override` also finds rechecks by other policies.
    kind: Option<String>,
    /// Who decided, as items name it: `user:NAME`, `token:NAME`, `engine`.
    actor: Option<String>,
    /// Verdicts of these gates, rechecks of them that could not be judged, and rework that they ordered.
    gate: Option<String>,
    /// Verdicts of gates: `pass`, `fail`, `pending` or `skipped`.
    verdict: Option<String>,
    pipeline: Option<String>,
    run: Option<String>,
    /// An expression over the fields of a row: `kind == 'override' && actor.startsWith('user:')`.
    filter: Option<String>,
    /// A time: decisions from then on.
    since: Option<String>,
    /// A time: decisions before then. What is said of their runs is that of now, or of `at`.
    until: Option<String>,
    /// A time or a position: what was known then.
    at: Option<String>,
    limit: Option<usize>,
    cursor: Option<String>,
    min_position: Option<u64>,
}

impl DecisionsParams {
    /// The filter, without its times.
    async fn filter(&self, app: &App) -> Result<DecisionFilter, Fault> {
        let run = match &self.run {
            Some(run) => vec![app.resolve(run).await?],
            None => Vec::new(),
        };
        let kinds = self.kind.iter().flat_map(|kinds| kinds.split(',')).map(decision_type);
        Ok(DecisionFilter {
            kinds: kinds.collect::<Result<_, _>>()?,
            actor: self.actor.as_deref().map(actor).transpose()?.into_iter().collect(),
            gate: self.gate.iter().cloned().collect(),
            verdict: self.verdict.as_deref().map(verdict).transpose()?.into_iter().collect(),
            pipeline: self.pipeline.iter().cloned().collect(),
            run,
            since: None,
            until: None,
        })
    }
}

/// `GET /audit/decisions`: decisions of all runs, newest first.
#[utoipa::path(
    get,
    path = "/audit/decisions",
    tag = "history",
    params(DecisionsParams),
    responses((status = 200, description = "Part of the list, newest first.", body = FilteredPage<schema::ListedDecisionSchema>))
)]
pub(crate) async fn decisions(
    State(app): State<App>,
    Params(params): Params<DecisionsParams>,
) -> Result<Response, Fault> {
    let filter = params.filter(&app).await?;
    let of_run = filter.run.first().map(ToString::to_string);
    let filters = [
        params.kind.as_deref(),
        params.actor.as_deref(),
        params.gate.as_deref(),
        params.verdict.as_deref(),
        params.pipeline.as_deref(),
        of_run.as_deref(),
    ];
    let paged = CursorOf::Decisions.with(&with_expression(&filters, params.filter.as_deref()));
    let at = moment(&app, params.at.as_deref()).await?;
    if let [run] = filter.run[..] {
        begun_by(&app, run, at).await?;
    }
    let until = before(&app, params.until.as_deref()).await?;
    let until = at.into_iter().chain(until).min();
    let filter = DecisionFilter { since: since(&app, params.since.as_deref()).await?, until, ..filter };
    let mut cursor = app.in_list(paged, params.cursor.as_deref())?;
    let limit = limit(params.limit)?;
    let min = min_position(&app, params.min_position)?;
    let times = (params.at.as_deref(), at);
    let asked_by = expression(&app, params.filter.as_deref(), &DECISION_FIELDS, times).await?;
    let mut scan = ListScan::begin(asked_by.as_ref(), limit);
    loop {
        let (asked, from, wanted) = (filter.clone(), cursor, scan.wanted());
        let answer = app.views().audit(min, move |audit| audit.decisions(&asked, from, wanted)).await?;
        let is_added = scan.add(listed(&app, answer.value.items, answer.position, at).await?)?;
        cursor = if is_added { answer.value.next } else { cursor };
        if cursor.is_none() || !is_added || !scan.goes_on() {
            let found = scan.found(cursor.is_some());
            return Ok(read(answer.position, found.page(app.list_cursor(paged, cursor))));
        }
    }
}

/// Decisions with their runs, as they were at a moment.
pub(super) async fn listed(
    app: &App,
    places: Vec<DecisionPlace>,
    known: Position,
    at: Option<Position>,
) -> Result<Vec<ListedDecision>, Fault> {
    let rows = rows_of(app, &places, known, at).await?;
    let mut items = Vec::with_capacity(places.len());
    for place in places {
        let (decision, row) = (decided(app, &place).await?, rows.get(&place.run));
        items.extend(decision.map(|decision| ListedDecision {
            run: place.run,
            short_id: place.run.short(),
            pipeline: row.map(|row| row.pipeline.clone()).unwrap_or_default(),
            title: row.and_then(|row| row.title.clone()),
            decision,
        }));
    }
    Ok(items)
}

/// The rows of the runs that were decided on, as they were at a moment.
async fn rows_of(
    app: &App,
    places: &[DecisionPlace],
    known: Position,
    at: Option<Position>,
) -> Result<BTreeMap<RunId, RunRow>, Fault> {
    let mut runs: Vec<RunId> = places.iter().map(|place| place.run).collect();
    runs.sort_unstable();
    runs.dedup();
    let rows = app.views().runs(Some(known), move |view| {
        let mut rows = BTreeMap::new();
        for run in runs {
            rows.extend(view.get(run, at)?.map(|row| (run, row)));
        }
        Ok(rows)
    });
    Ok(rows.await?.value)
}

fn decision_type(word: &str) -> Result<DecisionType, Fault> {
    let known = DecisionType::ALL.into_iter().find(|kind| kind.as_str() == word);
    known.ok_or_else(|| {
        let words = DecisionType::ALL.map(DecisionType::as_str).join(", ");
        Fault::new(Code::Invalid, format!("“{word}” is no kind of decision")).hint(words)
    })
}

fn actor(text: &str) -> Result<Actor, Fault> {
    text.parse().map_err(|error: BadActor| Fault::new(Code::Invalid, error.to_string()))
}

/// The last position before a time: the verdicts from that time on have later ones.
pub(super) async fn since(app: &App, asked: Option<&str>) -> Result<Option<Position>, Fault> {
    let Some(text) = asked else { return Ok(None) };
    let since = time("since", text)?;
    app.position_at(Timestamp(since.0.saturating_sub(1))).await.map(Some)
}

/// The last position before a time.
async fn before(app: &App, asked: Option<&str>) -> Result<Option<Position>, Fault> {
    let Some(text) = asked else { return Ok(None) };
    let until = time("until", text)?;
    app.position_at(Timestamp(until.0.saturating_sub(1))).await.map(Some)
}

fn verdict(word: &str) -> Result<Verdict, Fault> {
    serde_json::from_value(Value::String(word.to_owned())).map_err(|_| {
        Fault::new(Code::Invalid, format!("“{word}” is no verdict")).hint("pass, fail, pending or skipped")
    })
}

#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RunDecisionsParams {
    /// A time or a position: what was decided by then.
    at: Option<String>,
}

/// `GET /runs/{id}/audit`: every decision.
#[utoipa::path(
    get,
    path = "/runs/{run}/audit",
    tag = "history",
    params(RunDecisionsParams),
    responses((status = 200, description = "All decisions.", body = Page<schema::DecisionSchema>))
)]
pub(crate) async fn of_run(
    State(app): State<App>,
    Path(run): Path<String>,
    Params(params): Params<RunDecisionsParams>,
) -> Result<Response, Fault> {
    let run = app.resolve(&run).await?;
    let at = moment(&app, params.at.as_deref()).await?;
    begun_by(&app, run, at).await?;
    let answer = app.views().audit(None, move |audit| audit.of_run(run)).await?;
    let (mut places, position) = (answer.value, answer.position);
    places.retain(|place| at.is_none_or(|at| place.position <= at));
    let mut items = Vec::with_capacity(places.len());
    for place in places {
        items.extend(decided(&app, &place).await?);
    }
    Ok(read(position, Page { items, next_cursor: None }))
}

/// The decision at a place of the log, read from its event, so that the two cannot differ.
async fn decided(app: &App, place: &DecisionPlace) -> Result<Option<Decision>, Fault> {
    let Some(event) = event_at(app, place.run, place.version).await? else { return Ok(None) };
    if event.position != place.position {
        return Ok(None);
    }
    let about = match place.about {
        Some(about) => {
            let gate = match about.gate {
                Some(gate) => event_at(app, place.run, gate).await?,
                None => None,
            };
            let asked = event_at(app, place.run, about.asked).await?;
            asked.and_then(|asked| AskedRecheck::of(&asked, gate.as_ref()))
        }
        None => None,
    };
    Ok(decision_of(&event, about))
}

async fn event_at(app: &App, run: RunId, version: Version) -> Result<Option<Envelope>, Fault> {
    Ok(app.store().read(&StreamId::run(run), version, 1).await?.into_iter().next())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_of_decisions_are_read_by_the_words_that_items_have() {
        for kind in DecisionType::ALL {
            assert_eq!(decision_type(kind.as_str()).ok(), Some(kind));
            assert_eq!(serde_json::to_value(kind).ok(), Some(Value::from(kind.as_str())));
        }
        assert!(decision_type("gates").is_err() && decision_type("").is_err());
        assert!(actor("user:ada").is_ok() && actor("ada").is_err());
    }

    #[test]
    fn verdicts_are_read_by_their_words() {
        assert_eq!(verdict("fail").ok(), Some(Verdict::Fail));
        assert!(verdict("failed").is_err());
    }
}
