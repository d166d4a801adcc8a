//! Acting on what a trigger wants.
//!
//! Law (S9): what is started has an id that derives from the occasion, and whom a signal goes to is
//! recorded before it is sent; so acting once more after a crash does nothing twice.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use uuid::Uuid;

use crate::error::{QueryError, StartError, SubmitError};
use crate::runtime::Runtime;
use crate::start::admission;
use crate::start::submission::StartRequest;
use crate::streams::slots::key_stream::claimant;
use crate::streams::triggers::report::{SignalReply, SignalTiming};
use crate::streams::triggers::stopped::EngineStopped;
use everfold_base::actor::Actor;
use everfold_base::envelope::StreamId;
use everfold_base::id::RunId;
use everfold_base::json::{JsonText, Value};
use everfold_core::decide::Refusal;
use everfold_core::decide::begin::Beginning;
use everfold_core::state::{RunState, RunStatus};
use everfold_core::triggers::{Outcome, RequestedSignal, RequestedStart, Target, TriggerMatch};
use everfold_language::definition::Definition;
use everfold_ports::RunQuery;
use everfold_store::Writability;

/// The pause before something is tried again that was not taken.
const AGAIN: Duration = Duration::from_millis(200);
/// The pause before a store that failed is asked again.
const FAILED_AGAIN: Duration = Duration::from_secs(5);
/// Runs that one signal goes to.
const RUNS_MAX: usize = 10_000;
/// Runs of which an outcome says why they did not take a signal.
const REASONS_MAX: usize = 3;
/// Ids of runs that triggers start derive from this and from the occasion.
const NAMESPACE: Uuid = Uuid::from_u128(0x9f1c_2b7e_5a60_4c1d_8e3f_7b52_06d4_a91e);
/// What a run is that has not ended.
const UNENDED: [RunStatus; 5] =
    [RunStatus::Queued, RunStatus::Running, RunStatus::Waiting, RunStatus::Paused, RunStatus::Blocked];

/// Records the runs that are about to get a signal.
pub(crate) type RecordTargets =
    Box<dyn FnOnce(Vec<RunId>) -> BoxFuture<'static, Result<(), EngineStopped>> + Send>;

/// What is to be done for one trigger.
pub(crate) struct TriggerAction {
    pub(crate) definition: Arc<Definition>,
    pub(crate) matched: TriggerMatch,
    /// What came: the input of a start that says nothing else.
    pub(crate) event: Value,
    /// What makes it one of its kind, in all the store: ids derive from it.
    pub(crate) about: String,
    /// What the runs that get the signal call it.
    pub(crate) delivery: String,
    pub(crate) actor: Actor,
    /// The runs that were about to get the signal when an engine ended.
    pub(crate) recorded_targets: Option<Vec<RunId>>,
    pub(crate) record_targets: RecordTargets,
}

/// What came of it.
pub(crate) enum TriggerDone {
    Led(Outcome),
    /// No run takes the signal now.
    Nobody {
        signal: RequestedSignal,
        to: Target,
    },
}

/// What came of a start.
enum Began {
    Started(RunId),
    /// This run has the key, and is the answer.
    Held(RunId),
    /// This run has the key, and the start is refused.
    Taken(Refusal, RunId),
    Refused(Outcome),
}

impl Began {
    fn outcome(self) -> Outcome {
        match self {
            Self::Started(run) => Outcome::Started { run },
            Self::Held(run) => Outcome::Held { run },
            Self::Taken(refusal, _) => refused(&refusal),
            Self::Refused(outcome) => outcome,
        }
    }
}

/// Does what a trigger wants, as often as it is asked, once.
pub(crate) async fn act(shared: &Arc<Runtime>, action: TriggerAction) -> Result<TriggerDone, EngineStopped> {
    let TriggerAction {
        definition,
        matched,
        event,
        about,
        delivery,
        actor,
        recorded_targets,
        record_targets,
    } = action;
    let on_behalf = TriggerSender { shared, about: &about, delivery: &delivery, actor: &actor };
    let run = run_of(&about);
    if let (Some(runs), Some(signal)) = (recorded_targets, &matched.signal) {
        return on_behalf.tell_all(runs, signal).await.map(TriggerDone::Led);
    }
    let (start, signal) = match (matched.start, matched.signal) {
        (None, None) => {
            return Ok(TriggerDone::Led(Outcome::Ignored { why: "the trigger wants nothing".into() }));
        }
        (Some(start), None) => {
            return on_behalf
                .start(run, &definition, &start)
                .await
                .map(|began| TriggerDone::Led(began.outcome()));
        }
        (None, Some(signal)) => {
            let to = match &signal.to {
                Some(to) => to.clone(),
                // The key that a start would have, whose input is the event where nothing else is said.
                None => {
                    match on_behalf.key(run, &definition, &RequestedStart { input: event, title: None }).await
                    {
                        Ok(Some(key)) => Target::Key(key),
                        Ok(None) => return Ok(TriggerDone::Led(no_key(&definition))),
                        Err(refusal) => return Ok(TriggerDone::Led(refused(&refusal))),
                    }
                }
            };
            return on_behalf.send(signal, to, record_targets).await;
        }
        (Some(start), Some(signal)) => (start, signal),
    };
    if on_behalf.exists(run).await? {
        return Ok(TriggerDone::Led(Outcome::Started { run }));
    }
    let key = match on_behalf.key(run, &definition, &start).await {
        Ok(key) => key,
        Err(refusal) => return Ok(TriggerDone::Led(refused(&refusal))),
    };
    let holder = match &key {
        Some(key) => on_behalf.living_holder(key).await?,
        None => None,
    };
    let holder = match holder {
        Some(holder) => holder,
        None => match on_behalf.start(run, &definition, &start).await? {
            // Another start was faster.
            Began::Held(holder) | Began::Taken(_, holder) if on_behalf.is_living(holder).await? => holder,
            began => return Ok(TriggerDone::Led(began.outcome())),
        },
    };
    match signal.to.clone() {
        Some(to) => on_behalf.send(signal, to, record_targets).await,
        None => {
            record_targets(vec![holder]).await?;
            on_behalf.tell_all(vec![holder], &signal).await.map(TriggerDone::Led)
        }
    }
}

/// The run that an occasion starts, if it does.
fn run_of(about: &str) -> RunId {
    RunId(Uuid::new_v5(&NAMESPACE, about.as_bytes()))
}

/// The run that an occasion started before an engine ended, whatever its trigger says since.
pub(crate) async fn started_before(
    shared: &Arc<Runtime>,
    about: &str,
    delivery: &str,
    actor: &Actor,
) -> Result<Option<RunId>, EngineStopped> {
    let run = run_of(about);
    Ok(TriggerSender { shared, about, delivery, actor }.exists(run).await?.then_some(run))
}

/// Sends a signal that waited; `None` where no run takes it now.
pub(crate) async fn tell_all(
    shared: &Arc<Runtime>,
    action: (String, String, Actor),
    signal: RequestedSignal,
    to: Target,
    recorded_targets: Option<Vec<RunId>>,
    record_targets: RecordTargets,
) -> Result<Option<Outcome>, EngineStopped> {
    let (about, delivery, actor) = action;
    let on_behalf = TriggerSender { shared, about: &about, delivery: &delivery, actor: &actor };
    if let Some(runs) = recorded_targets {
        return on_behalf.tell_all(runs, &signal).await.map(Some);
    }
    Ok(match on_behalf.send(signal, to, record_targets).await? {
        TriggerDone::Led(outcome) => Some(outcome),
        TriggerDone::Nobody { .. } => None,
    })
}

fn refused(refusal: &Refusal) -> Outcome {
    Outcome::Refused { code: refusal.code().to_owned(), message: refusal.to_string() }
}

fn no_key(definition: &Definition) -> Outcome {
    let message =
        format!("a run of {} would have no key, and the trigger names nobody else", definition.name);
    Outcome::Refused { code: "no_key".to_owned(), message }
}

/// Sends on behalf of a trigger.
pub(crate) struct TriggerSender<'a> {
    pub(crate) shared: &'a Arc<Runtime>,
    pub(crate) about: &'a str,
    pub(crate) delivery: &'a str,
    pub(crate) actor: &'a Actor,
}

impl TriggerSender<'_> {
    async fn exists(&self, run: RunId) -> Result<bool, EngineStopped> {
        loop {
            match self.shared.store.head(&StreamId::run(run)).await {
                Ok(head) => return Ok(head.is_some()),
                Err(error) => self.patience(&error.to_string()).await?,
            }
        }
    }

    async fn start(
        &self,
        run: RunId,
        definition: &Arc<Definition>,
        start: &RequestedStart,
    ) -> Result<Began, EngineStopped> {
        // It may have begun before an engine ended, and its key be taken by itself.
        if self.exists(run).await? {
            return Ok(Began::Started(run));
        }
        loop {
            let request = StartRequest {
                run: Some(run),
                title: start.title.clone(),
                ..StartRequest::new(Arc::clone(definition), JsonText::new(&start.input), self.actor.clone())
            };
            match Arc::clone(self.shared).start(request).await {
                Ok(started) if started.held => return Ok(Began::Held(started.run)),
                Ok(started) => return Ok(Began::Started(started.run)),
                Err(StartError::Exists(run)) => return Ok(Began::Started(run)),
                Err(StartError::Refused(refusal)) => {
                    return Ok(match refusal {
                        Refusal::KeyTaken { holder, .. } => Began::Taken(refusal, holder),
                        other => Began::Refused(refused(&other)),
                    });
                }
                Err(StartError::Definition(error)) if error.is_passing() => {
                    self.patience(&error.to_string()).await?;
                }
                Err(StartError::Definition(error)) => {
                    let message = error.to_string();
                    return Ok(Began::Refused(Outcome::Refused { code: "definition".to_owned(), message }));
                }
                Err(error @ StartError::UnknownResource { .. }) => {
                    let message = error.to_string();
                    return Ok(Began::Refused(Outcome::Refused { code: "resource".to_owned(), message }));
                }
                Err(error @ StartError::UnknownWork(_)) => {
                    let message = error.to_string();
                    return Ok(Began::Refused(Outcome::Refused { code: "unknown_work".to_owned(), message }));
                }
                Err(StartError::Submit(error)) => self.again_after(&error).await?,
            }
        }
    }

    /// The key that a run with this input would have.
    async fn key(
        &self,
        run: RunId,
        definition: &Arc<Definition>,
        start: &RequestedStart,
    ) -> Result<Option<String>, Refusal> {
        if definition.key.is_none() {
            return Ok(None);
        }
        let state = RunState::new(Arc::clone(definition));
        let mut beginning = Beginning::new(state, run, start.title.as_deref(), &start.input)?;
        if let Some(config) = admission::config(&beginning, None, self.shared.config.blocking).await? {
            beginning = beginning.with_config(config);
        }
        let labels = beginning.labels()?;
        Ok(beginning.with_labels(&labels).identity()?.map(|slot| slot.key))
    }

    /// The run that has a key, or waits for it, if it has not ended.
    async fn living_holder(&self, key: &str) -> Result<Option<RunId>, EngineStopped> {
        loop {
            match claimant(self.shared, key).await {
                Err(error) => self.patience(&error.to_string()).await?,
                Ok(None) => return Ok(None),
                Ok(Some(run)) => return Ok(self.is_living(run).await?.then_some(run)),
            }
        }
    }

    async fn is_living(&self, run: RunId) -> Result<bool, EngineStopped> {
        Ok(self.stands(run).await? == Some(true))
    }

    /// Whether a run has not ended; `None`: there is none.
    async fn stands(&self, run: RunId) -> Result<Option<bool>, EngineStopped> {
        loop {
            match self.shared.with_state(run, RunState::is_ended).await {
                Ok(is_ended) => return Ok(Some(!is_ended)),
                Err(QueryError::NotFound(_)) => return Ok(None),
                // It is there, though it takes no input.
                Err(QueryError::SetAside { .. }) => return Ok(Some(true)),
                Err(QueryError::ShuttingDown) => return Err(EngineStopped),
                Err(error) => self.patience(&error.to_string()).await?,
            }
        }
    }

    /// Finds out who is meant, records it, and tells them.
    async fn send(
        &self,
        signal: RequestedSignal,
        to: Target,
        record_targets: RecordTargets,
    ) -> Result<TriggerDone, EngineStopped> {
        let runs = match &to {
            Target::Key(key) => self.living_holder(key).await?.into_iter().collect(),
            Target::Run(run) => match run.parse::<RunId>() {
                Err(_) => {
                    let message = format!("“{run}” is no id of a run");
                    return Ok(TriggerDone::Led(Outcome::Refused { code: "bad_run".to_owned(), message }));
                }
                Ok(run) => match self.stands(run).await? {
                    Some(true) => vec![run],
                    Some(false) => {
                        let why = format!("run {} has ended", run.short());
                        return Ok(TriggerDone::Led(Outcome::Ignored { why }));
                    }
                    None => Vec::new(),
                },
            },
            Target::Labels(labels) => {
                let query = RunQuery {
                    labels: labels.clone(),
                    status: UNENDED.to_vec(),
                    pipeline: None,
                    limit: RUNS_MAX,
                };
                let Some(directory) = &self.shared.edge.directory else {
                    let message = "runs cannot be looked for by their labels here".to_owned();
                    return Ok(TriggerDone::Led(Outcome::Refused {
                        code: "no_directory".to_owned(),
                        message,
                    }));
                };
                let found = loop {
                    match directory.runs(query.clone()).await {
                        Ok(found) => break found,
                        Err(error) => self.patience(&error.to_string()).await?,
                    }
                };
                if found.total > RUNS_MAX as u64 {
                    let message =
                        format!("{} runs have these labels; at most {RUNS_MAX} are told", found.total);
                    return Ok(TriggerDone::Led(Outcome::Refused { code: "too_many".to_owned(), message }));
                }
                found.runs.into_iter().map(|found| found.run).collect()
            }
        };
        if runs.is_empty() {
            return Ok(TriggerDone::Nobody { signal, to });
        }
        record_targets(runs.clone()).await?;
        self.tell_all(runs, &signal).await.map(TriggerDone::Led)
    }

    /// Tells these runs; one that has ended meanwhile hears nothing.
    async fn tell_all(&self, runs: Vec<RunId>, signal: &RequestedSignal) -> Result<Outcome, EngineStopped> {
        let (mut heard, mut unheard) = (Vec::new(), Vec::new());
        let (mut best, mut not_heard) = (SignalTiming::Kept, None);
        for run in runs {
            match self.tell(run, signal).await? {
                SignalReply::Heard(how) => {
                    best = best.max(how);
                    heard.push(run);
                }
                SignalReply::Unheard(why) => unheard.push(why),
                SignalReply::Gone => {}
                SignalReply::Refused(code, message) => not_heard = Some((code, message)),
            }
        }
        Ok(match (heard.is_empty(), not_heard) {
            (false, _) => {
                let (signal, runs) = (signal.name.clone(), heard);
                match best {
                    SignalTiming::Now => Outcome::Signalled { signal, runs },
                    SignalTiming::Deferred => Outcome::Deferred { signal, runs },
                    SignalTiming::Kept => Outcome::Kept { signal, runs },
                }
            }
            (true, Some((code, message))) => Outcome::Refused { code, message },
            (true, None) if !unheard.is_empty() => {
                let more = unheard.len().saturating_sub(REASONS_MAX);
                let mut why = unheard[..unheard.len() - more].join("; ");
                if more > 0 {
                    why = format!("{why}; and {more} more");
                }
                Outcome::Ignored { why }
            }
            (true, None) => Outcome::Ignored { why: "whom it was meant for has ended".to_owned() },
        })
    }

    /// Waits until it makes sense to try again.
    pub(crate) async fn again_after(&self, error: &SubmitError) -> Result<(), EngineStopped> {
        match error {
            SubmitError::ShuttingDown => Err(EngineStopped),
            SubmitError::Busy => {
                tokio::time::sleep(AGAIN).await;
                Ok(())
            }
            SubmitError::Full => self.shared.until_writable().await.ok_or(EngineStopped),
            other => self.patience(&other.to_string()).await,
        }
    }

    pub(crate) async fn patience(&self, error: &str) -> Result<(), EngineStopped> {
        if self.shared.is_stopping() {
            return Err(EngineStopped);
        }
        tracing::error!(about = self.about, error, "a trigger waits for the store");
        let is_refused = matches!(
            &*self.shared.store.writability().borrow(),
            Writability::ReadOnly(_) | Writability::NotOurs(_)
        );
        if is_refused {
            return self.shared.until_writable().await.ok_or(EngineStopped);
        }
        tokio::time::sleep(FAILED_AGAIN).await;
        Ok(())
    }
}
