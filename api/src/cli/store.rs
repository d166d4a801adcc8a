//! `store`: info, verify, repair, adopt.

use everfold_engine::clock::Stopwatch;
use everfold_engine::data_folder::Layout;
use everfold_engine::id::Position;
use everfold_engine::store::repair::{self, LaterHistory, RepairError, RepairPlan, RestoreFrom};
use everfold_engine::store::{Progress, SledOptions, positions};
use futures::StreamExt as _;
use serde_json::{Value, json};

use super::args::{StoreArgs, StoreVerb};
use super::context::CommandContext;
use super::store_progress::store_progress;
use crate::client::wait_for_owner;
use crate::fault::{Code, Fault, ProblemDocument};
use crate::node::{self, LogDigest, Verified};
use crate::serve;
use crate::text::{count, option};

pub(crate) async fn run(context: &CommandContext, args: StoreArgs) -> Result<u8, Fault> {
    match args.verb {
        StoreVerb::Info => info(context).await,
        StoreVerb::Adopt => adopt(context).await,
        StoreVerb::Verify { digest } => verify(context, digest).await,
        StoreVerb::Repair { yes, from_sled, from, give_up_behind } => {
            let from = match (from, from_sled, give_up_behind) {
                (Some(folder), _, _) => RestoreFrom::Copy(folder),
                (None, true, _) => RestoreFrom::Index,
                (None, false, Some(position)) => RestoreFrom::GivenUpBehind(Position(position)),
                (None, false, None) => RestoreFrom::Nothing,
            };
            repair(context, yes, from).await
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

/// Says what a repair would do; does it with `--yes`.
async fn repair(context: &CommandContext, yes: bool, from: RestoreFrom) -> Result<u8, Fault> {
    let layout = existing_folder(context)?;
    let folder = layout.root().to_owned();
    let program = context.program.clone();
    if let RestoreFrom::Copy(copy) = &from
        && !copy.join("journal").is_dir()
    {
        return Err(Fault::new(
            Code::File,
            format!("{} has no folder journal: it is no copy of a data folder", copy.display()),
        ));
    }
    let asked = from.clone();
    let plan = on_folder(move |options| {
        let repair = if yes { repair::apply } else { repair::plan };
        repair(&folder, options, &asked).map_err(|error| refused(error, &asked, &program))
    })
    .await?;
    if context.json {
        let steps: Vec<String> = plan.steps.iter().map(ToString::to_string).collect();
        let lost: Vec<_> =
            plan.lost.iter().map(|(first, last)| json!({ "first": first, "last": last })).collect();
        let damage: Vec<String> = plan.damage.iter().map(ToString::to_string).collect();
        let later = plan
            .later
            .map(|later| json!({ "first": later.first, "last": later.last, "readable": later.readable }));
        context.out.json(&json!({
            "steps": steps, "missing_journal": plan.missing_journal, "damage": damage, "notes": plan.notes,
            "lost": lost, "later": later, "done": yes,
        }))?;
    } else {
        context.out.raw(&planned(&plan, yes, &from, &context.program));
    }
    let lost_from = match (&from, plan.has_index) {
        (RestoreFrom::Copy(copy), _) => {
            Some(format!("neither the journal nor {} holds what is lost", copy.display()))
        }
        (_, false) => Some("the journal does not hold what is lost, and there is no index".to_owned()),
        (RestoreFrom::Index, true) => Some("neither the journal nor the index holds what is lost".to_owned()),
        (RestoreFrom::Nothing | RestoreFrom::GivenUpBehind(_), true) => None,
    };
    if let (Some(message), Some((first, _))) = (lost_from, plan.lost.first()) {
        // A file that is no segment has no positions, and stands where some were looked for.
        let moved = match plan.damage.iter().any(|damage| damage.offset == 0 && damage.file.exists()) {
            true => {
                "; a file that is not of this store is to be moved out of `journal` first, or `store.json` away where that \
                 is the one of another store"
            }
            false => "",
        };
        return Err(Fault::new(Code::Damaged, message).hint(format!(
            "the store is as it was; {program} store repair --from DIR takes it from another copy of the folder; where none \
             has it, --give-up-behind {end} goes on without it, and without all that came after{moved}",
            program = context.program,
            end = first.0 - 1,
        )));
    }
    if plan.damage.is_empty() || !plan.steps.is_empty() || !plan.lost.is_empty() {
        return Ok(0);
    }
    Err(unmended(&plan, &from, &context.program))
}

/// Why a repair was not done, and what is done about that.
fn refused(error: RepairError, from: &RestoreFrom, program: &str) -> Fault {
    let message = error.to_string();
    let there = match from {
        RestoreFrom::Copy(copy) => option("--dir", &copy.to_string_lossy()),
        RestoreFrom::Nothing | RestoreFrom::Index | RestoreFrom::GivenUpBehind(_) => "--dir DIR".to_owned(),
    };
    let hint = match error {
        RepairError::Open(error) => return Fault::from(error),
        RepairError::Itself { .. } => {
            return Fault::new(Code::File, message).hint("name another copy of it");
        }
        RepairError::NotInJournal { .. } => {
            format!("the store is as it was; {program} store repair --from-sled says what can be restored")
        }
        RepairError::OtherEnd { end, .. } => {
            format!("the store is as it was; {program} store repair --give-up-behind {end}")
        }
        RepairError::InIndex { .. } => format!(
            "the store is as it was; {program} store repair --from-sled   # says what the index can restore"
        ),
        RepairError::Lost { from, first, .. } => {
            let other = if matches!(from, RestoreFrom::Copy(_)) { "another copy" } else { "a copy" };
            format!(
                "the store is as it was; {program} store repair --from DIR takes what is missing from {other} that holds it; \
                 where none does, --give-up-behind {} goes on without it, and without all that came after",
                first.0 - 1
            )
        }
        RepairError::Step { .. } => "put that right and repeat the command: it goes on from there".to_owned(),
        RepairError::Unfinished { .. } => {
            "nothing is lost: the next start builds the index and goes on; where it takes the folder for a copy, \
             `everfold store adopt` lets it act"
                .to_owned()
        }
        RepairError::Write(_) => {
            "the store is as it was; put that right and repeat the command".to_owned()
        }
        RepairError::OtherStore { .. } => "the store is as it was; take a copy of this store".to_owned(),
        RepairError::OtherHistory { .. } | RepairError::Unproven { .. } => format!(
            "the store is as it was; take a copy of this store that did not go on by itself, or go on there, and here no \
             more: `everfold {there} store adopt`"
        ),
        RepairError::TooMuch { .. } => format!(
            "the store is as it was; go on with the copy in its place: `everfold {there} store adopt` lets it act"
        ),
        _ => "the store is as it was; `everfold store repair --from DIR` takes what is missing from a copy that holds it"
            .to_owned(),
    };
    Fault::new(Code::Damaged, message).hint(hint)
}

/// What is to be done about damage of which neither the journal nor what was asked for says what should stand there: what was
/// not asked yet, then what no repair does.
fn unmended(plan: &RepairPlan, from: &RestoreFrom, program: &str) -> Fault {
    let index = match plan.has_index && *from != RestoreFrom::Index {
        true => format!("{program} store repair --from-sled says what the index can restore; else "),
        false => String::new(),
    };
    let way = match from {
        RestoreFrom::Copy(copy) => {
            let dir = option("--dir", &copy.to_string_lossy());
            format!(
                "go on with a copy that is whole: `everfold {dir} store verify` says whether that one is, and \
                 `everfold {dir} store adopt` lets it act"
            )
        }
        RestoreFrom::Nothing | RestoreFrom::Index | RestoreFrom::GivenUpBehind(_) => {
            "take what is damaged from a copy (--from DIR), or restore a copy without the damage".to_owned()
        }
    };
    let hint = format!(
        "{index}{way}; a file that is not of this store is to be moved out of `journal`, or `store.json` away where that is the \
         one of another store"
    );
    Fault::new(Code::Damaged, "the journal is damaged where `store repair` cannot mend it").hint(hint)
}

/// What a repair does, as a text.
fn planned(plan: &RepairPlan, done: bool, from: &RestoreFrom, program: &str) -> String {
    let mut text = String::new();
    plan.damage.iter().for_each(|damage| text.push_str(&format!("damage  {damage}\n")));
    plan.notes.iter().for_each(|note| text.push_str(&format!("note    {note}\n")));
    if let Some(journal) = plan.missing_journal.as_ref().filter(|_| !plan.lost.is_empty()) {
        text.push_str(&format!("missing {}\n", journal.display()));
    }
    for (first, last) in &plan.lost {
        text.push_str(&format!("lost    {}\n", positions(*first, *last)));
    }
    let later = match from {
        RestoreFrom::Copy(copy) => plan.later.map(|later| (later, copy.display().to_string())),
        RestoreFrom::Nothing | RestoreFrom::Index | RestoreFrom::GivenUpBehind(_) => None,
    };
    if let Some((LaterHistory { first, last, readable }, copy)) = &later {
        let events = count(*readable, "event");
        text.push_str(&format!(
            "note    {copy} goes on behind the end of this journal: {events} at {}\n",
            positions(*first, *last)
        ));
    }
    if plan.steps.is_empty() && plan.damage.is_empty() && plan.lost.is_empty() {
        return text
            + &later.map_or_else(|| "nothing need be repaired\n".to_owned(), |(_, copy)| going_on_in(&copy));
    }
    if !plan.lost.is_empty() {
        if *from == RestoreFrom::Nothing && plan.has_index {
            text.push_str(&format!(
                "the journal alone does not hold them\n\nnext\n  {program} store repair --from-sled   # says what the index can restore\n"
            ));
        }
        return text;
    }
    if plan.steps.is_empty() {
        return text;
    }
    let word = if done { "did   " } else { "would " };
    plan.steps.iter().for_each(|step| text.push_str(&format!("{word}  {step}\n")));
    if !done {
        let from = match from {
            RestoreFrom::Nothing => String::new(),
            RestoreFrom::Index => " --from-sled".to_owned(),
            RestoreFrom::Copy(folder) => format!(" {}", option("--from", &folder.to_string_lossy())),
            RestoreFrom::GivenUpBehind(position) => format!(" --give-up-behind {position}"),
        };
        text.push_str(&format!("\nnext\n  {program} store repair{from} --yes   # copy the folder first\n"));
    } else {
        text.push_str(&format!("\nnext\n  {program} store verify\n"));
        if matches!(from, RestoreFrom::GivenUpBehind(_)) {
            text.push_str(&format!(
                "  {program} store adopt   # lets it act: what was done behind that position is unknown to it, and may be done again\n"
            ));
        }
    }
    text
}

/// The commands with which a user takes a copy in the place of this folder: the copy has events behind the end of this
/// folder's journal, which lacks none before it.
fn going_on_in(copy: &str) -> String {
    let dir = option("--dir", copy);
    format!(
        "nothing need be repaired: the journal lacks nothing up to its end, and a repair takes nothing that comes behind\n\n\
         next\n  everfold {dir} store verify\n  \
         everfold {dir} store adopt   # to go on there, with all of that history, and here no more\n"
    )
}

/// The data folder, which has to be there: of one that is gone nothing is as it was written.
fn existing_folder(context: &CommandContext) -> Result<&Layout, Fault> {
    let layout = &context.place()?.layout;
    let folder = layout.root().display();
    match layout.root().is_dir() {
        true => Ok(layout),
        false if layout.root().exists() => Err(Fault::new(Code::File, format!("{folder} is no folder"))),
        false => Err(Fault::new(Code::File, format!("there is no folder {folder}"))),
    }
}

/// Works on the folder itself, off the runtime's threads.
async fn on_folder<T: Send + 'static>(
    body: impl FnOnce(&SledOptions) -> Result<T, Fault> + Send + 'static,
) -> Result<T, Fault> {
    let options = SledOptions { progress: store_progress(), ..SledOptions::default() };
    let done = tokio::task::spawn_blocking(move || body(&options)).await;
    done.map_err(|error| Fault::new(Code::Internal, error.to_string()))?
}
