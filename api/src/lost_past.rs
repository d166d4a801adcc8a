//! Attempts of a past that a copied folder does not know.
//!
//! Law: an attempt is scheduled by an event before its folder is made. So a folder of one that the history has not come to was
//! made by what is not in the history: of a folder in use that was copied with its journal first, or of positions that were
//! given up. Its end says nothing of what is decided here, and is put aside before the folder acts; what is still at work in
//! there is ended before that, since no run would name it any more.

use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use everfold_engine::data_folder::Layout;
use everfold_engine::driver::Engine;
use everfold_engine::envelope::StreamId;
use everfold_engine::event::{self, RunEvent};
use everfold_engine::id::{AttemptId, EffectId, RunId, Version};
use everfold_engine::state::RunState;
use everfold_engine::store::EventStore;
use everfold_workflows::process::runs_with_attempts;

use crate::fault::{Code, Fault};

/// Events read at once.
const CHUNK: usize = 500;

/// The attempts that were put aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostPast {
    /// How many folders and archives.
    pub count: usize,
    /// The folder that they were moved to, beside that of all attempts.
    pub folder: PathBuf,
    /// Those in which something was still at work, and was ended: `RUN/FOLDER`.
    pub ended: Vec<PathBuf>,
}

/// Ends the work of attempts that the history has not come to, and puts them aside; `None`: there are none.
///
/// # Errors
/// A run cannot be read, or a folder cannot be moved.
pub(crate) async fn put_aside(
    layout: &Layout,
    store: &dyn EventStore,
    engine: &Engine,
) -> Result<Option<LostPast>, Fault> {
    let all = layout.all_attempts();
    let unmoved = |error: io::Error| {
        Fault::new(Code::StoreIo, format!("the attempts in {} cannot be put aside: {error}", all.display()))
    };
    let mut lost = Vec::new();
    for run in runs_with_attempts(&all).map_err(unmoved)? {
        match lost_of(layout, store, engine, run).await {
            Ok(of_run) => lost.extend(of_run),
            // Nothing of it goes on, so no end of its attempts is asked for: it keeps no other run from acting.
            Err(error) => {
                tracing::warn!(%run, %error, "a run cannot be read, and its attempts stay where they are")
            }
        }
    }
    if lost.is_empty() {
        return Ok(None);
    }
    // It is ended where it names its folder, so before that is moved.
    let ended = engine.end_lost_work(&lost).await;
    let folder = unused(&all);
    move_all(&lost, &all, &folder).map_err(unmoved)?;
    Ok(Some(LostPast { count: lost.len(), folder, ended }))
}

/// Moves what lies below one folder to the same places below another; durable, since the adoption that follows is.
fn move_all(paths: &[PathBuf], from: &Path, to: &Path) -> io::Result<()> {
    let mut left = BTreeSet::new();
    for path in paths {
        let target = to.join(path.strip_prefix(from).unwrap_or(path));
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::rename(path, target)?;
        left.extend(path.parent());
    }
    left.into_iter().try_for_each(|folder| fs::File::open(folder)?.sync_all())
}

/// What lies there of a run and is of no attempt that it came to.
async fn lost_of(
    layout: &Layout,
    store: &dyn EventStore,
    engine: &Engine,
    run: RunId,
) -> Result<Vec<PathBuf>, Fault> {
    let (folder, archive) = (layout.attempts(run), layout.archived_attempts(run));
    let there = |path: PathBuf| path.exists().then_some(path);
    if store.head(&StreamId::run(run)).await?.is_none() {
        return Ok(there(folder).into_iter().chain(there(archive)).collect());
    }
    let names = names_in(&folder).map_err(|error| Fault::new(Code::StoreIo, error.to_string()))?;
    let probes = probes_of(store, layout, run).await?;
    let lost = engine.with_state(run, move |state| match state.is_ended() {
        true => None,
        false => Some(names.into_iter().filter(|name| !is_known(state, &probes, name)).collect::<Vec<_>>()),
    });
    // Those of a run that has ended are asked for no end any more.
    let Some(lost) = lost.await? else { return Ok(Vec::new()) };
    Ok(lost.into_iter().map(|name| folder.join(name)).chain(there(archive)).collect())
}

/// The names of folders of attempts and probes.
fn names_in(folder: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry?.file_name().into_string();
        names.extend(name.ok().filter(|name| !readings(name).is_empty()));
    }
    Ok(names)
}

/// The names of the folders of probes whose verdict is recorded.
async fn probes_of(store: &dyn EventStore, layout: &Layout, run: RunId) -> Result<HashSet<String>, Fault> {
    let (stream, mut from, mut names) = (StreamId::run(run), Version::FIRST, HashSet::new());
    loop {
        let events = store.read(&stream, from, CHUNK).await?;
        for envelope in &events {
            let header = &envelope.header;
            if let Ok(RunEvent::GateEvaluated(event)) =
                event::decode(header.kind, header.schema, &envelope.payload)
            {
                let folder = layout.probe(&EffectId { run, attempt: event.id }, &event.gate, event.probe_no);
                names.extend(folder.file_name().map(|name| name.to_string_lossy().into_owned()));
            }
        }
        match events.last() {
            Some(last) if events.len() == CHUNK => from = last.header.version.next(),
            _end => return Ok(names),
        }
    }
}

/// Whether a folder is of an attempt that the run came to, or of a probe whose verdict it knows.
fn is_known(state: &RunState, probes: &HashSet<String>, name: &str) -> bool {
    let is_attempt = |(id, rest): &(AttemptId, &str)| rest.is_empty() && state.has_come_to(id);
    probes.contains(name) || readings(name).iter().any(is_attempt)
}

/// What the name of a folder may say: an attempt, and what stands behind it for a probe. Names of steps may look like rounds.
fn readings(name: &str) -> Vec<(AttemptId, &str)> {
    let digits = |text: &str| text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let read = |(at, _): (usize, &str)| {
        let round = &name[at + 2..];
        let behind = round[digits(round)..].strip_prefix("-a")?;
        let (attempt, rest) = behind.split_at(digits(behind));
        let id = format!("{}/{}/{attempt}", &name[..at], &round[..digits(round)]).parse().ok()?;
        (rest.is_empty() || rest.starts_with('-')).then_some((id, rest))
    };
    name.match_indices("-r").filter_map(read).collect()
}

fn unused(all: &Path) -> PathBuf {
    let mut number = 1;
    loop {
        let folder = all.with_file_name(format!("attempts.lost-{number}"));
        if !folder.exists() {
            return folder;
        }
        number += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_folder_says_its_attempt_and_what_stands_behind_it() {
        let read = |name: &'static str| -> Vec<(String, &str)> {
            readings(name).into_iter().map(|(id, rest)| (id.to_string(), rest)).collect()
        };
        assert_eq!(read("build-r1-a2"), [("build/1/2".to_owned(), "")]);
        assert_eq!(read("deploy.3-r2-a1-tests-p4"), [("deploy.3/2/1".to_owned(), "-tests-p4")]);
        assert_eq!(read("re-run-r1-a1"), [("re-run/1/1".to_owned(), "")]);
        assert_eq!(read("x-r1-a1-r2-a3").len(), 2);
        assert!(read("log").is_empty() && read("a-r1").is_empty() && read("a-rx-a1").is_empty());
    }
}
