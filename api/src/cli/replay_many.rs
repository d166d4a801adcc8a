//! `replay --all` and `--filter`: the histories of many runs decided again.

use std::io::IsTerminal as _;

use everfold_engine::state::RunStatus;
use futures::StreamExt as _;
use indicatif::ProgressBar;
use serde_json::{Value, json};

use super::args::ReplayArgs;
use super::context::CommandContext;
use super::output::note;
use super::pipeline_source;
use crate::body::replay::ReplayBody;
use crate::client::{encode, query};
use crate::fault::{Code, Fault};
use crate::node::{Replay, ReplayBelow};
use crate::text::{count, plain};

/// Runs that one request lists.
const PART: usize = 1_000;
/// Runs that are decided again side by side.
const SIDE_BY_SIDE: usize = 4;
/// Runs that would go otherwise, or could not be decided again, which are kept for the answer.
const KEPT: usize = 1_000;
/// How many of them are shown to people.
const SHOWN: usize = 20;
/// After so many runs the place is said from which a further call would go on.
const PLACE_EVERY: u64 = 10_000;

/// What came of all runs so far.
#[derive(Default)]
pub(super) struct ReplayTotals {
    pub(super) runs: u64,
    pub(super) inputs: u64,
    pub(super) events: u64,
    pub(super) verdicts: u64,
    /// Runs that would go otherwise.
    pub(super) otherwise: u64,
    /// Runs of which that could not be said.
    pub(super) failed: u64,
    /// How many of both go on.
    pub(super) living: u64,
    /// The first of both.
    pub(super) kept: Vec<Value>,
}

impl ReplayTotals {
    fn add(&mut self, row: &Value, asked: Result<Replay, Fault>) {
        self.runs += 1;
        let kept = match asked {
            Ok(replay) => {
                self.inputs += replay.inputs;
                self.events += replay.events;
                self.verdicts += replay.verdicts;
                let is_alike =
                    replay.differences.is_empty() && replay.below.as_ref().is_none_or(ReplayBelow::is_alike);
                if is_alike {
                    return;
                }
                self.otherwise += 1;
                let first = replay.differences.first();
                json!({
                    "version": first.map(|first| first.version), "fact": first.map(|first| &first.fact),
                    "message": first.map_or("runs below would not go as they did", |first| &first.message),
                    "differences": replay.differences.len(), "code": Code::Differs.as_str(),
                })
            }
            Err(fault) => {
                self.failed += 1;
                json!({ "code": fault.code.as_str(), "message": fault.message })
            }
        };
        self.living += u64::from(goes_on(row));
        if self.kept.len() < KEPT {
            let mut kept = kept;
            for field in ["id", "short_id", "pipeline", "status"] {
                kept[field] = row[field].clone();
            }
            self.kept.push(kept);
        }
    }
}

/// Whether a run of a list has not ended.
pub(super) fn goes_on(row: &Value) -> bool {
    let status = row["status"].as_str().unwrap_or_default();
    RunStatus::ALL.iter().any(|known| known.as_str() == status && !known.is_ended())
}

/// What is asked of each run: the definition by which it is decided again.
pub(super) enum ReplayRequest {
    /// Its own, or one that the engine knows: the parameters.
    Known(String),
    /// One of a file here.
    Brought(Box<ReplayBody>),
}

impl ReplayRequest {
    /// Reads the file of the definition, where one is named.
    pub(super) fn read(context: &CommandContext, args: &ReplayArgs) -> Result<Self, Fault> {
        match args.definition.as_deref() {
            Some(path) if pipeline_source::is_path(path) => {
                let loaded = pipeline_source::load(path, context.json)?;
                if !context.json {
                    pipeline_source::print_problems(&loaded.checked.warnings);
                }
                Ok(Self::Brought(Box::new(ReplayBody {
                    pipeline: None,
                    definition: loaded.text.map(Value::from),
                    file: Some(loaded.name),
                    files: Some(loaded.checked.definition.files),
                    version: args.version,
                })))
            }
            definition => {
                let version = args.version.map(|version| version.to_string());
                let params = [("definition", definition.map(str::to_owned)), ("version", version)];
                Ok(Self::Known(query(params)))
            }
        }
    }

    /// Asks of one run.
    pub(super) async fn ask(&self, context: &CommandContext, run: &str) -> Result<Replay, Fault> {
        let route = format!("/api/v1/runs/{}/replay", encode(run));
        match self {
            Self::Known(params) => context.client.get(&format!("{route}{params}")).await,
            Self::Brought(body) => context.client.post(&route, body).await,
        }
    }
}

/// Decides again what the runs that are asked for recorded.
pub(super) async fn run(context: &CommandContext, args: ReplayArgs) -> Result<u8, Fault> {
    let request = ReplayRequest::read(context, &args)?;
    let all = decide_all(context, &request, args.filter, args.cursor).await?;
    answer(context, &all)
}

/// Decides again what runs recorded, from a place of the list on, and shows how far it is.
pub(super) async fn decide_all(
    context: &CommandContext,
    request: &ReplayRequest,
    filter: Option<String>,
    mut cursor: Option<String>,
) -> Result<ReplayTotals, Fault> {
    let bar = std::io::stderr().is_terminal().then(ProgressBar::new_spinner);
    let (mut all, mut place_at) = (ReplayTotals::default(), PLACE_EVERY);
    loop {
        let params =
            [("filter", filter.clone()), ("limit", Some(PART.to_string())), ("cursor", cursor.take())];
        let mut part: Value = context.client.get(&format!("/api/v1/runs{}", query(params))).await?;
        let Value::Array(rows) = part["items"].take() else { break };
        let ask = |row: Value| async {
            let id = row["id"].as_str().unwrap_or_default();
            let asked = request.ask(context, id).await;
            (row, asked)
        };
        let mut asked = futures::stream::iter(rows).map(ask).buffered(SIDE_BY_SIDE);
        while let Some((row, asked)) = asked.next().await {
            match asked {
                // It is of the engine, and not of the run.
                Err(fault) if fault.code.status() >= 500 && fault.code != Code::Damaged => return Err(fault),
                asked => all.add(&row, asked),
            }
            if let Some(bar) = &bar {
                bar.set_message(format!("{} decided again", count(all.runs, "run")));
                bar.tick();
            }
        }
        cursor = part["next_cursor"].as_str().map(str::to_owned);
        let Some(next) = &cursor else { break };
        if all.runs >= place_at {
            place_at += PLACE_EVERY;
            let program = &context.program;
            let done = count(all.runs, "run");
            note(format!("{done} decided again; {program} replay --all --cursor {next} goes on here"));
        }
    }
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    Ok(all)
}

fn answer(context: &CommandContext, all: &ReplayTotals) -> Result<u8, Fault> {
    let is_alike = all.otherwise == 0 && all.failed == 0;
    if context.json {
        context.out.json(&json!({
            "runs": all.runs, "inputs": all.inputs, "events": all.events, "verdicts": all.verdicts,
            "otherwise": all.otherwise, "failed": all.failed, "items": all.kept,
        }))?;
        return Ok(if is_alike { 0 } else { Code::Differs.exit() });
    }
    for run in all.kept.iter().take(SHOWN) {
        let text = |name: &str| plain(run[name].as_str().unwrap_or_default());
        let version =
            run["version"].as_u64().map(|version| format!(" version {version} ({}):", text("fact")));
        context.out.line(format!(
            "run {} ({}):{} {}",
            text("short_id"),
            text("pipeline"),
            version.unwrap_or_default(),
            text("message")
        ));
    }
    let more = (all.otherwise + all.failed).saturating_sub(SHOWN as u64);
    if more > 0 {
        context.out.line(format!("and {} more", count(more, "run")));
    }
    if is_alike {
        context.out.line(format!(
            "{}: {} decided again, {} compared, {} given again, all equal",
            count(all.runs, "run"),
            count(all.inputs, "input"),
            count(all.events, "event"),
            count(all.verdicts, "verdict")
        ));
        return Ok(0);
    }
    let mut what = format!("of {}, {} would go otherwise", count(all.runs, "run"), all.otherwise);
    if all.failed > 0 {
        what.push_str(&format!(", and of {} that cannot be said", all.failed));
    }
    Err(Fault::new(Code::Differs, what)
        .hint("`everfold replay RUN` shows all that differs in one; the recorded decisions stand"))
}
