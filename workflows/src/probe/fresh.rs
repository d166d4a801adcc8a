//! Whether files changed since the round of the judged work began.
//!
//! What stands in the commit that the round began with is compared with that; anything else (files
//! that git ignores, work outside of a repository) by when it was last written.

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use everfold_base::json::Value;
use everfold_ports::{Fresh, ProbeFailure, Workdir};
use serde_json::json;

use super::failures::{gone, not_now};
use crate::git::{Git, GitError};

/// File times come from a clock that ticks, so they may be a little earlier than the moment.
const TICK_MS: i64 = 20;
/// Files that are compared in one call of git.
const AT_ONCE: usize = 256;

/// Notes in the evidence since when a file counts. It stands with the source: it is another moment in each round,
/// and says nothing of what was found. `compare` says that whether a file is fresh is no part of what was found, either:
/// a document that was refused and is left as it is counts as the same evidence.
pub(super) fn note(evidence: &mut Value, fresh: &Fresh) {
    let since = json!({"fresh_since": {"commit": fresh.commit, "at": fresh.at, "compare": "found"}});
    match (&mut evidence["source"], since) {
        (Value::Object(source), Value::Object(since)) => source.extend(since),
        (Value::Array(sources), since) => sources.push(since),
        (source, since) => *source = since,
    }
}

/// Those of `paths` (files of the workdir that are there, relative to it) that are as they were.
pub(super) async fn unchanged(
    workdir: &Workdir,
    fresh: &Fresh,
    paths: &[String],
) -> Result<Vec<String>, ProbeFailure> {
    let mut unchanged = Vec::new();
    for some in paths.chunks(AT_ONCE) {
        let committed = match (&workdir.git, &fresh.commit) {
            (Some(_), Some(commit)) => committed(workdir, commit, some).await?,
            _no_repository => HashMap::new(),
        };
        for path in some {
            let is_same = match committed.get(path) {
                Some(is_same) => *is_same,
                None => !written_since(&workdir.path.join(path), fresh),
            };
            if is_same {
                unchanged.push(path.clone());
            }
        }
    }
    Ok(unchanged)
}

/// Of the files that are in the commit: whether they are the same now.
async fn committed(
    workdir: &Workdir,
    commit: &str,
    paths: &[String],
) -> Result<HashMap<String, bool>, ProbeFailure> {
    let failed = |error: GitError| not_now(error.to_string());
    let git = Git::within(workdir).map_err(gone)?;
    let mut arguments = vec!["ls-tree", "-z", commit, "--"];
    arguments.extend(paths.iter().map(String::as_str));
    let listed = git.bytes(&arguments).await.map_err(failed)?;
    let listed = String::from_utf8_lossy(&listed);
    let entry = |line: &str| {
        let (about, path) = line.split_once('\t')?;
        let hash = about.split(' ').nth(2)?;
        Some((path.to_owned(), hash.to_owned()))
    };
    let known: Vec<(String, String)> = listed.split('\0').filter_map(entry).collect();
    if known.is_empty() {
        return Ok(HashMap::new());
    }
    // As it would be committed: git's filters for line ends and the like apply.
    let mut arguments = vec!["hash-object", "--"];
    arguments.extend(known.iter().map(|(path, _)| path.as_str()));
    let now = git.text(&arguments).await.map_err(failed)?;
    let pairs = known.into_iter().zip(now.lines());
    Ok(pairs.map(|((path, then), now)| (path, then == now)).collect())
}

/// By the time of the last change of the file itself, which no program can set.
fn written_since(file: &Path, fresh: &Fresh) -> bool {
    let Ok(metadata) = file.metadata() else { return false };
    let at_ms = metadata.ctime() * 1_000 + metadata.ctime_nsec() / 1_000_000;
    at_ms + TICK_MS >= fresh.at.0
}

/// A path as git and evidence name it: relative to the workdir.
pub(super) fn relative(workdir: &Path, path: &Path) -> String {
    let root = workdir.canonicalize();
    let root = root.as_deref().unwrap_or(workdir);
    let relative = path.strip_prefix(root).or_else(|_| path.strip_prefix(workdir)).unwrap_or(path);
    relative.to_string_lossy().trim_start_matches("./").to_owned()
}
