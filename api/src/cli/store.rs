//! `store`: info, verify, repair, adopt.

mod folder;
mod repair;

use everfold_engine::clock::Stopwatch;
use everfold_engine::id::Position;
use everfold_engine::store::Progress;
use everfold_engine::store::repair::RestoreFrom;
use futures::StreamExt as _;
use serde_json::{Value, json};

use super::args::{StoreArgs, StoreVerb};
use super::context::CommandContext;
use super::store_progress::store_progress;
use crate::client::wait_for_owner;
use crate::fault::{Code, Fault, ProblemDocument};
use crate::node::{self, LogDigest, Verified};
use crate::serve;
use crate::text::count;
use folder::{existing_folder, on_folder};

pub(crate) async fn run(context: &CommandContext, args: StoreArgs) -> Result<u8, Fault> {
    match args.verb {
        StoreVerb::Info => info(context).await,
        StoreVerb::Adopt => adopt(context).await,
        StoreVerb::Verify { digest } => verify(context, digest).await,
        StoreVerb::Repair { yes, from_sled, from, give_up_behind } => {
            let source = match (from, from_sled) {
                (Some(folder), _) => RestoreFrom::Copy(folder),
                (None, true) => RestoreFrom::Index,
                (None, false) => RestoreFrom::Nothing,
            };
            let from = match give_up_behind {
                Some(position) => source.up_to(Position(position)),
                None => source,
            };
            repair::run(context, yes, from).await
        }
    }
}

async fn info(context: &CommandContext) -> Result<u8, Fault> {
    let info: Value = context.client.get("/api/v1/store").await?;
    if context.json {
        context.out.json(&info)?;
        return Ok(0);
    }
    if info["store"].is_null() {
        context.out.line(format!(
            "{} holds no store yet; the first run makes it",
            info["folder"].as_str().unwrap_or_default()
        ));
        return Ok(0);
    }
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let files = &info["files"];
    let size = |name: &str| files[name].as_u64().map_or_else(|| "?".to_owned(), bytes);
    let rows = [
        ("folder", text(&info["folder"])),
        ("store", text(&info["store"])),
        ("epoch", text(&info["epoch"])),
        (
            "acts",
            if info["adopted"] == json!(true) {
                "yes".into()
            } else {
                "no: it is a copy; `store adopt` lets it".to_owned()
            },
        ),
        (
            "takes writes",
            match info["writability"]["read_only"].as_str() {
                Some(reason) => format!("no: {reason}"),
                None => text(&info["writability"]),
            },
        ),
        ("runs", text(&info["runs"])),
        ("events", text(&info["position"])),
        (
            "journal",
            format!(
                "{} in {}",
                size("journal_bytes"),
                count(files["segments"].as_u64().unwrap_or(0), "segment")
            ),
        ),
        ("index", size("index_bytes")),
        ("blobs", size("blobs_bytes")),
    ];
    for (label, value) in rows {
        context.out.line(format!("{label:<14}{value}"));
    }
    for warning in info["warnings"].as_array().into_iter().flatten() {
        context.out.line(format!("warning       {}", warning.as_str().unwrap_or_default()));
    }
    for aside in info["set_aside"].as_array().into_iter().flatten() {
        context.out.line(format!("set aside     {}: {}", aside[0], aside[1]));
    }
    for copy in info["cut_copies"].as_array().into_iter().flatten() {
        let run = copy["run"].as_str().unwrap_or_default();
        let events = count(copy["events"].as_u64().unwrap_or(0), "event");
        context
            .out
            .line(format!("cut copy      {run}: {events} of a history that a crash cut short; no run"));
    }
    Ok(0)
}

/// A size with three figures that count.
fn bytes(size: u64) -> String {
    let mut shown = size as f64;
    for unit in ["B", "KB", "MB", "GB"] {
        if shown < 1_000.0 {
            return if unit == "B" { format!("{size} B") } else { format!("{shown:.1} {unit}") };
        }
        shown /= 1_000.0;
    }
    format!("{shown:.1} TB")
}

async fn adopt(context: &CommandContext) -> Result<u8, Fault> {
    let answer: Value = context.client.post("/api/v1/store/adopt", &json!({})).await?;
    if context.json {
        context.out.json(&answer)?;
    } else {
        if let (Some(count), Some(folder)) = (answer["put_aside"].as_u64(), answer["put_aside_in"].as_str()) {
            context.out.line(format!(
                "put aside in {folder}: {count} folders of attempts that were begun behind the end of this history; what they \
                 did outside is unknown to it"
            ));
        }
        for attempt in answer["ended"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            context.out.line(format!(
                "ended {attempt}: it was still at work there, and no run of this history has it"
            ));
        }
        context.out.line("this folder acts from now on");
    }
    Ok(0)
}

/// Verifies beside the owner's work, or the folder itself where it has no owner: a damaged store
/// cannot be opened, but can be verified.
async fn verify(context: &CommandContext, kept: Option<LogDigest>) -> Result<u8, Fault> {
    let layout = existing_folder(context)?;
    let since = Stopwatch::start();
    let verified = loop {
        let is_owned = serve::connect(&layout.socket()).await.is_ok();
        let tried = if is_owned {
            verify_beside(context, kept).await
        } else {
            let folder = layout.root().to_owned();
            on_folder(move |options| node::verify_folder(&folder, options, kept)).await
        };
        match tried {
            // An owner that finds its folder moved ends by itself; then what lies here is verified.
            Err(fault) if matches!(fault.code, Code::InUse | Code::Ending | Code::NotOurs) => {
                wait_for_owner(layout, &since, fault).await?;
            }
            tried => break tried?,
        }
    };
    if context.json {
        context.out.json(&verified)?;
    } else {
        context.out.raw(&report(&verified));
    }
    if verified.sound {
        return Ok(0);
    }
    let number = verified.faults.len() as u64 + verified.more_faults;
    if number == 1 && verified.has_kept_digest == Some(false) {
        return Err(Fault::new(Code::Faults, "the log is not the one whose digest was kept").hint(
            "what was altered cannot be told from it: compare with a copy of the folder that has that digest",
        ));
    }
    if number == 1 && verified.uncompared_index {
        return Err(Fault::new(Code::Faults, "the index was not looked at; of the rest nothing is damaged")
            .hint("make possible what stood in the way, and verify once more"));
    }
    let of_attempts = verified.logs.damaged + verified.damaged_archives;
    // Of more faults than are listed it is not known what they are of.
    let hint = match of_attempts + verified.damaged_blobs {
        _ if number == verified.logs.damaged => {
            "the history is sound; a log cannot be made again: bring it back from a copy of the folder"
        }
        _ if number == of_attempts => {
            "the history is sound; what attempts wrote cannot be made again: bring the archive back from a copy of the folder"
        }
        beside if beside == number => {
            "every event is as it was written; files of `blobs` cannot be made again: bring them back from a copy of the \
             folder"
        }
        _ => "copy the folder first; then `everfold store repair` says what it would do",
    };
    Err(Fault::new(Code::Faults, format!("the store has {}", count(number, "fault"))).hint(hint))
}

/// Has the owner verify beside its work, which may take longer than an answer may: it says how far it
/// has come meanwhile.
async fn verify_beside(context: &CommandContext, kept: Option<LogDigest>) -> Result<Verified, Fault> {
    let kept = kept.map(|kept| format!("&digest={kept}")).unwrap_or_default();
    let response = context.client.open(&format!("/api/v1/store/verify?progress=true{kept}"), &[]).await?;
    let (progress, mut chunks) = (store_progress(), response.into_body().into_data_stream());
    let mut text = Vec::new();
    let mut last = Value::Null;
    while let Some(chunk) = chunks.next().await {
        text.extend_from_slice(&chunk.map_err(|_| ended())?);
        while let Some(end) = text.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = text.drain(..=end).collect();
            last = serde_json::from_slice(&line)
                .map_err(|error| Fault::new(Code::Internal, format!("the owner's answer: {error}")))?;
            if let (Some(done), Some(of)) = (last["done"].as_u64(), last["of"].as_u64()) {
                progress(Progress::Verify { done: Position(done), of: Position(of) });
            }
        }
    }
    if let Ok(problem) = serde_json::from_value::<ProblemDocument>(last.clone()) {
        return Err(problem.into());
    }
    serde_json::from_value(last).map_err(|_| ended())
}

fn ended() -> Fault {
    Fault::new(Code::Ending, "the owner of the folder ended before it was through")
        .hint("repeat the command: `everfold store verify`")
}

/// What a verification found, as a text.
fn report(verified: &Verified) -> String {
    let Verified {
        events,
        groups,
        streams,
        blobs,
        snapshots,
        logs,
        digest,
        faults,
        more_faults,
        notes,
        sound,
        ..
    } = verified;
    let mut text = format!(
        "{} in {} of {}, {}, {}, {}\n",
        count(*events, "event"),
        count(*groups, "group"),
        count(*streams, "stream"),
        count(*blobs, "blob"),
        count(*snapshots, "snapshot"),
        count(logs.checked, "log"),
    );
    notes.iter().for_each(|note| text.push_str(&format!("note   {note}\n")));
    faults.iter().for_each(|fault| text.push_str(&format!("fault  {fault}\n")));
    if *more_faults > 0 {
        text.push_str(&format!("fault  and {more_faults} more\n"));
    }
    if *sound {
        text.push_str("everything is as it was written\n");
    }
    if let Some(digest) = digest.as_ref().filter(|_| *sound) {
        text.push_str(&format!("digest {digest}\n"));
    }
    text
}
