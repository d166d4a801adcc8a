//! An attempt that has a plan and a place: its executor is called.
//!
//! Law: work inside the engine's process that is ready at once never becomes a task; other work is a task of the
//! shard, whose result is an event of the attempt.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::task::{Context, Poll, Waker};

use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::sync::oneshot;
use tracing::Instrument as _;

use crate::failures::bug;
use crate::limits::Class;
use crate::panic::panic_text;
use crate::run::attempt::ended_attempt::EndedAttempt;
use crate::run::attempt::event::AttemptEvent;
use crate::run::attempt::table::{AttemptHandles, AttemptTask};
use crate::run::loaded_run::LoadedRun;
use crate::runtime::Runtime;
use crate::shard::core::ShardCore;
use crate::work::look::{ApprovedWork, check_approved};
use crate::work::observer::Observer;
use crate::work::request;
use crate::work::run_span;
use crate::work::work_done::WorkDone;
use everfold_base::failure::{Failure, FailureKind, NO_ROOM_CODE};
use everfold_base::id::{AttemptId, RunId};
use everfold_base::json::{DEPTH_MAX, JsonText, Value};
use everfold_ports::{AttemptEnd, AttemptResult, Inspector};
use everfold_system::clock::Clock;
use everfold_system::os_error::is_shortage;

/// What an attempt does beside its executor's future, in this order.
struct Preparation {
    /// Makes the copy of the worktree that it works in, and looks whether what it needs is approved.
    preparing: Option<BoxFuture<'static, Result<(), Failure>>>,
    /// The result of the first poll, where it was ready and is no end.
    first_result: Option<AttemptEvent>,
    /// The folder that must be there.
    folder: Option<PathBuf>,
}

impl ShardCore {
    /// Starts an attempt, or re-attaches one that was started before.
    pub(crate) fn launch(&mut self, loaded: &mut LoadedRun, id: &AttemptId, is_reattached: bool) {
        loaded.unstarted.may_be_left.remove(id);
        if let Some(grant) = &mut loaded.attempts.handles(id).grant {
            grant.begin();
        }
        let planned = loaded.attempts.planned(id);
        let (executor, mut request) = (Arc::clone(&planned.executor), planned.request.clone());
        if planned.reservation.is_some() {
            // It was planned before that was recorded.
            request.held = loaded.state.as_ref().and_then(|state| request::held(state, id));
        }
        // What lives was looked at before it began.
        let approved = if is_reattached { Vec::new() } else { planned.approved.clone() };
        let (is_supervised, class) = (planned.traits.supervised, planned.class);
        let observer = Arc::new(Observer {
            id: request.id.clone(),
            observed: Arc::clone(&self.observed),
            shared: Arc::clone(&self.shared),
            has_begun: AtomicBool::new(!is_supervised),
            progress: Arc::default(),
            tasks: tokio::runtime::Handle::current(),
        });
        let folder = request::folder_to_make(&request, class == Class::Supervised, &self.shared.layout);
        let copying = match self.copying(loaded, id, &request) {
            Ok(copying) => copying,
            Err(failure) => return self.attempt_event(loaded, id, AttemptEvent::LaunchFailed(failure)),
        };
        let preparing = preparing(copying, loaded.run, approved, self.shared.edge.inspector.clone());
        let called = catch_unwind(AssertUnwindSafe(|| match is_reattached {
            true => executor.reattach(request, observer),
            false => executor.start(request, observer),
        }));
        let work = match called {
            Ok(work) => work,
            Err(panic) => {
                let message = format!("the executor {}", panic_text(panic.as_ref()));
                let failure = Failure::new(FailureKind::Error, message);
                return self.attempt_event(loaded, id, AttemptEvent::LaunchFailed(failure));
            }
        };
        let mut work = attempt_end(work, self.shared.config.clock.clone()).boxed();
        let mut first_result = None;
        if !is_supervised
            && preparing.is_none()
            && let Poll::Ready(event) = work.as_mut().poll(&mut Context::from_waker(Waker::noop()))
        {
            match event {
                ended @ AttemptEvent::Ended(_) => return self.attempt_event(loaded, id, ended),
                no_end => first_result = Some(no_end),
            }
        }
        let (at_work, gone) = oneshot::channel::<()>();
        let (run, attempt, shared) = (loaded.run, id.clone(), Arc::clone(&self.shared));
        let preparation = Preparation { preparing, first_result, folder };
        let span = run_span::of_attempt(run, id);
        let task = self.spawn_work(
            run,
            async move {
                let _at_work = at_work;
                let event = result_of(&shared, preparation, work).await;
                WorkDone::Attempt { run, id: attempt, event }
            }
            .instrument(span),
        );
        let brought = AttemptHandles::of_task(AttemptTask { task, gone: Some(gone) });
        self.attempt_event_with(loaded, id, AttemptEvent::Launched, brought);
    }
}

/// Makes the copy first: what lies in it is looked at.
fn preparing(
    copying: Option<BoxFuture<'static, Result<(), Failure>>>,
    run: RunId,
    approved: Vec<ApprovedWork>,
    inspector: Option<Arc<dyn Inspector>>,
) -> Option<BoxFuture<'static, Result<(), Failure>>> {
    if approved.is_empty() {
        return copying;
    }
    let looking = async move {
        if let Some(copying) = copying {
            copying.await?;
        }
        let looked = AssertUnwindSafe(check_approved(inspector, run, approved)).catch_unwind().await;
        looked.unwrap_or_else(|panic| Err(bug(panic.as_ref())))
    };
    Some(looking.boxed())
}

/// Prepares what an attempt needs, and waits for its end.
async fn result_of(
    shared: &Runtime,
    preparation: Preparation,
    work: BoxFuture<'static, AttemptEvent>,
) -> AttemptEvent {
    let Preparation { preparing, first_result, folder } = preparation;
    if let Some(preparing) = preparing
        && let Err(failure) = preparing.await
    {
        return match failure.code.as_deref() {
            Some(NO_ROOM_CODE) => AttemptEvent::HeldBack(failure.message),
            _other => AttemptEvent::Ended(Box::new(EndedAttempt::failed(failure, shared.now()))),
        };
    }
    if let Some(event) = first_result {
        return event;
    }
    if let Some(folder) = folder
        && let Ok(Err(error)) = shared.config.blocking.run(move || std::fs::create_dir_all(folder)).await
        && is_shortage(&error)
    {
        return AttemptEvent::HeldBack(error.to_string());
    }
    // The executor reports a folder that is still missing.
    work.await
}

/// What an attempt's future ends with; a panic in it is the attempt's failure.
async fn attempt_end(work: BoxFuture<'static, AttemptEnd>, now: Clock) -> AttemptEvent {
    let end = match AssertUnwindSafe(work).catch_unwind().await {
        Ok(end) => end,
        Err(panic) => {
            return AttemptEvent::Ended(Box::new(EndedAttempt::failed(bug(panic.as_ref()), now())));
        }
    };
    let AttemptEnd { result, commit, artefacts, usage, ended_at, notes, search, ask, again_after, receipt } =
        end;
    let result = match result {
        AttemptResult::Succeeded(output) => Ok(bounded("output", &output)),
        AttemptResult::Failed(failure) => Ok(Err(failure)),
        AttemptResult::Lost { reason } => Err(reason),
        AttemptResult::NoRoom { reason } => return AttemptEvent::HeldBack(reason),
        AttemptResult::Unreadable { reason } => return AttemptEvent::Unreadable(reason),
    };
    // A question that is nested too deeply is the failure of the work that asked it.
    let (result, ask) = match ask.as_ref().map(|ask| bounded("question", ask)) {
        None => (result, None),
        Some(Ok(ask)) => (result, Some(ask)),
        Some(Err(failure)) => (Ok(Err(failure)), None),
    };
    AttemptEvent::Ended(Box::new(EndedAttempt {
        result,
        commit,
        artefacts,
        usage,
        ended_at,
        notes,
        search,
        ask,
        again_after,
        spared: None,
        receipt,
    }))
}

/// A value of the work as it is stored, unless it is nested too deeply.
fn bounded(what: &str, value: &Value) -> Result<JsonText, Failure> {
    let text = JsonText::new(value);
    if text.depth() <= DEPTH_MAX {
        return Ok(text);
    }
    let message = format!("the {what} is nested {} levels deep; {DEPTH_MAX} are the most", text.depth());
    Err(Failure::new(FailureKind::Validation, message)
        .with_hint("write it to a file and give its path, or give it as text"))
}
