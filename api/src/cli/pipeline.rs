//! `pipeline`: check, list, show, schema, graph; and how `run` finds its pipeline.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

use everfold_engine::definition::{self, Checked, Colour, Problem};
use everfold_workflows::builtin;
use serde_json::{Value, json};

use super::args::{PipelineArgs, PipelineVerb};
use super::format::table;
use super::output::{Out, note};
use crate::fault::{Code, Fault};
use crate::http::PipelineView;
use crate::owner;

/// A pipeline that was found and has no errors.
pub(crate) struct Loaded {
    /// The pipeline.
    pub(crate) checked: Checked,
    /// Its file's text; a built-in one has none.
    pub(crate) text: Option<String>,
    /// Its file's name in messages, or its own.
    pub(crate) name: String,
}

/// Whether an argument names a file.
fn is_path(pipeline: &str) -> bool {
    pipeline.contains('/') || pipeline.ends_with(".yaml") || pipeline.ends_with(".yml")
}

/// Finds a pipeline and checks it. Problems of a file are printed in full; as JSON they are in the
/// fault.
pub(crate) fn load(pipeline: &str, as_json: bool) -> Result<Loaded, Fault> {
    if !is_path(pipeline) {
        let as_file = ["yaml", "yml"].map(|end| format!("{pipeline}.{end}"));
        let near = as_file.iter().find(|file| Path::new(file).is_file());
        let checked = owner::named(pipeline)
            .map_err(|fault| fault.hinted(near.map(|file| format!("there is a file: ./{file}"))))?;
        return Ok(Loaded { checked, text: None, name: pipeline.to_owned() });
    }
    let path = PathBuf::from(pipeline);
    let text = std::fs::read_to_string(&path)
        .map_err(|error| Fault::new(Code::File, format!("could not read {pipeline}: {error}")))?;
    let folder = path.parent().map(Path::to_owned).unwrap_or_default();
    let files = move |name: &str| match std::fs::read_to_string(folder.join(name)) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.to_string()),
    };
    match definition::parse(&text, pipeline, &files).and_then(Checked::runnable) {
        Ok(checked) => Ok(Loaded { checked, text: Some(text), name: pipeline.to_owned() }),
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

pub(crate) fn run(args: &PipelineArgs, as_json: bool) -> Result<u8, Fault> {
    let out = Out::new();
    match &args.verb {
        PipelineVerb::Check { pipeline } => check(&out, pipeline, as_json),
        PipelineVerb::List => list(&out, as_json),
        PipelineVerb::Show { pipeline } => show(&out, pipeline, as_json),
        PipelineVerb::Schema => out.json(&definition::schema()).map(|()| 0),
        PipelineVerb::Graph { pipeline, svg } => {
            let loaded = load(pipeline, as_json)?;
            let definition = &loaded.checked.definition;
            let graph = if *svg { crate::graph::svg(definition) } else { crate::graph::text(definition) };
            if as_json {
                let format = if *svg { "svg" } else { "text" };
                out.json(&json!({ "name": definition.name, "format": format, "graph": graph }))?;
            } else {
                out.raw(&graph);
            }
            Ok(0)
        }
    }
}

fn check(out: &Out, pipeline: &str, as_json: bool) -> Result<u8, Fault> {
    let loaded = load(pipeline, as_json)?;
    let Checked { definition, warnings, .. } = &loaded.checked;
    let view = PipelineView::of(definition, origin(&loaded), None);
    if as_json {
        out.json(&json!({ "pipeline": view, "warnings": warnings }))?;
        return Ok(0);
    }
    print_problems(warnings);
    let noted = match warnings.len() {
        0 => String::new(),
        1 => ", 1 warning".to_owned(),
        several => format!(", {several} warnings"),
    };
    out.line(format!("{}: {} steps, no errors{noted}", loaded.name, view.steps.len()));
    Ok(0)
}

fn origin(loaded: &Loaded) -> &'static str {
    if loaded.text.is_some() { "file" } else { "built_in" }
}

fn list(out: &Out, as_json: bool) -> Result<u8, Fault> {
    let views: Result<Vec<PipelineView>, Fault> = builtin::pipelines()
        .iter()
        .map(|pipeline| Ok(PipelineView::of(&owner::named(pipeline.name)?.definition, "built_in", None)))
        .collect();
    let views = views?;
    if as_json {
        out.json(&json!({ "items": views, "next_cursor": Value::Null }))?;
        return Ok(0);
    }
    let rows = views.iter().map(|view| {
        [
            view.name.clone(),
            view.origin.replace('_', "-"),
            view.steps.len().to_string(),
            view.description.clone(),
        ]
    });
    out.line(table(["PIPELINE", "ORIGIN", "STEPS", "DESCRIPTION"], rows));
    Ok(0)
}

fn show(out: &Out, pipeline: &str, as_json: bool) -> Result<u8, Fault> {
    let loaded = load(pipeline, as_json)?;
    let text = loaded.text.clone().or_else(|| builtin::find(pipeline).map(|found| found.text.to_owned()));
    let view = PipelineView::of(&loaded.checked.definition, origin(&loaded), text);
    if as_json {
        out.json(&view)?;
        return Ok(0);
    }
    out.line(format!("{}  {}", view.name, view.description));
    out.line(format!("hash {}", &view.hash[..12]));
    crate::graph::about(&loaded.checked.definition).iter().for_each(|line| out.line(line));
    out.line("");
    let rows = view
        .steps
        .iter()
        .map(|step| [step.id.clone(), step.kind.clone(), step.needs.join(", "), step.gates.join(", ")]);
    out.line(table(["STEP", "WORK", "NEEDS", "GATES"], rows));
    if let Some(schema) = &view.input {
        out.line("\ninput");
        input_lines(schema).iter().for_each(|line| out.line(line));
    }
    let wanted = view.input.as_ref().map(wanted).unwrap_or_default();
    out.line(format!("\nnext\n  everfold run {}{wanted}", super::context::quoted(pipeline)));
    Ok(0)
}

/// The flags for what the schema requires.
fn wanted(schema: &Value) -> String {
    let names = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
    names.map(|name| format!(" -i {}=…", super::context::quoted(name))).collect()
}

/// What the schema wants, a field per line.
fn input_lines(schema: &Value) -> Vec<String> {
    let required = |name: &String| {
        schema["required"].as_array().is_some_and(|names| names.iter().any(|it| it == name.as_str()))
    };
    let fields = schema["properties"].as_object();
    let line = |(name, field): (&String, &Value)| {
        let kind = field["type"].as_str().unwrap_or("any");
        let default = field.get("default").map(|default| format!(", default {default}")).unwrap_or_default();
        let wanted = if required(name) { ", required" } else { "" };
        let about = field["description"].as_str().map(|about| format!("  {about}")).unwrap_or_default();
        format!("  {name} ({kind}{wanted}{default}){about}")
    };
    fields.into_iter().flatten().map(line).collect()
}
