//! How a verb finds its pipeline: a file that is read and checked here, or a name that is asked for.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

use everfold_engine::definition::{self, CheckedPipeline, Colour, Problem, similar};
use everfold_engine::pipeline_versions::PipelineRef;
use everfold_workflows::builtin;
use serde_json::json;

use super::context::CommandContext;
use super::files::{self, FileKind};
use super::output::note;
use super::pipeline_files;
use crate::client::encode;
use crate::fault::{Code, Fault};
use crate::http::PipelineView;
use crate::node;

/// A pipeline file that was read and has no errors.
pub(crate) struct LoadedPipeline {
    /// The pipeline.
    pub(crate) checked: CheckedPipeline,
    /// Its file's text; a built-in one has none.
    pub(crate) text: Option<String>,
    /// Its file's name in messages, or its own.
    pub(crate) name: String,
}

/// Whether an argument names a file. A name may hold a `/`, too: then a file of that name goes before.
pub(crate) fn is_path(pipeline: &str) -> bool {
    let is_name = pipeline.parse::<PipelineRef>().is_ok();
    PipelineRef::is_path(pipeline) || (pipeline.contains('/') && (!is_name || Path::new(pipeline).is_file()))
}

/// The route of a named pipeline.
pub(crate) fn route(name: &str) -> String {
    format!("/api/v1/pipelines/{}", encode(name))
}

/// The pipeline of a name.
pub(crate) async fn named(context: &CommandContext, name: &str) -> Result<PipelineView, Fault> {
    let found: Result<PipelineView, Fault> = context.client.get(&route(name)).await;
    found.map_err(|fault| match fault.code {
        Code::NoPipeline => unnamed(fault, name),
        _other => fault,
    })
}

/// The pipeline file of this name in this folder.
pub(super) fn near_file(name: &str) -> Option<String> {
    let as_file = ["yaml", "yml"].map(|end| format!("{name}.{end}"));
    as_file.into_iter().find(|file| Path::new(file).is_file())
}

/// The fault of a name that no pipeline has: with the file of that name, the pipeline of a name like it, or else a file
/// of a name like it; or with what there is of that name and is no file.
pub(super) fn unnamed(fault: Fault, name: &str) -> Fault {
    if let Some(file) = near_file(name) {
        return fault.hint(format!("there is a file: ./{file}"));
    }
    if fault.hint.as_ref().is_some_and(|hint| hint.starts_with("did you mean")) {
        return fault;
    }
    let files = files_in(Path::new("."));
    let stem =
        |file: &String| file.rsplit_once('.').map_or_else(|| file.clone(), |(stem, _)| stem.to_owned());
    let stems: Vec<String> = files.iter().map(stem).collect();
    let near = similar(name, stems.iter().map(String::as_str));
    let near = near.and_then(|near| files.iter().find(|file| stem(file) == near));
    let near = near.map(|file| format!("did you mean the file ./{file}?"));
    fault.hinted(near.or_else(|| no_file(name)))
}

/// The hint for a name under which there is something else than a file.
fn no_file(name: &str) -> Option<String> {
    match std::fs::metadata(name).ok()? {
        about if about.is_dir() => Some(format!("{name} is a folder: name a file in it")),
        about if !about.is_file() => Some(format!("{name} is no regular file")),
        _file => None,
    }
}

/// The hint for a path at which there is no file: a file of a name like it, or the pipeline of that name.
fn near_path(path: &Path) -> Option<String> {
    let (folder, name) = (path.parent()?, path.file_name()?.to_str()?);
    let here = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let files = files_in(here);
    if let Some(near) = similar(name, files.iter().map(String::as_str)) {
        return Some(format!("did you mean {}?", folder.join(near).display()));
    }
    let stem = path.file_stem()?.to_str()?;
    builtin::find(stem).map(|_| format!("there is a pipeline of this name: {stem}"))
}

/// The pipeline files in a folder, at most so many that a look costs nothing.
fn files_in(folder: &Path) -> Vec<String> {
    const FILES_MAX: usize = 1_000;
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().take(FILES_MAX);
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names.filter(|name| [".yaml", ".yml", ".json"].iter().any(|end| name.ends_with(end))).collect()
}

/// Reads a pipeline file and checks it. Problems are printed in full; as JSON they are in the fault.
pub(crate) fn load(pipeline: &str, as_json: bool) -> Result<LoadedPipeline, Fault> {
    if !is_path(pipeline) {
        let checked = node::built_in(pipeline).map_err(|fault| match fault.code {
            Code::NoPipeline => unnamed(fault, pipeline),
            _other => fault,
        })?;
        return Ok(LoadedPipeline { checked, text: None, name: pipeline.to_owned() });
    }
    let path = PathBuf::from(pipeline);
    let text = files::text(&path, &FileKind::PIPELINE).map_err(|fault| match path.exists() {
        true => fault,
        false => fault.hinted(near_path(&path)),
    })?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new(".")).to_owned();
    let files = move |name: &str| pipeline_files::read(&folder, name);
    match definition::parse(&text, pipeline, &files) {
        Ok(checked) => Ok(LoadedPipeline { checked, text: Some(text), name: pipeline.to_owned() }),
        Err(problems) => {
            let fault = Fault::new(Code::BadPipeline, format!("{pipeline}: {}", problems.summary()));
            if as_json {
                let errors = problems.0.iter().map(|problem| json!(problem)).collect();
                return Err(fault.errors(errors));
            }
            print_problems(&problems.0);
            Err(fault)
        }
    }
}

/// Prints problems with their lines to stderr.
pub(crate) fn print_problems(problems: &[Problem]) {
    let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let colour = if colours { Colour::Ansi } else { Colour::Never };
    problems.iter().for_each(|problem| note(problem.render(colour)));
}
