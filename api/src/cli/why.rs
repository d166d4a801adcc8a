//! `why`: why a run, or a step of it, is where it is; without a run, why nothing happens.

use everfold_engine::clock;
use everfold_engine::time::Timestamp;
use everfold_engine::why::CauseNode;
use owo_colors::OwoColorize as _;
use serde_json::Value;

use super::args::WhyArgs;
use super::context::CommandContext;
use super::lines::cause_text::cause_lines;
use super::moments::{TypedMoment, run_moment};
use super::output::columns;
use crate::body::why::{FolderWhy, RunWhy};
use crate::client::{encode, query};
use crate::fault::{Code, Fault};
use crate::text::{count, does, instant, plain, run_style};

pub(crate) async fn run(context: &CommandContext, args: WhyArgs) -> Result<u8, Fault> {
    let Some(run) = &args.run else {
        if args.at.is_some() {
            return Err(Fault::new(Code::Usage, "--at asks about a run: `why` without one is about now")
                .hint("write why RUN --at TIME, or `everfold board --at TIME` for all runs"));
        }
        return folder(context).await;
    };
    let (version, at) = match args.at.as_deref().map(|text| run_moment(context, run, text)).transpose()? {
        None => (None, None),
        Some(TypedMoment::Number(version)) => (Some(version.to_string()), None),
        Some(TypedMoment::Time(at)) => (None, Some(at.to_string())),
    };
    let is_past = version.is_some() || at.is_some();
    let params = query([("step", args.step.clone()), ("version", version), ("at", at)]);
    let path = format!("/api/v1/runs/{}/why{params}", encode(run));
    if context.json {
        let why: Value = context.client.get(&path).await?;
        context.out.json(&why)?;
        return Ok(0);
    }
    let mut why: RunWhy = context.client.get(&path).await?;
    place(context, &mut why.causes);
    let now = if is_past { why.at } else { clock::now() };
    context.out.raw(&run_text(&why, now, is_past, columns()));
    Ok(0)
}

async fn folder(context: &CommandContext) -> Result<u8, Fault> {
    if context.json {
        let why: Value = context.client.get("/api/v1/why").await?;
        context.out.json(&why)?;
        return Ok(0);
    }
    let mut why: FolderWhy = context.client.get("/api/v1/why").await?;
    place(context, &mut why.causes);
    context.out.raw(&folder_text(&why, columns()));
    Ok(0)
}

/// Commands in the sentences are as they are typed where this one works.
fn place(context: &CommandContext, causes: &mut [CauseNode]) {
    for cause in causes {
        cause.sentence = context.placed_text(&cause.sentence);
        place(context, &mut cause.because);
    }
}

/// Why a run is where it is, as a text.
pub(crate) fn run_text(why: &RunWhy, now: Timestamp, is_past: bool, within: Option<usize>) -> String {
    let is = match (&why.step, &why.step_status) {
        (Some(step), Some(status)) => format!("step {step} is {status}"),
        _whole_run if is_past => why.status.style(run_style(why.status)).to_string(),
        _whole_run => does(why.status).style(run_style(why.status)).to_string(),
    };
    let title = why.title.as_ref().map(|title| format!(", {}", plain(title))).unwrap_or_default();
    let at =
        if is_past { format!(" at version {}, {}", why.version, instant(why.at)) } else { String::new() };
    let mut lines = vec![format!("run {} ({}{title}) {is}{at}", why.short_id.bold(), why.pipeline)];
    cause_lines(&why.causes, 1, now, within, &mut lines);
    lines.join("\n") + "\n"
}

/// Why nothing happens, as a text.
pub(crate) fn folder_text(why: &FolderWhy, within: Option<usize>) -> String {
    let open = match why.open {
        0 => "no run is open".to_owned(),
        open => format!("{} open, {} running", count(open, "run"), why.running),
    };
    let mut lines = vec![open];
    if why.causes.is_empty() {
        lines.push("  nothing holds runs up".to_owned());
    }
    cause_lines(&why.causes, 1, why.at, within, &mut lines);
    lines.join("\n") + "\n"
}
