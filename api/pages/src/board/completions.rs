//! What the filter's field offers.

use std::collections::BTreeSet;

use super::filter::label;
use super::row::RunRow;
use super::steps::PipelineSteps;

/// The most completions of one kind in the filter's field.
const COMPLETIONS_MAX: usize = 60;

/// What the filter's field offers: statuses, pipelines, steps, and the labels, search attributes and roles of the runs
/// that are shown.
pub(crate) fn completions<'a>(
    pipelines: &[PipelineSteps],
    runs: impl Iterator<Item = &'a RunRow>,
) -> Vec<String> {
    let mut all: Vec<String> =
        ["running", "waiting", "blocked", "paused", "queued", "failed", "succeeded", "cancelled"]
            .map(|status| format!("status:{status}"))
            .to_vec();
    all.extend(["started:-1h", "started:-1d", "started:today", "started:-7d"].map(str::to_owned));
    let (mut labels, mut roles, mut searched) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for run in runs {
        let of_run = run.labels.iter().filter(|(key, value)| key.len() + value.len() < 80);
        labels.extend(of_run.map(|(key, value)| format!("label:{}", label(key, value))));
        let expressions = run.search_attributes().into_iter().flat_map(|attribute| attribute.values);
        let short = expressions.map(|value| value.expression).filter(|text| text.len() < 80);
        searched.extend(short.map(|expression| format!("filter:{expression}")));
        roles.extend(
            run.awaits.iter().flat_map(|awaited| &awaited.roles).map(|role| format!("awaiting:{role}")),
        );
    }
    all.extend(pipelines.iter().take(COMPLETIONS_MAX).map(|pipeline| format!("pipeline:{}", pipeline.name)));
    all.extend(roles.into_iter().take(COMPLETIONS_MAX));
    all.extend(labels.into_iter().take(COMPLETIONS_MAX));
    all.extend(searched.into_iter().take(COMPLETIONS_MAX));
    let steps: BTreeSet<String> = pipelines
        .iter()
        .flat_map(|pipeline| &pipeline.steps)
        .map(|step| format!("step:{}", step.id))
        .collect();
    all.extend(steps.into_iter().take(COMPLETIONS_MAX));
    all
}
