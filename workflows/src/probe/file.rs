//! Evidence of files: whether they are there, and whether they are sound.

use std::path::{Path, PathBuf};

use everfold_base::json::Value;
use everfold_core::policy::Glob;
use everfold_ports::{Fresh, ProbeFailure, ProbeRequest, Prober, Workdir};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use regex::Regex;
use serde::Deserialize;
use serde_json::json;

use super::failures::{never, not_now};
use super::fresh::{note, relative, unchanged};
use super::source::{Content, commit_of, describe, in_worktree, no_file};
use crate::byte_order_mark::behind_mark;
use crate::process::Processes;
use crate::secret::{Mask, probed};
use crate::workspace_path::{ResolvedPath, resolve};
use crate::yaml;

/// Files and folders that a glob looks at.
const WALK_MAX: usize = 200_000;
/// Files that a glob finds; more are counted no further.
const FOUND_MAX: usize = 1_000;
/// Files whose content is kept with the evidence; of more, only the hash.
const KEPT_MAX: usize = 20;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Spec {
    exists: Option<String>,
    all: Option<Vec<String>>,
    glob: Option<String>,
    min: Option<Value>,
    #[serde(rename = "in")]
    folder: Option<String>,
    #[serde(default)]
    json: bool,
    #[serde(default)]
    yaml: bool,
    matches: Option<String>,
}

/// Looks for files.
#[derive(Clone)]
pub struct FileProber {
    processes: Processes,
}

impl FileProber {
    /// Keeps what it read as blobs.
    #[must_use]
    pub fn new(processes: Processes) -> Self {
        Self { processes }
    }
}

impl Prober for FileProber {
    fn probe(&self, request: ProbeRequest) -> BoxFuture<'static, Result<Value, ProbeFailure>> {
        let (processes, secrets) = (self.processes.clone(), self.processes.secrets.clone());
        let probe = |request: ProbeRequest, mask: Mask| async move {
            let commit = commit_of(&request.workdir).await;
            let (workdir, fresh) = (request.workdir.clone(), request.fresh.clone());
            let look = move || probe(&processes, &request, &mask, commit.as_deref());
            let found = tokio::task::spawn_blocking(look)
                .await
                .unwrap_or_else(|error| Err(not_now(format!("looking for files failed: {error}"))))?;
            match fresh {
                None => Ok(found),
                Some(fresh) => with_freshness(found, &workdir, &fresh).await,
            }
        };
        probed(secrets, request, probe).boxed()
    }
}

fn probe(
    processes: &Processes,
    request: &ProbeRequest,
    mask: &Mask,
    commit: Option<&str>,
) -> Result<Value, ProbeFailure> {
    let spec: Spec =
        serde_json::from_value(request.spec.clone()).map_err(|error| never(format!("`file`: {error}")))?;
    let pattern = match &spec.matches {
        Some(text) => Some(Regex::new(text).map_err(|error| never(format!("`matches`: {error}")))?),
        None => None,
    };
    let base = match &spec.folder {
        None => request.workdir.path.clone(),
        Some(folder) => match resolve(&request.workdir.path, folder) {
            ResolvedPath::Inside(base) => base,
            // What is looked for in a folder that is not there is not there.
            ResolvedPath::Missing => request.workdir.path.join(folder),
            ResolvedPath::Outside(reason) => return Err(never(reason)),
        },
    };
    let wanted = match (&spec.exists, &spec.all, &spec.glob) {
        (Some(one), None, None) => vec![one.clone()],
        (None, Some(all), None) => all.clone(),
        (None, None, Some(glob)) => walk(&base, glob)?,
        _ => return Err(never("`file` needs one of exists, all, glob")),
    };
    let placed = |path: &str| match &spec.folder {
        Some(folder) => Path::new(folder).join(path).to_string_lossy().into_owned(),
        None => path.to_owned(),
    };
    let looks_inside = spec.json || spec.yaml || pattern.is_some();
    let mut files = Vec::new();
    let mut sources = Vec::new();
    for path in &wanted {
        let content = match (&spec.glob, base.is_dir()) {
            (_, false) => Content::Missing,
            // What a glob finds is there; it is read only where it matters what it says.
            (Some(_), true) if !looks_inside => Content::Unread,
            // Links may lead anywhere in the workspace, also out of `in`.
            (_, true) => in_worktree(&request.workdir.path, &placed(path))?,
        };
        let problem = match &content {
            Content::Missing => no_file(&request.workdir.path, &placed(path)).map(str::to_owned),
            // Without a look inside, size does not matter.
            Content::Unread if spec.json || spec.yaml || pattern.is_some() => {
                Some("larger than 1 MiB".to_owned())
            }
            Content::Unread => None,
            Content::Bytes(bytes) => problem(&spec, pattern.as_ref(), bytes),
        };
        let bytes = match &content {
            Content::Bytes(bytes) => Some(bytes.as_slice()),
            _ => None,
        };
        let exists = !matches!(content, Content::Missing);
        let mut file = json!({"path": path, "exists": exists});
        if let Some(problem) = problem {
            file["problem"] = problem.into();
        }
        if exists {
            let kept = (wanted.len() <= KEPT_MAX).then_some((&*processes.blobs, request.id.run));
            sources.push(describe(kept, mask, path, commit, bytes));
        }
        files.push(file);
    }
    let sound: Vec<&Value> = files
        .iter()
        .filter(|file| file["exists"] == true && file.get("problem").is_none())
        .map(|file| &file["path"])
        .collect();
    let mut evidence = json!({
        "exists": !files.is_empty() && files.iter().all(|file| file["exists"] == true),
        "path": spec.exists.as_ref().or(spec.glob.as_ref()).or(wanted.first()),
        "matches": sound,
        "files": files,
        "source": match sources.as_slice() {
            [one] => one.clone(),
            many => many.into(),
        },
    });
    if let Some(folder) = &spec.folder {
        evidence["in"] = folder.clone().into();
    }
    if let Some(glob) = &spec.glob {
        evidence["glob"] = glob.clone().into();
        evidence["min"] = min(spec.min.as_ref())?.into();
    }
    Ok(evidence)
}

/// Files that did not change in this round do not count: of those a glob finds they are left out, of
/// those that were asked for by name they fail.
async fn with_freshness(
    mut evidence: Value,
    workdir: &Workdir,
    fresh: &Fresh,
) -> Result<Value, ProbeFailure> {
    let folder = evidence["in"].as_str().unwrap_or_default().to_owned();
    let listed = evidence["files"].as_array().cloned().unwrap_or_default();
    let place = |file: &Value| {
        let path = Path::new(&folder).join(file["path"].as_str().unwrap_or_default());
        relative(&workdir.path, &path)
    };
    let there: Vec<String> = listed.iter().filter(|file| file["exists"] == true).map(place).collect();
    let stale = unchanged(workdir, fresh, &there).await?;
    let is_stale = |file: &Value| stale.contains(&place(file));
    let mut names = Vec::new();
    for file in evidence["files"].as_array_mut().into_iter().flatten() {
        if is_stale(file) {
            names.push(file["path"].clone());
            file["problem"] = "unchanged since the round began".into();
        }
    }
    if let Some(matches) = evidence["matches"].as_array_mut() {
        matches.retain(|path| !names.contains(path));
    }
    if evidence.get("glob").is_none() {
        evidence["unchanged"] = Value::Array(names);
    }
    note(&mut evidence, fresh);
    Ok(evidence)
}

fn min(value: Option<&Value>) -> Result<u64, ProbeFailure> {
    super::diff::bound("min", value).map(|min| min.unwrap_or(1))
}

fn problem(spec: &Spec, pattern: Option<&Regex>, bytes: &[u8]) -> Option<String> {
    let Ok(text) = std::str::from_utf8(behind_mark(bytes)) else { return Some("no UTF-8 text".to_owned()) };
    if spec.json
        && let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(text)
    {
        return Some(format!("no JSON: {error}"));
    }
    if spec.yaml
        && let Err(error) = yaml::read(text)
    {
        return Some(format!("no YAML: {error}"));
    }
    match pattern {
        Some(pattern) if !pattern.is_match(text) => Some(format!("nothing matches {pattern}")),
        _ => None,
    }
}

/// The files below `base` that fit the glob, sorted; links to folders are not followed.
pub(super) fn walk(base: &Path, glob: &str) -> Result<Vec<String>, ProbeFailure> {
    let matcher = Glob::new(glob);
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = vec![PathBuf::new()];
    let mut seen = 0;
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(base.join(&folder)) else { continue };
        for entry in entries.flatten() {
            seen += 1;
            if seen > WALK_MAX {
                return Err(never(format!(
                    "{glob} looks at more than {WALK_MAX} files; narrow it with `in`"
                )));
            }
            let path = folder.join(entry.file_name());
            match entry.file_type() {
                Ok(kind) if kind.is_dir() && entry.file_name() != ".git" => folders.push(path),
                Ok(kind) if !kind.is_dir() => {
                    let path = path.to_string_lossy().into_owned();
                    if matcher.matches(&path) {
                        found.push(path);
                    }
                }
                _ => {}
            }
        }
    }
    found.sort_unstable();
    found.truncate(FOUND_MAX);
    Ok(found)
}
