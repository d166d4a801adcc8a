//! Evidence of a setting: what its documents say at this moment.

use std::collections::BTreeMap;
use std::path::PathBuf;

use everfold_base::json::Value;
use everfold_core::decide::begin::skipped_list;
use everfold_ports::{ProbeFailure, ProbeRequest, Prober};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde::Deserialize;
use serde_json::json;

use super::failures::{never, not_now};
use crate::documents::{DocumentReadError, DocumentSource, merged};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Spec {
    path: String,
    /// Put there by the core: the sources of the document that the path begins with.
    #[serde(default)]
    documents: Vec<DocumentSource>,
    /// Put there by the core: the schemas of records in settings.
    #[serde(default)]
    records: BTreeMap<String, Value>,
}

/// Reads settings documents anew.
#[derive(Debug, Clone, Copy, Default)]
pub struct ConfigProber;

impl Prober for ConfigProber {
    fn probe(&self, request: ProbeRequest) -> BoxFuture<'static, Result<Value, ProbeFailure>> {
        async move {
            tokio::task::spawn_blocking(move || probe(&request))
                .await
                .unwrap_or_else(|error| Err(not_now(format!("reading settings failed: {error}"))))
        }
        .boxed()
    }
}

fn probe(request: &ProbeRequest) -> Result<Value, ProbeFailure> {
    let spec: Spec =
        serde_json::from_value(request.spec.clone()).map_err(|error| never(format!("`config`: {error}")))?;
    let mut parts = spec.path.split('.');
    let name = parts.next().unwrap_or_default();
    if spec.documents.is_empty() {
        return Err(never(format!("the pipeline has no settings document “{name}” under `config`")));
    }
    let found =
        merged(&request.workdir.path, &spec.documents, (name, &spec.records)).map_err(
            |error| match error {
                DocumentReadError::Io { .. } | DocumentReadError::NoneThere { .. } => {
                    not_now(error.to_string())
                }
                DocumentReadError::Malformed { .. } | DocumentReadError::TooLarge { .. } => {
                    not_now(error.to_string())
                }
            },
        )?;
    let mut value = Some(&found.value);
    for part in parts {
        value = value.and_then(|value| match value {
            Value::Array(items) => items.get(part.parse::<usize>().ok()?),
            other => other.get(part),
        });
    }
    let files: Vec<PathBuf> = found.files;
    let mut evidence = json!({
        "exists": value.is_some(),
        "value": value,
        "path": spec.path,
        "source": {"document": name, "files": files, "hash": everfold_base::json::Hash::of(everfold_base::json::canonical(&found.value).as_bytes())},
    });
    if !spec.records.is_empty() {
        evidence["skipped"] = skipped_list(&found.skipped);
    }
    Ok(evidence)
}
