//! Carries out a trigger that matched: starts a run, sends a signal, or both.
//!
//! Law (S9): what is started has an id that derives from the delivery or the moment, and the runs that get a signal are
//! recorded before it is sent; so acting once more after a crash does nothing twice.

use std::sync::Arc;

use futures::future::BoxFuture;
use uuid::Uuid;

use crate::error::{QueryError, StartError, SubmitError};
use crate::retry::{BUSY_AGAIN, FAILED_AGAIN};
use crate::runtime::Runtime;
use crate::start::admission;
use crate::start::submission::StartRequest;
use crate::start::task_title::title_of_task;
use crate::streams::slots::key_stream::claimant;
use crate::streams::triggers::signal_reply::{SignalReply, SignalTiming};
use crate::streams::triggers::stopped::EngineStopped;
use everfold_base::actor::Actor;
use everfold_base::envelope::StreamId;
use everfold_base::id::RunId;
use everfold_base::json::{JsonText, Value};
use everfold_core::decide::Refusal;
use everfold_core::decide::begin::Beginning;
use everfold_core::input::StartOptions;
use everfold_core::state::RunState;
use everfold_core::triggers::{Outcome, RequestedSignal, RequestedStart, Target, TriggerMatch};
use everfold_language::definition::Definition;
use everfold_store::Writability;

/// Runs of which an outcome says why they did not take a signal.
const REASONS_MAX: usize = 3;
/// The code of a signal that a route of its receiver refuses.
pub(crate) const SIGNAL_REFUSED: &str = "signal_refused";
/// Ids of runs that triggers start derive from this, and from the delivery or the moment.
const NAMESPACE: Uuid = Uuid::from_u128(0x9f1c_2b7e_5a60_4c1d_8e3f_7b52_06d4_a91e);

/// Records the runs that are about to get a signal.
pub(crate) type RecordTargets =
    Box<dyn FnOnce(Vec<RunId>) -> BoxFuture<'static, Result<(), EngineStopped>> + Send>;

/// A delivery or a moment, on its way through one trigger.
pub(crate) struct TriggerCall {
    pub(crate) definition: Arc<Definition>,
    /// Identifies the action in the whole store: ids derive from it.
    pub(crate) about: String,
    /// The name of the delivery in the runs that get the signal.
    pub(crate) delivery: String,
    pub(crate) actor: Actor,
    /// Who is behind it, where that is not the actor.
    pub(crate) initiator: Option<Actor>,
    /// The step's process that asked for it, or made what asks for it: its signals decide as much as that might.
    pub(crate) made_by: Option<Actor>,
    /// The runs that an engine recorded as targets before it ended.
    pub(crate) recorded_targets: Option<Vec<RunId>>,
    pub(crate) record_targets: RecordTargets,
}

/// What is to be done for one trigger.
pub(crate) struct TriggerAction {
    pub(crate) call: TriggerCall,
    pub(crate) matched: TriggerMatch,
    /// The event: the input of a start that names none.
    pub(crate) event: Value,
}

/// What came of an action.
pub(crate) enum TriggerDone {
    Done(Outcome),
    /// No run takes the signal now.
    NoTarget {
        signal: RequestedSignal,
        to: Target,
    },
    /// The run that has the key is about to end; the trigger is asked again.
    NotNow {
        why: String,
    },
}

/// What came of a start.
enum StartResult {
    Started(RunId),
    /// This run has the key, and is the answer.
    Held(RunId),
    /// This run has the key, and the start is refused.
    Taken(Refusal, RunId),
    Refused(Outcome),
}

impl StartResult {
    fn outcome(self) -> Outcome {
        match self {
            Self::Started(run) => Outcome::Started { run },
            Self::Held(run) => Outcome::Held { run },
            Self::Taken(refusal, _) => refused(&refusal),
            Self::Refused(outcome) => outcome,
        }
    }
}

/// Does what a trigger wants, once, however often it is called.
pub(crate) async fn act(shared: &Arc<Runtime>, action: TriggerAction) -> Result<TriggerDone, EngineStopped> {
    let TriggerAction { call, matched, event } = action;
    let TriggerCall {
        definition,
        about,
        delivery,
        actor,
        initiator,
        made_by,
        recorded_targets,
        record_targets,
    } = call;
    let sender = TriggerSender {
        shared,
        about: &about,
        delivery: &delivery,
        actor: &actor,
        initiator: initiator.as_ref(),
        made_by: made_by.as_ref(),
    };
    let run = run_of(&about);
    if let (Some(runs), Some(signal)) = (recorded_targets, &matched.signal) {
        return sender.send_to_all(runs, signal).await.map(TriggerDone::Done);
    }
    let (start, signal) = match (matched.start, matched.signal) {
        (None, None) => {
            return Ok(TriggerDone::Done(Outcome::Ignored { why: "the trigger wants nothing".into() }));
        }
        (Some(start), None) => {
            let began = sender.start(run, &definition, &start).await?;
            return sender.done(began, &start).await;
        }
        (None, Some(signal)) => {
            let to = match &signal.to {
                Some(to) => to.clone(),
                // The key of the run that the trigger would start with the event as its input.
                None => {
                    let start = RequestedStart { input: event, title: None, parks: false };
                    match sender.key(run, &definition, &start).await {
                        Ok(Some(key)) => Target::Key(key),
                        Ok(None) => return Ok(TriggerDone::Done(no_key(&definition))),
                        Err(refusal) => return Ok(TriggerDone::Done(refused(&refusal))),
                    }
                }
            };
            return sender.send(signal, to, record_targets).await;
        }
        (Some(start), Some(signal)) => (start, signal),
    };
    if sender.exists(run).await? {
        return Ok(TriggerDone::Done(Outcome::Started { run }));
    }
    let key = match sender.key(run, &definition, &start).await {
        Ok(key) => key,
        Err(refusal) => return Ok(TriggerDone::Done(refused(&refusal))),
    };
    let holder = match &key {
        Some(key) => sender.living_holder(key).await?,
        None => None,
    };
    let holder = match holder {
        Some(holder) => holder,
        None => match sender.start(run, &definition, &start).await? {
            // Another start was faster, or the run keeps its key behind its end.
            StartResult::Held(holder) | StartResult::Taken(_, holder)
                if sender.is_heard(holder, &signal.name).await? =>
            {
                holder
            }
            began => return sender.done(began, &start).await,
        },
    };
    // A run that is about to end takes up nothing: the next one of the key does.
    if start.parks && sender.is_about_to_end(holder).await? {
        return Ok(TriggerDone::NotNow { why: about_to_end(holder) });
    }
    let to = match (signal.to.clone(), key) {
        (Some(to), _) => to,
        (None, Some(key)) => Target::Key(key),
        (None, None) => return Ok(TriggerDone::Done(no_key(&definition))),
    };
    sender.send(signal, to, record_targets).await
}

/// The id of the run that an action starts, if it starts one.
pub(crate) fn run_of(about: &str) -> RunId {
    RunId(Uuid::new_v5(&NAMESPACE, about.as_bytes()))
}

/// The run that an action started before an engine ended, even if its trigger has changed since.
pub(crate) async fn started_before(
    shared: &Arc<Runtime>,
    about: &str,
    delivery: &str,
    actor: &Actor,
) -> Result<Option<RunId>, EngineStopped> {
    let run = run_of(about);
    let sender = TriggerSender { shared, about, delivery, actor, initiator: None, made_by: None };
    Ok(sender.exists(run).await?.then_some(run))
}

/// Sends a signal that waited, or that a step sends, with the person `behind` it; `None` where there is no run that it could go to now.
pub(crate) async fn send_once(
    shared: &Arc<Runtime>,
    action: (String, String, Actor),
    behind: Option<&Actor>,
    signal: RequestedSignal,
    to: Target,
    recorded_targets: Option<Vec<RunId>>,
    record_targets: RecordTargets,
) -> Result<Option<Outcome>, EngineStopped> {
    let (about, delivery, actor) = action;
    let sender = TriggerSender {
        shared,
        about: &about,
        delivery: &delivery,
        actor: &actor,
        initiator: behind,
        made_by: None,
    };
    if let Some(runs) = recorded_targets {
        let outcome = sender.send_to_all(runs.clone(), &signal).await?;
        if !signal.park || !sender.is_lost(&outcome, &runs, &signal).await? {
            return Ok(Some(outcome));
        }
    }
    Ok(match sender.send(signal, to, record_targets).await? {
        TriggerDone::Done(outcome) => Some(outcome),
        TriggerDone::NoTarget { .. } | TriggerDone::NotNow { .. } => None,
    })
}

fn refused(refusal: &Refusal) -> Outcome {
    Outcome::Refused { code: refusal.code().to_owned(), message: refusal.to_string() }
}

fn about_to_end(holder: RunId) -> String {
    format!("run {} has the key, and is about to end", holder.short())
}

fn no_key(definition: &Definition) -> Outcome {
    let message =
        format!("a run of {} would have no key, and the trigger names no other receiver", definition.name);
    Outcome::Refused { code: "no_key".to_owned(), message }
}

/// Starts and signals runs on behalf of a trigger.
pub(super) struct TriggerSender<'a> {
    pub(super) shared: &'a Arc<Runtime>,
    pub(super) about: &'a str,
    pub(super) delivery: &'a str,
    pub(super) actor: &'a Actor,
    /// The person behind it; recorded with the runs that are started.
    pub(super) initiator: Option<&'a Actor>,
    /// The step's process behind it, where that is not the actor.
    pub(super) made_by: Option<&'a Actor>,
}

impl TriggerSender<'_> {
    async fn exists(&self, run: RunId) -> Result<bool, EngineStopped> {
        loop {
            match self.shared.store.head(&StreamId::run(run)).await {
                Ok(head) => return Ok(head.is_some()),
                Err(error) => self.wait_for_store(&error.to_string()).await?,
            }
        }
    }

    /// What a start led to. A run that is about to end is no answer to a start that may wait.
    async fn done(&self, began: StartResult, start: &RequestedStart) -> Result<TriggerDone, EngineStopped> {
        Ok(match began {
            StartResult::Held(holder) if start.parks && self.is_about_to_end(holder).await? => {
                TriggerDone::NotNow { why: about_to_end(holder) }
            }
            began => TriggerDone::Done(began.outcome()),
        })
    }

    async fn start(
        &self,
        run: RunId,
        definition: &Arc<Definition>,
        start: &RequestedStart,
    ) -> Result<StartResult, EngineStopped> {
        // The run may have begun before an engine ended, and hold its key itself.
        if self.exists(run).await? {
            return Ok(StartResult::Started(run));
        }
        loop {
            let input = JsonText::new(&start.input);
            let options = StartOptions {
                title: start.title.clone(),
                initiator: self.initiator.cloned(),
                ..StartOptions::new(input)
            };
            let request = StartRequest {
                run: Some(run),
                may_wait: start.parks,
                ..StartRequest::new(Arc::clone(definition), options, self.actor.clone())
            };
            match Arc::clone(self.shared).start(request).await {
                Ok(started) if started.held => return Ok(StartResult::Held(started.run)),
                Ok(started) => return Ok(StartResult::Started(started.run)),
                Err(StartError::Exists(run)) => return Ok(StartResult::Started(run)),
                Err(StartError::Refused(refusal)) => {
                    return Ok(match refusal {
                        Refusal::KeyTaken { holder, .. } => StartResult::Taken(refusal, holder),
                        other => StartResult::Refused(refused(&other)),
                    });
                }
                Err(StartError::Definition(error)) if error.is_passing() => {
                    self.wait_for_store(&error.to_string()).await?;
                }
                Err(StartError::Definition(error)) => {
                    let message = error.to_string();
                    return Ok(StartResult::Refused(Outcome::Refused {
                        code: "definition".to_owned(),
                        message,
                    }));
                }
                Err(error @ StartError::UnknownResource { .. }) => {
                    let message = error.to_string();
                    return Ok(StartResult::Refused(Outcome::Refused {
                        code: "resource".to_owned(),
                        message,
                    }));
                }
                Err(error @ StartError::UnknownWork(_)) => {
                    let message = error.to_string();
                    return Ok(StartResult::Refused(Outcome::Refused {
                        code: "unknown_work".to_owned(),
                        message,
                    }));
                }
                Err(error @ StartError::Credentials(_)) => {
                    let message = error.to_string();
                    return Ok(StartResult::Refused(Outcome::Refused {
                        code: "credentials".to_owned(),
                        message,
                    }));
                }
                Err(StartError::Submit(error)) => self.wait_after(&error).await?,
            }
        }
    }

    /// The key that a run with this input would have.
    pub(super) async fn key(
        &self,
        run: RunId,
        definition: &Arc<Definition>,
        start: &RequestedStart,
    ) -> Result<Option<String>, Refusal> {
        if definition.key.is_none() {
            return Ok(None);
        }
        let state = RunState::new(Arc::clone(definition));
        let title = start.title.clone().or_else(|| title_of_task(&start.input));
        let mut beginning = Beginning::new(state, run, title.as_deref(), &start.input)?;
        if let Some(config) = admission::config(&beginning, None, self.shared.config.blocking).await? {
            beginning = beginning.with_config(config);
        }
        let labels = beginning.labels()?;
        Ok(beginning.with_labels(&labels).identity()?.map(|slot| slot.key))
    }

    /// The run that has a key, or waits for it, if it has not ended.
    async fn living_holder(&self, key: &str) -> Result<Option<RunId>, EngineStopped> {
        match self.holder(key).await? {
            Some(run) => Ok(self.is_living(run).await?.then_some(run)),
            None => Ok(None),
        }
    }

    /// The run that has a key, or waits for it.
    pub(super) async fn holder(&self, key: &str) -> Result<Option<RunId>, EngineStopped> {
        loop {
            match claimant(self.shared, key).await {
                Err(error) => self.wait_for_store(&error.to_string()).await?,
                Ok(holder) => return Ok(holder),
            }
        }
    }

    pub(super) async fn is_living(&self, run: RunId) -> Result<bool, EngineStopped> {
        Ok(self.stands(run).await? == Some(true))
    }

    /// Whether a run has not ended; `None`: there is none.
    pub(super) async fn stands(&self, run: RunId) -> Result<Option<bool>, EngineStopped> {
        loop {
            match self.shared.with_state(run, RunState::is_ended).await {
                Ok(is_ended) => return Ok(Some(!is_ended)),
                Err(QueryError::NotFound(_)) => return Ok(None),
                // A quarantined run has not ended, though it takes no input.
                Err(QueryError::SetAside { .. }) => return Ok(Some(true)),
                Err(QueryError::ShuttingDown) => return Err(EngineStopped),
                Err(error) => self.wait_for_store(&error.to_string()).await?,
            }
        }
    }

    /// Sends a signal to these runs, as far as they have not ended meanwhile.
    pub(super) async fn send_to_all(
        &self,
        runs: Vec<RunId>,
        signal: &RequestedSignal,
    ) -> Result<Outcome, EngineStopped> {
        let (mut taken, mut not_taken) = (Vec::new(), Vec::new());
        let (mut best, mut refused) = (SignalTiming::Kept, None);
        for run in runs {
            match self.send_to(run, signal).await? {
                SignalReply::Taken(how) => {
                    best = best.max(how);
                    taken.push(run);
                }
                SignalReply::NotTaken(why) => not_taken.push(why),
                SignalReply::Gone => {}
                SignalReply::Refused(code, message) => refused = Some((code, message)),
            }
        }
        Ok(match (taken.is_empty(), refused) {
            (false, _) => {
                let (signal, runs) = (signal.name.clone(), taken);
                match best {
                    SignalTiming::Now => Outcome::Signalled { signal, runs },
                    SignalTiming::Deferred => Outcome::Deferred { signal, runs },
                    SignalTiming::Kept => Outcome::Kept { signal, runs },
                }
            }
            (true, Some((code, message))) => Outcome::Refused { code, message },
            (true, None) if !not_taken.is_empty() => {
                let more = not_taken.len().saturating_sub(REASONS_MAX);
                let mut why = not_taken[..not_taken.len() - more].join("; ");
                if more > 0 {
                    why = format!("{why}; and {more} more");
                }
                Outcome::Ignored { why }
            }
            (true, None) => Outcome::Ignored { why: "the run that it was for has ended".to_owned() },
        })
    }

    /// Waits until it makes sense to send an input again.
    pub(super) async fn wait_after(&self, error: &SubmitError) -> Result<(), EngineStopped> {
        match error {
            SubmitError::ShuttingDown => Err(EngineStopped),
            SubmitError::Busy => {
                tokio::time::sleep(BUSY_AGAIN).await;
                Ok(())
            }
            SubmitError::Full => self.shared.until_writable().await.ok_or(EngineStopped),
            other => self.wait_for_store(&other.to_string()).await,
        }
    }

    /// Waits until a store that failed is asked again.
    pub(super) async fn wait_for_store(&self, error: &str) -> Result<(), EngineStopped> {
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
