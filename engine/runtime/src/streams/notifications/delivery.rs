//! Sending a notice until it succeeds, cannot succeed, or a day is over.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt as _;
use tokio::sync::Semaphore;

use crate::panic::panic_text;
use crate::runtime::Runtime;
use everfold_base::json::Hash;
use everfold_base::time::Timestamp;
use everfold_ports::{NoticeFailure, NoticeRequest};

/// How long a notice is tried.
const TRIED_FOR: Duration = Duration::from_secs(24 * 60 * 60);
/// The first pause after a failure; each further one is twice as long.
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(10 * 60);
/// The longest pause that a receiver may ask for.
const ASKED_MAX: Duration = Duration::from_secs(60 * 60);
/// The time limit of one try.
const TRY_MAX: Duration = Duration::from_secs(60);

/// How the delivery of a notice ended.
pub(crate) enum DeliveryOutcome {
    /// It arrived.
    Sent {
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
    /// The engine ends first; the notice is sent at the next start.
    Left,
}

/// A try that failed.
pub(crate) struct FailedTry<'a> {
    pub(crate) tries: u32,
    pub(crate) next: Timestamp,
    pub(crate) message: &'a str,
}

/// Tries once to send a notice; a panic of the function and a time-out are failures.
pub(crate) async fn once(shared: &Runtime, request: NoticeRequest) -> Result<(), NoticeFailure> {
    let Some(notifier) = &shared.edge.notifier else {
        return Err(NoticeFailure::permanent("no notices can be sent by this engine"));
    };
    let sent = AssertUnwindSafe(async { notifier.notify(request).await.map(drop) }).catch_unwind();
    match tokio::time::timeout(TRY_MAX, sent).await {
        Ok(Ok(result)) => result,
        Ok(Err(panic)) => Err(NoticeFailure::passing(format!("the function {}", panic_text(panic.as_ref())))),
        Err(_) => Err(NoticeFailure::passing(format!("no answer within {} s", TRY_MAX.as_secs()))),
    }
}

/// Tries until the notice is sent or given up. `since` is when it was first to be sent; `failed` is called with each
/// try that fails. Each try takes one of the `places`, if there are such; the pauses between them take none.
pub(crate) async fn all(
    shared: &Runtime,
    request: NoticeRequest,
    since: Timestamp,
    places: Option<&Semaphore>,
    failed: impl Fn(FailedTry<'_>),
) -> DeliveryOutcome {
    let mut ending = shared.notifications.ending.subscribe();
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
            _ = ending.wait_for(|ending| *ending) => return DeliveryOutcome::Left,
        };
        let result = once(shared, request).await;
        drop(place);
        let failure = match result {
            Ok(()) => return DeliveryOutcome::Sent { tries },
            Err(failure) => failure,
        };
        let now = shared.now();
        if failure.permanent {
            return DeliveryOutcome::GivenUp { tries, message: failure.message };
        }
        if now.since(since) >= TRIED_FOR {
            return DeliveryOutcome::GivenUp {
                tries,
                message: format!("{}; given up after 24 h", failure.message),
            };
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
        failed(FailedTry { tries, next: now.plus(pause), message: &failure.message });
        tokio::select! {
            biased;
            _ = ending.wait_for(|ending| *ending) => return DeliveryOutcome::Left,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// The pause before the next try: longer each time, spread by what follows from the notice's id.
pub(crate) fn pause(id: &str, tries: u32) -> Duration {
    let whole = PAUSE_MIN.saturating_mul(1 << tries.saturating_sub(1).min(16)).min(PAUSE_MAX);
    let drawn = Hash::of(format!("{id}/{tries}").as_bytes()).0[0];
    whole.mul_f64(0.75 + f64::from(drawn) / 1_024.0)
}
