//! The tables `spend`, `model_spend` and `role_spend`: what runs used up, by day and step, model or role.

use std::sync::Arc;

use everfold_projections::{SpendBy, SpendLineRow};
use serde_json::json;

use super::columns::{MODEL_SPEND, ROLE_SPEND, SPEND};
use super::moment::QueryMoment;
use super::row_table::{Conditions, PartReader, RowTable, json_rows, nothing};
use super::table_text::TableText;
use crate::view::usd;

/// By step.
pub(super) fn spend(moment: Arc<QueryMoment>) -> RowTable {
    table(moment, &SPEND, SpendBy::Step)
}

/// By model.
pub(super) fn model_spend(moment: Arc<QueryMoment>) -> RowTable {
    table(moment, &MODEL_SPEND, SpendBy::Model)
}

/// By role.
pub(super) fn role_spend(moment: Arc<QueryMoment>) -> RowTable {
    table(moment, &ROLE_SPEND, SpendBy::Role)
}

fn table(moment: Arc<QueryMoment>, text: &'static TableText, by: SpendBy) -> RowTable {
    let open = move |asked: &Conditions<'_>| {
        let run = match asked.runs("run").as_deref() {
            Some([]) => return Ok(nothing()),
            Some([run]) => Some(*run),
            _others => None,
        };
        let (moment, mut after, mut is_over) = (Arc::clone(&moment), None::<SpendLineRow>, false);
        Ok(Box::new(move |size| {
            if is_over {
                return Ok(None);
            }
            let (last, at) = (after.take(), moment.position);
            let lines = moment
                .app
                .views()
                .spend(Some(at), move |spend| spend.of_runs(by, run, Some(at), last.as_ref(), size));
            let lines = moment.wait(lines)?.value;
            is_over = lines.len() < size;
            after = lines.last().cloned();
            json_rows(lines.into_iter().map(row).collect()).map(Some)
        }) as PartReader)
    };
    RowTable::new(text, Box::new(open))
}

/// A line as `GET /spend` counts it.
fn row(line: SpendLineRow) -> serde_json::Value {
    let SpendLineRow { run, pipeline, day, name, sum, .. } = line;
    json!({
        "run": run,
        "pipeline": pipeline,
        "day": day,
        "name": name,
        "reports": sum.reports,
        "input_tokens": sum.input_tokens.saturating_add(sum.cached_tokens),
        "cached_tokens": sum.cached_tokens,
        "output_tokens": sum.output_tokens,
        "cost_usd": usd(sum.cost_micros),
    })
}
