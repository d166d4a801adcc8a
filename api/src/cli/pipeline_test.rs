//! `pipeline test`: plays the test cases of a pipeline, and says what they reach.

use std::path::{Path, PathBuf};
use std::time::Duration;

use everfold_engine::definition::case::PipelineCase;
use everfold_engine::definition::{Definition, similar};
use everfold_engine::json::Value;
use everfold_workflows::builtin;
use owo_colors::OwoColorize as _;
use serde_json::json;

use super::args::PipelineTestArgs;
use super::files::{self, FileKind};
use super::output::{Out, note};
use super::pipeline_source::{LoadedPipeline, is_path, load, print_problems};
use crate::fault::{Code, Fault};
use crate::pipeline_test::{
    CaseDifference, CaseVerdict, PipelineCoverage, SuiteReport, first_case, read_cases, test_pipeline_with,
};
use crate::settings::Settings;
use crate::text::{count, cut, plain, quoted, span};

/// Lines of the story of a case that failed.
const STORY_LINES: usize = 60;
/// What of a value is shown.
const VALUE_CHARS: usize = 400;

/// The cases of a pipeline: their text, and what messages call it.
struct CaseSource {
    name: String,
    text: String,
}

/// The settings are those of the folder; those of a server are not known here. `program` is how the next command begins.
pub(crate) fn run(
    args: &PipelineTestArgs,
    settings: Option<&Settings>,
    program: &str,
    as_json: bool,
) -> Result<u8, Fault> {
    let loaded = load(&pipeline_of(&args.pipeline), as_json)?;
    let definition = &loaded.checked.definition;
    if args.init {
        return init(args, definition, settings, program);
    }
    let source = source(&args.pipeline, args.cases.as_deref())?;
    let cases = checked(&source, definition, as_json)?;
    let wanted = wanted(&cases, &args.case)?;
    let report = test_pipeline_with(definition, settings, wanted);
    let out = Out::new();
    if as_json {
        out.json(&json!({
            "file": source.name, "pipeline": report.pipeline, "passed": report.passed, "failed": report.failed,
            "cases": report.cases, "coverage": report.coverage,
        }))?;
    } else {
        shown(&out, &report, args);
    }
    Ok(u8::from(report.failed > 0))
}

/// Checks the cases beside a pipeline file; how many there are, none where there is no such file.
///
/// # Errors
/// The cases have errors; they are printed.
pub(crate) fn check_beside(loaded: &LoadedPipeline, as_json: bool) -> Result<Option<usize>, Fault> {
    let beside = cases_beside(Path::new(&loaded.name));
    if loaded.text.is_none() || !beside.is_file() {
        return Ok(None);
    }
    let source =
        CaseSource { name: beside.display().to_string(), text: files::text(&beside, &FileKind::PIPELINE)? };
    checked(&source, &loaded.checked.definition, as_json).map(|cases| Some(cases.len()))
}

/// The pipeline that a file of cases stands beside, or the argument as it is.
pub(crate) fn pipeline_of(argument: &str) -> String {
    for end in [".yaml", ".yml", ".json"] {
        if let Some(name) = argument.strip_suffix(end).and_then(|name| name.strip_suffix(".test")) {
            return format!("{name}{end}");
        }
    }
    argument.to_owned()
}

/// `greet.test.yaml` of `greet.yaml`.
fn cases_beside(pipeline: &Path) -> PathBuf {
    let end = pipeline.extension().map(|end| end.to_string_lossy().into_owned());
    pipeline.with_extension(format!("test.{}", end.as_deref().unwrap_or("yaml")))
}

/// One case of those of a pipeline.
///
/// # Errors
/// There are no cases, they have errors, or none has this name.
pub(super) fn one_case(
    pipeline: &str,
    name: &str,
    definition: &Definition,
    as_json: bool,
) -> Result<PipelineCase, Fault> {
    let cases = checked(&source(pipeline, None)?, definition, as_json)?;
    let found = wanted(&cases, &[name.to_owned()])?.into_iter().next().cloned();
    found.ok_or_else(|| Fault::new(Code::Usage, format!("there is no case “{name}”")))
}

fn source(pipeline: &str, cases: Option<&Path>) -> Result<CaseSource, Fault> {
    let read = |path: &Path| {
        Ok(CaseSource { name: path.display().to_string(), text: files::text(path, &FileKind::PIPELINE)? })
    };
    if let Some(path) = cases {
        return read(path);
    }
    let pipeline = pipeline_of(pipeline);
    if !is_path(&pipeline) {
        let found = builtin::find(&pipeline);
        let missing = || Fault::new(Code::NoPipeline, format!("there is no pipeline “{pipeline}”"));
        let found = found.ok_or_else(missing)?;
        return Ok(CaseSource { name: format!("{pipeline}.test.yaml"), text: found.cases.to_owned() });
    }
    let beside = cases_beside(Path::new(&pipeline));
    if beside.is_file() {
        return read(&beside);
    }
    let message = format!("there are no test cases: {} is not there", beside.display());
    let hint = format!(
        "everfold pipeline test {} --init writes a first one; --cases names another file",
        quoted(&pipeline)
    );
    Err(Fault::new(Code::File, message).hint(hint))
}

fn checked(source: &CaseSource, definition: &Definition, as_json: bool) -> Result<Vec<PipelineCase>, Fault> {
    read_cases(&source.text, &source.name, definition).map_err(|problems| {
        let fault = Fault::new(Code::BadPipeline, format!("{}: {}", source.name, problems.summary()));
        if as_json {
            return fault.errors(problems.0.iter().map(|problem| json!(problem)).collect());
        }
        print_problems(&problems.0);
        fault
    })
}

fn wanted<'c>(cases: &'c [PipelineCase], names: &[String]) -> Result<Vec<&'c PipelineCase>, Fault> {
    for name in names {
        if !cases.iter().any(|case| case.name == *name) {
            let near = similar(name, cases.iter().map(|case| case.name.as_str()));
            let all: Vec<&str> = cases.iter().map(|case| case.name.as_str()).collect();
            let fault = Fault::new(Code::Usage, format!("there is no case “{name}”"));
            return Err(match near {
                Some(near) => fault.hint(format!("did you mean “{near}”?")),
                None => fault.hint(cut(&format!("there are: {}", all.join(" · ")), VALUE_CHARS)),
            });
        }
    }
    Ok(cases.iter().filter(|case| names.is_empty() || names.contains(&case.name)).collect())
}

/// Writes a first case, which is played first: what is made up need not be what an expression looks for.
fn init(
    args: &PipelineTestArgs,
    definition: &Definition,
    settings: Option<&Settings>,
    program: &str,
) -> Result<u8, Fault> {
    let pipeline = pipeline_of(&args.pipeline);
    let beside = match &args.cases {
        Some(path) => path.clone(),
        None if is_path(&pipeline) => cases_beside(Path::new(&pipeline)),
        None => PathBuf::from(format!("{pipeline}.test.yaml")),
    };
    let mut first = CaseSource { name: beside.display().to_string(), text: first_case(definition) };
    let cases = checked(&first, definition, false)?;
    let report = test_pipeline_with(definition, settings, &cases);
    if report.failed > 0 {
        first
            .text
            .insert_str(0, "# It does not hold yet: fill in the outputs that the pipeline looks for.\n");
    }
    let written = std::fs::File::create_new(&beside)
        .and_then(|mut file| std::io::Write::write_all(&mut file, first.text.as_bytes()));
    written.map_err(|error| {
        Fault::new(Code::File, format!("{} cannot be written: {error}", beside.display()))
            .hint("a file that is there is never overwritten: name another one with --cases")
    })?;
    let out = Out::new();
    out.line(format!("{} has a first case", beside.display()));
    if report.failed > 0 {
        report.cases.iter().for_each(|case| one(&out, case, args.story));
        out.line("  it does not hold yet: fill in the outputs that the pipeline looks for, then");
    }
    out.line(format!("  {program} pipeline test {}", quoted(&pipeline)));
    Ok(0)
}

fn shown(out: &Out, report: &SuiteReport, args: &PipelineTestArgs) {
    for case in &report.cases {
        one(out, case, args.story);
    }
    coverage(out, &report.coverage);
    let all = report.passed + report.failed;
    match report.failed {
        0 => out.line(format!("{} passed", count(all as u64, "case"))),
        failed => note(format!("{failed} of {} failed", count(all as u64, "case"))),
    }
}

fn one(out: &Out, case: &CaseVerdict, with_story: bool) {
    let mark = if case.passed { "✓".green().to_string() } else { "✗".red().to_string() };
    let virtual_time = match u64::try_from(case.virtual_ms) {
        Ok(ms) if ms >= 1_000 => format!(", {} of virtual time", span(Duration::from_millis(ms))),
        _at_once => String::new(),
    };
    let ms = case.took().as_micros().div_ceil(1_000);
    out.line(format!("{mark} {}  {}", plain(&case.name), format!("{ms} ms{virtual_time}").dimmed()));
    if let Some(fault) = &case.fault {
        out.line(format!("    {} {}", "stopped:".red(), plain(fault)));
    }
    if !case.differences.is_empty() {
        out.line(format!("    {} expected, {} came", "-".red(), "+".green()));
        case.differences.iter().for_each(|difference| differs(out, difference));
    }
    if with_story || !case.passed {
        story(out, case, with_story);
    }
}

fn differs(out: &Out, difference: &CaseDifference) {
    let value = |value: &Option<Value>| match value {
        None => "nothing".to_owned(),
        Some(Value::String(text)) => plain(&cut(text, VALUE_CHARS)),
        Some(other) => plain(&cut(&other.to_string(), VALUE_CHARS)),
    };
    let CaseDifference { path, expected, actual } = difference;
    match (expected, actual) {
        (Some(Value::Bool(true)), Some(Value::Bool(false))) if path.starts_with("line ") => {
            out.line(format!("    {} {path}", "-".red()));
        }
        _values => {
            out.line(format!("    {} {path}: {}", "-".red(), value(expected)));
            out.line(format!("    {} {path}: {}", "+".green(), value(actual)));
        }
    }
}

fn story(out: &Out, case: &CaseVerdict, whole: bool) {
    if case.story.is_empty() {
        return;
    }
    out.line("    what happened");
    let lines = case.story.len();
    let left_out = if whole { 0 } else { lines.saturating_sub(STORY_LINES) };
    if left_out > 0 {
        out.line(format!("      … {} before (--story shows all)", count(left_out as u64, "event")));
    }
    for line in &case.story[left_out..] {
        let at = span(Duration::from_millis(u64::try_from(line.at_ms).unwrap_or(0)));
        let child = line.child_of.as_ref().map(|step| format!("[{step}] ")).unwrap_or_default();
        let text = format!("{at:>7}  {child}{:<18} {:<16} {}", line.event, line.place, line.detail);
        out.line(format!("      {}", plain(text.trim_end())));
    }
}

fn coverage(out: &Out, coverage: &PipelineCoverage) {
    let PipelineCoverage { steps, gates, routes } = coverage;
    out.line("coverage");
    let unreached = coverage.unreached();
    let begun = steps.len() - unreached.len();
    out.line(format!("  steps   {begun} of {} begun{}", steps.len(), listed("never", &unreached)));
    if !gates.is_empty() {
        let both = gates.iter().filter(|gate| gate.pass > 0 && gate.fail > 0).count();
        out.line(format!("  gates   {both} of {} passed and failed", gates.len()));
        for gate in gates.iter().filter(|gate| gate.pass == 0 || gate.fail == 0) {
            let never = match (gate.pass, gate.fail) {
                (0, 0) => "never passed, never failed",
                (0, _) => "never passed",
                _one => "never failed",
            };
            out.line(format!("          {} of {}: {never}", gate.gate, gate.step));
        }
    }
    if !routes.is_empty() {
        let taken = routes.iter().filter(|route| route.taken > 0).count();
        out.line(format!("  routes  {taken} of {} taken", routes.len()));
        for route in routes.iter().filter(|route| route.taken == 0) {
            out.line(format!("          {}: {}, never", route.route, route.to));
        }
    }
}

fn listed(what: &str, names: &[&str]) -> String {
    if names.is_empty() { String::new() } else { format!("; {what}: {}", names.join(", ")) }
}
