//! The executor of work that is spared: it gives the end that stands in for it.

use std::io;
use std::sync::{Arc, Weak};

use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde_json::json;

use crate::load::decode;
use crate::runtime::Runtime;
use crate::work::spare::origin_record::RecordedEnd;
use everfold_base::envelope::StreamId;
use everfold_base::failure::Failure;
use everfold_base::id::{RunId, Version};
use everfold_base::json::{Payload, Value};
use everfold_core::artefact::{Artefact, Usage};
use everfold_core::event::{AttemptNotes, RunEvent};
use everfold_language::words::OnLost;
use everfold_ports::{
    AttemptEnd, AttemptObserver, AttemptRequest, AttemptResult, Executor, LossTraits, Traits,
};

/// What is known of spared work beforehand.
pub(crate) const SPARED_TRAITS: Traits = Traits {
    supervised: false,
    loss: LossTraits { idempotent: true, on_lost: OnLost::Retry },
    paid: false,
    reads_input: false,
};

/// Gives the end that stands in for work.
pub(crate) struct SparedWork {
    pub(crate) shared: Weak<Runtime>,
    /// The run whose history holds the end.
    pub(crate) origin: RunId,
    /// The end; `None`: there is none, and the output is null.
    pub(crate) end: Option<RecordedEnd>,
    /// Only its output counts: the work is held back.
    pub(crate) is_held: bool,
}

/// What an event says of the end of an attempt.
struct ReadEnd {
    result: Result<Payload, Failure>,
    ask: Option<Payload>,
    commit: Option<String>,
    artefacts: Vec<Artefact>,
    notes: AttemptNotes,
}

impl Executor for SparedWork {
    fn traits(&self, _spec: &Value) -> Traits {
        SPARED_TRAITS
    }

    fn start(
        &self,
        request: AttemptRequest,
        _observer: Arc<dyn AttemptObserver>,
    ) -> BoxFuture<'static, AttemptEnd> {
        let (shared, origin, end, is_held) =
            (self.shared.clone(), self.origin, self.end.clone(), self.is_held);
        async move {
            let Some(shared) = shared.upgrade() else { return std::future::pending().await };
            let Some(end) = end else {
                return AttemptEnd::new(AttemptResult::Succeeded(Value::Null), shared.now());
            };
            let given = match read_end(&shared, origin, end.version).await {
                Ok(given) => given,
                Err(what) => return unreadable(&shared, origin, end.version, &what),
            };
            match (is_held, given.commit.as_ref()) {
                (false, Some(commit)) => match go_to(&shared, &request, commit.clone()).await {
                    Ok(()) => ended(&shared, origin, end, given, (request.id.run, is_held)).await,
                    Err(failure) => AttemptEnd::new(AttemptResult::Failed(failure), shared.now()),
                },
                _no_commit => ended(&shared, origin, end, given, (request.id.run, is_held)).await,
            }
        }
        .boxed()
    }

    fn reattach(
        &self,
        request: AttemptRequest,
        observer: Arc<dyn AttemptObserver>,
    ) -> BoxFuture<'static, AttemptEnd> {
        self.start(request, observer)
    }

    fn cancel(&self, _request: AttemptRequest) -> BoxFuture<'static, ()> {
        std::future::ready(()).boxed()
    }
}

async fn ended(
    shared: &Runtime,
    origin: RunId,
    end: RecordedEnd,
    given: ReadEnd,
    (run, is_held): (RunId, bool),
) -> AttemptEnd {
    let ReadEnd { result, ask, commit, artefacts, notes } = given;
    let text = async |payload: Payload| shared.values.text(origin, &payload).await.map(|text| text.value());
    let result = match result {
        Ok(output) => match text(output).await {
            Ok(output) => AttemptResult::Succeeded(output),
            Err(what) => return unreadable(shared, origin, end.version, &what),
        },
        Err(failure) => AttemptResult::Failed(failure),
    };
    if is_held {
        return AttemptEnd::new(result, shared.now());
    }
    let ask = match ask {
        None => None,
        Some(ask) => match text(ask).await {
            Ok(ask) => Some(ask),
            Err(what) => return unreadable(shared, origin, end.version, &what),
        },
    };
    let files = artefacts.iter().map(|artefact| artefact.blob).collect();
    if let Err(error) = shared.copy_blobs(origin, run, files).await {
        let reason = format!("a file that run {origin} kept could not be copied: {error}");
        return match error.kind() {
            io::ErrorKind::StorageFull => AttemptEnd::new(AttemptResult::NoRoom { reason }, shared.now()),
            _other => unreadable(shared, origin, end.version, &reason),
        };
    }
    // A session is gone on with by work that is done; nothing was used up.
    let usage = end.sessions.into_iter();
    let usage = usage.map(|(model, session)| Usage { model, session: Some(session), ..Usage::default() });
    AttemptEnd {
        commit,
        artefacts,
        usage: usage.collect(),
        notes,
        search: end.search,
        ask,
        ..AttemptEnd::new(result, shared.now())
    }
}

/// Reads the event that stands in for the end of an attempt.
async fn read_end(shared: &Runtime, origin: RunId, version: Version) -> Result<ReadEnd, String> {
    let events = shared.store.read(&StreamId::run(origin), version, 1).await;
    let events = events.map_err(|error| error.to_string())?;
    let envelope = events.first().ok_or("it is not there")?;
    let event = decode(origin, envelope).map_err(|error| error.to_string())?;
    // Its log stays with the origin.
    let own = |notes: AttemptNotes| AttemptNotes { report: None, log: None, ..notes };
    Ok(match event {
        RunEvent::AttemptSucceeded(event) => ReadEnd {
            result: Ok(event.output),
            ask: None,
            commit: event.commit,
            artefacts: event.artefacts,
            notes: own(event.notes),
        },
        RunEvent::AttemptFailed(event) => ReadEnd {
            result: Err(event.failure),
            ask: None,
            commit: event.commit,
            artefacts: event.artefacts,
            notes: own(event.notes),
        },
        RunEvent::AttemptAsked(event) => ReadEnd {
            result: Ok(Payload::Inline(Value::Null.into())),
            ask: Some(event.ask),
            commit: event.commit,
            artefacts: Vec::new(),
            notes: own(event.notes),
        },
        RunEvent::ChildFinished(event) => ReadEnd {
            result: event.failure.map_or(Ok(event.output), Err),
            ask: None,
            commit: event.commit,
            artefacts: Vec::new(),
            notes: AttemptNotes::default(),
        },
        other => return Err(format!("it is {}, and no end of an attempt", other.name())),
    })
}

/// Reads the evidence that stands in for that of a probe; it says whose it is.
pub(crate) async fn read_evidence(
    shared: &Runtime,
    origin: RunId,
    version: Version,
) -> Result<Value, String> {
    let events = shared.store.read(&StreamId::run(origin), version, 1).await;
    let events = events.map_err(|error| error.to_string())?;
    let envelope = events.first().ok_or("it is not there")?;
    match decode(origin, envelope).map_err(|error| error.to_string())? {
        RunEvent::GateEvaluated(event) => {
            let mut evidence = shared.values.text(origin, &event.evidence).await?.value();
            if let Value::Object(fields) = &mut evidence {
                fields.insert("recorded".to_owned(), json!({"run": origin, "version": version}));
            }
            Ok(evidence)
        }
        other => Err(format!("it is {}, and no judgement of a gate", other.name())),
    }
}

/// Brings the run's worktree to the commit that the work left.
async fn go_to(shared: &Runtime, request: &AttemptRequest, commit: String) -> Result<(), Failure> {
    let is_own = request.workdir.git.as_ref().is_some_and(|git| !git.is_copy);
    let Some(workspaces) = shared.edge.workspaces.as_ref().filter(|_| is_own) else { return Ok(()) };
    let brought = workspaces.advance(request.workdir.clone(), commit.clone()).await;
    brought.map_err(|failure| {
        let message = format!(
            "the worktree cannot go on to {commit}, which stands in for this work: {}",
            failure.message
        );
        Failure { message, ..failure }.with_hint(
            "work beside it went another way; fork without `--replay-effects` to do all of it again",
        )
    })
}

fn unreadable(shared: &Runtime, origin: RunId, version: Version, what: &str) -> AttemptEnd {
    let reason =
        format!("event {version} of run {origin}, which stands in for this work, cannot be read: {what}");
    AttemptEnd::new(AttemptResult::Unreadable { reason }, shared.now())
}
