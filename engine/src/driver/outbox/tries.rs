//! Trying to tell somebody until it succeeds, cannot succeed, or a day is over.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt as _;
use tokio::sync::Semaphore;

use crate::driver::load::panic_text;
use crate::driver::shared::Shared;
use crate::execution::{NoticeFailure, NoticeRequest};
use crate::json::Hash;
use crate::time::Timestamp;

/// How long somebody is tried to be told.
const TRIED_FOR: Duration = Duration::from_secs(24 * 60 * 60);
/// The first pause after a failure; each further one is twice as long.
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(10 * 60);
/// The longest pause that a receiver may ask for.
const ASKED_MAX: Duration = Duration::from_secs(60 * 60);
/// The time limit of one try.
const TRY_MAX: Duration = Duration::from_secs(60);

/// What came of it.
pub(super) enum Outcome {
    /// It arrived.
    Told {
        /// Tries, this one included.
        tries: u32,
    },
    /// It will not arrive.
    GivenUp {
        /// Tries in all.
        tries: u32,
        /// Why.
        message: String,
    },
    /// The engine ends first; it goes again at the next start.
    Left,
}

/// A try that failed.
pub(super) struct Failed<'a> {
    pub(super) tries: u32,
    pub(super) next: Timestamp,
    pub(super) message: &'a str,
}

/// One try.
pub(super) async fn once(shared: &Shared, request: NoticeRequest) -> Result<(), NoticeFailure> {
    let Some(notifier) = &shared.edge.notifier else {
        return Err(NoticeFailure::permanent("no notices can be sent by this engine"));
    };
    let sent = AssertUnwindSafe(async { notifier.notify(request).await }).catch_unwind();
    match tokio::time::timeout(TRY_MAX, sent).await {
        Ok(Ok(result)) => result,
        Ok(Err(panic)) => Err(NoticeFailure::passing(format!("the function {}", panic_text(panic.as_ref())))),
        Err(_) => Err(NoticeFailure::passing(format!("no answer within {} s", TRY_MAX.as_secs()))),
    }
}

/// As many as it takes. `since` is when it was first to be told; `failed` hears of each that comes to nothing. Each try
/// takes one of the `places`, if there are such; the pauses between them take none.
pub(super) async fn all(
    shared: &Shared,
    request: NoticeRequest,
    since: Timestamp,
    places: Option<&Semaphore>,
    failed: impl Fn(Failed<'_>),
) -> Outcome {
    let mut ending = shared.outbox.ending.subscribe();
    let mut tries = 0;
    loop {
        tries += 1;
        let request = NoticeRequest { attempt: tries, ..request.clone() };
        let (dedup, run, name) = (request.dedup(), request.run, request.notice.clone());
        let place = async {
            match places {
                Some(places) => places.acquire().await.ok(),
                None => None,
            }
        };
        let place = tokio::select! {
            biased;
            place = place => place,
            _ = ending.wait_for(|ending| *ending) => return Outcome::Left,
        };
        let result = once(shared, request).await;
        drop(place);
        let failure = match result {
            Ok(()) => return Outcome::Told { tries },
            Err(failure) => failure,
        };
        let now = shared.now();
        if failure.permanent {
            return Outcome::GivenUp { tries, message: failure.message };
        }
        if now.since(since) >= TRIED_FOR {
            return Outcome::GivenUp { tries, message: format!("{}; given up after 24 h", failure.message) };
        }
        let pause = pause(&dedup, tries).max(failure.after.unwrap_or_default().min(ASKED_MAX));
        tracing::warn!(
            run = run.short(),
            notice = name,
            tries,
            ?pause,
            "a notice was not sent: {}",
            failure.message
        );
        failed(Failed { tries, next: now.plus(pause), message: &failure.message });
        tokio::select! {
            biased;
            _ = ending.wait_for(|ending| *ending) => return Outcome::Left,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Longer each time, spread by what follows from the notice's id.
pub(super) fn pause(id: &str, tries: u32) -> Duration {
    let whole = PAUSE_MIN.saturating_mul(1 << tries.saturating_sub(1).min(16)).min(PAUSE_MAX);
    let drawn = Hash::of(format!("{id}/{tries}").as_bytes()).0[0];
    whole.mul_f64(0.75 + f64::from(drawn) / 1_024.0)
}
