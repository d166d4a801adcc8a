//! Evidence of other runs: those whose labels and status fit.
//!
//! Law: what is not in the evidence is said there. All runs are counted; the newest are named, and how many are not
//! stands beside them; every value of every label stands there with the number of its runs, or null where there are too
//! many to list.

use std::collections::BTreeMap;
use std::sync::Arc;

use everfold_base::json::Value;
use everfold_core::state::RunStatus;
use everfold_ports::{Directory, FoundRun, ProbeFailure, ProbeRequest, Prober, RunQuery};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde::Deserialize;
use serde_json::json;

use super::failures::{never, not_now};

/// Runs that are named, and the bytes of their entries; all are counted.
const NAMED_MAX: usize = 50;
const NAMED_BYTES_MAX: usize = 16 * 1024;
/// Runs whose labels are looked at.
const LISTED_MAX: usize = 10_000;
/// The bytes of the values that are listed.
const VALUES_BYTES_MAX: usize = 8 * 1024;

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
    let query = RunQuery { labels, status, pipeline: spec.pipeline, limit: LISTED_MAX + 1 };
    let own = request.id.run;
    let asked = query.clone();
    let found = directory.runs(query).await.map_err(|error| not_now(error.to_string()))?;
    let is_listed = found.runs.len() as u64 == found.total;
    let counts_itself = found.runs.iter().any(|other| other.run == own)
        || (!is_listed && {
            let itself = directory.run(own).await.map_err(|error| not_now(error.to_string()))?;
            itself.is_some_and(|itself| asked.fits(&itself))
        });
    let total = found.total - u64::from(counts_itself);
    let others: Vec<&FoundRun> = found.runs.iter().filter(|other| other.run != own).collect();
    let runs = named(&others);
    let unnamed = total - runs.len() as u64;
    let mut evidence = json!({
        "total": total,
        "runs": runs,
        "labels": if is_listed { values_of(&others) } else { Value::Null },
        "source": {"labels": asked.labels, "status": asked.status, "pipeline": asked.pipeline, "position": found.position},
    });
    if unnamed > 0 {
        evidence["unnamed"] = unnamed.into();
    }
    Ok(evidence)
}

/// The newest runs, as many as have room.
fn named(runs: &[&FoundRun]) -> Vec<Value> {
    let mut bytes = 0;
    let entry = |run: &&FoundRun| {
        json!({
            "id": run.run, "short_id": run.run.short(), "pipeline": run.pipeline,
            "title": run.title, "status": run.status, "labels": run.labels,
        })
    };
    let has_room = |entry: &Value| {
        bytes += entry.to_string().len();
        bytes <= NAMED_BYTES_MAX
    };
    runs.iter().take(NAMED_MAX).map(entry).take_while(has_room).collect()
}

/// `{NAME: [{value, count}, …]}` in the order of the values; null for a name whose values have no room.
fn values_of(runs: &[&FoundRun]) -> Value {
    let mut counts: BTreeMap<&str, BTreeMap<&str, u64>> = BTreeMap::new();
    for (name, value) in runs.iter().flat_map(|run| &run.labels) {
        *counts.entry(name).or_default().entry(value).or_default() += 1;
    }
    let mut lists: Vec<(&str, Value)> = counts
        .into_iter()
        .map(|(name, values)| {
            let list = values.into_iter().map(|(value, count)| json!({"value": value, "count": count}));
            (name, list.collect())
        })
        .collect();
    // Short lists first, so that a label with a value for each run takes no room from the others.
    lists.sort_by_key(|(_, list)| list.as_array().map_or(0, Vec::len));
    let mut bytes = 0;
    let mut labels = serde_json::Map::new();
    for (name, list) in lists {
        bytes += name.len() + list.to_string().len();
        labels.insert(name.to_owned(), if bytes <= VALUES_BYTES_MAX { list } else { Value::Null });
    }
    Value::Object(labels)
}

fn status(word: &Value) -> Result<RunStatus, ProbeFailure> {
    serde_json::from_value(word.clone()).map_err(|_| {
        never(format!(
            "`status`: {word} is none; there are queued, running, waiting, paused, blocked, succeeded, failed, cancelled"
        ))
    })
}
