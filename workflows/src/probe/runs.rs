//! Evidence of other runs: those whose labels and status fit.
//!
//! Law: what is not in the evidence is said there. All runs are counted; the newest are named, and how many are not
//! stands beside them; every value of every label stands there with the number of its runs, or null where there are too
//! many to list. A label that is asked for with a list of values fits runs with any of them; how many have each value,
//! and which values no run has, stands there, too.

use std::collections::BTreeMap;
use std::sync::Arc;

use everfold_base::id::{Position, RunId};
use everfold_base::json::Value;
use everfold_base::time::Timestamp;
use everfold_core::state::RunStatus;
use everfold_ports::{Directory, FoundRun, FoundRuns, ProbeFailure, ProbeRequest, Prober, RunQuery};
use everfold_system::clock;
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
/// Values of labels that are asked for at once: of several lists each with each.
const VALUES_MAX: usize = 100;
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
    /// Started within this span before now.
    #[serde(default)]
    max_age: Option<String>,
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
    let asked = AskedLabels::of(&spec.labels)?;
    let started_after = spec.max_age.as_deref().map(started_after).transpose()?;
    let mut status: Vec<RunStatus> = match &spec.status {
        Value::Null => Vec::new(),
        one @ Value::String(_) => vec![status(one)?],
        Value::Array(words) => words.iter().map(status).collect::<Result<_, _>>()?,
        other => return Err(never(format!("`status` is {other}, not one or several words"))),
    };
    // A cancelled run of which something still executes is at work, too.
    if status.contains(&RunStatus::Running) && !status.contains(&RunStatus::Stopping) {
        status.push(RunStatus::Stopping);
    }
    // One more, because the run itself does not count.
    let own = request.id.run;
    let mut counted = Counted::new(&asked);
    let combinations = asked.combinations();
    // All of them together list no more than one does alone; each enough to name the newest.
    let limit = (LISTED_MAX / combinations.len().max(1)).max(NAMED_MAX) + 1;
    for labels in combinations {
        let query = RunQuery {
            labels,
            status: status.clone(),
            pipeline: spec.pipeline.clone(),
            started_after,
            limit,
        };
        let found = directory.runs(query.clone()).await.map_err(|error| not_now(error.to_string()))?;
        let is_listed = found.runs.len() as u64 == found.total;
        let counts_itself = found.runs.iter().any(|other| other.run == own)
            || (!is_listed && {
                let itself = directory.run(own).await.map_err(|error| not_now(error.to_string()))?;
                itself.is_some_and(|itself| query.fits(&itself))
            });
        counted.add(&query.labels, found, counts_itself, own);
    }
    let Counted { total, is_listed, mut others, position, counts } = counted;
    others.sort_by_key(|other| std::cmp::Reverse((other.started_at, other.run)));
    let others: Vec<&FoundRun> = others.iter().collect();
    let runs = named(&others);
    let unnamed = total - runs.len() as u64;
    let mut evidence = json!({
        "total": total,
        "runs": runs,
        "labels": if is_listed { values_of(&others) } else { Value::Null },
        "source": {
            "labels": spec.labels, "status": status, "pipeline": spec.pipeline, "position": position,
            "started_after": started_after,
        },
    });
    if !counts.is_empty() {
        let list = |counts: &BTreeMap<String, u64>| -> Value {
            counts.iter().map(|(value, count)| json!({"value": value, "count": count})).collect()
        };
        let missing = |counts: &BTreeMap<String, u64>| -> Value {
            counts.iter().filter(|(_, count)| **count == 0).map(|(value, _)| value.as_str()).collect()
        };
        evidence["counts"] = counts.iter().map(|(name, counts)| (name.clone(), list(counts))).collect();
        evidence["missing"] = counts.iter().map(|(name, counts)| (name.clone(), missing(counts))).collect();
    }
    if unnamed > 0 {
        evidence["unnamed"] = unnamed.into();
    }
    Ok(evidence)
}

/// The moment behind which a run was started that is no older than a span.
fn started_after(text: &str) -> Result<Timestamp, ProbeFailure> {
    let span = everfold_base::duration::parse(text.trim());
    let span = span.map_err(|error| never(format!("`max_age`: {error}")))?;
    let ms = i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
    Ok(Timestamp(clock::now().0.saturating_sub(ms)))
}

/// The labels that are asked for: each with one value, or with any of a list.
struct AskedLabels {
    single: BTreeMap<String, String>,
    listed: BTreeMap<String, Vec<String>>,
}

impl AskedLabels {
    fn of(labels: &BTreeMap<String, Value>) -> Result<Self, ProbeFailure> {
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let mut asked = Self { single: BTreeMap::new(), listed: BTreeMap::new() };
        for (name, value) in labels {
            match value {
                Value::Array(values) => {
                    let mut values: Vec<String> = values.iter().map(text).collect();
                    values.sort_unstable();
                    values.dedup();
                    asked.listed.insert(name.clone(), values);
                }
                one => drop(asked.single.insert(name.clone(), text(one))),
            }
        }
        let count = asked.listed.values().map(Vec::len).try_fold(1, usize::checked_mul);
        if count.is_none_or(|count| count > VALUES_MAX) {
            return Err(never(format!("`labels` of `runs` asks for more than {VALUES_MAX} values at once")));
        }
        Ok(asked)
    }

    /// Each value of each list with each of the others: a run fits one of them at most.
    fn combinations(&self) -> Vec<BTreeMap<String, String>> {
        let mut all = vec![self.single.clone()];
        for (name, values) in &self.listed {
            let with = |labels: &BTreeMap<String, String>, value: &String| {
                let mut labels = labels.clone();
                labels.insert(name.clone(), value.clone());
                labels
            };
            all = all.iter().flat_map(|labels| values.iter().map(|value| with(labels, value))).collect();
        }
        all
    }
}

/// What the directory found for all combinations.
struct Counted {
    total: u64,
    /// All runs are in the list, but for the run itself.
    is_listed: bool,
    others: Vec<FoundRun>,
    position: Position,
    /// Of each label with a list: how many runs have each of its values.
    counts: BTreeMap<String, BTreeMap<String, u64>>,
}

impl Counted {
    fn new(asked: &AskedLabels) -> Self {
        let zero = |values: &Vec<String>| values.iter().map(|value| (value.clone(), 0)).collect();
        let counts = asked.listed.iter().map(|(name, values)| (name.clone(), zero(values))).collect();
        Self { total: 0, is_listed: true, others: Vec::new(), position: Position::ZERO, counts }
    }

    fn add(&mut self, labels: &BTreeMap<String, String>, found: FoundRuns, counts_itself: bool, own: RunId) {
        let count = found.total - u64::from(counts_itself);
        self.total += count;
        self.is_listed &= found.runs.len() as u64 == found.total;
        self.position = self.position.max(found.position);
        for (name, counts) in &mut self.counts {
            if let Some(known) = labels.get(name).and_then(|value| counts.get_mut(value)) {
                *known += count;
            }
        }
        self.others.extend(found.runs.into_iter().filter(|other| other.run != own));
    }
}

/// The newest runs, as many as have room.
fn named(runs: &[&FoundRun]) -> Vec<Value> {
    let mut bytes = 0;
    let entry = |run: &&FoundRun| {
        json!({
            "id": run.run, "short_id": run.run.short(), "pipeline": run.pipeline,
            "title": run.title, "status": run.status, "labels": run.labels, "started_at": run.started_at,
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
            "`status`: {word} is none; there are queued, running, waiting, paused, blocked, stopping, succeeded, failed, \
             cancelled"
        ))
    })
}
