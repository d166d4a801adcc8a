//! A run that continues another one's history: forks, retries of ended runs, restarts.
//!
//! Law (D11): the new run's stream begins with copies of the origin's events, with their stored bytes and
//! the flag `copied`; `RunForked` makes it a run. Until then it is not a run: it is not shown, found or loaded.
//! A copy that a crash cut short is completed by repeating the request with its idempotency key; else it is
//! named ([`crate::recovery::aborted_forks`]) and blocks nothing. Requests with one key copy one after the other, and
//! no copy is continued behind what the request asks for, or behind a run.

use std::io;
use std::sync::Arc;

use crate::error::{LoadError, QueryError, StartError, SubmitError};
use crate::load::decode;
use crate::messages::Queued;
use crate::recovery::aborted_forks::COPYING;
use crate::runtime::Runtime;
use crate::start::admission;
use crate::start::start_run::{in_one_line, no_slot};
use crate::start::submission::{Accepted, Started};
use crate::streams::slots::mailbox::SlotCheck;
use crate::streams::slots::reservation::SlotReservation;
use crate::work::spare::holds_back;
use everfold_base::actor::Actor;
use everfold_base::envelope::{Envelope, EventHeader, NewEvent, StreamId, flag};
use everfold_base::id::{InputId, Round, RunId, StepId, Version};
use everfold_base::json::{BlobRef, Hash, JsonText, Value};
use everfold_base::time::Timestamp;
use everfold_core::decide::begin::Beginning;
use everfold_core::decide::{Decision, Refusal, begin, decide};
use everfold_core::event::{EffectLimits, Origin, OriginKind, RunEvent, SlotKind};
use everfold_core::input::{Fork, Input, InputKind};
use everfold_core::state::{RunState, StoredValue};
use everfold_language::definition::{Definition, SKIPPED, similar};
use everfold_language::expr::Loaded;
use everfold_language::words::OnTaken;
use everfold_ports::BroughtCredentials;
use everfold_store::{Append, AppendError, Dedup, StreamHead};

/// Events that are copied in one append, and their bytes.
const CHUNK_EVENTS: usize = 500;
const CHUNK_BYTES: usize = 2 * 1024 * 1024;
/// How often the preview may ask for further values.
const NEEDS_MAX: usize = 64;

/// A request to continue a run's history in a new run.
#[derive(Debug, Clone)]
pub struct ForkRequest {
    /// The run whose history is continued.
    pub origin: RunId,
    /// Whether it is a fork, a retry or a restart.
    pub how: OriginKind,
    /// Its last version that is copied; `None`: all of it.
    pub at: Option<Version>,
    /// The moment that is continued, where it may be later than that version; what had passed until then has passed.
    pub moment: Option<Timestamp>,
    /// The step that begins anew; of a retry `None` is the one that failed.
    pub from_step: Option<StepId>,
    /// Fields that replace those of the input.
    pub input: Option<Value>,
    /// Settings documents that replace those of the origin, by name.
    pub config: Option<Value>,
    /// The definition that the run continues with; `None`: the origin's. The history must fit another one.
    pub definition: Option<Arc<Definition>>,
    /// For readers; `None`: the origin's.
    pub title: Option<String>,
    /// Of a fork: what its work does outside it does, and notices are sent. Retries and restarts are what they go on from.
    pub live: bool,
    /// Of a fork: work that is given what work of the origin was given ends as that did.
    pub replay_effects: bool,
    /// The run pauses before this step, and keeps none of the origin's breakpoints.
    pub until_step: Option<StepId>,
    /// The actor of the request.
    pub actor: Actor,
    /// Recognises a repeated request.
    pub dedup: Option<Dedup>,
    /// What the request brings for the new run; nothing is taken over from the origin.
    pub credentials: BroughtCredentials,
}

impl Runtime {
    /// Makes a run that continues another one's history; resolves when it is durable.
    pub(crate) async fn fork(self: Arc<Self>, request: ForkRequest) -> Result<Started, StartError> {
        self.halts.current().await.map_err(|error| SubmitError::Store(error.to_string()))?;
        let _copying = match &request.dedup {
            Some(dedup) => Some(self.forks.lock(derived_run(request.origin, &dedup.key.to_string())).await),
            None => None,
        };
        if let Some(first) = self.done_before(request.dedup.as_ref()).await? {
            return Ok(first);
        }
        let mut state = self.origin_state(request.origin, request.at).await?;
        let run = self.new_run(&request, state.version()).await?;
        let id = InputId::derive(&format!("{run}/fork"));
        let definition = Arc::clone(request.definition.as_ref().unwrap_or(state.definition()));
        self.scheduler.config().knows_resources_of(&definition, &self.children.nested(&definition))?;
        let fork = self.plan_fork(run, &state, &definition, &request).await?;
        state.goes_on_by(fork.definition, Arc::clone(&definition));
        match self.preview(&state, &fork, id, &request.actor).await {
            Err(StartError::Refused(refusal)) => {
                return Err(self.since_when(request.origin, fork.origin.version, refusal).await.into());
            }
            other => other?,
        }
        let hold = self.hold_credentials(run, &request.credentials, None).await?;
        let made = self.fork_as(run, id, &state, definition, fork, request).await;
        if matches!(made, Err(StartError::Refused(_))) {
            self.remove_folders(run).await;
        }
        if let Some(hold) = hold {
            self.credentials_answered(hold, made.as_ref().ok().map(|made| made.run)).await;
        }
        made
    }

    /// Makes the run whose id, plan and credentials are there. Until its gates have let it pass, the origin is only read.
    async fn fork_as(
        self: &Arc<Self>,
        run: RunId,
        id: InputId,
        state: &RunState,
        definition: Arc<Definition>,
        fork: Fork,
        request: ForkRequest,
    ) -> Result<Started, StartError> {
        let reservation = self.check_fork(run, state, &definition, &fork, &request.how).await?;
        self.definitions.save(&definition).await?;
        self.copy(request.origin, run, fork.origin.version).await?;
        let kind = InputKind::Fork(Box::new(fork));
        let (actor, dedup, definition) = (request.actor, request.dedup, Some(definition));
        let queued = Queued { actor, dedup, definition, ..Queued::own(id, kind) };
        let asked = self.ask(run, queued).await;
        self.give_back(run, reservation).await;
        let Accepted { version, position, changed, repeated } = asked?;
        Ok(Started { run, version, position, repeated: repeated || !changed, held: false })
    }

    /// The run that a request makes. Under an idempotency key its id follows from the key, so that a repeat completes the
    /// copy that a crash cut short. Where that stream is a run already (its key was forgotten), or holds more than is
    /// asked for now, another id follows.
    async fn new_run(&self, request: &ForkRequest, until: Version) -> Result<RunId, StartError> {
        let Some(dedup) = &request.dedup else { return Ok(RunId(self.draw_uuid())) };
        let (mut name, mut taken) = (dedup.key.to_string(), 0_u32);
        loop {
            let run = derived_run(request.origin, &name);
            if self.takes_copy(run, until).await? {
                return Ok(run);
            }
            taken += 1;
            name = format!("{}/{}/{taken}", dedup.key, dedup.body);
        }
    }

    /// Whether a run's stream is empty, or a copy that was cut short and goes no further than `until`.
    async fn takes_copy(&self, run: RunId, until: Version) -> Result<bool, StartError> {
        let stream = StreamId::run(run);
        let Some(head) = self.head_of(run).await? else { return Ok(true) };
        let cut = self.cut_copies(&[stream]).await;
        let cut = cut.map_err(|error| SubmitError::Store(error.to_string()))?;
        Ok(head.version <= until && !cut.is_empty())
    }

    async fn head_of(&self, run: RunId) -> Result<Option<StreamHead>, StartError> {
        let head = self.store.head(&StreamId::run(run)).await;
        head.map_err(|error| SubmitError::Store(error.to_string()).into())
    }

    /// Where a run's stream ends.
    async fn end_of(&self, run: RunId) -> Result<(Version, Hash), StartError> {
        Ok(self.head_of(run).await?.map_or((Version::ZERO, Hash::ZERO), |head| (head.version, head.hash)))
    }

    /// The origin's state at a version; `None`: its newest durable state.
    async fn origin_state(&self, origin: RunId, at: Option<Version>) -> Result<RunState, StartError> {
        let folded = match at {
            Some(version) => self.loader().fold(origin, Some(version)).await,
            // The durable state, without events that are in flight.
            None => match self.with_state(origin, RunState::version).await {
                Ok(version) => self.loader().fold(origin, Some(version)).await,
                Err(QueryError::NotFound(run)) => Err(LoadError::NotFound(run)),
                Err(QueryError::ShuttingDown) => return Err(SubmitError::ShuttingDown.into()),
                Err(error) => return Err(SubmitError::Store(error.to_string()).into()),
            },
        };
        match folded {
            Ok(folded) => Ok(folded.state),
            Err(LoadError::NotFound(run)) => Err(SubmitError::NotFound(run).into()),
            Err(LoadError::NotYet { wanted, last, .. }) => {
                Err(Refusal::Start(format!("the run is at version {last}, not yet at {wanted}")).into())
            }
            Err(error) => Err(SubmitError::Store(error.to_string()).into()),
        }
    }

    async fn plan_fork(
        &self,
        run: RunId,
        state: &RunState,
        definition: &Arc<Definition>,
        request: &ForkRequest,
    ) -> Result<Fork, StartError> {
        let from_step = match (request.how, &request.from_step) {
            (_, Some(step)) => Some(step.clone()),
            (OriginKind::Retry, None) => {
                Some(state.retry_step().ok_or_else(|| Refusal::NothingToRetry(state.status()))?)
            }
            (OriginKind::Restart | OriginKind::Handover, None) => {
                return Err(Refusal::Start("a restart names the step that it begins with".into()).into());
            }
            (OriginKind::Fork, None) => None,
        };
        let mut input = self.value_of(request.origin, state.input()).await?;
        if let Some(given) = &request.input {
            match (&mut input, given) {
                (Value::Object(input), Value::Object(given)) => input.extend(given.clone()),
                (input, given) => *input = given.clone(),
            }
        }
        let mut config = self.value_of(request.origin, state.config()).await?;
        if let Some(given) = &request.config {
            let Value::Object(given) = given else {
                return Err(Refusal::Start("config is a map of settings documents by name".into()).into());
            };
            known_documents(definition, given)?;
            let (given, skipped) = sound_documents(definition, given.clone());
            let former = config.get(SKIPPED).cloned();
            merge(&mut config, given.clone());
            if !definition.config_records.is_empty() {
                let is_replaced = |name: &str| given.contains_key(name);
                config[SKIPPED] = begin::skipped_again(former.as_ref(), is_replaced, skipped);
            }
        }
        let hash = match &request.definition {
            Some(definition) => definition.hash(),
            None => state.definition_hash().unwrap_or(Hash::ZERO),
        };
        if Some(hash) != state.definition_hash() {
            self.add_documents(run, state, definition, &input, &mut config).await?;
        }
        begin::check_config(&config)?;
        let effects = self.effect_limits(state, request).await?;
        // Who names no moment continues a run that goes on as it is now.
        let is_newest = request.at.is_none() && !state.is_ended();
        Ok(Fork {
            effects,
            keeps_tries: true,
            keeps_spans: true,
            continued_at: request.moment.or_else(|| is_newest.then(|| self.now())),
            keeps_items: true,
            run,
            origin: Origin { run: request.origin, version: state.version(), how: request.how },
            definition: hash,
            input: JsonText::new(&input),
            config: (!config.is_null()).then(|| JsonText::new(&config)),
            from_step,
            title: in_one_line(request.title.as_deref()),
            entropy: self.draw_u64(),
            until_step: request.until_step.clone(),
            initiator: self.initiator_of(&request.actor).await.map_err(SubmitError::from)?,
        })
    }

    /// What of the new run's work is not done. What goes on from a run that may not act outside may not, either.
    async fn effect_limits(
        &self,
        state: &RunState,
        request: &ForkRequest,
    ) -> Result<Option<EffectLimits>, StartError> {
        let (held, replays) = match request.how {
            OriginKind::Fork => (!request.live, request.replay_effects),
            OriginKind::Retry | OriginKind::Restart | OriginKind::Handover => {
                let held = holds_back(self, state).await;
                (held.map_err(|error| SubmitError::Store(error.to_string()))?, false)
            }
        };
        let recorded_to = match request.how {
            OriginKind::Fork => self.end_of(request.origin).await?.0,
            _goes_on => state.version(),
        };
        Ok((held || replays).then_some(EffectLimits { held, replays, recorded_to }))
    }

    /// Reads settings documents that another definition names and the run does not have yet.
    async fn add_documents(
        &self,
        run: RunId,
        state: &RunState,
        definition: &Arc<Definition>,
        input: &Value,
        config: &mut Value,
    ) -> Result<(), StartError> {
        let mut wanted = Definition::clone(definition);
        wanted.config.retain(|name, _| config.get(name).is_none());
        if wanted.config.is_empty() {
            return Ok(());
        }
        let new = RunState::new(Arc::new(wanted));
        let beginning =
            Beginning::new(new, run, state.title(), input)?.rooted(state.root()).in_folder(state.cwd());
        let found = admission::config(&beginning, state.cwd(), self.config.blocking).await?;
        if let Some(Value::Object(mut found)) = found {
            let (former, skipped) = (config.get(SKIPPED).cloned(), found.remove(SKIPPED));
            merge(config, found);
            if let Some(skipped) = skipped {
                config[SKIPPED] = begin::skipped_again(former.as_ref(), |_| false, skipped);
            }
        }
        Ok(())
    }

    async fn value_of(&self, run: RunId, kept: &StoredValue) -> Result<Value, StartError> {
        self.kept(run, kept.clone()).await.map_err(|error| {
            SubmitError::Store(format!("a value of run {run} cannot be read: {error}")).into()
        })
    }

    /// Decides the fork on a copy of the origin's state, so that a refusal stores nothing.
    async fn preview(
        &self,
        state: &RunState,
        fork: &Fork,
        id: InputId,
        actor: &Actor,
    ) -> Result<(), StartError> {
        let (at, actor) = (self.now(), actor.clone());
        let input = Input { id, at, actor, kind: InputKind::Fork(Box::new(fork.clone())) };
        let mut loaded = Loaded::default();
        for _ in 0..NEEDS_MAX {
            match decide(&mut state.clone(), &input, &loaded) {
                Ok(Decision::Events(batch)) => return check_until(state, fork, &batch.events),
                Ok(Decision::Needs(wanted)) => {
                    let values = self.values.load(fork.origin.run, wanted).await;
                    let values = values.map_err(|error| SubmitError::Store(error.to_string()))?;
                    values.iter().for_each(|(value, text)| loaded.insert(value, text.clone()));
                }
                Err(refusal) => return Err(refusal.into()),
            }
        }
        Err(SubmitError::Store("a decision asks for ever more values".into()).into())
    }

    /// Whether gates, key and slots let the run begin (L30); what is reserved for it until its key knows of it.
    async fn check_fork(
        self: &Arc<Self>,
        run: RunId,
        state: &RunState,
        definition: &Arc<Definition>,
        fork: &Fork,
        how: &OriginKind,
    ) -> Result<SlotReservation, StartError> {
        let new = RunState::new(Arc::clone(definition));
        let title = fork.title.as_deref().or(state.title());
        let config = fork.config.as_ref().map_or_else(|| Value::Object(Default::default()), JsonText::value);
        let beginning = Beginning::new(new, run, title, &fork.input.value())?
            .rooted(state.root())
            .in_folder(state.cwd())
            .with_config(config)
            .with_labels(state.labels());
        let evidence = self.admission(run, &beginning, state.cwd(), Round::FIRST).await.evidence;
        if let Some(refusal) = self.refusal(run, &beginning, &evidence).await {
            return Err(refusal.into());
        }
        let (mut slots, identity) = (beginning.slots_of(fork)?, beginning.identity()?);
        let key = identity.as_ref().map(|identity| identity.key.clone()).unwrap_or_default();
        // A fork stays beside its origin: it has no key, and shares none of its slots.
        let claim = match how {
            OriginKind::Fork => SlotReservation::new(Arc::clone(self), run),
            OriginKind::Retry | OriginKind::Restart | OriginKind::Handover => {
                slots.extend(identity.map(|mut identity| {
                    // A key that its origin has is its own. A run that has it otherwise is neither the answer, for it does
                    // not continue this history, nor replaced.
                    if let SlotKind::Identity { on_taken, .. } = &mut identity.kind {
                        *on_taken = OnTaken::Reject;
                    }
                    identity
                }));
                SlotReservation::instead_of(Arc::clone(self), run, fork.origin.run)
            }
        };
        if slots.is_empty() {
            return Ok(claim);
        }
        match claim.check(&definition.name, slots, Vec::new()).await? {
            SlotCheck::Open => Ok(claim),
            SlotCheck::Full(slot) => Err(no_slot(slot).into()),
            SlotCheck::Taken(_, holder) | SlotCheck::Held(holder) => {
                Err(Refusal::KeyTaken { key, holder }.into())
            }
        }
    }

    /// Copies the history of a run up to a version, as far as it is not copied yet.
    async fn copy(&self, origin: RunId, run: RunId, until: Version) -> Result<(), StartError> {
        let failed = |what: String| StartError::from(SubmitError::Store(what));
        let (mut version, mut hash) = self.end_of(run).await?;
        let mut is_reread = false;
        let stream = StreamId::run(run);
        while version < until {
            let left = usize::try_from(until.0 - version.0).unwrap_or(CHUNK_EVENTS);
            let page = self.store.read(&StreamId::run(origin), version.next(), left.min(CHUNK_EVENTS)).await;
            let page = page.map_err(|error| failed(error.to_string()))?;
            if page.is_empty() {
                return Err(failed(format!("run {origin} has no version {}", version.next())));
            }
            let (expected, previous) = (version, hash);
            let mut events = Vec::with_capacity(page.len());
            let mut bytes = 0;
            for envelope in page {
                if !events.is_empty() && bytes + envelope.payload.len() > CHUNK_BYTES {
                    break;
                }
                bytes += envelope.payload.len();
                self.copy_values(origin, run, &envelope).await?;
                let header = EventHeader {
                    stream: stream.clone(),
                    flags: envelope.header.flags | flag::COPIED,
                    ..envelope.header
                };
                version = header.version;
                let event = NewEvent::link(header, envelope.payload, &hash);
                hash = event.hash;
                events.push(event);
            }
            let append = Append {
                stream: stream.clone(),
                expected,
                previous,
                events,
                dedup: None,
                fence: self.config.fence,
                note: COPYING,
            };
            match self.store.append(append).await {
                Ok(_) => {}
                Err(AppendError::Full) => return Err(SubmitError::Full.into()),
                // A former request was dropped while its last append was on its way: that went on with this copy.
                Err(AppendError::WrongExpectedVersion { .. } | AppendError::WrongPreviousHash { .. })
                    if !is_reread =>
                {
                    if !self.takes_copy(run, until).await? {
                        return Err(failed(format!("the copy {run} is a run already")));
                    }
                    (is_reread, (version, hash)) = (true, self.end_of(run).await?);
                    continue;
                }
                Err(error) => return Err(failed(error.to_string())),
            }
            if self.config.crash_after.as_deref() == Some("Copied") {
                crate::crash_point::abort_process();
            }
        }
        Ok(())
    }

    /// Copies what a run keeps outside of its events for another run.
    pub(crate) async fn copy_blobs(&self, origin: RunId, run: RunId, wanted: Vec<BlobRef>) -> io::Result<()> {
        if wanted.is_empty() {
            return Ok(());
        }
        let blobs = Arc::clone(&self.blobs);
        let copied = self.config.blocking.run(move || {
            wanted.iter().try_for_each(|blob| blobs.put(run, &blobs.get(origin, blob)?).map(drop))
        });
        copied.await.unwrap_or_else(|error| Err(io::Error::other(error)))
    }

    /// Copies the blobs of an event.
    async fn copy_values(&self, origin: RunId, run: RunId, envelope: &Envelope) -> Result<(), StartError> {
        let failed = |what: String| StartError::from(SubmitError::Store(what));
        let event = decode(origin, envelope).map_err(|error| failed(error.to_string()))?;
        let copied = self.copy_blobs(origin, run, event.blobs()).await;
        copied.map_err(|error| match error.kind() {
            io::ErrorKind::StorageFull => SubmitError::Full.into(),
            _other => failed(format!("a value of run {origin} could not be copied: {error}")),
        })
    }
}

/// Settings documents without the records that break the definition's rules, and the list of these.
fn sound_documents(
    definition: &Definition,
    mut given: serde_json::Map<String, Value>,
) -> (serde_json::Map<String, Value>, Value) {
    let rules = &definition.config_records;
    let skipped = given.iter_mut().flat_map(|(name, document)| begin::keep_sound(rules, name, document));
    let skipped = begin::skipped_list(&skipped.collect::<Vec<_>>());
    (given, skipped)
}

/// Refuses settings documents that the definition does not name: no expression would ever read them.
fn known_documents(definition: &Definition, given: &serde_json::Map<String, Value>) -> Result<(), Refusal> {
    let known = || definition.config.keys().map(String::as_str);
    let Some(unknown) = given.keys().find(|name| known().all(|known| known != name.as_str())) else {
        return Ok(());
    };
    let hint = match similar(unknown, known()) {
        Some(near) => format!("did you mean “{near}”?"),
        None if definition.config.is_empty() => "it has no `config`".to_owned(),
        None => format!("it has {}", known().collect::<Vec<_>>().join(", ")),
    };
    Err(Refusal::Start(format!("config.{unknown}: the pipeline has no such document; {hint}")))
}

/// A run cannot pause before a step that has begun, unless the fork begins it anew.
fn check_until(state: &RunState, fork: &Fork, events: &[RunEvent]) -> Result<(), StartError> {
    let Some(step) = &fork.until_step else { return Ok(()) };
    let is_reset = |event: &RunEvent| matches!(event, RunEvent::RunForked(made) if made.reset.contains(step));
    if state.has_begun_step(step) && !events.iter().any(is_reset) {
        return Err(Refusal::BegunBefore(step.clone()).into());
    }
    Ok(())
}

/// The run whose id follows from its origin and a name.
fn derived_run(origin: RunId, name: &str) -> RunId {
    RunId(uuid::Uuid::new_v5(&origin.0, name.as_bytes()))
}

/// Fields that replace those of a map, which may be none yet.
fn merge(map: &mut Value, fields: serde_json::Map<String, Value>) {
    match map {
        Value::Object(map) => map.extend(fields),
        none => *none = Value::Object(fields),
    }
}
