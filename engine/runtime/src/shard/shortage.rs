//! Which runs and attempts wait for room on the disk, for handles or for memory.

use crate::error::{QueryError, SubmitError};
use crate::runtime::Runtime;
use crate::writable::until_writable;
use everfold_base::id::{AttemptId, RunId};
use everfold_store::Writability;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use std::collections::BTreeSet;
use std::collections::VecDeque;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;

/// How long an attempt that was held back waits before it is tried again.
const PAUSE: Duration = Duration::from_secs(1);

/// Why a run waits that waits for no room on the disk.
const TOO_LITTLE: &str = "a large value waits for file handles or for memory; try again";

/// The runs and attempts that wait, by what for.
#[derive(Default)]
pub(crate) struct Shortage {
    /// Runs that wait for the store.
    pub(crate) stalled: BTreeSet<RunId>,
    pub(crate) writable: Option<BoxFuture<'static, ()>>,
    pub(crate) is_writable: bool,
    /// Attempts that wait for the pause to end.
    pub(crate) held: VecDeque<(RunId, AttemptId)>,
    /// Runs whose effects are to be listed again after the pause.
    pub(crate) unlisted: BTreeSet<RunId>,
    /// Runs that go on after the pause: a large value of theirs could not be kept or read.
    pub(crate) paused: BTreeSet<RunId>,
    pub(crate) pause: Option<BoxFuture<'static, ()>>,
    pub(crate) is_over: bool,
    pub(crate) tried: usize,
    /// An attempt was held back since the last pause.
    pub(crate) is_short: bool,
}

impl Shortage {
    /// Whether a wait is over.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> bool {
        self.is_writable |= is_over(&mut self.writable, cx);
        self.is_over |= is_over(&mut self.pause, cx);
        self.is_writable || self.is_over
    }

    /// What one learns who would start a run that waits.
    pub(crate) fn refused_start(&self, run: RunId) -> SubmitError {
        match self.paused.contains(&run) {
            true => SubmitError::Store(TOO_LITTLE.to_owned()),
            false => SubmitError::Full,
        }
    }

    /// What one learns who would look at a run that waits and cannot be read.
    pub(crate) fn refused_query(&self, run: RunId) -> QueryError {
        match self.paused.contains(&run) {
            true => QueryError::Store(TOO_LITTLE.to_owned()),
            false => QueryError::Full(run),
        }
    }

    pub(crate) fn stall(&mut self, run: RunId, shared: &Runtime) {
        self.stalled.insert(run);
        if self.writable.is_none() && !self.is_writable {
            // Where the store never takes appends again, the next append reports it.
            self.writable = Some(until_writable(shared.store.writability()).map(drop).boxed());
        }
    }

    pub(crate) fn wait(&mut self, shared: &Runtime) {
        if self.pause.is_some() || self.is_over {
            return;
        }
        let mut writable = shared.store.writability();
        let is_full = *writable.borrow() == Writability::Full;
        self.pause = Some(
            async move {
                let pause = tokio::time::sleep(PAUSE);
                if is_full {
                    tokio::select! {
                        biased;
                        _ = writable.wait_for(|now| !matches!(now, Writability::Full)) => {}
                        () = pause => {}
                    }
                } else {
                    pause.await;
                }
            }
            .boxed(),
        );
    }
}

pub(crate) fn is_over(wait: &mut Option<BoxFuture<'static, ()>>, cx: &mut Context<'_>) -> bool {
    let is_over = wait.as_mut().is_some_and(|wait| matches!(wait.as_mut().poll(cx), Poll::Ready(())));
    if is_over {
        *wait = None;
    }
    is_over
}
