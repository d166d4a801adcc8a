//! `run --dry-run`: what a run would do, played with answers that are made up.
//!
//! Law: a pipeline file is read here, and no data folder is made or opened for it. A name is asked for as `pipeline show`
//! asks, since only its owner knows what it stands for.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use everfold_engine::clock;
use everfold_engine::definition::Definition;
use everfold_engine::definition::case::PipelineCase;
use everfold_engine::input::StartOptions;
use everfold_engine::json::JsonText;
use everfold_engine::state::RunStatus;
use owo_colors::OwoColorize as _;
use serde_json::Value;

use super::args::RunArgs;
use super::context::CommandContext;
use super::data_folder::absolute;
use super::key_values::pairs;
use super::output::{Out, note};
use super::pipeline::definition_of;
use super::pipeline_test::one_case;
use super::run_input::{input_of, with_single};
use super::wait::{AWAITED, code_of};
use super::{input_names, pipeline_source};
use crate::access::caller::own_name;
use crate::fault::{Code, Fault};
use crate::node;
use crate::pipeline_test::{DryRunLine, DryRunReport, DryRunRequest, NoDryRun, dry_run};
use crate::text::{count, cut, plain, span};

/// What of the output is shown.
const OUTPUT_CHARS: usize = 2_000;

pub(crate) async fn run(context: &CommandContext, args: &RunArgs) -> Result<u8, Fault> {
    let (definition, texts) = found(context, args).await?;
    let case = args.case.as_ref().map(|name| one_case(&args.pipeline, name, &definition, context.json));
    let case: Option<PipelineCase> = case.transpose()?;
    let schema = definition.input.as_ref();
    let input = match &case {
        Some(case) if args.input_file.is_none() => with_single(args, schema, case.input.clone())?,
        _own => input_of(args, schema)?,
    };
    if let (false, Some(fields)) = (context.json, input.as_object()) {
        let document: Value = serde_json::from_str(&definition.document()).unwrap_or_default();
        let typed = fields.keys().map(String::as_str);
        input_names::warnings(schema, &document, typed).into_iter().for_each(note);
    }
    node::input_fits(&definition, &input)?;
    let settings = match context.client.place() {
        Some(place) => Some(node::settings(&place.layout, place.config.as_deref())?),
        None => None,
    };
    let mut labels: BTreeMap<String, String> =
        case.as_ref().map(|case| case.labels.clone()).unwrap_or_default();
    labels.extend(pairs("--label", &args.labels)?);
    // A server has folders of its own, as for a start.
    let cwd = match context.client.server() {
        None => Some(absolute(Path::new("."))?.display().to_string()),
        Some(_) => None,
    };
    let options = StartOptions {
        title: args.title.clone().or_else(|| case.as_ref().and_then(|case| case.title.clone())),
        labels,
        cwd,
        priority: args.priority,
        ..StartOptions::new(JsonText::new(&input))
    };
    let at = case.as_ref().and_then(|case| case.at).unwrap_or_else(clock::now);
    let request = DryRunRequest {
        definition: &definition,
        settings: settings.as_ref(),
        case: case.as_ref(),
        options,
        by: case.as_ref().map_or_else(own_name, |case| Ok(case.by.clone()))?,
        at,
        texts,
    };
    let report = dry_run(request).map_err(fault_of)?;
    if context.json {
        context.out.json(&report)?;
    } else {
        shown(&context.out, &report);
    }
    if let Some(stopped) = &report.stopped {
        note(format!("the dry run was stopped: {stopped}"));
        return Ok(1);
    }
    Ok(code(report.status))
}

/// The pipeline, and the texts of its files by name.
async fn found(
    context: &CommandContext,
    args: &RunArgs,
) -> Result<(Definition, Vec<(String, String)>), Fault> {
    if !pipeline_source::is_path(&args.pipeline) {
        let view = pipeline_source::named(context, &args.pipeline).await?;
        return Ok((definition_of(&view)?, Vec::new()));
    }
    let loaded = pipeline_source::load(&args.pipeline, context.json)?;
    if !context.json {
        pipeline_source::print_problems(&loaded.checked.warnings);
    }
    let definition = loaded.checked.definition;
    let mut texts: Vec<(String, String)> = loaded.text.map(|text| (loaded.name, text)).into_iter().collect();
    texts.extend(definition.files.clone());
    Ok((definition, texts))
}

fn fault_of(none: NoDryRun) -> Fault {
    match none {
        NoDryRun::Refused(error) => error.into(),
        NoDryRun::Credential(name, pattern, line) => node::credential_fault(&name, &pattern, line),
        NoDryRun::Holds(fault) => fault,
        NoDryRun::Unplayed(why) => Fault::new(Code::Refused, format!("the run cannot be played: {why}")),
    }
}

/// The exit code of `run`, had it ended so.
fn code(status: RunStatus) -> u8 {
    match status {
        RunStatus::Succeeded | RunStatus::Failed | RunStatus::Cancelled => code_of(status),
        _people_are_awaited => AWAITED,
    }
}

fn shown(out: &Out, report: &DryRunReport) {
    let title = format!("a dry run of {}: nothing is run, asked, written or sent", plain(&report.pipeline));
    out.line(title.bold().to_string());
    report.lines.iter().for_each(|line| one(out, line));
    if !matches!(report.status, RunStatus::Succeeded | RunStatus::Failed | RunStatus::Cancelled) {
        out.line(format!("it would be {} then", report.status));
    }
    if !report.output.is_null() {
        out.line(format!("output  {}", plain(&cut(&report.output.to_string(), OUTPUT_CHARS))));
    }
    listed(out, "not begun", &report.not_begun);
    let routes = report.not_taken.iter().map(|route| format!("{}: {}", route.route, route.to));
    listed(out, "routes not taken", &routes.collect::<Vec<_>>());
    listed(out, "not known before", &report.unknown);
    let made_up = report.lines.iter().filter(|line| line.made_up).count();
    if made_up > 0 {
        out.line(format!("~ marks {} that nothing real gave", count(made_up as u64, "answer")));
    }
}

fn one(out: &Out, line: &DryRunLine) {
    let at = span(Duration::from_millis(u64::try_from(line.at_ms).unwrap_or(0)));
    let above = line.child_of.as_ref().map(|above| format!("{above}/")).unwrap_or_default();
    let place = format!("{above}{}", line.step.as_deref().unwrap_or_default());
    let mark = if line.made_up { "~" } else { " " };
    let text = format!("{at:>7}  {:<16} {mark}{:<9} {}", plain(&place), line.what, line.text);
    out.line(text.trim_end());
}

fn listed(out: &Out, what: &str, lines: &[String]) {
    if lines.is_empty() {
        return;
    }
    out.line(what);
    lines.iter().for_each(|line| out.line(format!("  {}", plain(line))));
}
