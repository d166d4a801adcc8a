//! The start of a run: everything that is read and checked before its first event.

use std::sync::Arc;

use crate::error::{StartError, SubmitError};
use crate::messages::Queued;
use crate::recovery::unknown_work::unknown_in;
use crate::redaction::{redact_options, refuse_label_names};
use crate::runtime::Runtime;
use crate::start::admission::{self, CollectedAdmission};
use crate::start::ancestors::ancestors;
use crate::start::submission::{Accepted, StartRequest, Started};
use crate::start::task_title::title_of_task;
use crate::streams::slots::mailbox::SlotCheck;
use crate::streams::slots::reservation::SlotReservation;
use crate::streams::stream_writer::StreamError;
use everfold_base::envelope::StreamId;
use everfold_base::id::{InputId, Position, Round, RunId, Version};
use everfold_base::json::{JsonText, Value};
use everfold_base::text::one_line;
use everfold_core::decide::begin::Beginning;
use everfold_core::decide::{Refusal, check_sizes};
use everfold_core::event::{AdmissionEvidence, RunNumber, SlotKind, WantedSlot};
use everfold_core::input::{InputKind, Start};
use everfold_core::state::RunState;
use everfold_language::definition::{Definition, NestedPipeline};
use everfold_ports::Edge;
use everfold_store::{Dedup, Writability};

/// The result of the checks before anything is recorded.
enum PreparedStart {
    Ready(ReadyStart),
    /// The answer is a run that was started before, or that holds the key.
    Held(Started),
}

#[derive(Default)]
struct ReadyStart {
    config: Option<Value>,
    admission: Vec<AdmissionEvidence>,
    number: Option<RunNumber>,
    reservation: Option<SlotReservation>,
}

/// The refusal of a start for which no slot is free.
pub(crate) fn no_slot(slot: WantedSlot) -> Refusal {
    let limit = match slot.kind {
        SlotKind::Concurrency { limit, .. } => limit,
        SlotKind::Identity { .. } => 1,
    };
    Refusal::NoSlot { key: slot.key, limit }
}

/// A title as it is stored. It is cleaned here and not by `decide`, so that former histories are decided as before.
pub(crate) fn in_one_line(title: Option<&str>) -> Option<String> {
    title.map(|title| one_line(title).into_owned())
}

impl Runtime {
    /// Starts a run; resolves when that is durable.
    pub(crate) async fn start(self: Arc<Self>, mut request: StartRequest) -> Result<Started, StartError> {
        let brought = std::mem::take(&mut request.credentials);
        // First of all, so that expressions see the title as the history keeps it.
        request.options.title = in_one_line(request.options.title.as_deref());
        if let Some(redactor) = &self.edge.redactor {
            refuse_label_names(&**redactor, &request.options).map_err(SubmitError::Refused)?;
            redact_options(&**redactor, &mut request.options);
        }
        if request.options.title.is_none() {
            request.options.title = title_of_task(&request.options.input.value());
        }
        match &*self.store.writability().borrow() {
            Writability::Writable => {}
            Writability::Full => return Err(SubmitError::Full.into()),
            Writability::ReadOnly(reason) | Writability::NotOurs(reason) => {
                return Err(SubmitError::Store(reason.clone()).into());
            }
        }
        let nested = self.children.nested(&request.definition);
        self.scheduler.config().knows_resources_of(&request.definition, &nested)?;
        refuse_unknown(&self.edge, &request.definition, &nested)?;
        let run = request.run.unwrap_or_else(|| RunId(self.draw_uuid()));
        self.halts.current().await.map_err(|error| SubmitError::Store(error.to_string()))?;
        // The answer to a repeated request is there, with the credentials of the first one.
        if !brought.is_empty()
            && let Some(first) = self.done_before(request.dedup.as_ref()).await?
        {
            return Ok(first);
        }
        if request.options.initiator.is_none() {
            request.options.initiator = self.initiator_of(&request.actor).await.map_err(SubmitError::from)?;
        }
        let parent = request.options.parent.as_ref().map(|parent| parent.run);
        let Some(hold) = self.hold_credentials(run, &brought, parent).await? else {
            return self.start_as(run, request).await;
        };
        let started = Arc::clone(&self).start_as(run, request).await;
        self.credentials_answered(hold, started.as_ref().ok().map(|started| started.run)).await;
        started
    }

    /// Starts a run whose id and credentials are there.
    async fn start_as(self: Arc<Self>, run: RunId, request: StartRequest) -> Result<Started, StartError> {
        let id = match &request.dedup {
            Some(dedup) => InputId::derive(&format!("start/{}", dedup.key)),
            None => InputId::derive(&format!("{run}/start")),
        };
        let prepared = match self.prepare(run, id, &request).await {
            Ok(PreparedStart::Ready(ready)) => ready,
            Ok(PreparedStart::Held(held)) => return Ok(held),
            Err(error) => {
                self.remove_folders(run).await;
                return Err(error);
            }
        };
        self.definitions.save(&request.definition).await?;
        let start = Start {
            run,
            options: request.options,
            entropy: self.draw_u64(),
            config: prepared.config.as_ref().map(JsonText::new),
            admission: prepared.admission,
            number: prepared.number,
        };
        let queued = Queued {
            actor: request.actor,
            dedup: request.dedup,
            definition: Some(request.definition),
            ..Queued::own(id, InputKind::Start(start))
        };
        let asked = self.ask(run, queued).await;
        if let Some(reservation) = prepared.reservation {
            self.give_back(run, reservation).await;
        }
        if matches!(asked, Err(SubmitError::Refused(_))) {
            self.remove_folders(run).await;
        } else {
            self.mailboxes.webhooks.attend();
        }
        match asked {
            // The same start was recorded before.
            Ok(Accepted { changed: false, .. }) => self.started_before(run, id).await,
            Ok(Accepted { version, position, repeated: false, .. }) => {
                Ok(Started { run, version, position, repeated: false, held: false })
            }
            Ok(Accepted { version, position, repeated: true, .. }) => {
                let run = self.run_at(position).await?;
                Ok(Started { run, version, position, repeated: true, held: false })
            }
            Err(SubmitError::Refused(Refusal::AlreadyStarted)) => self.started_before(run, id).await,
            Err(error) => Err(error.into()),
        }
    }

    /// Reads and checks everything that a start depends on (L2: config, key, admit, concurrency), without recording
    /// anything.
    async fn prepare(
        self: &Arc<Self>,
        run: RunId,
        id: InputId,
        request: &StartRequest,
    ) -> Result<PreparedStart, StartError> {
        let definition = &request.definition;
        let is_plain = definition.config.is_empty()
            && definition.key.is_none()
            && definition.number.is_none()
            && definition.admit.is_empty()
            && definition.concurrency.is_empty();
        if is_plain {
            return Ok(PreparedStart::Ready(ReadyStart::default()));
        }
        // A repeated request gets its first answer, whatever would be refused now.
        if let Some(first) = self.done_before(request.dedup.as_ref()).await? {
            return Ok(PreparedStart::Held(first));
        }
        let stream = StreamId::run(run);
        if request.run.is_some() && self.store.head(&stream).await.map_err(SubmitError::from)?.is_some() {
            // It was started by a request whose answer was lost: it holds its key itself.
            return self.started_before(run, id).await.map(PreparedStart::Held);
        }
        let options = &request.options;
        let (title, cwd) = (options.title.as_deref(), options.cwd.as_deref());
        let state = RunState::new(Arc::clone(definition));
        let mut beginning =
            Beginning::new(state, run, title, &options.input.value())?.below(options).in_folder(cwd);
        let mut config = admission::config(&beginning, cwd, self.config.blocking).await?;
        if let (Some(redactor), Some(config)) = (&self.edge.redactor, &mut config) {
            // Key, admission and slots are computed from what the run will see.
            redactor.value(config);
        }
        if let Some(config) = &config {
            beginning = beginning.with_config(config.clone());
        }
        let mut labels = beginning.labels()?;
        labels.extend(options.labels.clone());
        let beginning = beginning.with_labels(&labels);
        let ancestors = match &options.parent {
            Some(parent) => ancestors(self, run, Some(parent.clone())).await.map_err(SubmitError::from)?,
            None => Vec::new(),
        };
        let mut reservation = None;
        let identity = beginning.identity()?;
        if let Some(identity) = identity.clone() {
            let claim = reservation.get_or_insert_with(|| SlotReservation::new(Arc::clone(self), run));
            if let Some(held) = self.check_slots(claim, definition, vec![identity], &ancestors).await? {
                return Ok(PreparedStart::Held(held));
            }
        }
        let CollectedAdmission { evidence: admission, is_admitted, is_unread } =
            self.admission(run, &beginning, cwd, Round::FIRST).await;
        if let Some(refusal) = self.refusal(run, &beginning, &admission).await {
            return Err(refusal.into());
        }
        if request.may_wait
            && let Some(refusal) = beginning.undecided(&admission, is_unread)
        {
            return Err(refusal.into());
        }
        let slots = beginning.slots()?;
        if is_admitted && !slots.is_empty() {
            let claim = reservation.get_or_insert_with(|| SlotReservation::new(Arc::clone(self), run));
            // Its identity is claimed together with its slots: the run that it replaces makes room for it.
            let slots = identity.into_iter().chain(slots).collect();
            if let Some(held) = self.check_slots(claim, definition, slots, &ancestors).await? {
                return Ok(PreparedStart::Held(held));
            }
        }
        let number = match beginning.number_key()? {
            Some(key) => {
                // Whatever would refuse the start does so before it takes a number.
                check_sizes(options, &labels)?;
                beginning.search()?;
                beginning.budgets()?;
                Some(self.number(key, id).await?)
            }
            None => None,
        };
        Ok(PreparedStart::Ready(ReadyStart { config, admission, number, reservation }))
    }

    /// The number of a start among those of its key.
    async fn number(&self, key: String, start: InputId) -> Result<RunNumber, StartError> {
        match self.numbers.take(self, &key, start).await {
            Ok(number) => Ok(RunNumber { key, number }),
            Err(StreamError::Closed) => Err(SubmitError::ShuttingDown.into()),
            Err(error) => Err(SubmitError::Store(format!("the run's number: {error}")).into()),
        }
    }

    /// Asks the slot allocator for the slots of a start. `Some`: another run holds the key, and is the answer.
    async fn check_slots(
        &self,
        claim: &SlotReservation,
        definition: &Definition,
        slots: Vec<WantedSlot>,
        ancestors: &[RunId],
    ) -> Result<Option<Started>, StartError> {
        let found = claim.check(&definition.name, slots, ancestors.to_vec()).await?;
        let holder = match found {
            SlotCheck::Open => return Ok(None),
            SlotCheck::Full(slot) => return Err(no_slot(slot).into()),
            SlotCheck::Taken(slot, holder) => return Err(Refusal::KeyTaken { key: slot.key, holder }.into()),
            SlotCheck::Held(holder) => holder,
        };
        let head = self.store.head(&StreamId::run(holder)).await.map_err(SubmitError::from)?;
        let head = head.ok_or(SubmitError::NotFound(holder))?;
        let (version, position) = (head.version, head.position);
        Ok(Some(Started { run: holder, version, position, repeated: true, held: true }))
    }

    /// Gives back what was reserved for a start, once the run was asked to begin.
    pub(crate) async fn give_back(&self, run: RunId, reservation: SlotReservation) {
        // The query is answered after the run's dispatch: a run that waits for slots has asked for them by then.
        let _not_there = self.with_state(run, |_| ()).await;
        drop(reservation);
    }

    /// Removes the folders that admission probes left of a run that was not started.
    pub(crate) async fn remove_folders(&self, run: RunId) {
        let is_there = self.store.head(&StreamId::run(run)).await;
        if matches!(is_there, Ok(None)) {
            let folders = [self.layout.attempts(run), self.layout.scratch(run)];
            for folder in folders {
                let _nothing_left = self.config.blocking.run(move || std::fs::remove_dir_all(folder)).await;
            }
        }
    }

    /// The answer to a start of a run that exists: its own start repeated, or an error where another request started
    /// it.
    async fn started_before(&self, run: RunId, id: InputId) -> Result<Started, StartError> {
        let events =
            self.store.read(&StreamId::run(run), Version::FIRST, 1_000).await.map_err(SubmitError::from)?;
        let own = events.iter().take_while(|event| event.header.cause.input == id).last();
        match own {
            Some(last) => {
                let (version, position) = (last.header.version, last.position);
                Ok(Started { run, version, position, repeated: true, held: false })
            }
            None => Err(StartError::Exists(run)),
        }
    }

    /// The first answer to the same request.
    pub(crate) async fn done_before(&self, dedup: Option<&Dedup>) -> Result<Option<Started>, StartError> {
        let Some(dedup) = dedup else { return Ok(None) };
        let first = self.store.first_write(dedup.key).await.map_err(SubmitError::from)?;
        let Some(first) = first else { return Ok(None) };
        if first.body != dedup.body {
            return Err(SubmitError::KeyReused.into());
        }
        let (version, position) = (first.appended.last_version(), first.appended.last_position());
        let run = self.run_at(position).await?;
        Ok(Some(Started { run, version, position, repeated: true, held: false }))
    }

    async fn run_at(&self, position: Position) -> Result<RunId, StartError> {
        let failed = |what: String| StartError::Submit(SubmitError::Store(what));
        let events = self.store.read_all(position, 1).await.map_err(SubmitError::from)?;
        let stream = events.first().map(|event| event.header.stream.id.as_str());
        stream
            .and_then(|id| id.parse().ok())
            .ok_or_else(|| failed(format!("position {position} holds no event of a run")))
    }
}

/// Refuses a pipeline that names work that this engine does not have, or of which a nested one does.
fn refuse_unknown(edge: &Edge, definition: &Definition, nested: &[NestedPipeline]) -> Result<(), StartError> {
    match unknown_in(edge, definition, nested).into_iter().next() {
        Some(unknown) => Err(StartError::UnknownWork(Box::new(unknown))),
        None => Ok(()),
    }
}
