//! Evidence of a change: what differs from the commit that the run started from, or that a step of it left.

use std::io::Read as _;

use everfold_base::json::Value;
use everfold_ports::{ProbeFailure, ProbeRequest, Prober};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde_json::{Map, json};

use super::failures::{gone, never, not_now};
use crate::git::{Git, GitError, head, own_base};
use everfold_system::regular;

/// Names that the evidence lists; all are counted.
const NAMES_MAX: usize = 1_000;
/// Bytes of one untracked file whose lines are counted.
const UNTRACKED_BYTES_MAX: u64 = 4 * 1024 * 1024;
const BOUNDS: [&str; 3] = ["min_files", "max_files", "max_lines"];
const LISTS: [&str; 2] = ["allow", "deny"];

/// Compares a worktree with its base: tracked and untracked files, ignored ones left out.
#[derive(Debug, Clone, Copy, Default)]
pub struct DiffProber;

impl Prober for DiffProber {
    fn probe(&self, request: ProbeRequest) -> BoxFuture<'static, Result<Value, ProbeFailure>> {
        probe(request).boxed()
    }
}

async fn probe(request: ProbeRequest) -> Result<Value, ProbeFailure> {
    let parameters = parameters(&request.spec)?;
    let Some(workdir) = &request.workdir.git else {
        return Err(never("`diff` needs a git workspace"));
    };
    let failed = |error: GitError| not_now(error.to_string());
    let git = Git::within(&request.workdir).map_err(gone)?;
    let mut base = base(&request.spec, &workdir.base_commit)?;
    if request.spec["since"] == "round" {
        base = own_base(&git, request.id.run, &base).await.map_err(failed)?;
    }
    let base = base.as_str();
    let arguments = ["diff", "--numstat", "-z", "--no-renames", "--no-ext-diff", "--no-textconv", base, "--"];
    let changed = git.bytes(&arguments).await.map_err(failed)?;
    let untracked = git.bytes(&["ls-files", "--others", "--exclude-standard", "-z"]).await.map_err(failed)?;
    let head = head(&request.workdir).await.map_err(failed)?;
    let mut names = Vec::new();
    let (mut added, mut deleted) = (0, 0);
    for line in text(&changed) {
        let mut parts = line.splitn(3, '\t');
        // Binary files show `-` and count no lines.
        let mut number = || parts.next().and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
        added += number();
        deleted += number();
        names.extend(parts.next().map(str::to_owned));
    }
    for name in text(&untracked) {
        added += lines_of(&request.workdir.path.join(&name));
        names.push(name);
    }
    names.sort_unstable();
    names.dedup();
    let files = names.len();
    names.truncate(NAMES_MAX);
    let mut evidence = json!({
        "files": files,
        "lines": added + deleted,
        "added": added,
        "deleted": deleted,
        "names": names,
        "source": {"base": base, "commit": head, "since": request.spec.get("since")},
    });
    if let Some(fields) = evidence.as_object_mut() {
        fields.extend(parameters);
    }
    Ok(evidence)
}

fn text(bytes: &[u8]) -> Vec<String> {
    bytes
        .split(|byte| *byte == 0)
        .filter(|part| !part.is_empty())
        .map(|part| String::from_utf8_lossy(part).into_owned())
        .collect()
}

fn lines_of(path: &std::path::Path) -> u64 {
    let is_file = path.symlink_metadata().is_ok_and(|metadata| metadata.is_file());
    let mut bytes = Vec::new();
    let read = regular::open(path).and_then(|file| file.take(UNTRACKED_BYTES_MAX).read_to_end(&mut bytes));
    if !is_file || read.is_err() || bytes.contains(&0) {
        return 0;
    }
    bytes.split_inclusive(|byte| *byte == b'\n').count() as u64
}

/// The commit that is compared with: where a step is named, the one that it left; where the round is, that at which it
/// began; else the run's first.
fn base(spec: &Value, first: &str) -> Result<String, ProbeFailure> {
    let Some(step) = spec.get("since").and_then(Value::as_str) else { return Ok(first.to_owned()) };
    match spec.get("base").and_then(Value::as_str).map(str::trim) {
        Some(commit) if is_commit(commit) => Ok(commit.to_owned()),
        _none if step == "round" => {
            Err(never("`since: round`: it is not known at which commit the round began"))
        }
        _none => Err(never(format!(
            "`since: {step}`: the step {step} left no commit; the workspace needs `save: commit`"
        ))),
    }
}

fn is_commit(text: &str) -> bool {
    text.len() >= 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The parameters that the default policy needs, each of its type.
fn parameters(spec: &Value) -> Result<Map<String, Value>, ProbeFailure> {
    let mut parameters = Map::new();
    for (name, value) in spec.as_object().into_iter().flatten() {
        let value = match name.as_str() {
            name if BOUNDS.contains(&name) => match bound(name, Some(value))? {
                Some(number) => number.into(),
                None => continue,
            },
            name if LISTS.contains(&name) => match value {
                Value::Null => continue,
                Value::String(_) => json!([value]),
                Value::Array(items) if items.iter().all(Value::is_string) => value.clone(),
                other => return Err(never(format!("`{name}` is {other}, not a list of globs"))),
            },
            "since" | "base" => continue,
            other => return Err(never(format!("`diff` knows no {other}"))),
        };
        parameters.insert(name.clone(), value);
    }
    Ok(parameters)
}

/// A bound: a whole number, or its text as a template gives it.
pub(super) fn bound(name: &str, value: Option<&Value>) -> Result<Option<u64>, ProbeFailure> {
    let number = match value {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) => text.trim().parse().ok(),
        Some(other) => other.as_u64(),
    };
    number
        .map(Some)
        .ok_or_else(|| never(format!("`{name}` is {}, not a whole number", value.unwrap_or(&Value::Null))))
}
