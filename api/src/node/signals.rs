//! Signals, and pauses of pipelines and of the engine.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use everfold_engine::actor::Actor;
use everfold_engine::decide::{check_signal, why_not_taken};
use everfold_engine::definition::similar;
use everfold_engine::driver::{By, Submission};
use everfold_engine::envelope::StreamId;
use everfold_engine::event::{self, HaltScope, Hearing, RunEvent, SignalReceived, SignalTaken, SignalTaker};
use everfold_engine::id::{InputId, Position, RunId, Version};
use everfold_engine::input::InputKind;
use everfold_engine::json::{JsonText, Payload};
use everfold_engine::pauses::PauseOrder;
use everfold_engine::state::RunStatus;
use everfold_engine::time::Timestamp;
use everfold_projections::{RunFilter, RunOrder, RunRow, RunsView};
use everfold_workflows::builtin;
use serde::{Deserialize, Serialize};

use super::handle::Node;
use super::idempotency::Idempotency;
use super::write_receipt::WriteReceipt;
use crate::fault::{Code, Fault};
use crate::schema;

/// The most runs that one signal may go to.
const RUNS_MAX: usize = 10_000;
/// Runs that are read from the list at once.
const PAGE: usize = 1_000;
/// Events after a signal that are searched for its takers.
const TAKEN_MAX: u64 = 256;

/// A signal to send.
#[derive(Debug, Clone)]
pub struct Signal {
    /// Its name.
    pub name: String,
    /// What it says.
    pub payload: JsonText,
    /// The delivery it comes with.
    pub delivery: Option<String>,
}

impl Signal {
    fn received(&self) -> SignalReceived {
        let (name, payload, delivery) = (self.name.clone(), self.payload.clone(), self.delivery.clone());
        SignalReceived { name, payload: Payload::Inline(payload), delivery }
    }
}

/// Who took a signal, and what became of it there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SignalReceipt {
    /// Who.
    #[schema(value_type = schema::SignalTakerSchema)]
    pub by: SignalTaker,
    /// What became of it.
    #[schema(value_type = schema::HearingSchema)]
    pub how: Hearing,
    /// Why nothing follows, where its taker says so.
    pub reason: Option<String>,
}

/// What became of a signal in one run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Signalled {
    /// The run.
    #[schema(value_type = schema::RunIdSchema)]
    pub run: RunId,
    /// The last 8 digits of the id.
    pub short_id: String,
    /// What took it, gates first; empty where no part of the run takes it.
    pub taken: Vec<SignalReceipt>,
    /// Why no part of the run takes it.
    pub reason: Option<String>,
    /// The delivery had come before; nothing was recorded.
    pub repeated: bool,
}

/// A pause in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct HaltView {
    /// The pipeline; null: the whole engine.
    pub pipeline: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// Who said so.
    pub by: String,
    /// Since when.
    #[schema(value_type = schema::TimeSchema)]
    pub since: Timestamp,
}

/// What a pause of several runs, or its end, led to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct HaltsView {
    /// The pauses in force, that of the engine first.
    pub paused: Vec<HaltView>,
    /// Something was recorded.
    pub changed: bool,
    /// Unended runs that were told.
    pub runs: usize,
    /// Whether the owner of the folder goes on with every run of it, as `serve` does.
    #[serde(default)]
    pub driven: bool,
    /// The pipeline that was named is neither saved nor that of a run; absent: it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unknown_pipeline: Option<UnknownPipeline>,
}

/// A pipeline that there is not, as far as this folder knows: one may be saved later, or started from a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct UnknownPipeline {
    /// The name that was given.
    pub name: String,
    /// The nearest name that there is.
    pub near: Option<String>,
}

impl Node {
    /// Sends a signal to one run.
    ///
    /// # Errors
    /// The run refuses it, or the store takes nothing.
    pub(crate) async fn signal(
        &self,
        run: RunId,
        signal: &Signal,
        actor: Actor,
        once: Idempotency,
    ) -> Result<(WriteReceipt, Signalled), Fault> {
        self.may_write()?;
        let (kind, input) = (InputKind::Signal(signal.received()), once.input);
        let by = actor.clone();
        let submission = Submission { run, kind, actor, id: Some(input), dedup: once.dedup };
        let accepted = self.engine().submit(submission).await?;
        self.note_driven(run, false);
        let taken = match accepted.changed {
            true => self.taken(run, accepted.version, input).await?,
            false => Vec::new(),
        };
        let repeated = !accepted.changed;
        // What is kept was taken by no step either.
        let reason = match taken.iter().all(|taken| taken.how == Hearing::Kept) && !repeated {
            true => {
                let signal = signal.received();
                Some(self.engine().with_state(run, move |state| why_not_taken(state, &signal, &by)).await?)
            }
            false => None,
        };
        Ok((accepted.into(), Signalled { run, short_id: run.short(), taken, reason, repeated }))
    }

    /// Sends a signal to the run that has a key.
    ///
    /// # Errors
    /// No unended run has it, that run refuses the signal, or the store takes nothing.
    pub(crate) async fn signal_key(
        &self,
        key: &str,
        signal: &Signal,
        actor: Actor,
        once: Idempotency,
    ) -> Result<(WriteReceipt, Signalled), Fault> {
        check_signal(&signal.received())?;
        // A repeat goes to the run of the first time, whichever has the key by now.
        let run = match self.made_before(&once).await? {
            Some((run, _)) => run,
            None => self.engine().holder(key).await?.ok_or_else(|| {
                Fault::new(Code::NoRun, format!("no unended run has the key “{key}”"))
                    .hint("`everfold runs` lists all; the key of a run is what its pipeline's `key` gives")
            })?,
        };
        self.signal(run, signal, actor, once).await
    }

    /// Sends a signal to every unended run that has all these labels, each once.
    ///
    /// # Errors
    /// The labels fit too many runs, or the store takes no writes. Runs that got the signal before the fault keep it; a
    /// repeat with the same key sends it to the rest.
    pub(crate) async fn signal_labels(
        &self,
        labels: &BTreeMap<String, String>,
        signal: &Signal,
        actor: &Actor,
        once: &Idempotency,
    ) -> Result<(WriteReceipt, Vec<Signalled>), Fault> {
        self.may_write()?;
        // Also where no run has the labels.
        check_signal(&signal.received())?;
        let before = self.made_before(once).await?;
        let runs = match before {
            Some(first) => self.meant_before(labels, once, first).await?,
            None => self
                .labelled(labels, &RunStatus::UNENDED, |_| true)
                .await?
                .into_iter()
                .map(|row| row.id)
                .collect(),
        };
        let mut first_run = before.map(|(run, _)| run);
        let (mut signalled, mut is_first) = (Vec::new(), false);
        // The oldest is the first one: it is that also for who sends the same meanwhile.
        for run in runs.into_iter().rev() {
            let own = match first_run {
                Some(first) if first != run => once.of_run(run),
                _first => once.of_first_run(run),
            };
            match self.signal(run, signal, actor.clone(), own).await {
                Ok((went, outcome)) => {
                    first_run.get_or_insert(run);
                    is_first |= !went.replayed;
                    signalled.push(outcome);
                }
                // The run ended meanwhile.
                Err(fault) if fault.code == Code::Ended => {}
                Err(fault) => return Err(fault),
            }
        }
        signalled.reverse();
        let replayed = !is_first && !signalled.is_empty();
        Ok((WriteReceipt { position: self.store().last_position(), replayed }, signalled))
    }

    /// The runs that a write went to, or was to go to when it was cut off; `at` is the place of its first event.
    async fn meant_before(
        &self,
        labels: &BTreeMap<String, String>,
        once: &Idempotency,
        (first, at): (RunId, Position),
    ) -> Result<Vec<RunId>, Fault> {
        let mut meant = Vec::new();
        let has_ended = |row: &RunRow| row.shown.status.is_ended();
        // Those that had started, and had not ended.
        let ran = |row: &RunRow| row.position <= at && (row.since >= at || !has_ended(row));
        for row in self.labelled(labels, &[], ran).await? {
            // One that has ended without it may have done so before its turn came.
            let is_meant = row.id == first
                || !has_ended(&row)
                || self.made_before(&once.of_run(row.id)).await?.is_some();
            meant.extend(is_meant.then_some(row.id));
        }
        Ok(meant)
    }

    /// The runs of one of these states that have all of the labels, the newest first.
    async fn labelled(
        &self,
        labels: &BTreeMap<String, String>,
        states: &[RunStatus],
        is_meant: impl Fn(&RunRow) -> bool,
    ) -> Result<Vec<RunRow>, Fault> {
        let labels = labels.iter().map(|(key, value)| (key.clone(), Some(value.clone()))).collect();
        let filter = RunFilter { status: states.to_vec(), labels, ..RunFilter::default() };
        let (mut rows, mut cursor) = (Vec::new(), None);
        loop {
            let filter = filter.clone();
            let list = move |view: &RunsView<'_>| view.list(&filter, RunOrder::Newest, cursor, PAGE, None);
            let page = self.runs(None, list).await?;
            rows.extend(page.items.into_iter().filter(&is_meant));
            if rows.len() > RUNS_MAX {
                let message = format!("more than {RUNS_MAX} runs have these labels");
                return Err(Fault::new(Code::Refused, message).hint("name more labels"));
            }
            cursor = page.next;
            if cursor.is_none() {
                return Ok(rows);
            }
        }
    }

    /// The takers of the signal of an input, whose events end at `last`.
    async fn taken(&self, run: RunId, last: Version, input: InputId) -> Result<Vec<SignalReceipt>, Fault> {
        let first = Version(last.get().saturating_sub(TAKEN_MAX - 1).max(1));
        let limit = usize::try_from(TAKEN_MAX).unwrap_or(usize::MAX);
        let events = self.store().read(&StreamId::run(run), first, limit).await?;
        let own = events.iter().filter(|event| event.header.cause.input == input);
        let taken = own.filter_map(|envelope| {
            let header = &envelope.header;
            match event::decode(header.kind, header.schema, &envelope.payload) {
                Ok(RunEvent::SignalTaken(taken)) => {
                    let SignalTaken { by, how, reason, .. } = taken;
                    Some(SignalReceipt { by, how, reason })
                }
                _other => None,
            }
        });
        Ok(taken.collect())
    }

    /// Pauses a pipeline or the whole engine, or ends such a pause.
    ///
    /// # Errors
    /// It is not paused, or the store takes nothing.
    pub(crate) async fn halt(
        &self,
        wanted: PauseOrder,
        scope: HaltScope,
        reason: Option<&str>,
        by: By,
    ) -> Result<(WriteReceipt, HaltsView), Fault> {
        self.may_write()?;
        let named = match &scope {
            HaltScope::Pipeline(name) if wanted == PauseOrder::Halt => Some(name.clone()),
            _all_or_lifted => None,
        };
        let halting = self.engine().halt(wanted, scope, reason, by).await?;
        let unknown_pipeline = match named {
            Some(name) => self.unknown_pipeline(&name).await?,
            None => None,
        };
        let view = HaltsView {
            paused: self.halts().await?,
            changed: halting.changed,
            runs: halting.runs,
            driven: self.drives_all.load(Ordering::Acquire),
            unknown_pipeline,
        };
        Ok((halting.into(), view))
    }

    /// The pipeline of a name, where none is saved, comes with Everfold or is that of a run.
    async fn unknown_pipeline(&self, name: &str) -> Result<Option<UnknownPipeline>, Fault> {
        let saved = self.engine().saved_names().await?;
        let known = || saved.iter().map(String::as_str).chain(builtin::pipelines().iter().map(|it| it.name));
        if known().any(|known| known == name) {
            return Ok(None);
        }
        let filter = RunFilter { pipeline: vec![name.to_owned()], ..RunFilter::default() };
        let list = move |view: &RunsView<'_>| view.list(&filter, RunOrder::Newest, None, 1, None);
        if !self.runs(None, list).await?.items.is_empty() {
            return Ok(None);
        }
        let near = similar(name, known()).map(str::to_owned);
        Ok(Some(UnknownPipeline { name: name.to_owned(), near }))
    }

    /// The pauses in force.
    ///
    /// # Errors
    /// Their stream cannot be read.
    pub async fn halts(&self) -> Result<Vec<HaltView>, Fault> {
        let halts = self.engine().halts().await?;
        let view = |(scope, halt): (&HaltScope, &everfold_engine::pauses::StandingPause)| HaltView {
            pipeline: match scope {
                HaltScope::Engine => None,
                HaltScope::Pipeline(name) => Some(name.clone()),
            },
            reason: halt.reason.clone(),
            by: halt.by.clone(),
            since: halt.since,
        };
        Ok(halts.all().map(view).collect())
    }
}
