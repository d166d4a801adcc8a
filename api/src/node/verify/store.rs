//! Verification of the store's content: every event decodes, every run begins with its first event, a snapshot of a
//! run's newest version equals the fold, the logs of attempts are those that their events seal, the archives of attempts
//! pass their checksums.
//!
//! Law: bounded memory. Only the newest states of very many or very large runs are kept, so that an old run's snapshot
//! may be checked for being readable alone; and a node does one verification at a time.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use everfold_engine::aggregate::Aggregate;
use everfold_engine::breaker_resets::Resets;
use everfold_engine::budgets::CounterEvent;
use everfold_engine::data_folder::Layout;
use everfold_engine::definition::Definition;
use everfold_engine::driver::{saved_definition, saved_pipeline};
use everfold_engine::envelope::{Envelope, StreamId, StreamKind, flag};
use everfold_engine::event::{self, RunEvent};
use everfold_engine::hooks::HookEvent;
use everfold_engine::id::RunId;
use everfold_engine::json::Hash;
use everfold_engine::notifications::Notices;
use everfold_engine::pauses::Pauses;
use everfold_engine::pipeline_versions::SavedPipeline;
use everfold_engine::run_numbers::{NumberEvent, RunNumbers};
use everfold_engine::schedules::ScheduleEvent;
use everfold_engine::service_pauses::{ServicePauseEvent, ServicePauses};
use everfold_engine::slots::SlotEvent;
use everfold_engine::state::{EventMeta, FOLD_VERSION, RunState};
use everfold_engine::store::verify::{self, Meaning, VerifyFault, VerifyReport};
use everfold_engine::store::{Progress, SledOptions, Snapshot, check_folder};
use everfold_engine::tokens::AccessRegistry;
use everfold_engine::unique_names::{NameEvent, UniqueNames};
use serde::{Deserialize, Serialize};
use tokio::sync::OwnedSemaphorePermit;

use super::log_digest::{DigestedLog, LogDigest};
use super::logs::{AttemptFindings, SealedLogs, VerifiedLogs};
use crate::fault::{Code, Fault};
use crate::node::Node;

/// States kept at once.
const STATES_MAX: usize = 20_000;
/// Bytes of the events that the kept states were folded from: a state is about as large.
const STATES_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The parts of a folder's store. A folder without any of these holds settings at most, as `init` makes it.
const WRITTEN_BY_RUNS: [&str; 8] =
    ["attempts", "blobs", "journal", "reserve", "scratch", "sled", "store.json", "worktrees"];

/// What a verification found, as answers show it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Verified {
    /// Whether nothing is wrong.
    pub sound: bool,
    /// Events of the journal.
    pub events: u64,
    /// Groups of the journal.
    pub groups: u64,
    /// Streams.
    pub streams: u64,
    /// Blobs.
    pub blobs: u64,
    /// Blobs that are missing or not what they were, and folders of blobs that cannot be read.
    #[serde(default)]
    pub damaged_blobs: u64,
    /// Whether the index could not be compared with the journal, for what the fault of it says; that is no damage.
    #[serde(default)]
    pub uncompared_index: bool,
    /// Snapshots.
    pub snapshots: u64,
    /// Logs of attempts that have ended.
    #[serde(default)]
    pub logs: VerifiedLogs,
    /// Damaged places of archives of attempts, without the logs that are counted in `logs`.
    #[serde(default)]
    pub damaged_archives: u64,
    /// One hash over all events, as `POSITION:HASH`: kept elsewhere, it shows later that they are the same. Null: there are none.
    #[serde(default)]
    pub digest: Option<String>,
    /// Whether the log has the digest that was given to compare with. Null: none was.
    #[serde(default)]
    pub has_kept_digest: Option<bool>,
    /// What is wrong, in words.
    pub faults: Vec<String>,
    /// How many more are wrong.
    pub more_faults: u64,
    /// What is not wrong and worth saying.
    pub notes: Vec<String>,
}

impl From<VerifyReport> for Verified {
    fn from(report: VerifyReport) -> Self {
        let of_blobs =
            |fault: &&VerifyFault| matches!(fault, VerifyFault::Blob { .. } | VerifyFault::BlobFolder { .. });
        let damaged_blobs = report.faults.iter().filter(of_blobs);
        Self {
            sound: report.is_sound(),
            events: report.events,
            groups: report.groups,
            streams: report.streams,
            blobs: report.blobs,
            damaged_blobs: damaged_blobs.count() as u64,
            uncompared_index: report
                .faults
                .iter()
                .any(|it| matches!(it, VerifyFault::IndexUncompared { .. })),
            snapshots: report.snapshots,
            logs: VerifiedLogs::default(),
            damaged_archives: 0,
            digest: None,
            has_kept_digest: None,
            faults: report.faults.iter().map(ToString::to_string).collect(),
            more_faults: report.more_faults,
            notes: report.notes,
        }
    }
}

impl Verified {
    /// What was found of the store, of the logs and of the digest.
    fn of(report: VerifyReport, found: &SealedLogs, digested: &DigestedLog) -> Self {
        let found = found.found();
        let removed = found.removed();
        let (verified, AttemptFindings { logs, damaged_archives, faults, .. }) = (Self::from(report), found);
        let (missing, digest) = (digested.missing(), digested.digest());
        let mut notes = verified.notes;
        notes.extend(removed);
        Self {
            sound: verified.sound && logs.damaged + damaged_archives == 0 && missing.is_none(),
            digest: (verified.events > 0).then(|| digest.to_string()),
            has_kept_digest: digested.has_kept(),
            logs,
            damaged_archives,
            more_faults: verified.more_faults + (logs.damaged + damaged_archives - faults.len() as u64),
            faults: verified.faults.into_iter().chain(faults).chain(missing).collect(),
            notes,
            ..verified
        }
    }
}

impl Node {
    /// Verifies the store while it is in use, also against a digest that was kept, and calls `progress` with how far it is.
    /// The verification goes on to its end where its caller is gone.
    ///
    /// # Errors
    /// The store cannot be read, another verification is in progress, or the folder is not where this process opened it any
    /// more: what is found under that name is not what the process keeps.
    pub async fn verify(
        &self,
        kept: Option<LogDigest>,
        progress: Arc<dyn Fn(Progress) + Send + Sync>,
    ) -> Result<Verified, Fault> {
        let Some(sled) = self.sled.clone() else {
            return Ok(Verified { sound: true, ..Verified::default() });
        };
        let turn = Arc::clone(&self.turns.verify).try_acquire_owned().map_err(|_| {
            Fault::new(Code::Verifying, "another verification of this store goes on")
                .hint("repeat it a little later")
        })?;
        self.refuse_moved().await?;
        let turn = Arc::new(turn);
        let logs = SealedLogs::of(self.layout().clone());
        let digested = DigestedLog::against(kept);
        let meaning = Runs { _turn: Some(Arc::clone(&turn)), ..Runs::of(&logs, &digested) };
        let report = verify::verify_open(sled, Box::new(meaning), progress).await;
        let archives = logs.clone();
        let checked = tokio::task::spawn_blocking(move || {
            archives.check_archives();
            drop(turn);
        });
        checked.await.map_err(|error| Fault::new(Code::Internal, error.to_string()))?;
        // It may have been moved meanwhile.
        self.refuse_moved().await?;
        Ok(Verified::of(report?, &logs, &digested))
    }

    /// # Errors
    /// The folder is not where this process opened it.
    async fn refuse_moved(&self) -> Result<(), Fault> {
        match self.still_owns_folder().await {
            true => Ok(()),
            false => Err(self.folder_lost().await),
        }
    }
}

/// Verifies a folder that no process holds, also against a digest that was kept.
///
/// # Errors
/// The folder is in use, or none of Everfold's, or the store cannot be read.
pub fn verify_folder(
    folder: &Path,
    options: &SledOptions,
    kept: Option<LogDigest>,
) -> Result<Verified, Fault> {
    check_folder(folder)?;
    if kept.is_none() && WRITTEN_BY_RUNS.iter().all(|name| !folder.join(name).exists()) {
        let notes = vec!["nothing was ever stored here".to_owned()];
        return Ok(Verified { sound: true, notes, ..Verified::default() });
    }
    let logs = SealedLogs::of(Layout::new(folder));
    let digested = DigestedLog::against(kept);
    let mut meaning = Runs::of(&logs, &digested);
    let report = verify::verify_folder(folder, options, &mut meaning)?;
    logs.check_archives();
    Ok(Verified::of(report, &logs, &digested))
}

/// Decodes and folds run streams and definitions for the verification.
struct Runs {
    definitions: HashMap<String, Arc<Definition>>,
    states: BTreeMap<RunId, VerifiedState>,
    /// Bytes of all kept states.
    bytes: usize,
    logs: SealedLogs,
    digested: DigestedLog,
    /// The turn to verify; dropped when the verifying thread ends.
    _turn: Option<Arc<OwnedSemaphorePermit>>,
}

struct VerifiedState {
    state: RunState,
    bytes: usize,
}

impl Runs {
    fn of(logs: &SealedLogs, digested: &DigestedLog) -> Self {
        Self {
            definitions: HashMap::new(),
            states: BTreeMap::new(),
            bytes: 0,
            logs: logs.clone(),
            digested: digested.clone(),
            _turn: None,
        }
    }

    fn decoded(envelope: &Envelope) -> Result<RunEvent, String> {
        let header = &envelope.header;
        event::decode(header.kind, header.schema, &envelope.payload).map_err(|error| error.to_string())
    }

    fn fold(&mut self, run: RunId, envelope: &Envelope, event: &RunEvent) -> Result<(), String> {
        let header = &envelope.header;
        if let RunEvent::RunStarted(started) = event {
            // A fork's copied events fold as its origin's, until `RunForked`.
            if started.run != run && header.flags & flag::COPIED == 0 {
                return Err(format!("it starts another run, {}", started.run));
            }
            let Some(definition) = self.definitions.get(&started.definition.to_string()) else {
                return Err(format!("its definition {} was never saved", started.definition.short()));
            };
            let state = RunState::new(Arc::clone(definition));
            if let Some(before) = self.states.insert(run, VerifiedState { state, bytes: 0 }) {
                self.bytes -= before.bytes;
            }
        } else if header.version.get() == 1 {
            return Err(format!("a run begins with {}", event.name()));
        }
        if let RunEvent::RunForked(forked) = event
            && forked.run != run
            && header.flags & flag::COPIED == 0
        {
            return Err(format!("it makes a run of another one, {}", forked.run));
        }
        if let Some(VerifiedState { state, bytes }) = self.states.get_mut(&run) {
            *bytes += envelope.payload.len();
            self.bytes += envelope.payload.len();
            if let RunEvent::RunForked(forked) = event
                && state.definition_hash() != Some(forked.definition)
            {
                let Some(definition) = self.definitions.get(&forked.definition.to_string()) else {
                    return Err(format!("its definition {} was never saved", forked.definition.short()));
                };
                state.goes_on_by(forked.definition, Arc::clone(definition));
            }
            let meta =
                EventMeta { at: header.recorded_at, actor: header.actor.clone(), input: header.cause.input };
            state.apply(event, &meta);
            state.take_touched();
        }
        while self.states.len() > STATES_MAX || (self.bytes > STATES_BYTES_MAX && self.states.len() > 1) {
            let Some((_, dropped)) = self.states.pop_first() else { break };
            self.bytes -= dropped.bytes;
        }
        Ok(())
    }
}

/// Checks that an event of an aggregate's stream decodes.
fn decodes<A: Aggregate>(envelope: &Envelope) -> Result<(), String> {
    let header = &envelope.header;
    A::decode(header.kind, header.schema, &envelope.payload).map(drop)
}

impl Runs {
    /// What an event means.
    fn decoded_event(&mut self, envelope: &Envelope) -> Result<(), String> {
        let stream = &envelope.header.stream;
        if let Some(run) = stream.as_run() {
            let event = Self::decoded(envelope)?;
            self.logs.event(run, envelope, &event);
            return self.fold(run, envelope, &event);
        }
        if stream.kind == StreamKind::Engine
            && let Some(hash) = stream.id.strip_prefix("definition-")
        {
            let saved = saved_definition(&envelope.into())?;
            if saved.hash.to_string() != hash || saved.document.hash() != saved.hash {
                return Err("the definition is not the one that its name says".to_owned());
            }
            let definition =
                Definition::from_document(saved.document.as_str()).map_err(|error| error.to_string())?;
            self.definitions.insert(hash.to_owned(), Arc::new(definition));
        } else if stream.kind == StreamKind::Engine && stream.id.starts_with("pipeline-") {
            let saved = saved_pipeline(envelope)?;
            if SavedPipeline::stream(&saved.name) != *stream
                || u64::from(saved.n) != envelope.header.version.get()
            {
                return Err("the saved pipeline is not the one that its name and place say".to_owned());
            }
            if !self.definitions.contains_key(&saved.hash.to_string()) {
                return Err(format!("its definition {} was never saved", saved.hash.short()));
            }
        } else if *stream == AccessRegistry::stream() {
            decodes::<AccessRegistry>(envelope)?;
        } else if *stream == Resets::stream() {
            decodes::<Resets>(envelope)?;
        } else if *stream == Pauses::stream() {
            decodes::<Pauses>(envelope)?;
        } else if *stream == Notices::stream() {
            decodes::<Notices>(envelope)?;
        } else if RunNumbers::is_stream(stream) {
            let header = &envelope.header;
            NumberEvent::decode(header.kind, header.schema, &envelope.payload)
                .map_err(|error| error.to_string())?;
        } else if *stream == ServicePauses::stream() {
            let header = &envelope.header;
            ServicePauseEvent::decode(header.kind, header.schema, &envelope.payload)
                .map_err(|error| error.to_string())?;
        } else if UniqueNames::is_stream(stream) {
            let header = &envelope.header;
            NameEvent::decode(header.kind, header.schema, &envelope.payload)
                .map_err(|error| error.to_string())?;
        } else if stream.kind == StreamKind::Budget {
            let header = &envelope.header;
            CounterEvent::decode(header.kind, header.schema, &envelope.payload)
                .map_err(|error| error.to_string())?;
        } else if stream.kind == StreamKind::Key {
            let header = &envelope.header;
            SlotEvent::decode(header.kind, header.schema, &envelope.payload)
                .map_err(|error| error.to_string())?;
        } else if stream.kind == StreamKind::Hook {
            let header = &envelope.header;
            HookEvent::decode(header.kind, header.schema, &envelope.payload)
                .map_err(|error| error.to_string())?;
        } else if stream.kind == StreamKind::Schedule {
            let header = &envelope.header;
            ScheduleEvent::decode(header.kind, header.schema, &envelope.payload)
                .map_err(|error| error.to_string())?;
        }
        Ok(())
    }
}

impl Meaning for Runs {
    fn event(&mut self, envelope: &Envelope) -> Result<(), String> {
        match (self.decoded_event(envelope), self.digested.event(envelope)) {
            (Err(one), Err(other)) => Err(format!("{one}; {other}")),
            (one, other) => one.and(other),
        }
    }

    fn blobs(&mut self, envelope: &Envelope) -> Vec<(RunId, Hash)> {
        let Some(run) = envelope.header.stream.as_run() else { return Vec::new() };
        let event = Self::decoded(envelope).ok();
        event.iter().flat_map(RunEvent::blobs).map(|blob| (run, blob.hash)).collect()
    }

    fn snapshot(&mut self, stream: &StreamId, snapshot: &Snapshot) -> Result<(), String> {
        let state = stream.as_run().and_then(|run| self.states.get(&run)).map(|folded| &folded.state);
        let Some(state) = state.filter(|_| snapshot.fold_version == FOLD_VERSION) else { return Ok(()) };
        let kept = RunState::from_snapshot(Arc::clone(state.definition()), &snapshot.bytes)
            .map_err(|error| error.to_string())?;
        if kept.version() != snapshot.version {
            return Err(format!("it holds version {}, not {}", kept.version(), snapshot.version));
        }
        if kept.version() == state.version() && kept.fingerprint() != state.fingerprint() {
            return Err("it is not what the events say".to_owned());
        }
        Ok(())
    }
}
