//! What is read and probed before a run begins: its settings, and the evidence of its `admit` gates.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::blocking::Blocking;
use crate::error::{LoadError, QueryError};
use crate::runtime::Runtime;
use everfold_base::id::{EffectId, Round, RunId};
use everfold_base::json::{JsonText, Value};
use everfold_core::decide::begin::{Admission, AdmissionProbe, Beginning, Document, EVIDENCE_BYTES_MAX};
use everfold_core::decide::plan::{MEMBERS, take_hidden};
use everfold_core::decide::{Refusal, admission_id, begin};
use everfold_core::event::AdmissionEvidence;
use everfold_core::state::{RunState, StoredValue};
use everfold_language::definition;
use everfold_language::expr::Loaded;
use everfold_ports::{ProbeFailure, ProbeRequest, Secrets, Workdir};
use everfold_system::clock::Stopwatch;

/// The time limit of one probe: a caller waits for the answer.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Broken records of settings that the log names; each once.
const SAID_MAX: usize = 1_000;
/// The largest settings file.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// The settings of a run: a map by name; `None` where the pipeline names none.
///
/// # Errors
/// [`Refusal::Config`]: a document is there at no place, or cannot be read; [`Refusal::TooLarge`].
pub(crate) async fn config(
    beginning: &Beginning,
    cwd: Option<&str>,
    blocking: Blocking,
) -> Result<Option<Value>, Refusal> {
    read_documents(beginning.documents()?, beginning.config_records(), cwd, blocking).await
}

/// Reads settings documents and puts the parts of each together, without the records that break their rules; `None`
/// where there are no documents.
///
/// # Errors
/// [`Refusal::Config`]: a document is there at no place, or cannot be read; [`Refusal::TooLarge`].
pub(crate) async fn read_documents(
    documents: BTreeMap<String, Vec<Document>>,
    rules: &BTreeMap<String, Value>,
    cwd: Option<&str>,
    blocking: Blocking,
) -> Result<Option<Value>, Refusal> {
    if documents.is_empty() {
        return Ok(None);
    }
    let (mut config, mut skipped) = (serde_json::Map::new(), Vec::new());
    for (name, sources) in documents {
        let mut parts = Vec::new();
        let mut tried = Vec::new();
        for source in sources {
            match source {
                Document::Values(values) => parts.push(values),
                Document::File(path) => {
                    let why = |why: String| Refusal::Config { name: name.clone(), why };
                    let place = place(&path, cwd).map_err(why)?;
                    parts.extend(read(place, &path, blocking).await.map_err(why)?);
                    tried.push(path);
                }
            }
        }
        for part in &mut parts {
            skipped.extend(begin::keep_sound(rules, &name, part));
        }
        let merged = begin::merge(parts).ok_or_else(|| Refusal::Config {
            name: name.clone(),
            why: format!("there is none of {}", tried.join(", ")),
        })?;
        config.insert(name, merged);
    }
    if !rules.is_empty() {
        for begin::SkippedRecord { record, problem, is_kept } in &skipped {
            if is_news(record, problem) {
                match is_kept {
                    false => tracing::warn!(record, problem, "a broken record of the settings is left out"),
                    true => tracing::warn!(record, problem, "a key of the settings is not known"),
                }
            }
        }
        config.insert(definition::SKIPPED.to_owned(), begin::skipped_list(&skipped));
    }
    let config = Value::Object(config);
    begin::check_config(&config)?;
    Ok(Some(config))
}

/// Whether the log has not said yet what is wrong with a record: settings are read with every delivery.
fn is_news(record: &str, problem: &str) -> bool {
    static SAID: Mutex<BTreeSet<(String, String)>> = Mutex::new(BTreeSet::new());
    let mut said = SAID.lock().unwrap_or_else(PoisonError::into_inner);
    said.len() < SAID_MAX && said.insert((record.to_owned(), problem.to_owned()))
}

fn place(path: &str, cwd: Option<&str>) -> Result<PathBuf, String> {
    if let Some(below) = path.strip_prefix("~/") {
        let home = std::env::home_dir().ok_or_else(|| format!("{path}: the engine's user has no home"))?;
        return Ok(home.join(below));
    }
    match cwd {
        Some(cwd) => Ok(Path::new(cwd).join(path)),
        None if Path::new(path).is_absolute() => Ok(PathBuf::from(path)),
        None => Err(format!("{path} is relative, and the run has no working folder")),
    }
}

/// The map that a file holds; `None` where there is no such file.
async fn read(place: PathBuf, named: &str, blocking: Blocking) -> Result<Option<Value>, String> {
    let read = blocking.run(move || {
        // Asked before it is opened: a pipe without a writer is not open until there is one.
        match std::fs::metadata(&place) {
            Ok(about) if about.is_file() => {}
            Ok(_device_or_folder) => return Err("it is no regular file".to_owned()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.to_string()),
        }
        let mut bytes = Vec::new();
        let file = std::fs::File::open(&place).map_err(|error| error.to_string())?;
        // The size that a file has by its metadata need not be that of its content.
        file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
        if bytes.len() as u64 > FILE_BYTES_MAX {
            return Err(format!("it is over the limit of {FILE_BYTES_MAX} bytes"));
        }
        String::from_utf8(bytes).map(Some).map_err(|_| "it is no UTF-8 text".to_owned())
    });
    let read = read.await.unwrap_or_else(|error| Err(error.to_string()));
    let Some(text) = read.map_err(|why| format!("{named} cannot be read: {why}"))? else { return Ok(None) };
    definition::settings_of(&text, named).map(Some)
}

/// What the gates of `admit` said.
pub(crate) struct CollectedAdmission {
    pub(crate) evidence: Vec<AdmissionEvidence>,
    pub(crate) is_admitted: bool,
    /// The evidence of the last gate could not be had, and asking again may help.
    pub(crate) is_unread: bool,
}

impl Runtime {
    /// Collects the evidence of `admit`, gate by gate, up to the first that fails.
    pub(crate) async fn admission(
        &self,
        run: RunId,
        beginning: &Beginning,
        cwd: Option<&str>,
        round: Round,
    ) -> CollectedAdmission {
        let (mut evidence, mut is_unread) = (Vec::new(), false);
        loop {
            match beginning.admission(&evidence) {
                Admission::Probe(probe) => {
                    let gate = probe.gate.clone();
                    let watch = Stopwatch::start();
                    let found = self.probe_admission(run, beginning, probe, cwd, round).await;
                    is_unread = matches!(&found, Err(failure) if !failure.permanent);
                    let found = found.map_err(|failure| failure.message).and_then(|value| {
                        let text = JsonText::new(&value);
                        match text.as_str().len() <= EVIDENCE_BYTES_MAX {
                            true => Ok(text),
                            false => Err(format!("the evidence is over {EVIDENCE_BYTES_MAX} bytes")),
                        }
                    });
                    let took_ms = u64::try_from(watch.elapsed().as_millis()).unwrap_or(u64::MAX);
                    let (evidence_of, message) = match found {
                        Ok(text) => (Some(text), None),
                        Err(message) => (None, Some(message)),
                    };
                    evidence.push(AdmissionEvidence { gate, evidence: evidence_of, message, took_ms });
                }
                Admission::Admitted(_) => {
                    return CollectedAdmission { evidence, is_admitted: true, is_unread };
                }
                Admission::Refused(_) => {
                    return CollectedAdmission { evidence, is_admitted: false, is_unread };
                }
            }
        }
    }

    /// Why a run with this evidence is not started, if it is not. A gate that could not be asked because a credential is
    /// missing asks for that.
    pub(crate) async fn refusal(
        &self,
        run: RunId,
        beginning: &Beginning,
        evidence: &[AdmissionEvidence],
    ) -> Option<Refusal> {
        let refusal = beginning.refusal(evidence)?;
        let Refusal::NotAdmitted { gate, .. } = &refusal else { return Some(refusal) };
        let given = beginning.credentials_given(gate);
        let missing = self.missing_credentials(run, given).await;
        if missing.is_empty() {
            return Some(refusal);
        }
        Some(Refusal::CredentialRequired { gate: gate.clone(), missing })
    }

    async fn probe_admission(
        &self,
        run: RunId,
        beginning: &Beginning,
        probe: AdmissionProbe,
        cwd: Option<&str>,
        round: Round,
    ) -> Result<Value, ProbeFailure> {
        let Some(prober) = self.edge.probers.get(&probe.kind) else {
            let message = format!("no probe of kind “{}” can be made here", probe.kind);
            return Err(ProbeFailure::permanent(message));
        };
        let id = EffectId { run, attempt: admission_id(round) };
        let path = match cwd {
            Some(cwd) => PathBuf::from(cwd),
            // Started without a folder: its probes work in the folder of its steps.
            None => {
                let scratch = self.layout.scratch(run);
                let made = scratch.clone();
                let made = self.config.blocking.run(move || std::fs::create_dir_all(made)).await;
                made.map_err(std::io::Error::other)
                    .flatten()
                    .map_err(|error| format!("the folder {} cannot be made: {error}", scratch.display()))
                    .map_err(ProbeFailure::passing)?;
                scratch
            }
        };
        let mut spec = probe.spec;
        let vars = match probe.kind.as_str() {
            "command" | MEMBERS => beginning.admit_secrets().to_vec(),
            _without_processes => Vec::new(),
        };
        let secrets = Secrets {
            spec: take_hidden(&mut spec),
            vars,
            run: Some(run),
            sources: Arc::new(beginning.secrets().clone()),
            role: probe.role,
            folder: cwd.map(PathBuf::from),
            ..Secrets::default()
        };
        let request = ProbeRequest {
            folder: self.layout.probe(&id, &probe.gate, 1),
            id,
            gate: probe.gate,
            probe_no: 1,
            spec,
            env: BTreeMap::new(),
            secrets,
            fresh: None,
            timeout: TIMEOUT,
            workdir: Workdir { path, git: None },
        };
        match tokio::time::timeout(TIMEOUT, prober.probe(request.clone())).await {
            Ok(found) => found,
            Err(_too_late) => {
                prober.cancel(request).await;
                Err(ProbeFailure::passing(format!("no answer within {} s", TIMEOUT.as_secs())))
            }
        }
    }

    /// The evidence on which a run that holds its slots is judged once more. `None` where it does not wait any more.
    ///
    /// # Errors
    /// [`QueryError`]: the run, or what it was started with, cannot be read now.
    pub(crate) async fn admission_from_queue(
        &self,
        run: RunId,
    ) -> Result<Option<Vec<AdmissionEvidence>>, QueryError> {
        let look = |state: &RunState| {
            state.is_queued().then(|| {
                let definition = std::sync::Arc::clone(state.definition());
                let values = (state.input().clone(), state.config().clone());
                let about = (state.title().map(str::to_owned), state.cwd().map(str::to_owned));
                (definition, values, about, (state.root(), state.labels().clone()))
            })
        };
        let found = self.with_state(run, look).await?;
        let Some((definition, (input, config), (title, cwd), (root, labels))) = found else {
            return Ok(None);
        };
        if definition.admit.is_empty() {
            return Ok(Some(Vec::new()));
        }
        let unread = |error: LoadError| match error.is_full() {
            true => QueryError::Full(run),
            false => QueryError::Store(format!("what the run was started with cannot be read: {error}")),
        };
        let input = self.kept(run, input).await.map_err(unread)?;
        let config = self.kept(run, config).await.map_err(unread)?;
        let config = if config.is_null() { Value::Object(serde_json::Map::new()) } else { config };
        // The run was created with these settings; a mismatch now is shown with the run.
        let Ok(beginning) = Beginning::new(RunState::new(definition), run, title.as_deref(), &input) else {
            return Ok(None);
        };
        let beginning = beginning.rooted(root).in_folder(cwd.as_deref());
        let beginning = beginning.with_config(config).with_labels(&labels);
        Ok(Some(self.admission(run, &beginning, cwd.as_deref(), Round(2)).await.evidence))
    }

    /// A value of a run, wherever it is kept.
    pub(crate) async fn kept(&self, run: RunId, kept: StoredValue) -> Result<Value, LoadError> {
        let mut loaded = Loaded::default();
        if let Some(reference) = kept.reference() {
            for (value, text) in self.values.load(run, vec![reference]).await? {
                loaded.insert(&value, text);
            }
        }
        Ok(kept.value(&loaded).expect("what it refers to was loaded"))
    }
}
