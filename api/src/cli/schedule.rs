//! `schedule`: what starts by the clock.

use everfold_engine::clock;
use everfold_engine::definition::input;
use serde_json::{Map, Value, json};

use super::args::{MomentArgs, ScheduleAddArgs, ScheduleArgs, ScheduleUpdateArgs, ScheduleVerb};
use super::context::{CommandContext, items};
use super::key_values::pairs;
use super::lines::outcome_text::outcome_line;
use super::output::note;
use super::pipeline_source::{named, near_file};
use crate::body::schedule::{AddBody, UpdateBody};
use crate::body::steering::ReasonBody;
use crate::client::{encode, query};
use crate::fault::{Code, Fault};
use crate::node::{OutcomeWord, ScheduleView};
use crate::text::{cut, instant, plain, span, table};

fn path(name: &str) -> String {
    format!("/api/v1/schedules/{}", encode(name))
}

pub(crate) async fn run(context: &CommandContext, args: ScheduleArgs) -> Result<u8, Fault> {
    let (view, said): (ScheduleView, &str) = match args.verb {
        ScheduleVerb::List => return list(context).await,
        ScheduleVerb::Show { name } => (context.client.get(&path(&name)).await?, ""),
        ScheduleVerb::Add(args) => (add(context, args).await?, "is added"),
        ScheduleVerb::Remove(args) => {
            let cancel = args.cancel.then(|| "true".to_owned());
            let asked = query([("reason", args.why.message), ("cancel", cancel)]);
            (context.client.delete(&format!("{}{asked}", path(&args.name))).await?, "is removed")
        }
        ScheduleVerb::Update(args) => (update(context, args).await?, "is changed"),
        ScheduleVerb::Pause(args) => {
            let body = ReasonBody { reason: args.why.message };
            (context.client.post(&format!("{}/pause", path(&args.name)), &body).await?, "is paused")
        }
        ScheduleVerb::Resume(args) => {
            let body = ReasonBody { reason: args.why.message };
            (context.client.post(&format!("{}/resume", path(&args.name)), &body).await?, "goes on")
        }
        ScheduleVerb::Trigger { name } => {
            let view: ScheduleView =
                context.client.post(&format!("{}/trigger", path(&name)), &json!({})).await?;
            return triggered(context, &view);
        }
    };
    if context.json {
        context.out.json(&view)?;
        return Ok(0);
    }
    context.out.line(match said {
        "" => format!("{}: {} starts {}", view.name, view.moments, view.pipeline),
        said => format!("{} {said}", view.name),
    });
    if view.status == "removed" {
        for run in view.cancelled.iter().flatten() {
            context.out.line(format!("  cancelled run {}", run.short()));
        }
        for run in &view.not_cancelled {
            let (run, program) = (run.short(), &context.program);
            context.out.line(format!(
                "  run {run} is set aside, and not cancelled: `{program} cancel {run} --force` ends it"
            ));
        }
        return Ok(0);
    }
    describe(context, &view, said);
    Ok(0)
}

/// What an order to trigger led to. A start that was refused is no success of it.
fn triggered(context: &CommandContext, view: &ScheduleView) -> Result<u8, Fault> {
    let is_refused = view.triggered.as_ref().is_some_and(|outcome| outcome.outcome == OutcomeWord::Refused);
    let code = if is_refused { Code::Refused.exit() } else { 0 };
    if context.json {
        context.out.json(view)?;
        return Ok(code);
    }
    let said = if is_refused { "was triggered, and its start refused" } else { "was triggered" };
    context.out.line(format!("{} {said}", view.name));
    describe(context, view, "was triggered");
    Ok(code)
}

fn describe(context: &CommandContext, view: &ScheduleView, said: &str) {
    let line = |name: &str, value: String| context.out.line(format!("  {name:<8}{value}"));
    match (&view.paused_at, &view.next_at) {
        (Some(since), _) => {
            let why = view.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
            line("paused", format!("since {}{why}", instant(*since)));
        }
        (None, Some(next)) => line("next", instant(*next)),
        (None, None) => {}
    }
    if let Some(title) = &view.title {
        line("title", plain(title));
    }
    if view.waiting > 0 {
        line("waiting", view.waiting.to_string());
    }
    for (why, count) in &view.passed {
        let more = if view.has_older && why == "late" { "more than " } else { "" };
        line("passed", format!("{more}{count} {why}"));
    }
    if said == "was triggered" {
        line("now", view.triggered.as_ref().map_or_else(|| "not settled yet".to_owned(), outcome_line));
    }
    let ticks = if said == "was triggered" { 0 } else { 5 };
    for tick in view.ticks.iter().take(ticks) {
        let by_hand = if tick.by_hand { " by hand" } else { "" };
        line("last", format!("{}{by_hand} {}", instant(tick.at), outcome_line(&tick.outcome)));
    }
    match view.triggered.as_ref().and_then(|outcome| outcome.runs.first()) {
        Some(run) => context.out.line(format!("  {} show {}", context.program, run.short())),
        // The same at a folder and at a server, where `serve` would be refused.
        _other if said == "is added" => {
            let (program, name) = (&context.program, &view.name);
            let what = "what its moments led to; they come while `everfold serve` runs";
            context.out.line(format!("  {program} schedule show {name}   # {what}"));
        }
        _nothing => {}
    }
}

async fn list(context: &CommandContext) -> Result<u8, Fault> {
    let answer: Value = context.client.get("/api/v1/schedules").await?;
    if context.json {
        context.out.json(&answer)?;
        return Ok(0);
    }
    let items: Vec<ScheduleView> = items(&answer)?;
    if items.is_empty() {
        note("no schedules");
        note(format!("  {} schedule add NAME PIPELINE --every 15m", context.program));
        return Ok(0);
    }
    let now = clock::now();
    let rows = items.iter().map(|view| {
        let next = match (view.status.as_str(), view.next_at) {
            ("paused", _) => "paused".to_owned(),
            (_, Some(next)) if next > now => format!("in {}", span(next.since(now))),
            (_, Some(_)) => "due".to_owned(),
            (_, None) => String::new(),
        };
        let last = view
            .ticks
            .first()
            .map(|tick| format!("{} ago {}", span(now.since(tick.settled_at)), outcome_line(&tick.outcome)));
        let moments = cut(&view.moments, 36);
        [view.name.clone(), view.pipeline.clone(), moments, next, cut(&last.unwrap_or_default(), 50)]
    });
    context.out.line(table(["NAME", "PIPELINE", "MOMENTS", "NEXT", "LAST"], rows));
    Ok(0)
}

/// The given moments as the language writes them.
fn moments(args: MomentArgs) -> Map<String, Value> {
    let texts = [
        ("cron", args.cron),
        ("every", args.every),
        ("anchor", args.anchor),
        ("hours", args.hours),
        ("zone", args.zone),
        ("jitter", args.jitter),
        ("catch_up", args.catch_up),
        ("overlap", args.overlap),
        ("overlap_by", args.overlap_by),
    ];
    let texts = texts.into_iter().filter_map(|(key, text)| Some((key.to_owned(), json!(text?))));
    let mut schedule: Map<String, Value> = texts.collect();
    if !args.weekdays.is_empty() {
        schedule.insert("weekdays".to_owned(), json!(args.weekdays));
    }
    schedule
}

/// The values of an input that were given, as the pipeline's schema reads them.
async fn given_input(context: &CommandContext, pipeline: &str, given: &[String]) -> Result<Value, Fault> {
    let pipeline = named(context, pipeline).await.map_err(|fault| match near_file(pipeline) {
        // A schedule starts a saved pipeline, whatever becomes of the file.
        Some(file) if fault.code == Code::NoPipeline => {
            fault.hint(format!("save the file first: everfold pipeline save ./{file}"))
        }
        _other => fault,
    })?;
    let given = pairs("-i", given)?;
    let given = given.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    Ok(input::from_pairs(pipeline.input.as_ref(), given))
}

async fn update(context: &CommandContext, args: ScheduleUpdateArgs) -> Result<ScheduleView, Fault> {
    let mut schedule = moments(args.moments);
    // A pattern takes the place of a span, and the other way round.
    for (key, other) in [("cron", "every"), ("cron", "anchor"), ("every", "cron")] {
        if schedule.contains_key(key) && !schedule.contains_key(other) {
            schedule.insert(other.to_owned(), Value::Null);
        }
    }
    schedule.extend(args.without.into_iter().map(|part| (part, Value::Null)));
    let input = match args.input.as_slice() {
        [] => None,
        given => {
            let view: ScheduleView = context.client.get(&path(&args.name)).await?;
            let pipeline = args.pipeline.as_ref().unwrap_or(&view.pipeline);
            let mut input = view.input.unwrap_or_else(|| json!({}));
            match (&mut input, given_input(context, pipeline, given).await?) {
                (Value::Object(input), Value::Object(given)) => input.extend(given),
                (input, given) => *input = given,
            }
            Some(input)
        }
    };
    let schedule = (!schedule.is_empty()).then_some(Value::Object(schedule));
    let body = UpdateBody { pipeline: args.pipeline, schedule, input, title: args.title };
    context.client.patch(&path(&args.name), &body).await
}

async fn add(context: &CommandContext, args: ScheduleAddArgs) -> Result<ScheduleView, Fault> {
    let schedule = moments(args.moments);
    let input = given_input(context, &args.pipeline, &args.input).await?;
    let body = AddBody {
        name: args.name,
        pipeline: args.pipeline,
        schedule: Value::Object(schedule),
        input: Some(input),
        title: args.title,
    };
    context.client.post("/api/v1/schedules", &body).await
}
