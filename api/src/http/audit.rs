//! Decisions: those of a run, and the verdicts of gates over all runs.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use everfold_engine::envelope::StreamId;
use everfold_engine::id::{Position, RunId};
use everfold_engine::policy::Verdict;
use everfold_engine::time::Timestamp;
use everfold_projections::{Decision, DecisionPlace, GateFilter, decision_of};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::answer::{Page, read};
use super::app::App;
use super::extract::{Params, Path};
use super::parameters::{limit, min_position, moment};
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
    responses((status = 200, description = "Part of the list, newest first.", body = Page<schema::RunDecisionSchema>))
)]
pub(crate) async fn gates(
    State(app): State<App>,
    Params(params): Params<GatesParams>,
) -> Result<Response, Fault> {
    let since = since(&app, params.since.as_deref()).await?;
    let paged = CursorOf::Gates.with(&[
        params.verdict.as_deref(),
        params.gate.as_deref(),
        params.pipeline.as_deref(),
    ]);
    let filter = GateFilter {
        verdict: params.verdict.as_deref().map(verdict).transpose()?,
        gate: params.gate,
        pipeline: params.pipeline,
        since,
        until: moment(&app, params.at.as_deref()).await?,
    };
    let cursor = app.in_list(paged, params.cursor.as_deref())?;
    let limit = limit(params.limit)?;
    let min = min_position(&app, params.min_position)?;
    let answer = app.views().audit(min, move |audit| audit.gates(&filter, cursor, limit)).await?;
    let mut items = Vec::with_capacity(answer.value.items.len());
    for place in answer.value.items {
        let decision = decided(&app, &place).await?;
        items.extend(decision.map(|decision| RunDecision {
            run: place.run,
            short_id: place.run.short(),
            decision,
        }));
    }
    let next_cursor = app.list_cursor(paged, answer.value.next);
    Ok(read(answer.position, Page { items, next_cursor }))
}

/// The last position before a time: the verdicts from that time on have later ones.
pub(super) async fn since(app: &App, asked: Option<&str>) -> Result<Option<Position>, Fault> {
    let Some(text) = asked else { return Ok(None) };
    let since = time("since", text)?;
    app.position_at(Timestamp(since.0.saturating_sub(1))).await.map(Some)
}

fn verdict(word: &str) -> Result<Verdict, Fault> {
    serde_json::from_value(Value::String(word.to_owned())).map_err(|_| {
        Fault::new(Code::Invalid, format!("“{word}” is no verdict")).hint("pass, fail, pending or skipped")
    })
}

#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct DecisionsParams {
    /// A time or a position: what was decided by then.
    at: Option<String>,
}

/// `GET /runs/{id}/audit`: every decision.
#[utoipa::path(
    get,
    path = "/runs/{run}/audit",
    tag = "history",
    params(DecisionsParams),
    responses((status = 200, description = "All decisions.", body = Page<schema::DecisionSchema>))
)]
pub(crate) async fn of_run(
    State(app): State<App>,
    Path(run): Path<String>,
    Params(params): Params<DecisionsParams>,
) -> Result<Json<Page<Decision>>, Fault> {
    let run = app.resolve(&run).await?;
    let at = moment(&app, params.at.as_deref()).await?;
    let mut places = app.views().audit(None, move |audit| audit.of_run(run)).await?.value;
    places.retain(|place| at.is_none_or(|at| place.position <= at));
    let mut items = Vec::with_capacity(places.len());
    for place in places {
        items.extend(decided(&app, &place).await?);
    }
    Ok(Json(Page { items, next_cursor: None }))
}

/// The decision at a place of the log, read from its event, so that the two cannot differ.
async fn decided(app: &App, place: &DecisionPlace) -> Result<Option<Decision>, Fault> {
    let events = app.store().read(&StreamId::run(place.run), place.version, 1).await?;
    Ok(events.first().filter(|event| event.position == place.position).and_then(decision_of))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_are_read_by_their_words() {
        assert_eq!(verdict("fail").ok(), Some(Verdict::Fail));
        assert!(verdict("failed").is_err());
    }
}
