//! From the record of an end to the report that the runtime gets.
//!
//! Law: reported once, reported alike for ever. A report that draws on the workspace is kept in the folder, because
//! files and commits there may be others by the time it is asked for again. Any other follows from what is in the folder.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use everfold_base::failure::{Failure, FailureKind};
use everfold_base::json::{Hash, Value, canonical};
use everfold_base::time::Timestamp;
use everfold_language::definition::{OnLost, Save};
use everfold_ports::{Artefact, AttemptEnd, AttemptRequest, AttemptResult, LogSeal, RequestedJson, Usage};

use super::outcome::{is_killed, outcome};
use super::output::{self, ResultFile, outside};
use super::plan::{
    Answer, EndedProcess, Former, Incomplete, Interpret, Plan, Progress, Stdout, Turn, TurnKind,
};
use super::setup::Processes;
use super::stored_end::StoredEnd;
use super::turns::Past;
use super::unready::Unready;
use super::usage;
use crate::attempt_end::ended_now;
use crate::git::{Git, SaveError, SaveRequest, free_locks, save};
use crate::private_file::{if_there, is_of_the_system, write_private};
use crate::secret::SecretValues;
use crate::shim::log;
use crate::shim::protocol::{CANCEL, CommandOutcome, ExitRecord, LOG, OUTPUT, STDOUT, STDOUT_TAIL};
use crate::workspace_path::{ResolvedPath, resolve};
use everfold_system::regular;

/// What declared files were before the attempt.
const BEFORE: &str = "before.json";
/// The limit of a kept file.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// The limit of an output, as canonical text.
const OUTPUT_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Lines of output in a failure.
const DETAIL_LINES: usize = 20;

/// Notes what the files are that must be fresh afterwards.
pub(crate) fn note_before(request: &AttemptRequest) -> std::io::Result<()> {
    let fresh = request.outputs.files.values().filter(|file| file.fresh);
    let before = fresh.map(|file| Ok((file.path.as_str(), hash_of(&request.workdir.path, &file.path)?)));
    let before: BTreeMap<&str, Option<Hash>> = before.collect::<std::io::Result<_>>()?;
    if before.is_empty() {
        return Ok(());
    }
    write_private(&request.folder.join(BEFORE), &serde_json::to_vec(&before)?)
}

/// What a file is; `None` where there is none that can be read. One that is too large to be kept is known by its size and
/// time: it may be of any size, and no time limit counts yet.
fn hash_of(workdir: &Path, path: &str) -> std::io::Result<Option<Hash>> {
    let ResolvedPath::Inside(file) = resolve(workdir, path) else { return Ok(None) };
    let mut hasher = blake3::Hasher::new();
    let hashed = regular::open(&file).and_then(|file| {
        let met = file.metadata()?;
        if met.len() > FILE_BYTES_MAX {
            hasher.update(format!("{} {} {}", met.len(), met.mtime(), met.mtime_nsec()).as_bytes());
            return Ok(());
        }
        // It may grow meanwhile.
        std::io::copy(&mut file.take(FILE_BYTES_MAX + 1), &mut hasher).map(drop)
    });
    match hashed {
        Ok(()) => Ok(Some(Hash(*hasher.finalize().as_bytes()))),
        Err(error) if is_of_the_system(&error) => Err(error),
        Err(_unreadable) => Ok(None),
    }
}

/// Whether the program is called once more.
pub(crate) async fn next_turn(
    request: &AttemptRequest,
    plan: &Plan,
    record: &ExitRecord,
    past: &[Past],
) -> Result<Option<Turn>, Unready> {
    let (Some(next), CommandOutcome::Exited { code }) = (plan.next.clone(), &record.outcome) else {
        return Ok(None);
    };
    let code = *code;
    let kinds: Vec<TurnKind> = past.iter().map(|turn| turn.next.kind).collect();
    let (request, record, interpret) = (request.clone(), record.clone(), plan.interpret.clone());
    let deciding = tokio::task::spawn_blocking(move || {
        let folder = &request.folder;
        let result = result_in(folder)?;
        let stdout = stdout(folder, &record)?;
        let result_output = result.as_ref().ok().and_then(|result| result.output.as_ref());
        let last = log::tail(&folder.join(LOG), DETAIL_LINES);
        let ended = || EndedProcess { exit_code: code, stdout: &stdout, said: &last, result: result_output };
        let Answer { text, check, .. } = interpret(&ended());
        let text = text.map(|text| Stdout { text, tail: None });
        let said = text.as_ref().unwrap_or(&stdout);
        let declared = match output::declared_and_fit(&request, said, check.as_ref()) {
            Ok(declared) => declared.map(Ok),
            Err(Unready::Failed(failure)) => Some(Err(failure)),
            Err(unready) => return Err(unready),
        };
        let turn = next(&Former {
            ended: ended(),
            // One that asks people has no answer yet.
            broken: result.as_ref().err(),
            declared,
            kinds: &kinds,
        });
        Ok(turn.filter(|_| !result.is_ok_and(|result| result.reserved.ask.is_some())))
    });
    deciding.await.unwrap_or(Ok(None))
}

fn result_in(folder: &Path) -> Result<Result<ResultFile, Failure>, Unready> {
    output::read_result(&folder.join(OUTPUT)).map_err(|error| Unready::unseen("the result file", &error))
}

/// What turns before the last one used up.
fn before(interpret: &Interpret, past: &[Past]) -> Result<Vec<Usage>, Unready> {
    let mut used = Vec::new();
    for turn in past {
        let stdout = stdout(&turn.folder, &turn.record)?;
        let result = result_in(&turn.folder)?.unwrap_or_default();
        let exit_code = if let CommandOutcome::Exited { code } = turn.record.outcome { code } else { -1 };
        let result_output = result.output.as_ref();
        let answer = interpret(&EndedProcess { exit_code, stdout: &stdout, said: "", result: result_output });
        used.extend(answer.usage.into_iter().chain(result.usage));
    }
    Ok(used)
}

/// What turns that are over used up: the present one adds to it.
pub(crate) async fn before_turns(plan: &Plan, past: &[Past]) -> Vec<Usage> {
    if past.is_empty() {
        return Vec::new();
    }
    let (interpret, past) = (plan.interpret.clone(), past.to_vec());
    let reading = tokio::task::spawn_blocking(move || before(&interpret, &past).map(usage::sum));
    // What cannot be read now is counted at the end.
    reading.await.ok().and_then(Result::ok).unwrap_or_default()
}

/// Reads all that an ended process left, commits leftovers, and keeps the report.
pub(crate) async fn report(
    processes: &Processes,
    request: &AttemptRequest,
    plan: &Plan,
    record: &ExitRecord,
    past: &[Past],
) -> Result<AttemptEnd, Unready> {
    let reading = {
        let (processes, request, record) = (processes.clone(), request.clone(), record.clone());
        let past_turns = past.to_vec();
        let (interpret, kept, hint) = (plan.interpret.clone(), plan.kept.clone(), plan.missing_hint.clone());
        let progress = plan.progress;
        let renewed = past.iter().find(|turn| turn.next.kind == TurnKind::Session);
        let note = renewed.map(|turn| turn.next.remark.clone()).or(plan.remark.clone());
        let span = tracing::Span::current();
        tokio::task::spawn_blocking(move || {
            let _of_the_attempt = span.entered();
            let before = before(&interpret, &past_turns)?;
            let mut end = read(&request, &record, &interpret, &processes, &hint, progress)?;
            if !before.is_empty() {
                end.usage = usage::sum(before.into_iter().chain(end.usage));
            }
            if end.notes.note.is_none() {
                end.notes.note = note;
            }
            end.artefacts.extend(keep_texts(&processes, &request, &kept));
            end.notes.log = sealed(&record, &past_turns);
            Ok::<_, Unready>(end)
        })
    };
    let mut end = match reading.await {
        Ok(end) => end?,
        Err(error) => ended_now(AttemptResult::Failed(Failure::new(
            FailureKind::Error,
            format!("reading what the process left failed: {error}"),
        ))),
    };
    if is_lost_by_signal(request, plan, record)
        && let AttemptResult::Failed(failure) = end.result
    {
        end.result = AttemptResult::Lost { reason: failure.message };
    }
    // The supervisor masked texts; here the names of fields count, also where a number is short.
    processes.secrets.mask(&SecretValues::default()).end(&mut end);
    match record.outcome {
        CommandOutcome::NotStarted { .. } => {}
        CommandOutcome::Exited { .. } => commit(processes, request, &mut end).await?,
        CommandOutcome::Signalled { .. }
        | CommandOutcome::TimedOut
        | CommandOutcome::Cancelled
        | CommandOutcome::Lost { .. } => {
            if let (Ok(git), true) = (Git::within(&request.workdir), request.workdir.git.is_some())
                && let Err(error) = free_locks(&git).await
            {
                tracing::warn!(attempt = %request.id, %error, "could not look for stale locks of git");
            }
            commit(processes, request, &mut end).await?;
        }
    }
    if draws_on_workspace(request)
        && let Err(error) = StoredEnd::keep(&end, &request.folder)
    {
        tracing::warn!(attempt = %request.id, %error, "could not keep the report of an attempt");
    }
    Ok(end)
}

/// Whether work that others ended counts as lost: where its step lets it begin again. Elsewhere it has failed, and `retry` and
/// `on_fail` say what follows.
fn is_lost_by_signal(request: &AttemptRequest, plan: &Plan, record: &ExitRecord) -> bool {
    is_killed(&record.outcome)
        && request.after_loss(plan.on_lost) == OnLost::Retry
        && !request.folder.join(CANCEL).exists()
}

/// Whether the report holds more than what the attempt's own folder says.
fn draws_on_workspace(request: &AttemptRequest) -> bool {
    let reads_file = matches!(request.outputs.json, Some(RequestedJson::File(_)));
    request.workdir.git.is_some() || !request.outputs.files.is_empty() || reads_file
}

/// The log as the last supervisor closed it; what all turns lost is missing in it.
fn sealed(record: &ExitRecord, past: &[Past]) -> Option<LogSeal> {
    let log = record.log.clone()?;
    let lost = past.iter().map(|turn| turn.record.log_lost_bytes);
    Some(LogSeal { lost_bytes: lost.fold(log.lost_bytes, u64::saturating_add), ..log })
}

fn read(
    request: &AttemptRequest,
    record: &ExitRecord,
    interpret: &Interpret,
    processes: &Processes,
    hint: &str,
    progress: Progress,
) -> Result<AttemptEnd, Unready> {
    let mut end = AttemptEnd::new(AttemptResult::Succeeded(Value::Null), Timestamp(record.ended_at));
    end.result = match read_into(&mut end, request, record, interpret, processes, hint) {
        Ok(output) => AttemptResult::Succeeded(output),
        Err(Unready::Failed(failure)) if failure.kind == FailureKind::Lost => {
            AttemptResult::Lost { reason: failure.message }
        }
        Err(unready @ (Unready::NoRoom(_) | Unready::Unseen(_))) => return Err(unready),
        Err(Unready::Failed(mut failure)) => {
            if failure.detail.is_none() && failure.kind != FailureKind::Cancelled {
                failure.detail = last_lines(&request.folder.join(LOG), progress);
            }
            AttemptResult::Failed(failure)
        }
    };
    Ok(end)
}

/// The last lines of a log as people read them: of a protocol, what each of its lines says.
fn last_lines(log: &Path, progress: Progress) -> Option<String> {
    let lines = log::tail(log, DETAIL_LINES);
    let is_protocol = |line: &str| serde_json::from_str::<serde_json::Map<String, Value>>(line).is_ok();
    let shown: Vec<String> = lines
        .lines()
        .filter_map(|line| progress(line).or_else(|| (!is_protocol(line)).then(|| line.to_owned())))
        .collect();
    Some(shown.join("\n")).filter(|lines| !lines.is_empty())
}

fn read_into(
    end: &mut AttemptEnd,
    request: &AttemptRequest,
    record: &ExitRecord,
    interpret: &Interpret,
    processes: &Processes,
    hint: &str,
) -> Result<Value, Unready> {
    let exit = outcome(record, request, hint);
    let result = result_in(&request.folder)?;
    let stdout = stdout(&request.folder, record)?;
    let exit_code = *exit.as_ref().unwrap_or(&-1);
    let last = match exit_code {
        0 => String::new(),
        _failed => log::tail(&request.folder.join(LOG), DETAIL_LINES),
    };
    let Answer { output, usage, text, check, keeps, incomplete, again, remark } = interpret(&EndedProcess {
        exit_code,
        stdout: &stdout,
        said: &last,
        result: result.as_ref().ok().and_then(|result| result.output.as_ref()),
    });
    end.usage = usage;
    if let Ok(result) = &result {
        end.usage.extend(result.usage.iter().cloned());
    }
    let code = result.as_ref().ok().and_then(|result| result.reserved.code.clone());
    if let Ok(result) = &result {
        // Also of a process that failed; problems of the result file itself are reported only for one that did not.
        end.notes = result.reserved.read().unwrap_or_default();
        end.search = result.reserved.search.clone().unwrap_or_default();
    }
    end.notes.note = end.notes.note.take().or_else(|| remark.clone());
    match exit {
        Err(mut failure) => {
            failure.code = code.or(failure.code);
            return Err(failure.into());
        }
        Ok(0) => {}
        Ok(_not_finished) if incomplete.is_some() => {}
        Ok(exit_code) => {
            end.again_after = again.and_then(|again| again.pause(end.ended_at));
            // What the program says of its failure is worth more than the number.
            let (message, said) = match output {
                Err(said) => (format!("exit {exit_code}: {}", said.message), Some(said)),
                Ok(_) => (format!("exit {exit_code}"), None),
            };
            let mut failure = Failure::new(FailureKind::Exit, message);
            let said = said.filter(|said| said.code.is_some());
            failure.hint = said.as_ref().and_then(|said| said.hint.clone());
            failure.code = code.or(said.and_then(|said| said.code));
            failure.exit_code = Some(exit_code);
            return Err(failure.into());
        }
    }
    if !record.removed.is_empty() {
        return Err(too_large(&record.removed).into());
    }
    end.again_after = again.and_then(|again| again.pause(end.ended_at));
    let mut result = result?;
    end.notes = result.reserved.read()?;
    if let Some(Incomplete { code, note }) = incomplete {
        end.notes.code.get_or_insert(code);
        end.notes.note.get_or_insert(note);
    }
    end.notes.note = end.notes.note.take().or(remark);
    if let Some(ask) = result.reserved.ask.take() {
        match output {
            // A program that says that it failed, or whose protocol breaks off, asks no question.
            Err(failure) if failure.kind != FailureKind::Validation => return Err(failure.into()),
            // It ended in the middle: there is no output yet, and nothing of it is kept.
            _none_yet => {
                end.ask = Some(ask);
                return Ok(Value::Null);
            }
        }
    }
    let said = text.map_or(stdout, |text| Stdout { text, tail: None });
    let output = match (&request.outputs.json, output) {
        // Where the program says that it failed, or its protocol breaks off, nothing that is read elsewhere
        // makes it good.
        (Some(_), Err(failure)) if failure.kind != FailureKind::Validation => {
            return Err(failure.into());
        }
        (_, output) => match output::declared_and_fit(request, &said, check.as_ref()) {
            Ok(Some(declared)) => declared,
            Ok(None) => output?,
            Err(Unready::Failed(failure)) if keeps && failure.kind == FailureKind::Validation => Value::Null,
            Err(unready) => return Err(unready),
        },
    };
    let output = output::add_matches(&request.outputs, &said, output)?;
    if canonical(&output).len() > OUTPUT_BYTES_MAX {
        return Err(Failure::new(FailureKind::Validation, "the output is larger than 8 MiB")
            .with_hint("leave large results as files and declare them under `outputs`")
            .into());
    }
    end.artefacts = keep_files(request, record, processes)?;
    Ok(output)
}

fn stdout(folder: &Path, record: &ExitRecord) -> Result<Stdout, Unready> {
    let read = |name: &str| {
        let bytes =
            if_there(regular::read(&folder.join(name))).map_err(|error| Unready::unseen(name, &error))?;
        Ok::<_, Unready>(bytes.unwrap_or_default())
    };
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let tail = if record.stdout_truncated { Some(text(read(STDOUT_TAIL)?)) } else { None };
    let kept = read(STDOUT)?;
    match record.stdout_kept_bytes {
        Some(bytes) if bytes != kept.len() as u64 => Err(Unready::Unseen(format!(
            "{} has {} bytes, and the record of its end says {bytes}",
            folder.join(STDOUT).display(),
            kept.len()
        ))),
        _same => Ok(Stdout { text: text(kept), tail }),
    }
}

/// Keeps the declared files.
fn keep_files(
    request: &AttemptRequest,
    record: &ExitRecord,
    processes: &Processes,
) -> Result<Vec<Artefact>, Unready> {
    let invalid = |message: String| Unready::from(Failure::new(FailureKind::Validation, message));
    let before = if_there(regular::read(&request.folder.join(BEFORE)))
        .map_err(|error| Unready::unseen("what was there before", &error))?;
    let before: BTreeMap<String, Option<Hash>> =
        before.and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
    let mut kept = Vec::new();
    for (name, file) in &request.outputs.files {
        let path: PathBuf = match resolve(&request.workdir.path, &file.path) {
            ResolvedPath::Inside(path) if path.is_file() => path,
            ResolvedPath::Inside(_) => {
                return Err(invalid(format!("the declared output {name} ({}) is no file", file.path)));
            }
            ResolvedPath::Missing if file.optional => continue,
            ResolvedPath::Missing => {
                let message = format!("the declared output {name} ({}) is missing", file.path);
                return Err(Failure::new(FailureKind::Validation, message)
                    .with_hint("the step succeeded without leaving it; `optional: true` allows that")
                    .into());
            }
            ResolvedPath::Outside(reason) => {
                return Err(outside(format!("the declared output {name}: {reason}")).into());
            }
        };
        let is_as_before = || {
            let now = hash_of(&request.workdir.path, &file.path)
                .map_err(|error| Unready::unseen(&file.path, &error))?;
            Ok::<_, Unready>(before.get(&file.path).copied().flatten() == now)
        };
        if file.fresh && is_as_before()? {
            if file.optional {
                continue;
            }
            let message =
                format!("the declared output {name} ({}) was there before and has not changed", file.path);
            return Err(Failure::new(FailureKind::Validation, message)
                .with_hint(
                    "the same bytes written again count as left alone: let the file say something of its round, such as \
                     $EVERFOLD_ROUND or the commit that it is about",
                )
                .into());
        }
        if record.unmasked.contains(&file.path) {
            return Err(invalid(format!(
                "the declared output {name} ({}) may hold a secret and could not be masked",
                file.path
            )));
        }
        let path = output::masked(&request.folder, &file.path).unwrap_or(path);
        let failed = |error: std::io::Error| {
            if is_of_the_system(&error) {
                return Unready::unseen(&file.path, &error);
            }
            Failure::new(FailureKind::Error, format!("{} could not be kept: {error}", file.path)).into()
        };
        let Some(bytes) = regular::read_bounded(&path, FILE_BYTES_MAX).map_err(failed)? else {
            return Err(invalid(format!("the declared output {name} ({}) is larger than 64 MiB", file.path)));
        };
        let blob = processes.blobs.put(request.id.run, &bytes).map_err(failed)?;
        kept.push(Artefact { name: name.clone(), path: file.path.clone(), blob });
    }
    Ok(kept)
}

/// The failure of work that left files in its attempt's folder in which nothing could be masked.
fn too_large(removed: &[String]) -> Failure {
    let names = removed.join(", ");
    let message = format!("{names}: a file of the attempt's folder may have 1 GiB, and this one was removed");
    Failure::new(FailureKind::Validation, message).with_hint(
        "what the folder holds is searched for credentials: leave large files in the working folder",
    )
}

/// Keeps what the executor itself rendered, such as a prompt. Its loss fails nothing.
fn keep_texts(processes: &Processes, request: &AttemptRequest, texts: &[(String, String)]) -> Vec<Artefact> {
    let keep = |(name, file): &(String, String)| {
        let bytes = regular::read(&request.folder.join(file)).ok()?;
        match processes.blobs.put(request.id.run, &bytes) {
            Ok(blob) => Some(Artefact { name: name.clone(), path: file.clone(), blob }),
            Err(error) => {
                tracing::warn!(attempt = %request.id, %error, file, "could not keep a file of the attempt");
                None
            }
        }
    };
    texts.iter().filter_map(keep).collect()
}

/// Commits leftovers where the workspace asks for it; gives the head.
async fn commit(
    processes: &Processes,
    request: &AttemptRequest,
    end: &mut AttemptEnd,
) -> Result<(), Unready> {
    // A copy is thrown away: its head is not recorded.
    let Some(git) = request.workdir.git.as_ref().filter(|git| !git.is_copy) else { return Ok(()) };
    let result = match git.save {
        Save::None => crate::git::head(&request.workdir).await.map_err(SaveError::from),
        Save::Commit | Save::Push => {
            let id = &request.id.attempt;
            let message = match &git.message {
                Some(message) => message.clone(),
                None => format!("{}: round {}, attempt {}", id.path, id.round, id.attempt),
            };
            let author = git.author.as_deref().unwrap_or(&processes.settings.git.author);
            let push = (git.save == Save::Push).then_some(&processes.settings.providers);
            let (run, workdir, limit) = (request.id.run, &request.workdir, request.timeout);
            save(SaveRequest { run, workdir, message: &message, author, push, limit }).await
        }
    };
    match result {
        Ok(commit) => end.commit = Some(commit),
        Err(error) if error.is_full() => {
            // The work is in the worktree, and is committed when there is room.
            return Err(Unready::NoRoom(format!("the worktree could not be saved: {error}")));
        }
        Err(error) => {
            tracing::warn!(attempt = %request.id, %error, "could not save the worktree");
            if matches!(end.result, AttemptResult::Succeeded(_)) {
                // What it asks can wait: the next attempt would not find what this one did.
                end.ask = None;
                end.result = AttemptResult::Failed(error.failure());
            }
        }
    }
    Ok(())
}
