//! Evidence of a change: what differs from the commit that the run started from, or that a step of it left.

use std::collections::BTreeSet;
use std::io::Read as _;

use everfold_base::json::{Hash, Value};
use everfold_ports::{ProbeFailure, ProbeRequest, Prober};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde_json::{Map, json};

use super::failures::{gone, never, not_now};
use super::refused_rounds::{RefusedRound, still_changed};
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
    let passed = is_since_passed(&request.spec);
    if request.spec["since"] == "round" || passed {
        base = own_base(&git, request.id.run, &base, "HEAD").await.map_err(failed)?;
    }
    let base = base.as_str();
    let untracked = git.bytes(&["ls-files", "--others", "--exclude-standard", "-z"]).await.map_err(failed)?;
    let untracked = text(&untracked);
    let own = own_paths(&git, &request.spec).await?;
    let head = head(&request.workdir).await.map_err(failed)?;
    let mut change = CountedDiff::default();
    let mut left = Vec::new();
    if passed {
        let refused = refused(&request.spec)?;
        let changed =
            still_changed(&git, request.id.run, &refused, base, &untracked).await.map_err(failed)?;
        let is_own = |path: &String| own.as_ref().is_none_or(|own| own.contains(path));
        left = changed.left().into_iter().filter(is_own).collect();
        for (found_at, mut paths) in changed.by_commit() {
            paths.retain(is_own);
            change.count(&git, &found_at, Some(&paths)).await.map_err(failed)?;
        }
    } else {
        change.count(&git, base, own.as_ref()).await.map_err(failed)?;
    }
    for name in untracked {
        change.added += lines_of(&request.workdir.path.join(&name));
        change.names.push(name);
    }
    let CountedDiff { mut names, added, deleted, patch } = change;
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
        "source": {"base": base, "commit": head, "since": request.spec.get("since"), "patch": Hash::of(&patch).to_string()},
    });
    if passed {
        left.truncate(NAMES_MAX);
        evidence["left"] = left.into();
    }
    if let Some(fields) = evidence.as_object_mut() {
        fields.extend(parameters);
    }
    Ok(evidence)
}

/// What differs, counted.
#[derive(Default)]
struct CountedDiff {
    names: Vec<String>,
    added: u64,
    deleted: u64,
    /// Every path with what it was and what it is: two changes are the same where these are.
    patch: Vec<u8>,
}

impl CountedDiff {
    /// Adds what differs from a commit; of `only` these paths, where they are given.
    async fn count(
        &mut self,
        git: &Git,
        commit: &str,
        only: Option<&BTreeSet<String>>,
    ) -> Result<(), GitError> {
        let plain = ["-z", "--no-renames", "--no-ext-diff", "--no-textconv", commit, "--"];
        let is_meant = |path: &str| only.is_none_or(|only| only.contains(path));
        for line in text(&git.bytes(&[&["diff", "--numstat"], &plain[..]].concat()).await?) {
            let mut parts = line.splitn(3, '\t');
            // Binary files show `-` and count no lines.
            let mut number = || parts.next().and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
            let (added, deleted) = (number(), number());
            if let Some(path) = parts.next().filter(|path| is_meant(path)) {
                self.added += added;
                self.deleted += deleted;
                self.names.push(path.to_owned());
            }
        }
        let raw = git.bytes(&[&["diff", "--raw", "--no-abbrev"], &plain[..]].concat()).await?;
        // An entry is what changed, and behind it the path.
        let raw = text(&raw);
        for entry in raw.chunks_exact(2).filter(|entry| is_meant(&entry[1])) {
            entry.iter().for_each(|part| self.patch.extend(part.bytes().chain([0])));
        }
        Ok(())
    }
}

/// What does not stand as it does where this branch was last brought together with the commit of `merged`: the rest came
/// by a merge. `None`: nothing is said of merges.
async fn own_paths(git: &Git, spec: &Value) -> Result<Option<BTreeSet<String>>, ProbeFailure> {
    let Some(merged) = spec["merged"].as_str().map(str::trim).filter(|merged| !merged.is_empty()) else {
        return Ok(None);
    };
    let unknown = |error: GitError| never(format!("`merged: {merged}`: {error}"));
    if merged.starts_with('-') {
        return Err(never(format!("`merged: {merged}` names no commit")));
    }
    let common = git.text(&["merge-base", merged, "HEAD"]).await.map_err(unknown)?;
    let differs =
        ["diff", "--name-only", "-z", "--no-renames", "--no-ext-diff", "--no-textconv", &common, "--"];
    let differs = git.bytes(&differs).await.map_err(|error| not_now(error.to_string()))?;
    Ok(Some(text(&differs).into_iter().collect()))
}

/// Whether all is compared that the step changed since its gates last passed: `passed` as a word, not a step of that name,
/// whose commit stands beside.
fn is_since_passed(spec: &Value) -> bool {
    spec["since"] == "passed" && spec.get("refused").is_some()
}

/// What rounds of the step changed that were refused: from which commit to which, oldest first.
fn refused(spec: &Value) -> Result<Vec<RefusedRound>, ProbeFailure> {
    serde_json::from_value(spec["refused"].clone())
        .map_err(|error| never(format!("`refused` is no list of commits: {error}")))
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

/// The commit that is compared with: where a step is named, the one that it left; where the round is, or what passed, that
/// at which the round began; else the run's first.
fn base(spec: &Value, first: &str) -> Result<String, ProbeFailure> {
    let Some(step) = spec.get("since").and_then(Value::as_str) else { return Ok(first.to_owned()) };
    match spec.get("base").and_then(Value::as_str).map(str::trim) {
        Some(commit) if is_commit(commit) => Ok(commit.to_owned()),
        _none if step == "round" || is_since_passed(spec) => {
            Err(never(format!("`since: {step}`: it is not known at which commit the round began")))
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
            "since" | "base" | "refused" | "merged" => continue,
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
