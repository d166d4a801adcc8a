//! Several calls of a program in one attempt: an answer that is given back, a session that could not be
//! continued.
//!
//! Law: an attempt has one folder, one log and one report, however often its program is called. What a
//! turn left goes into `turns/NUMBER` before the next one begins, and its `exit.json` goes last: until
//! then nothing can be started. What was decided stands in `turns/NUMBER/next.json` first, so that a crash
//! in between is gone on from, with the same next turn.

use std::fs::OpenOptions;
use std::io::{Error, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use super::attach_error::AttachError;
use super::attempt_folder::{has, read_exit};
use super::plan::Turn;
use crate::private_file::{if_there, make_private, write_private};
use crate::shim::log;
use crate::shim::protocol::{
    CommandRequest, EXIT, ExitRecord, FORMER_SHIM, LOCK, LOG, OUTPUT, STARTED, STDOUT, STDOUT_TAIL, TURNS,
};
use crate::shim::wall_clock::now_ms;
use everfold_system::regular;

const NEXT: &str = "next.json";

/// A turn that ended, and what was decided then.
#[derive(Clone)]
pub(crate) struct Past {
    pub(crate) next: Turn,
    pub(crate) record: ExitRecord,
    /// Where lies what it left.
    pub(crate) folder: PathBuf,
}

/// Whether a turn of the attempt has ended.
pub(crate) fn has_any(folder: &Path) -> Result<bool, AttachError> {
    has(folder, TURNS)
}

/// The turns that ended before the present one.
pub(crate) fn past(folder: &Path) -> Result<Vec<Past>, AttachError> {
    let mut turns = Vec::new();
    loop {
        let folder = folder_of(folder, turns.len() + 1);
        let next =
            next_of(&folder).map_err(|source| AttachError::Look { path: folder.join(NEXT), source })?;
        match (next, read_exit(&folder)?) {
            (Some(next), Some(record)) => turns.push(Past { next, record, folder }),
            _present => return Ok(turns),
        }
    }
}

fn folder_of(folder: &Path, number: usize) -> PathBuf {
    folder.join(TURNS).join(number.to_string())
}

fn next_of(turn: &Path) -> std::io::Result<Option<Turn>> {
    let text = if_there(regular::read(&turn.join(NEXT)))?;
    Ok(text.map(|text| serde_json::from_slice(&text)).transpose()?)
}

/// Goes on from where a crash left the change from one turn to the next.
pub(crate) fn settle(folder: &Path) -> std::io::Result<()> {
    let turn = folder_of(folder, past(folder).map_err(into_io)?.len() + 1);
    match next_of(&turn)? {
        Some(next) => change(folder, &turn, &next),
        None => Ok(()),
    }
}

/// Ends the present turn, and makes the folder ready for the next.
pub(crate) fn advance(folder: &Path, next: &Turn) -> std::io::Result<()> {
    let turn = folder_of(folder, past(folder).map_err(into_io)?.len() + 1);
    make_private(&turn)?;
    write_private(&turn.join(NEXT), &serde_json::to_vec(next)?)?;
    change(folder, &turn, next)
}

fn change(folder: &Path, turn: &Path, next: &Turn) -> std::io::Result<()> {
    for name in [STDOUT, STDOUT_TAIL, OUTPUT] {
        allow_missing(std::fs::rename(folder.join(name), turn.join(name)))?;
    }
    for (name, text) in &next.files {
        write_private(&folder.join(name), text.as_bytes())?;
    }
    remark(folder, &next.remark)?;
    for name in [STARTED, FORMER_SHIM] {
        allow_missing(std::fs::remove_file(folder.join(name)))?;
    }
    // What it says is of the supervisor that has ended.
    allow_missing(OpenOptions::new().write(true).open(folder.join(LOCK)).and_then(|lock| lock.set_len(0)))?;
    std::fs::File::open(folder)?.sync_all()?;
    allow_missing(std::fs::rename(folder.join(EXIT), turn.join(EXIT)))?;
    std::fs::File::open(turn)?.sync_all()
}

/// Says something in the log; no other process writes to it now.
pub(crate) fn remark(folder: &Path, text: &str) -> std::io::Result<()> {
    let line: Vec<&str> = text.lines().collect();
    log::create(&folder.join(LOG))?.write_all(format!("{} # {}\n", now_ms(), line.join(" ")).as_bytes())
}

fn allow_missing(result: std::io::Result<()>) -> std::io::Result<()> {
    match result {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// The request of the turn after these: what is left of the attempt's time is its own.
pub(crate) fn change_request(request: &mut CommandRequest, past: &[Past]) {
    let (Some(first), Some(last)) = (past.first(), past.last()) else { return };
    request.argv.clone_from(&last.next.argv);
    // Where the next turn has a session, it names it.
    request.env.remove("EVERFOLD_SESSION");
    request.env.extend(last.next.env.clone());
    request.stdin.clone_from(&last.next.stdin);
    let spent = u64::try_from(now_ms() - first.record.started_at).unwrap_or(0);
    request.timeout_ms = request.timeout_ms.map(|limit| limit.saturating_sub(spent).max(1));
}

/// The system's own error, where that is what it was.
fn into_io(error: AttachError) -> Error {
    match error {
        AttachError::Look { source, .. } => source,
        damaged => Error::new(ErrorKind::InvalidData, damaged.explained()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::plan::TurnKind;
    use super::*;
    use crate::shim::protocol::CommandOutcome;

    #[test]
    fn a_change_of_turns_that_broke_off_is_gone_on_from_wherever_it_stood() {
        let turn = Turn {
            kind: TurnKind::Repair,
            remark: "given back".to_owned(),
            argv: vec!["again".to_owned()],
            env: BTreeMap::new(),
            stdin: None,
            files: vec![("prompt-2.md".to_owned(), "again".to_owned())],
        };
        for moved in 0..=4 {
            let home = tempfile::tempdir().unwrap();
            let folder = home.path();
            let record = serde_json::to_vec(&CommandOutcome::Exited { code: 0 }.record()).unwrap();
            for (name, text) in [(STDOUT, &b"said"[..]), (STARTED, b""), (EXIT, &record)] {
                std::fs::write(folder.join(name), text).unwrap();
            }
            settle(folder).unwrap();
            assert!(past(folder).unwrap().is_empty() && !has_any(folder).unwrap());
            // As a crash would leave it.
            let kept = folder_of(folder, 1);
            make_private(&kept).unwrap();
            write_private(&kept.join(NEXT), &serde_json::to_vec(&turn).unwrap()).unwrap();
            if moved > 0 {
                std::fs::rename(folder.join(STDOUT), kept.join(STDOUT)).unwrap();
            }
            if moved > 1 {
                std::fs::remove_file(folder.join(STARTED)).unwrap();
            }
            if moved > 2 {
                std::fs::rename(folder.join(EXIT), kept.join(EXIT)).unwrap();
            }
            settle(folder).unwrap();
            let past = past(folder).unwrap();
            assert_eq!((past.len(), past[0].next.argv.as_slice()), (1, &["again".to_owned()][..]));
            assert_eq!(std::fs::read_to_string(kept.join(STDOUT)).unwrap(), "said");
            assert!(!folder.join(STARTED).exists() && !folder.join(EXIT).exists());
        }
    }
}
