//! Evidence of other runs: those whose labels and status fit.

use std::collections::BTreeMap;
use std::sync::Arc;

use everfold_engine::execution::{Directory, ProbeFailure, ProbeRequest, Prober, RunQuery};
use everfold_engine::json::Value;
use everfold_engine::state::RunStatus;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde::Deserialize;
use serde_json::json;

use super::{never, not_now};

/// Runs that are named; all are counted.
const NAMED_MAX: usize = 50;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Spec {
    #[serde(default)]
    labels: BTreeMap<String, Value>,
    #[serde(default)]
    status: Value,
    #[serde(default)]
    pipeline: Option<String>,
}

/// Asks which runs there are.
#[derive(Clone)]
pub struct RunsProber {
    directory: Option<Arc<dyn Directory>>,
}

impl RunsProber {
    /// Asks this directory; without one nothing can be found out.
    #[must_use]
    pub fn new(directory: Option<Arc<dyn Directory>>) -> Self {
        Self { directory }
    }
}

impl Prober for RunsProber {
    fn probe(&self, request: ProbeRequest) -> BoxFuture<'static, Result<Value, ProbeFailure>> {
        probe(self.directory.clone(), request).boxed()
    }
}

async fn probe(directory: Option<Arc<dyn Directory>>, request: ProbeRequest) -> Result<Value, ProbeFailure> {
    let spec: Spec =
        serde_json::from_value(request.spec.clone()).map_err(|error| never(format!("`runs`: {error}")))?;
    let directory = directory.ok_or_else(|| never("other runs cannot be asked about here"))?;
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let labels: BTreeMap<String, String> =
        spec.labels.iter().map(|(name, value)| (name.clone(), text(value))).collect();
    let status: Vec<RunStatus> = match &spec.status {
        Value::Null => Vec::new(),
        one @ Value::String(_) => vec![status(one)?],
        Value::Array(words) => words.iter().map(status).collect::<Result<_, _>>()?,
        other => return Err(never(format!("`status` is {other}, not one or several words"))),
    };
    // One more, because the run itself does not count.
    let query = RunQuery { labels, status, pipeline: spec.pipeline, limit: NAMED_MAX + 1 };
    let own = request.id.run;
    let asked = query.clone();
    let found = directory.runs(query).await.map_err(|error| not_now(error.to_string()))?;
    let is_among = found.runs.iter().any(|other| other.run == own);
    let counts_itself = is_among
        || (found.total > found.runs.len() as u64 && {
            let alone = RunQuery { limit: usize::MAX, ..asked.clone() };
            let all = directory.runs(alone).await.map_err(|error| not_now(error.to_string()))?;
            all.runs.iter().any(|other| other.run == own)
        });
    let others = found.runs.iter().filter(|other| other.run != own).take(NAMED_MAX);
    let runs: Vec<Value> = others
        .map(|other| {
            json!({
                "id": other.run, "short_id": other.run.short(), "pipeline": other.pipeline,
                "title": other.title, "status": other.status, "labels": other.labels,
            })
        })
        .collect();
    Ok(json!({
        "total": found.total - u64::from(counts_itself),
        "runs": runs,
        "source": {"labels": asked.labels, "status": asked.status, "pipeline": asked.pipeline, "position": found.position},
    }))
}

fn status(word: &Value) -> Result<RunStatus, ProbeFailure> {
    serde_json::from_value(word.clone()).map_err(|_| {
        never(format!(
            "`status`: {word} is none; there are queued, running, waiting, paused, blocked, succeeded, failed, cancelled"
        ))
    })
}
