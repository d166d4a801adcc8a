//! The text of the pipeline that a run is pinned to, and where its steps stand in it.
//!
//! Law: a file counts as that of the run where it reads as the very definition that the run is pinned to, or where a
//! person named it. Else the text is that which was saved, and where there is none the canonical document.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use everfold_engine::definition::{self, StepLines, outline};
use serde_json::{Value, json};

use super::arguments::{DapClientSettings, DapSource};
use super::definition_yaml::definition_yaml;
use super::history::RunHistory;
use crate::cli::files::{self, FileKind};
use crate::cli::pipeline_files;
use crate::client::encode;
use crate::fault::Fault;

/// The reference by which the text is asked for where it is no file.
const REFERENCE: i64 = 1;
/// Entries of a folder that are looked at, files among them that are read, and the largest of these.
const ENTRIES_MAX: usize = 20_000;
const FILES_MAX: usize = 200;
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// A place of the text: that of a step, or of a gate of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TextPlace<'a> {
    pub(super) line: usize,
    pub(super) last: usize,
    pub(super) step: &'a str,
    pub(super) gate: Option<&'a str>,
}

/// The text.
#[derive(Debug, Clone, Default)]
pub(super) struct PipelineText {
    name: String,
    path: Option<PathBuf>,
    origin: &'static str,
    pub(super) text: String,
    lines: Vec<StepLines>,
    /// All steps of the definition with their gates, also those that stand in other texts.
    pub(super) steps: BTreeMap<String, Vec<String>>,
}

impl PipelineText {
    /// Of a run, by its view; `file` is one that a person named, `folders` are looked through for it. What is to be said
    /// of it comes beside it.
    pub(super) async fn load(
        history: &RunHistory,
        view: &Value,
        file: Option<&str>,
        folders: &[PathBuf],
    ) -> Result<(Self, Option<String>), Fault> {
        let document = history.routes.get(history.path("/definition")).await?;
        let name = view["pipeline"].as_str().unwrap_or_default();
        let hash = view["definition"].as_str().unwrap_or_default();
        let steps = steps_of(&document);
        let whole = |origin, path: Option<PathBuf>, text: String| {
            let lines = outline(&text);
            let named =
                path.as_deref().and_then(Path::file_name).map(|file| file.to_string_lossy().into_owned());
            let name = named.unwrap_or_else(|| format!("{name}.yaml"));
            Self { name, path, origin, text, lines, steps: steps.clone() }
        };
        if let Some(file) = file {
            let path = std::path::absolute(file).unwrap_or_else(|_| PathBuf::from(file));
            let text = files::text(&path, &FileKind::PIPELINE)?;
            let is_other = hash_of(&path, &text).as_deref() != Some(hash);
            let said = is_other.then(|| {
                format!("{file} is not what the run is pinned to: lines may be those of other steps")
            });
            return Ok((whole("the file that was named", Some(path), text), said));
        }
        if let Some((path, text)) = folders.iter().find_map(|folder| found_in(folder, name, hash)) {
            return Ok((whole("the file of the run's pipeline", Some(path), text), None));
        }
        let saved =
            history.routes.get(format!("/api/v1/pipelines/{}", encode(&format!("{name}@{hash}")))).await;
        let saved = saved.ok().filter(|saved| saved["hash"] == hash);
        if let Some(text) = saved.as_ref().and_then(|saved| saved["text"].as_str()) {
            return Ok((whole("as it was saved", None, text.to_owned()), None));
        }
        Ok((whole("what the run is pinned to", None, definition_yaml(&document)), None))
    }

    /// As the client names it.
    pub(super) fn source(&self) -> Value {
        match &self.path {
            Some(path) => json!({ "name": self.name, "path": path.to_string_lossy(), "origin": self.origin }),
            None => json!({ "name": self.name, "sourceReference": REFERENCE, "origin": self.origin }),
        }
    }

    /// Whether the client means this text.
    pub(super) fn is_meant(&self, source: &DapSource) -> bool {
        match (&self.path, source.source_reference.filter(|reference| *reference > 0)) {
            (_, Some(reference)) => self.path.is_none() && reference == REFERENCE,
            (Some(own), None) => source.path.as_deref().is_some_and(|path| {
                let path = Path::new(path);
                path == own
                    || own
                        .canonicalize()
                        .ok()
                        .is_some_and(|own| path.canonicalize().is_ok_and(|it| it == own))
            }),
            // Some clients name what they have shown by its name alone.
            (None, None) => source.path.as_deref().is_some_and(|path| path == self.name),
        }
    }

    /// Where a step stands, or a gate of it; the step of a gate that has no place of its own.
    pub(super) fn place(&self, step: &str, gate: Option<&str>) -> Option<TextPlace<'_>> {
        let lines = self.lines.iter().find(|lines| lines.id == step)?;
        let gate = gate.and_then(|gate| lines.gates.iter().find(|lines| lines.id == gate));
        Some(match gate {
            Some(gate) => {
                TextPlace { line: gate.line, last: gate.last, step: &lines.id, gate: Some(gate.id.as_str()) }
            }
            None => TextPlace { line: lines.line, last: lines.last, step: &lines.id, gate: None },
        })
    }

    /// What stands in a line: a gate, else a step.
    pub(super) fn at_line(&self, line: usize) -> Option<TextPlace<'_>> {
        let step = self.lines.iter().rfind(|step| (step.line..=step.last).contains(&line))?;
        let gate = step.gates.iter().rfind(|gate| (gate.line..=gate.last).contains(&line));
        self.place(&step.id, gate.map(|gate| gate.id.as_str()))
    }

    /// All places between two lines, in order.
    pub(super) fn places(&self, first: usize, last: usize) -> Vec<TextPlace<'_>> {
        let of_step = |step: &StepLines| {
            let gates = step.gates.iter().map(|gate| Some(gate.id.clone()));
            std::iter::once(None).chain(gates).collect::<Vec<_>>()
        };
        let all = self.lines.iter().flat_map(|step| {
            of_step(step)
                .into_iter()
                .filter_map(|gate| self.place(&step.id, gate.as_deref()))
                .collect::<Vec<_>>()
        });
        all.filter(|place| (first..=last).contains(&place.line)).collect()
    }

    /// The line of what an event is about; the first one for what is of the run itself, or stands in another text.
    pub(super) fn line_of(&self, step: Option<&str>, gate: Option<&str>) -> usize {
        step.and_then(|step| self.place(step, gate)).map_or(1, |place| place.line)
    }

    /// The source and the line of what an event is about, as fields of an answer.
    pub(super) fn locate(&self, answer: &mut Value, line: usize, client: DapClientSettings) {
        answer["source"] = self.source();
        answer["line"] = json!(client.line_out(line));
        answer["column"] = json!(client.first_column());
    }
}

fn steps_of(document: &Value) -> BTreeMap<String, Vec<String>> {
    let named = |value: &Value| value["id"].as_str().map(str::to_owned);
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let steps = ["steps", "on_finish"].iter().flat_map(|key| list(&document[*key]));
    steps
        .filter_map(|step| Some((named(&step)?, list(&step["gates"]).iter().filter_map(named).collect())))
        .collect()
}

/// The identity of the definition that a file holds; none where it holds none.
fn hash_of(path: &Path, text: &str) -> Option<String> {
    let folder = path.parent().unwrap_or(Path::new(".")).to_owned();
    let read = move |name: &str| pipeline_files::read(&folder, name);
    let checked = definition::parse(text, &path.display().to_string(), &read).ok()?;
    Some(checked.definition.hash().to_string())
}

/// The file in a folder that holds a definition.
fn found_in(folder: &Path, name: &str, hash: &str) -> Option<(PathBuf, String)> {
    let entries = std::fs::read_dir(folder).ok()?.flatten();
    let mut paths: Vec<PathBuf> = entries
        .take(ENTRIES_MAX)
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|end| end == "yaml" || end == "yml" || end == "json"))
        .filter(|path| std::fs::metadata(path).is_ok_and(|it| it.is_file() && it.len() <= FILE_BYTES_MAX))
        .take(FILES_MAX)
        .collect();
    paths.sort();
    paths.into_iter().find_map(|path| {
        let text = std::fs::read_to_string(&path).ok().filter(|text| text.contains(name))?;
        (hash_of(&path, &text)? == hash).then_some((path, text))
    })
}
