//! The tables `decisions`, `gates` and `votes`: what was decided, of all kinds, by gates, and by people.

use std::sync::Arc;

use everfold_engine::actor::Actor;
use everfold_engine::policy::Verdict;
use everfold_projections::{DecisionFilter, DecisionType};
use everfold_sql::SqlValue;

use super::columns::{DECISIONS, GATES, VOTES};
use super::moment::QueryMoment;
use super::row_table::{Conditions, PartReader, RowTable, json_rows, nothing, owned_text, run};
use super::table_text::TableText;
use crate::http::audit::listed;

/// Every decision.
pub(super) fn decisions(moment: Arc<QueryMoment>) -> RowTable {
    table(moment, &DECISIONS, None)
}

/// Every verdict of a gate.
pub(super) fn gates(moment: Arc<QueryMoment>) -> RowTable {
    table(moment, &GATES, Some(DecisionType::Gate))
}

/// Every vote.
pub(super) fn votes(moment: Arc<QueryMoment>) -> RowTable {
    table(moment, &VOTES, Some(DecisionType::Vote))
}

fn table(moment: Arc<QueryMoment>, text: &'static TableText, kind: Option<DecisionType>) -> RowTable {
    let open = move |asked: &Conditions<'_>| {
        let Some(filter) = filter(asked, kind) else { return Ok(nothing()) };
        let (moment, mut cursor, mut is_over) = (Arc::clone(&moment), None, false);
        let filter = DecisionFilter { until: Some(moment.position), ..filter };
        Ok(Box::new(move |size| {
            if is_over {
                return Ok(None);
            }
            let (filter, from, at) = (filter.clone(), cursor, moment.position);
            let page = moment.app.views().audit(Some(at), move |audit| audit.decisions(&filter, from, size));
            let page = moment.wait(page)?;
            (cursor, is_over) = (page.value.next, page.value.next.is_none());
            json_rows(moment.wait(listed(&moment.app, page.value.items, at, Some(at)))?).map(Some)
        }) as PartReader)
    };
    RowTable::new(text, Box::new(open)).descending("position")
}

/// What the index answers of the conditions; none: no decision fits.
fn filter(asked: &Conditions<'_>, kind: Option<DecisionType>) -> Option<DecisionFilter> {
    let kinds = match kind {
        Some(kind) => vec![kind],
        None => asked.one_of("kind", |value| {
            DecisionType::ALL.into_iter().find(|kind| Some(kind.as_str()) == value.as_text())
        })?,
    };
    let verdict = |value: &SqlValue| {
        let all = [Verdict::Pass, Verdict::Fail, Verdict::Pending, Verdict::Skipped];
        all.into_iter().find(|verdict| Some(verdict.as_str()) == value.as_text())
    };
    Some(DecisionFilter {
        kinds,
        actor: asked.one_of("actor", |value| value.as_text()?.parse::<Actor>().ok())?,
        // Rework that a gate ordered names the gate, too: the index has it.
        gate: asked.one_of("gate", owned_text)?,
        verdict: asked.one_of("verdict", verdict)?,
        pipeline: asked.one_of("pipeline", owned_text)?,
        run: asked.one_of("run", run)?,
        ..DecisionFilter::default()
    })
}
