//! `pipeline`: check, save, list, show, diff, schema, graph.

use std::path::Path;

use everfold_engine::data_folder::Layout;
use everfold_engine::definition::{self, CheckedPipeline, Definition, Problem};
use everfold_workflows::builtin;
use serde_json::{Value, json};

use super::args::{Cli, PipelineArgs, PipelineVerb};
use super::context::{CommandContext, items};
use super::output::{Out, note};
use super::pipeline_source::{
    LoadedPipeline, is_path, load, named, near_file, print_problems, route, unnamed,
};
use super::pipeline_test;
use super::target::{CommandTarget, Where};
use crate::body::pipeline::{CheckBody, SaveBody};
use crate::compare::{ValueDifference, differences};
use crate::fault::{Code, Fault};
use crate::http::PipelineView;
use crate::node;
use crate::preflight;
use crate::text::quoted;
use crate::text::{count, cut, plain, table};

/// Whether a verb asks the owner or server: for names; files are looked at here. What is built in is built
/// into the server, where there is one.
///
/// # Errors
/// Nothing says whether there is a server.
pub(crate) fn asks(args: &PipelineArgs, cli: &Cli) -> Result<bool, Fault> {
    match &args.verb {
        PipelineVerb::Schema { .. } | PipelineVerb::Test(_) => Ok(false),
        PipelineVerb::Check { pipelines } => {
            let mut asks = false;
            for pipeline in pipelines {
                // A file of cases is a path, also where its name alone is written.
                asks |= pipeline_test::pipeline_of(pipeline) == *pipeline && asks_of(pipeline, cli)?;
            }
            Ok(asks)
        }
        PipelineVerb::Show { pipeline, .. } | PipelineVerb::Graph { pipeline, .. } => asks_of(pipeline, cli),
        PipelineVerb::Save { .. } | PipelineVerb::List | PipelineVerb::Diff { .. } => Ok(true),
    }
}

fn asks_of(pipeline: &str, cli: &Cli) -> Result<bool, Fault> {
    if is_path(pipeline) || builtin::find(pipeline).is_none() {
        return Ok(!is_path(pipeline));
    }
    Ok(matches!(Where::of(cli)?.target, CommandTarget::Server(_)))
}

/// A verb that asks no route. Few of them need to know where they work.
pub(crate) fn run(args: &PipelineArgs, cli: &Cli) -> Result<u8, Fault> {
    let place = Where::of(cli);
    look(args, &place, cli).map_err(|fault| match &place {
        Ok(place) => place.placed(fault),
        Err(_) => fault,
    })
}

fn look(args: &PipelineArgs, place: &Result<Where, Fault>, cli: &Cli) -> Result<u8, Fault> {
    let (out, as_json) = (Out::new(), cli.is_json());
    let program = place.as_ref().map_or("everfold", |place| place.program.as_str());
    let place = || place.as_ref().map_err(Clone::clone);
    match &args.verb {
        PipelineVerb::Check { pipelines } => {
            let place = place()?;
            let folder = match &place.target {
                CommandTarget::Folder(folder) => Some(Layout::new(folder)),
                // The settings are the server's.
                CommandTarget::Server(_) => None,
            };
            let settings = folder.as_ref().map(|layout| (layout, cli.config.as_deref()));
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.map_err(|error| {
                Fault::new(Code::Internal, format!("the runtime could not be started: {error}"))
            })?;
            let here = CheckPlace { context: None, settings, named: &|fault| place.placed(fault) };
            runtime.block_on(check(&out, &here, pipelines, as_json))
        }
        PipelineVerb::Show { pipeline, text } => {
            let loaded = load(pipeline, as_json)?;
            let own = loaded.text.clone();
            let own = own.or_else(|| builtin::find(pipeline).map(|found| found.text.to_owned()));
            let definition = &loaded.checked.definition;
            let view = PipelineView::of(definition, origin(&loaded), own);
            let shown = ShownPipeline { named: pipeline, view: &view, definition, program };
            show(&out, &shown, *text, as_json)
        }
        PipelineVerb::Schema { cases } => schema(&out, *cases),
        PipelineVerb::Test(args) => {
            let settings = match &place()?.target {
                CommandTarget::Folder(folder) => {
                    Some(node::settings(&Layout::new(folder), cli.config.as_deref())?)
                }
                // The settings are the server's.
                CommandTarget::Server(_) => None,
            };
            pipeline_test::run(args, settings.as_ref(), program, as_json)
        }
        PipelineVerb::Graph { pipeline, svg } => {
            graph(&out, &load(pipeline, as_json)?.checked.definition, *svg, as_json)
        }
        PipelineVerb::Save { .. } | PipelineVerb::List | PipelineVerb::Diff { .. } => {
            Err(Fault::new(Code::Internal, "this verb asks the owner"))
        }
    }
}

/// A verb about names.
pub(crate) async fn ask(context: &CommandContext, args: &PipelineArgs) -> Result<u8, Fault> {
    let (out, as_json) = (&context.out, context.json);
    match &args.verb {
        PipelineVerb::Check { pipelines } => {
            let place = context.client.place();
            let settings = place.map(|place| (&place.layout, place.config.as_deref()));
            let named = |fault| context.placed(fault);
            let here = CheckPlace { context: Some(context), settings, named: &named };
            check(out, &here, pipelines, as_json).await
        }
        PipelineVerb::Show { pipeline, text } => {
            let view = named(context, pipeline).await?;
            let definition = &definition_of(&view)?;
            let shown = ShownPipeline { named: pipeline, view: &view, definition, program: &context.program };
            show(out, &shown, *text, as_json)
        }
        PipelineVerb::Graph { pipeline, svg } => {
            let definition = definition_of(&named(context, pipeline).await?)?;
            graph(out, &definition, *svg, as_json)
        }
        PipelineVerb::List => list(context).await,
        PipelineVerb::Save { file } => save(context, file).await,
        PipelineVerb::Diff { from, to, exit_code } => {
            let differ = diff(context, from, to.as_deref()).await?;
            Ok(u8::from(*exit_code && differ))
        }
        PipelineVerb::Schema { cases } => schema(out, *cases),
        PipelineVerb::Test(_) => Err(Fault::new(Code::Internal, "this verb asks no owner")),
    }
}

fn schema(out: &Out, of_cases: bool) -> Result<u8, Fault> {
    out.json(&if of_cases { definition::case_schema() } else { definition::schema() }).map(|()| 0)
}

fn graph(out: &Out, definition: &Definition, svg: bool, as_json: bool) -> Result<u8, Fault> {
    let graph = if svg { crate::graph::svg(definition) } else { crate::graph::text(definition) };
    if as_json {
        let format = if svg { "svg" } else { "text" };
        out.json(&json!({ "name": definition.name, "format": format, "graph": graph }))?;
    } else {
        out.raw(&graph);
    }
    Ok(0)
}

/// The definition of a view that was asked for alone.
pub(super) fn definition_of(view: &PipelineView) -> Result<Definition, Fault> {
    serde_json::from_value(view.document.clone().unwrap_or_default())
        .map_err(|error| Fault::new(Code::Internal, error.to_string()))
}

/// What the owner says of a pipeline without errors.
#[derive(serde::Deserialize)]
struct CheckAnswer {
    pipeline: PipelineView,
    settings: Vec<String>,
    unread: usize,
}

/// What a check found that is no error.
struct CheckNotes<'a> {
    warnings: &'a [Problem],
    /// Settings documents that a run would not get.
    settings: Vec<String>,
    /// Commands that were not given to the shell.
    unread: usize,
    /// Test cases beside the file.
    cases: Option<usize>,
}

/// A check without an error.
struct Checked {
    name: String,
    pipeline: PipelineView,
    /// What stands in the answer as JSON.
    answer: Value,
    /// The number of warnings.
    warnings: u64,
    /// Test cases beside the file.
    cases: Option<usize>,
}

/// The settings of a folder: its layout, and another file where one is named.
type FolderSettings<'a> = Option<(&'a Layout, Option<&'a Path>)>;

/// Where pipelines are checked.
struct CheckPlace<'a> {
    /// Who is asked for names; `None`: the command asks no folder and no server.
    context: Option<&'a CommandContext>,
    settings: FolderSettings<'a>,
    /// Names the commands of a fault's hint as they are typed there.
    named: &'a dyn Fn(Fault) -> Fault,
}

/// Checks each of them; ends with the code of the first that has errors. Of several, each fault is printed where it is
/// found, so that the others are checked, too.
async fn check(out: &Out, place: &CheckPlace<'_>, pipelines: &[String], as_json: bool) -> Result<u8, Fault> {
    let CheckPlace { context, settings, named } = *place;
    let (mut answers, mut code) = (Vec::new(), 0);
    for pipeline in pipelines {
        let found = match context {
            Some(context) if !is_path(pipeline) => match check_named(context, pipeline, as_json).await {
                // Without a folder nothing has a name but what is built in.
                Err(fault) if fault.code == Code::NoFolder => check_here(settings, pipeline, as_json).await,
                found => found,
            },
            _here => check_here(settings, pipeline, as_json).await,
        };
        match found {
            Ok(checked) if as_json => answers.push(checked.answer),
            Ok(checked) => {
                let warnings = match checked.warnings {
                    0 => String::new(),
                    warnings => format!(", {}", count(warnings, "warning")),
                };
                let cases = checked.cases.map(|cases| format!(", {}", count(cases as u64, "test case")));
                let steps = count(checked.pipeline.steps.len() as u64, "step");
                let cases = cases.unwrap_or_default();
                out.line(format!("{}: {steps}{cases}, no errors{warnings}", checked.name));
            }
            Err(fault) if pipelines.len() == 1 => return Err(fault),
            Err(fault) => {
                code = if code == 0 { fault.code.exit() } else { code };
                super::output::fault(&named(fault), as_json);
            }
        }
    }
    if as_json {
        match (answers.pop(), pipelines.len()) {
            (Some(answer), 1) => out.json(&answer)?,
            (last, _several) => {
                answers.extend(last);
                out.json(&json!({ "items": answers, "next_cursor": null }))?;
            }
        }
    }
    Ok(code)
}

/// Checks a file, or what is built in, with the settings at hand.
async fn check_here(settings: FolderSettings<'_>, pipeline: &str, as_json: bool) -> Result<Checked, Fault> {
    let loaded = load(&pipeline_test::pipeline_of(pipeline), as_json)?;
    let cases = pipeline_test::check_beside(&loaded, as_json)?;
    let definition = &loaded.checked.definition;
    if let Some((layout, config)) = settings {
        let text = loaded.text.as_deref();
        let found = node::refuse_credentials(&loaded.name, text, definition, layout, config);
        found.map_err(|fault| printed(fault, as_json))?;
        let unknown = node::unknown_work(definition, layout, config)?;
        let found = preflight::refuse_unknown(&loaded.name, &unknown);
        found.map_err(|fault| printed(fault, as_json))?;
        if let Some(known) = resources(layout, config)? {
            let found = preflight::refuse_missing(&loaded.name, definition, &known);
            found.map_err(|fault| printed(fault, as_json))?;
        }
    }
    preflight::refuse_misfits(&loaded.name, definition).map_err(|fault| printed(fault, as_json))?;
    let found = preflight::refuse_unreadable(&loaded.name, definition).await;
    let unread = found.map_err(|fault| printed(fault, as_json))?;
    let absent = preflight::absent(definition, &std::env::current_dir().unwrap_or_default());
    let view = PipelineView::of(definition, origin(&loaded), None);
    let noted = CheckNotes { warnings: &loaded.checked.warnings, settings: absent, unread, cases };
    Ok(checked(&loaded.name, view, &noted, as_json))
}

/// Has the owner or server check a pipeline of a name.
async fn check_named(context: &CommandContext, pipeline: &str, as_json: bool) -> Result<Checked, Fault> {
    // In this folder a run would be started, where it is one of this machine.
    let cwd = context.client.place().and_then(|_| std::env::current_dir().ok());
    let cwd = cwd.and_then(|folder| folder.into_os_string().into_string().ok());
    let body = CheckBody { pipeline: Some(pipeline.to_owned()), cwd, ..CheckBody::default() };
    let answer: Result<CheckAnswer, Fault> = context.client.post("/api/v1/pipelines/check", &body).await;
    let answer = match answer {
        Ok(answer) => answer,
        Err(fault) if fault.code == Code::NoPipeline => return Err(unnamed(fault, pipeline)),
        Err(fault) => return Err(printed(fault, as_json)),
    };
    let noted = CheckNotes { warnings: &[], settings: answer.settings, unread: answer.unread, cases: None };
    Ok(checked(pipeline, answer.pipeline, &noted, as_json))
}

/// Says what is no error.
fn checked(name: &str, view: PipelineView, noted: &CheckNotes<'_>, as_json: bool) -> Checked {
    let CheckNotes { warnings, settings, unread, cases } = noted;
    if !as_json {
        print_problems(warnings);
        settings.iter().for_each(|missing| note(format!("warning: {missing}")));
        if *unread > 0 {
            note(format!("warning: {} not given to the shell", count(*unread as u64, "command")));
        }
    }
    let mut answer =
        json!({ "pipeline": view, "warnings": warnings, "settings": settings, "unread": unread });
    if let Some(cases) = cases {
        answer["cases"] = json!(cases);
    }
    Checked {
        name: name.to_owned(),
        answer,
        pipeline: view,
        cases: *cases,
        warnings: (warnings.len() + settings.len() + usize::from(*unread > 0)) as u64,
    }
}

/// Prints the single faults of a check, each in a line of its own; as JSON they stay in the fault.
fn printed(fault: Fault, as_json: bool) -> Fault {
    if as_json {
        return fault;
    }
    for error in &fault.errors {
        let field = |name: &str| error.get(name).and_then(Value::as_str);
        let code = field("code").map_or_else(|| fault.code.to_string(), str::to_owned);
        let place = field("place").map(|place| format!("{place}: ")).unwrap_or_default();
        note(format!("error[{code}]: {place}{}", field("message").unwrap_or_default()));
        if let Some(hint) = field("hint") {
            note(format!("  help: {hint}"));
        }
    }
    fault.errors(Vec::new())
}

/// The resources that the settings at hand name; `None`: there are no settings.
fn resources(layout: &Layout, config: Option<&Path>) -> Result<Option<Vec<String>>, Fault> {
    if config.is_none() && !layout.settings().exists() {
        return Ok(None);
    }
    Ok(Some(node::settings(layout, config)?.resources.into_keys().collect()))
}

fn origin(loaded: &LoadedPipeline) -> &'static str {
    if loaded.text.is_some() { "file" } else { "built_in" }
}

async fn list(context: &CommandContext) -> Result<u8, Fault> {
    let page: Value = context.client.get("/api/v1/pipelines").await?;
    if context.json {
        context.out.json(&page)?;
        return Ok(0);
    }
    let views: Vec<PipelineView> = items(&page)?;
    let rows = views.iter().map(|view| {
        [
            view.name.clone(),
            view.version.map_or_else(|| view.origin.replace('_', "-"), |n| format!("@{n}")),
            view.steps.len().to_string(),
            plain(&view.description),
        ]
    });
    context.out.line(table(["PIPELINE", "VERSION", "STEPS", "DESCRIPTION"], rows));
    Ok(0)
}

async fn save(context: &CommandContext, file: &str) -> Result<u8, Fault> {
    let near = near_file(file).filter(|_| !is_path(file) && !Path::new(file).is_file());
    let built_in = builtin::find(file).filter(|_| !Path::new(file).is_file() && near.is_none());
    let path = match &near {
        // `init --pipeline NAME` leaves NAME.yaml, and the folder NAME of what it includes.
        Some(near) if builtin::find(file).is_some() || Path::new(file).is_dir() => format!("./{near}"),
        _none if is_path(file) || built_in.is_some() => file.to_owned(),
        _none => format!("./{file}"),
    };
    let loaded = load(&path, context.json).map_err(|fault| match near_file(file) {
        Some(near) if !Path::new(&path).exists() => fault.hint(format!("there is a file: ./{near}")),
        _another => fault,
    })?;
    let CheckedPipeline { definition, warnings, .. } = &loaded.checked;
    if !context.json {
        print_problems(warnings);
    }
    let text = loaded.text.clone().or_else(|| built_in.map(|found| found.text.to_owned()));
    let body = SaveBody {
        definition: Value::from(text),
        file: Some(loaded.name.clone()),
        files: definition.files.clone(),
    };
    let before: Option<u32> = match named(context, &definition.name).await {
        Ok(view) => view.version,
        Err(_never_saved) => None,
    };
    let view: PipelineView = context.client.put(&route(&definition.name), &body).await?;
    if context.json {
        context.out.json(&view)?;
        return Ok(0);
    }
    let n = view.version.unwrap_or_default();
    let word = if before == Some(n) { "is saved already as" } else { "is saved as" };
    context.out.line(format!("{} {word} {}@{n}", loaded.name, view.name));
    context.out.line(format!("  {} run {}", context.program, quoted(&view.name)));
    Ok(0)
}

/// Saves a built-in pipeline as it is.
///
/// # Errors
/// There is none of this name, or the owner refuses it.
pub(super) async fn save_built_in(context: &CommandContext, name: &str) -> Result<(), Fault> {
    let definition = node::built_in(name)?.definition;
    let text = builtin::find(name).map(|found| found.text.to_owned());
    let (file, files) = (Some(name.to_owned()), definition.files.clone());
    let body = SaveBody { definition: Value::from(text), file, files };
    context.client.put(&route(name), &body).await.map(|_saved: PipelineView| ())
}

/// Prints what is different; whether anything is.
async fn diff(context: &CommandContext, from: &str, to: Option<&str>) -> Result<bool, Fault> {
    let (before, after) = match to {
        Some(to) => (document(context, from).await?, document(context, to).await?),
        None if is_path(from) => {
            let after = document(context, from).await?;
            let name = after.1["name"].as_str().unwrap_or_default().to_owned();
            (document(context, &name).await?, after)
        }
        None => {
            let after = document(context, from).await?;
            let n = named(context, from).await?.version.unwrap_or_default();
            let name = from.split('@').next().unwrap_or(from);
            if n < 2 {
                let message = format!("{from} has no version before");
                return Err(Fault::new(Code::NoPipeline, message).hint("name the other one"));
            }
            (document(context, &format!("{name}@{}", n - 1)).await?, after)
        }
    };
    let found = differences(&before.1, &after.1);
    if context.json {
        context.out.json(&json!({ "from": before.0, "to": after.0, "differences": found }))?;
        return Ok(!found.is_empty());
    }
    if found.is_empty() {
        context.out.line(format!("{} and {} are the same", before.0, after.0));
        return Ok(!found.is_empty());
    }
    context.out.line(format!("{} → {}", before.0, after.0));
    for ValueDifference { path, before, after } in &found {
        for (mark, value) in [("-", before), ("+", after)] {
            if let Some(value) = value {
                context.out.line(format!("{mark} {path}: {}", cut(&value.to_string(), 400)));
            }
        }
    }
    Ok(true)
}

/// The canonical document of a file or a name, with what it is called.
async fn document(context: &CommandContext, pipeline: &str) -> Result<(String, Value), Fault> {
    if is_path(pipeline) {
        let document = load(pipeline, context.json)?.checked.definition.document();
        let value = serde_json::from_str(&document);
        return Ok((
            pipeline.to_owned(),
            value.map_err(|error| Fault::new(Code::Internal, error.to_string()))?,
        ));
    }
    let view = named(context, pipeline).await?;
    let name = view.version.map_or_else(|| view.name.clone(), |n| format!("{}@{n}", view.name));
    Ok((name, view.document.unwrap_or_default()))
}

/// A pipeline that is shown, and how the next command begins.
struct ShownPipeline<'a> {
    named: &'a str,
    view: &'a PipelineView,
    definition: &'a Definition,
    program: &'a str,
}

fn show(out: &Out, shown: &ShownPipeline<'_>, text: bool, as_json: bool) -> Result<u8, Fault> {
    let ShownPipeline { named, view, definition, program } = *shown;
    if as_json {
        out.json(view)?;
        return Ok(0);
    }
    if text {
        let text = view
            .text
            .as_ref()
            .ok_or_else(|| Fault::new(Code::NoPipeline, format!("{named} was saved without its text")))?;
        out.raw(text);
        return Ok(0);
    }
    let version = view.version.map(|n| format!("@{n}")).unwrap_or_default();
    out.line(format!("{}{version}  {}", view.name, plain(&view.description)));
    out.line(format!("hash {}", &view.hash[..12]));
    crate::graph::about(definition).iter().for_each(|line| out.line(line));
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
    out.line(format!("\nnext\n  {program} run {}{wanted}", quoted(named)));
    Ok(0)
}

/// The flags for what the schema requires.
fn wanted(schema: &Value) -> String {
    let names = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
    names.map(|name| format!(" -i {}=…", quoted(name))).collect()
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
