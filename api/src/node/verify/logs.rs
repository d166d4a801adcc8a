//! Logs of attempts, compared with what their events recorded of them, and the archives that hold them.
//!
//! Law: one log at a time, in bounded memory, in the attempt's folder or out of the archive of its run; of an archived one no
//! more is unpacked than is recorded. A log whose attempt is in neither was removed, by the limits of `[logs]` or by hand, and
//! is no damage; an attempt without its log is.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use everfold_engine::data_folder::Layout;
use everfold_engine::envelope::{Envelope, StreamId, flag};
use everfold_engine::event::{
    self, AttemptNotes, KeptWork, LogSeal, RunEvent, ScheduledWork, SpareReason, StepScheduled,
};
use everfold_engine::id::{AttemptId, EffectId, RunId};
use everfold_workflows::process::{LogFinder, check_archives};
use everfold_workflows::shim::log::{LogChange, LogCheck, check};
use everfold_workflows::shim::protocol;
use serde::{Deserialize, Serialize};

use crate::fault::{Code, Fault};
use crate::node::Node;
use crate::text::count;

/// Faults that are listed; more are counted.
const FAULTS_MAX: usize = 1_000;
/// Runs that are named, whose logs were removed.
const NAMED_RUNS: usize = 5;

/// The logs of attempts that were compared with what is recorded of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct VerifiedLogs {
    /// Logs whose end is recorded and that are there.
    pub checked: u64,
    /// Logs that are missing in their folder, cannot be read, or are not what was written.
    pub damaged: u64,
    /// Logs whose folder was removed.
    pub removed: u64,
}

/// What was found, shared with the thread that verifies.
#[derive(Default)]
pub(super) struct AttemptFindings {
    pub(super) logs: VerifiedLogs,
    /// Damaged places of archives, without the logs among them.
    pub(super) damaged_archives: u64,
    /// The first faults, in words.
    pub(super) faults: Vec<String>,
    /// The logs that these name, by the paths of their attempts' folders.
    named: BTreeSet<PathBuf>,
    /// The first runs whose logs were removed, one more than are named.
    removed_of: BTreeSet<RunId>,
}

impl AttemptFindings {
    /// Which logs were removed, in words; `None`: none.
    pub(super) fn removed(&self) -> Option<String> {
        let logs = count(self.logs.removed, "log");
        let (attempts, gone) = match self.logs.removed {
            0 => return None,
            1 => ("an ended attempt", "was removed with its folder"),
            _more => ("ended attempts", "were removed with their folders"),
        };
        let mut runs: Vec<String> =
            self.removed_of.iter().take(NAMED_RUNS).map(ToString::to_string).collect();
        if self.removed_of.len() > NAMED_RUNS {
            runs.push("others".to_owned());
        }
        let last = runs.pop()?;
        let runs = match runs.is_empty() {
            true => format!("run {last}"),
            false => format!("runs {} and {last}", runs.join(", ")),
        };
        Some(format!("{logs} of {attempts} of {runs} {gone}"))
    }

    fn fault(&mut self, fault: impl FnOnce() -> String) {
        if self.faults.len() < FAULTS_MAX {
            self.faults.push(fault());
        }
    }
}

/// Compares the logs of a data folder with the events that say how they ended. Cheap to clone.
#[derive(Clone)]
pub(super) struct SealedLogs {
    layout: Layout,
    logs: Arc<Mutex<LogFinder>>,
    findings: Arc<Mutex<AttemptFindings>>,
}

impl SealedLogs {
    pub(super) fn of(layout: Layout) -> Self {
        let logs = Arc::new(Mutex::new(LogFinder::new(layout.clone())));
        Self { layout, logs, findings: Arc::default() }
    }

    /// Compares the archives with their checksums; to be called when all logs were compared. A damaged log is named once.
    pub(super) fn check_archives(&self) {
        let is_named = |entry: &Path| {
            entry.ends_with(protocol::LOG)
                && entry.parent().is_some_and(|attempt| self.findings().named.contains(attempt))
        };
        check_archives(&self.layout.all_attempts(), &is_named, &mut |damage| {
            let mut findings = self.findings();
            findings.damaged_archives += 1;
            findings.fault(|| damage.to_string());
        });
    }

    /// Compares the log that an event seals, if it seals one. A copied history is another run's, and so are its logs.
    pub(super) fn event(&self, run: RunId, envelope: &Envelope, event: &RunEvent) {
        if envelope.header.flags & flag::COPIED != 0 {
            return;
        }
        if let Some((id, seal)) = sealed(event) {
            self.compare(run, id, seal);
        }
    }

    fn compare(&self, run: RunId, id: &AttemptId, seal: &LogSeal) {
        let effect = EffectId { run, attempt: id.clone() };
        let found = compared(&mut self.logs.lock().unwrap_or_else(PoisonError::into_inner), &effect, seal);
        let (mut findings, attempt) = (self.findings(), self.layout.attempt(&effect));
        let damaged = match found {
            Compared::Removed => {
                findings.logs.removed += 1;
                if findings.removed_of.len() <= NAMED_RUNS {
                    findings.removed_of.insert(run);
                }
                return;
            }
            Compared::Same => None,
            Compared::Damaged { what, place } => Some((what, place)),
        };
        findings.logs.checked += 1;
        let Some((what, place)) = damaged else { return };
        findings.logs.damaged += 1;
        if findings.named.len() < FAULTS_MAX {
            findings.named.insert(attempt);
        }
        findings.fault(|| {
            let AttemptId { path, round, attempt } = id;
            let place = place.display();
            format!("the log of run {run}, step {path}, round {round}, attempt {attempt}: {what} ({place})")
        });
    }

    /// What was found: the numbers, and the first faults in words.
    pub(super) fn found(&self) -> AttemptFindings {
        std::mem::take(&mut *self.findings())
    }

    fn findings(&self) -> MutexGuard<'_, AttemptFindings> {
        self.findings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Node {
    /// In which way the log of an attempt is not what was written; `None`: it is, or it was removed, or the attempt has not
    /// ended here.
    ///
    /// # Errors
    /// The history cannot be read.
    pub(crate) async fn log_damage(&self, id: &EffectId) -> Result<Option<String>, Fault> {
        let Some(seal) = self.log_seal(id).await? else { return Ok(None) };
        let (mut logs, id) = (LogFinder::new(self.layout().clone()), id.clone());
        let compared = tokio::task::spawn_blocking(move || compared(&mut logs, &id, &seal)).await;
        Ok(match compared {
            Ok(Compared::Damaged { what, .. }) => Some(what),
            Ok(Compared::Same | Compared::Removed) | Err(_) => None,
        })
    }

    /// Says why an attempt has no file of a log; `Ok`: its work printed nothing. `is_kept`: whether anything else of it is
    /// there.
    ///
    /// # Errors
    /// There is no such attempt, or it was removed: [`Code::NoLog`]. What it printed is gone, and the rest of it is there:
    /// [`Code::Faults`]. The history cannot be read.
    pub(crate) async fn absent_log(&self, id: &EffectId, is_kept: bool) -> Result<(), Fault> {
        match if is_kept { self.log_seal(id).await? } else { None } {
            None if is_kept => Ok(()),
            Some(seal) if seal.bytes > 0 => {
                Err(Fault::new(Code::Faults, format!("the log of {} is damaged: it is missing", id.attempt))
                    .hint("a log cannot be made again: bring it back from a copy of the folder"))
            }
            Some(seal) if seal.lost_bytes == 0 => Ok(()),
            _removed if self.is_held_back(id).await? => {
                Err(Fault::new(Code::NoLog, format!("the work of {} was held back: it printed nothing", id.attempt))
                    .hint("a fork does not act outside unless it is made with `--live`"))
            }
            _removed => Err(Fault::new(Code::NoLog, format!("there is no log of {}", id.attempt)).hint(format!(
                "`everfold show {}` shows rounds and attempts; of ended runs logs are removed after a while: `[logs] keep`",
                id.run.short()
            ))),
        }
    }

    /// The attempt whose work was done: of a copied history that of the origin, or of the origin of that, of work that
    /// ended as recorded that which it ended as, and of an item that a retry kept that which did it.
    ///
    /// # Errors
    /// A history cannot be read.
    pub(crate) async fn attempt_of_origin(&self, id: &EffectId) -> Result<EffectId, Fault> {
        let mut id = id.clone();
        loop {
            let history = self.history(id.run).await?;
            if let Some(KeptWork { run, id: attempt }) = kept(&history, &id.attempt) {
                id = EffectId { run, attempt };
                continue;
            }
            let of =
                self.engine().with_state(id.run, |state| state.origin().map(|origin| origin.run)).await?;
            let Some(origin) = of else { return Ok(id) };
            if let Some(SpareReason::Recorded { run, version }) = spared(&history, &id.attempt) {
                let end = self.store().read(&StreamId::run(run), version, 1).await?;
                let Some(event) = end.first().and_then(decoded) else { return Ok(id) };
                let Some((attempt, _)) = ended(&event) else { return Ok(id) };
                id = EffectId { run, attempt: attempt.clone() };
                continue;
            }
            // A step that began anew counts its attempts anew: the newest of this number is meant.
            let ends = |envelope: &&Envelope| {
                decoded(envelope).is_some_and(|event| ended(&event).is_some_and(|(of, _)| *of == id.attempt))
            };
            match history.iter().rev().find(ends) {
                Some(end) if end.header.flags & flag::COPIED != 0 => id.run = origin,
                _its_own => return Ok(id),
            }
        }
    }

    /// Whether the work of an attempt was not done, since it acts outside of its run.
    async fn is_held_back(&self, id: &EffectId) -> Result<bool, Fault> {
        let history = self.history(id.run).await?;
        Ok(matches!(spared(&history, &id.attempt), Some(SpareReason::Held { .. })))
    }

    /// What the run's own history records of the log of an attempt.
    pub(crate) async fn log_seal(&self, id: &EffectId) -> Result<Option<LogSeal>, Fault> {
        let history = self.history(id.run).await?;
        let own = history.iter().rev().filter(|envelope| envelope.header.flags & flag::COPIED == 0);
        Ok(own.filter_map(decoded).find_map(|event| {
            sealed(&event).filter(|(of, _)| **of == id.attempt).map(|(_, seal)| seal.clone())
        }))
    }
}

fn decoded(envelope: &Envelope) -> Option<RunEvent> {
    let header = &envelope.header;
    event::decode(header.kind, header.schema, &envelope.payload).ok()
}

/// The attempt that did an item which the run kept.
fn kept(history: &[Envelope], id: &AttemptId) -> Option<KeptWork> {
    let own = history.iter().rev().filter(|envelope| envelope.header.flags & flag::COPIED == 0);
    own.filter_map(decoded).find_map(|event| match event {
        RunEvent::StepScheduled(StepScheduled { id: of, work: ScheduledWork::Kept(kept) }) if of == *id => {
            Some(kept)
        }
        _other => None,
    })
}

/// Why the work of an attempt was not done in its own run.
fn spared(history: &[Envelope], id: &AttemptId) -> Option<SpareReason> {
    let own = history.iter().rev().filter(|envelope| envelope.header.flags & flag::COPIED == 0);
    own.filter_map(decoded).find_map(|event| match event {
        RunEvent::WorkSpared(event) if event.id == *id => Some(event.reason),
        _other => None,
    })
}

/// What an event records of the log of an attempt that ends with it.
fn sealed(event: &RunEvent) -> Option<(&AttemptId, &LogSeal)> {
    let (id, notes) = ended(event)?;
    notes.log.as_ref().map(|seal| (id, seal))
}

/// The attempt that ends with an event, with what is noted of it.
fn ended(event: &RunEvent) -> Option<(&AttemptId, &AttemptNotes)> {
    match event {
        RunEvent::AttemptSucceeded(event) => Some((&event.id, &event.notes)),
        RunEvent::AttemptFailed(event) => Some((&event.id, &event.notes)),
        RunEvent::AttemptAsked(event) => Some((&event.id, &event.notes)),
        _other => None,
    }
}

/// A log beside what is recorded of it.
enum Compared {
    Same,
    /// Its folder is gone.
    Removed,
    /// In which way it is not what was written.
    Damaged {
        what: String,
        place: PathBuf,
    },
}

fn compared(logs: &mut LogFinder, id: &EffectId, seal: &LogSeal) -> Compared {
    let (place, checked) = match logs.find(id, Some(seal), true) {
        Ok(stored) => match (check(stored.files, seal), stored.is_kept) {
            (Ok(LogCheck::Missing), false) => return Compared::Removed,
            (checked, _) => (stored.place, checked),
        },
        Err(error) => (logs.place(id), Err(error)),
    };
    let what = match checked {
        Ok(LogCheck::Same) => return Compared::Same,
        Ok(LogCheck::Missing) => "it is missing".to_owned(),
        Ok(LogCheck::Changed(change)) => changed(&change),
        Err(error) => format!("it cannot be read: {error}"),
    };
    Compared::Damaged { what, place }
}

/// Where a log is not what was written.
fn changed(change: &LogChange) -> String {
    match change {
        LogChange::Emptied { line, lines: 1, .. } => format!("line {line} was emptied"),
        LogChange::Emptied { line, lines, bytes } => {
            let last = line + lines - 1;
            format!("lines {line} to {last} (bytes {} to {}) were emptied", bytes.start, bytes.end)
        }
        LogChange::Removed { line, lines: 1 } => {
            format!("line {line} was taken out; the others are as they were")
        }
        LogChange::Removed { line, lines } => {
            let last = line + lines - 1;
            format!("lines {line} to {last} were taken out; the others are as they were")
        }
        LogChange::Added { line, lines } => {
            format!("{} put in before line {line}; the others are as they were", were(*lines))
        }
        LogChange::Line { line, bytes, further } => {
            let more = match further {
                0 => String::new(),
                further => format!(", nor are {further} behind it"),
            };
            format!("line {line} (bytes {} to {}) is not what was written{more}", bytes.start, bytes.end)
        }
        LogChange::Cut { line: 0, missing } => {
            format!("it was emptied: it had {}", count(*missing, "line"))
        }
        LogChange::Cut { line, missing: 1 } => format!("it ends after line {line}: 1 line is missing"),
        LogChange::Cut { line, missing } => {
            format!("it ends after line {line}: {missing} lines are missing")
        }
        LogChange::Longer { bytes: 1 } => "1 byte was added behind its end".to_owned(),
        LogChange::Longer { bytes } => format!("{bytes} bytes were added behind its end"),
        LogChange::Somewhere => {
            "it is not what was written; where cannot be said without its index".to_owned()
        }
    }
}

fn were(lines: u64) -> String {
    if lines == 1 { "1 line was".to_owned() } else { format!("{lines} lines were") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_done_to_a_log_is_said_in_words() {
        for (change, said) in [
            (LogChange::Cut { line: 0, missing: 4 }, "it was emptied: it had 4 lines"),
            (LogChange::Cut { line: 3, missing: 1 }, "it ends after line 3: 1 line is missing"),
            (LogChange::Emptied { line: 2, lines: 1, bytes: 11..12 }, "line 2 was emptied"),
            (
                LogChange::Emptied { line: 2, lines: 3, bytes: 11..47 },
                "lines 2 to 4 (bytes 11 to 47) were emptied",
            ),
            (
                LogChange::Line { line: 2, bytes: 11..12, further: 0 },
                "line 2 (bytes 11 to 12) is not what was written",
            ),
            (
                LogChange::Line { line: 2, bytes: 11..15, further: 3 },
                "line 2 (bytes 11 to 15) is not what was written, nor are 3 behind it",
            ),
            (LogChange::Removed { line: 2, lines: 1 }, "line 2 was taken out; the others are as they were"),
            (
                LogChange::Removed { line: 2, lines: 3 },
                "lines 2 to 4 were taken out; the others are as they were",
            ),
            (
                LogChange::Added { line: 3, lines: 1 },
                "1 line was put in before line 3; the others are as they were",
            ),
        ] {
            assert_eq!(changed(&change), said);
        }
    }
}
