//! Evidence of a document's head: the fields between two lines of `---`.

use std::path::Path;

use everfold_base::json::Value;
use everfold_ports::{Fresh, ProbeFailure, ProbeRequest, Prober};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde::Deserialize;
use serde_json::{Map, json};

use super::failures::never;
use super::fetch::fetch;
use super::fresh::{note, relative, unchanged};
use super::source::{Content, changed_at, commit_of, describe, in_commit, in_worktree};
use crate::process::Processes;
use crate::secret::{Mask, probed};
use crate::yaml;

const WORKTREE: &str = "worktree";
/// Bytes of the file's text that the evidence holds.
const TEXT_BYTES_MAX: usize = 16 * 1024;
/// So far the clock of who committed may be behind.
const CLOCKS_APART_MS: i64 = 2_000;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Spec {
    file: String,
    #[serde(default)]
    fields: Words,
    #[serde(default)]
    pass: Words,
    #[serde(default)]
    fail: Words,
    #[serde(default, rename = "match")]
    how: Option<String>,
    #[serde(default)]
    from: Words,
    /// Branches of remotes are fetched first.
    #[serde(default)]
    fetch: bool,
    /// The evidence holds the file's text.
    #[serde(default)]
    text: bool,
}

/// A word, or a list of words; numbers and truth values count as their text.
#[derive(Debug, Default)]
struct Words(Vec<String>);

impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let word = |value: &Value| match value {
            Value::String(text) => Ok(text.clone()),
            Value::Number(_) | Value::Bool(_) => Ok(value.to_string()),
            other => Err(serde::de::Error::custom(format!("{other} is no word"))),
        };
        match Value::deserialize(deserializer)? {
            Value::Null => Ok(Self::default()),
            Value::Array(items) => items.iter().map(word).collect::<Result<_, _>>().map(Self),
            one => word(&one).map(|word| Self(vec![word])),
        }
    }
}

/// Reads the heads of documents.
#[derive(Clone)]
pub struct FrontmatterProber {
    processes: Processes,
}

impl FrontmatterProber {
    /// Keeps what it read as blobs.
    #[must_use]
    pub fn new(processes: Processes) -> Self {
        Self { processes }
    }
}

impl Prober for FrontmatterProber {
    fn probe(&self, request: ProbeRequest) -> BoxFuture<'static, Result<Value, ProbeFailure>> {
        let (processes, secrets) = (self.processes.clone(), self.processes.secrets.clone());
        probed(secrets, request, move |request, mask| probe(processes, request, mask)).boxed()
    }
}

async fn probe(processes: Processes, request: ProbeRequest, mask: Mask) -> Result<Value, ProbeFailure> {
    let spec: Spec = serde_json::from_value(request.spec.clone())
        .map_err(|error| never(format!("`frontmatter`: {error}")))?;
    let fields = if spec.fields.0.is_empty() { vec!["status".to_owned()] } else { spec.fields.0.clone() };
    let places = if spec.from.0.is_empty() { vec![WORKTREE.to_owned()] } else { spec.from.0.clone() };
    let (mut found, mut fetched) = (None, Vec::new());
    for place in &places {
        let (commit, content) = if place == WORKTREE {
            (commit_of(&request.workdir).await, in_worktree(&request.workdir.path, &spec.file)?)
        } else {
            if spec.fetch
                && let Some(fetch) = fetch(&request.workdir, place).await
            {
                fetched.push(fetch);
            }
            let (commit, content) = in_commit(&request.workdir, place, &spec.file).await?;
            (Some(commit), content)
        };
        // The first place that has the file decides, whatever stands in it.
        if !matches!(content, Content::Missing) {
            found = Some((place.clone(), commit, content));
            break;
        }
    }
    let (from, commit, bytes, head) = match found {
        None => (None, None, None, Err("does not exist".to_owned())),
        Some((from, commit, Content::Bytes(bytes))) => {
            let head = head_of(&bytes);
            (Some(from), commit, Some(bytes), head)
        }
        Some((from, commit, _)) => (Some(from), commit, None, Err("is larger than 1 MiB".to_owned())),
    };
    let (values, problem) = match head {
        Ok(values) => (values, None),
        Err(problem) => (Map::new(), Some(problem)),
    };
    let picked: Map<String, Value> =
        fields.iter().map(|name| (name.clone(), values.get(name).cloned().unwrap_or_default())).collect();
    let kept = Some((&*processes.blobs, request.id.run));
    let mut evidence = json!({
        "file": spec.file,
        "from": from,
        "value": picked.get(&fields[0]).and_then(text),
        "fields": picked,
        "order": fields,
        "pass": spec.pass.0,
        "fail": spec.fail.0,
        "match": spec.how.as_deref().unwrap_or("exact"),
        "source": describe(kept, &mask, &spec.file, commit.as_deref(), bytes.as_deref()),
    });
    if let Some(problem) = problem {
        evidence["problem"] = problem.into();
    }
    if spec.fetch {
        evidence["source"]["fetched"] = fetched.into();
    }
    if spec.text
        && let Some(bytes) = &bytes
    {
        let mut text = String::from_utf8_lossy(bytes).into_owned();
        // Before it is cut: half a secret would not be found.
        mask.text(&mut text);
        let end = text.len().min(TEXT_BYTES_MAX);
        let cut = (0..=end).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        evidence["text"] = text[..cut].into();
        if cut < text.len() {
            evidence["text_cut"] = true.into();
        }
    }
    if let Some(fresh) = &request.fresh {
        let stale = match evidence["from"].as_str() {
            None => false,
            Some(WORKTREE) => {
                let file = relative(&request.workdir.path, Path::new(&spec.file));
                !unchanged(&request.workdir, fresh, &[file]).await?.is_empty()
            }
            Some(place) => {
                same_in(&request, fresh, &spec.file, bytes.as_deref()).await?
                    || is_older(&request, fresh, place, &spec.file).await?
            }
        };
        evidence["unchanged"] = if stale { json!([spec.file]) } else { json!([]) };
        note(&mut evidence, fresh);
    }
    Ok(evidence)
}

/// Whether the commit that the round began with has the same file.
async fn same_in(
    request: &ProbeRequest,
    fresh: &Fresh,
    file: &str,
    bytes: Option<&[u8]>,
) -> Result<bool, ProbeFailure> {
    let Some(commit) = &fresh.commit else { return Ok(false) };
    let (_, then) = in_commit(&request.workdir, commit, file).await?;
    Ok(matches!(then, Content::Bytes(then) if Some(then.as_slice()) == bytes))
}

/// Whether the file was last changed there before the round began, by what its commit says.
async fn is_older(
    request: &ProbeRequest,
    fresh: &Fresh,
    place: &str,
    file: &str,
) -> Result<bool, ProbeFailure> {
    let changed = changed_at(&request.workdir, place, file).await?;
    // Commits say seconds, and the clock of who committed may be a little behind.
    Ok(changed.is_some_and(|seconds| (seconds + 1) * 1000 + CLOCKS_APART_MS < fresh.at.0))
}

/// A field as text; nothing for a list or a map.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.trim().to_owned()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// The fields at the head of a document, or what is wrong with it.
fn head_of(bytes: &[u8]) -> Result<Map<String, Value>, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "is no UTF-8 text".to_owned())?;
    let mut lines = text.strip_prefix('\u{feff}').unwrap_or(text).split_inclusive('\n');
    let is_fence = |line: &str| line.trim_end_matches(['\n', '\r']).trim_end() == "---";
    if !lines.next().is_some_and(is_fence) {
        return Err("has no front matter: its first line is not ---".to_owned());
    }
    let mut block = String::new();
    for line in lines {
        if is_fence(line) {
            return match yaml::read(&block) {
                Ok(Value::Object(fields)) => Ok(fields),
                Ok(Value::Null) => Err("has an empty front matter".to_owned()),
                Ok(_) => Err("has a front matter that is no mapping".to_owned()),
                Err(problem) => Err(format!("has a front matter that is no YAML: {problem}")),
            };
        }
        block.push_str(line);
    }
    Err("has a front matter that does not end with ---".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_stands_between_the_first_two_fences() {
        let head = head_of(b"---\r\nstatus: READY\r\n---\r\nverdict: FAIL\n").unwrap();
        assert_eq!(Value::Object(head), json!({"status": "READY"}));
        let marked = head_of("\u{feff}---\nstatus: READY\n---\n".as_bytes()).unwrap();
        assert_eq!(Value::Object(marked), json!({"status": "READY"}));
        for (text, part) in [
            ("", "no front matter"),
            ("\n---\nstatus: READY\n---\n", "no front matter"),
            ("---\nstatus: READY\n", "does not end"),
            ("---\n---\n", "empty"),
            ("---\n- a\n---\n", "no mapping"),
            ("---\na: [\n---\n", "no YAML"),
        ] {
            assert!(head_of(text.as_bytes()).unwrap_err().contains(part), "{text}");
        }
    }
}
