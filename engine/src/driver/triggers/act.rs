//! Acting on what a trigger wants.
//!
//! Law (S9): what is started has an id that derives from the occasion, and whom a signal goes to is
//! recorded before it is sent; so acting once more after a crash does nothing twice.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use uuid::Uuid;

use super::super::desk;
use super::super::shared::Shared;
use super::super::{QueryError, StartError, StartRequest, SubmitError, admission};
use super::heard::{Told, Took};
use crate::actor::Actor;
use crate::decide::Refusal;
use crate::decide::begin::Beginning;
use crate::definition::Definition;
use crate::envelope::StreamId;
use crate::execution::RunQuery;
use crate::id::RunId;
use crate::json::{JsonText, Value};
use crate::state::{RunState, RunStatus};
use crate::store::Writability;
use crate::triggers::{Outcome, Target, Wish, WishedSignal, WishedStart};

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

/// The engine ends, or its store does: what was begun is gone on with by the next one.
#[derive(Debug)]
pub(in crate::driver) struct Stopped;

/// Records who is about to be told.
pub(in crate::driver) type Mean =
    Box<dyn FnOnce(Vec<RunId>) -> BoxFuture<'static, Result<(), Stopped>> + Send>;

/// What is to be done for one trigger.
pub(in crate::driver) struct Errand {
    pub(in crate::driver) definition: Arc<Definition>,
    pub(in crate::driver) wish: Wish,
    /// What came: the input of a start that says nothing else.
    pub(in crate::driver) event: Value,
    /// What makes it one of its kind, in all the store: ids derive from it.
    pub(in crate::driver) about: String,
    /// What the runs that are told call it.
    pub(in crate::driver) delivery: String,
    pub(in crate::driver) actor: Actor,
    /// Who was about to be told when an engine ended.
    pub(in crate::driver) meant: Option<Vec<RunId>>,
    pub(in crate::driver) mean: Mean,
}

/// What came of it.
pub(in crate::driver) enum Done {
    Led(Outcome),
    /// Nobody hears the signal now.
    Nobody {
        signal: WishedSignal,
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
pub(in crate::driver) async fn act(shared: &Arc<Shared>, errand: Errand) -> Result<Done, Stopped> {
    let Errand { definition, wish, event, about, delivery, actor, meant, mean } = errand;
    let on_behalf = Sender { shared, about: &about, delivery: &delivery, actor: &actor };
    let run = run_of(&about);
    if let (Some(runs), Some(signal)) = (meant, &wish.signal) {
        return on_behalf.tell_all(runs, signal).await.map(Done::Led);
    }
    let (start, signal) = match (wish.start, wish.signal) {
        (None, None) => return Ok(Done::Led(Outcome::Ignored { why: "the trigger wants nothing".into() })),
        (Some(start), None) => {
            return on_behalf.start(run, &definition, &start).await.map(|began| Done::Led(began.outcome()));
        }
        (None, Some(signal)) => {
            let to = match &signal.to {
                Some(to) => to.clone(),
                // The key that a start would have, whose input is the event where nothing else is said.
                None => {
                    match on_behalf.key(run, &definition, &WishedStart { input: event, title: None }).await {
                        Ok(Some(key)) => Target::Key(key),
                        Ok(None) => return Ok(Done::Led(no_key(&definition))),
                        Err(refusal) => return Ok(Done::Led(refused(&refusal))),
                    }
                }
            };
            return on_behalf.send(signal, to, mean).await;
        }
        (Some(start), Some(signal)) => (start, signal),
    };
    if on_behalf.exists(run).await? {
        return Ok(Done::Led(Outcome::Started { run }));
    }
    let key = match on_behalf.key(run, &definition, &start).await {
        Ok(key) => key,
        Err(refusal) => return Ok(Done::Led(refused(&refusal))),
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
            began => return Ok(Done::Led(began.outcome())),
        },
    };
    match signal.to.clone() {
        Some(to) => on_behalf.send(signal, to, mean).await,
        None => {
            mean(vec![holder]).await?;
            on_behalf.tell_all(vec![holder], &signal).await.map(Done::Led)
        }
    }
}

/// The run that an occasion starts, if it does.
fn run_of(about: &str) -> RunId {
    RunId(Uuid::new_v5(&NAMESPACE, about.as_bytes()))
}

/// The run that an occasion started before an engine ended, whatever its trigger says since.
pub(in crate::driver) async fn started_before(
    shared: &Arc<Shared>,
    about: &str,
    delivery: &str,
    actor: &Actor,
) -> Result<Option<RunId>, Stopped> {
    let run = run_of(about);
    Ok(Sender { shared, about, delivery, actor }.exists(run).await?.then_some(run))
}

/// Sends a signal that waited; `None` where nobody hears it now.
pub(in crate::driver) async fn tell_all(
    shared: &Arc<Shared>,
    errand: (String, String, Actor),
    signal: WishedSignal,
    to: Target,
    meant: Option<Vec<RunId>>,
    mean: Mean,
) -> Result<Option<Outcome>, Stopped> {
    let (about, delivery, actor) = errand;
    let on_behalf = Sender { shared, about: &about, delivery: &delivery, actor: &actor };
    if let Some(runs) = meant {
        return on_behalf.tell_all(runs, &signal).await.map(Some);
    }
    Ok(match on_behalf.send(signal, to, mean).await? {
        Done::Led(outcome) => Some(outcome),
        Done::Nobody { .. } => None,
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

/// Whoever acts on behalf of a trigger.
pub(super) struct Sender<'a> {
    pub(super) shared: &'a Arc<Shared>,
    pub(super) about: &'a str,
    pub(super) delivery: &'a str,
    pub(super) actor: &'a Actor,
}

impl Sender<'_> {
    async fn exists(&self, run: RunId) -> Result<bool, Stopped> {
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
        start: &WishedStart,
    ) -> Result<Began, Stopped> {
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
        start: &WishedStart,
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
    async fn living_holder(&self, key: &str) -> Result<Option<RunId>, Stopped> {
        loop {
            match desk::claimant(self.shared, key).await {
                Err(error) => self.patience(&error.to_string()).await?,
                Ok(None) => return Ok(None),
                Ok(Some(run)) => return Ok(self.is_living(run).await?.then_some(run)),
            }
        }
    }

    async fn is_living(&self, run: RunId) -> Result<bool, Stopped> {
        Ok(self.stands(run).await? == Some(true))
    }

    /// Whether a run has not ended; `None`: there is none.
    async fn stands(&self, run: RunId) -> Result<Option<bool>, Stopped> {
        loop {
            match self.shared.with_state(run, RunState::is_ended).await {
                Ok(is_ended) => return Ok(Some(!is_ended)),
                Err(QueryError::NotFound(_)) => return Ok(None),
                // It is there, though it cannot be told anything.
                Err(QueryError::SetAside { .. }) => return Ok(Some(true)),
                Err(QueryError::ShuttingDown) => return Err(Stopped),
                Err(error) => self.patience(&error.to_string()).await?,
            }
        }
    }

    /// Finds out who is meant, records it, and tells them.
    async fn send(&self, signal: WishedSignal, to: Target, mean: Mean) -> Result<Done, Stopped> {
        let runs = match &to {
            Target::Key(key) => self.living_holder(key).await?.into_iter().collect(),
            Target::Run(run) => match run.parse::<RunId>() {
                Err(_) => {
                    let message = format!("“{run}” is no id of a run");
                    return Ok(Done::Led(Outcome::Refused { code: "bad_run".to_owned(), message }));
                }
                Ok(run) => match self.stands(run).await? {
                    Some(true) => vec![run],
                    Some(false) => {
                        let why = format!("run {} has ended", run.short());
                        return Ok(Done::Led(Outcome::Ignored { why }));
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
                    return Ok(Done::Led(Outcome::Refused { code: "no_directory".to_owned(), message }));
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
                    return Ok(Done::Led(Outcome::Refused { code: "too_many".to_owned(), message }));
                }
                found.runs.into_iter().map(|found| found.run).collect()
            }
        };
        if runs.is_empty() {
            return Ok(Done::Nobody { signal, to });
        }
        mean(runs.clone()).await?;
        self.tell_all(runs, &signal).await.map(Done::Led)
    }

    /// Tells these runs; one that has ended meanwhile hears nothing.
    async fn tell_all(&self, runs: Vec<RunId>, signal: &WishedSignal) -> Result<Outcome, Stopped> {
        let (mut heard, mut unheard) = (Vec::new(), Vec::new());
        let (mut best, mut not_heard) = (Took::Kept, None);
        for run in runs {
            match self.tell(run, signal).await? {
                Told::Heard(how) => {
                    best = best.max(how);
                    heard.push(run);
                }
                Told::Unheard(why) => unheard.push(why),
                Told::Gone => {}
                Told::Refused(code, message) => not_heard = Some((code, message)),
            }
        }
        Ok(match (heard.is_empty(), not_heard) {
            (false, _) => {
                let (signal, runs) = (signal.name.clone(), heard);
                match best {
                    Took::Now => Outcome::Signalled { signal, runs },
                    Took::Deferred => Outcome::Deferred { signal, runs },
                    Took::Kept => Outcome::Kept { signal, runs },
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
    pub(super) async fn again_after(&self, error: &SubmitError) -> Result<(), Stopped> {
        match error {
            SubmitError::ShuttingDown => Err(Stopped),
            SubmitError::Busy => {
                tokio::time::sleep(AGAIN).await;
                Ok(())
            }
            SubmitError::Full => self.shared.until_writable().await.ok_or(Stopped),
            other => self.patience(&other.to_string()).await,
        }
    }

    pub(super) async fn patience(&self, error: &str) -> Result<(), Stopped> {
        if self.shared.is_stopping() {
            return Err(Stopped);
        }
        tracing::error!(about = self.about, error, "a trigger waits for the store");
        let is_refused = matches!(
            &*self.shared.store.writability().borrow(),
            Writability::ReadOnly(_) | Writability::NotOurs(_)
        );
        if is_refused {
            return self.shared.until_writable().await.ok_or(Stopped);
        }
        tokio::time::sleep(FAILED_AGAIN).await;
        Ok(())
    }
}
