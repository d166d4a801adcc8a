//! Notices: sent one after the other in each channel, again after a pause where they fail.
//!
//! Law (L32): a notice goes out only when the event that queued it is durable, and what came of it is
//! an input like any other. After a crash it goes again under the same id. A run that waits only for
//! the next try may leave memory.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use serde_json::json;
use tracing::Instrument as _;

use super::World;
use super::cell::{Cell, Phase};
use super::outcome::WantedBy;
use super::span;
use super::timers::{Due, TimerKey};
use super::work::WorkDone;
use crate::decide::plan::{self, NoticePlan, SecretPlan};
use crate::driver::load::{decode, panic_text};
use crate::driver::message::Queued;
use crate::driver::request;
use crate::driver::shared::Shared;
use crate::effect::Touched;
use crate::envelope::StreamId;
use crate::execution::{NoticeFailure, NoticeRequest, Secrets};
use crate::expr::EvalError;
use crate::id::{InputId, RunId, Version};
use crate::input::InputKind;
use crate::json::{Hash, Value};
use crate::time::Timestamp;

/// How long a notice is tried.
const TRIED_FOR: Duration = Duration::from_secs(24 * 60 * 60);
/// The first pause after a failure; each further one is twice as long.
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(10 * 60);
/// The longest pause that a receiver may ask for.
const ASKED_MAX: Duration = Duration::from_secs(60 * 60);
/// A pause is at least one part in so many of a notice's age.
const AGE_SHARE: u32 = 16;
/// The time limit of one try.
const TRY_MAX: Duration = Duration::from_secs(60);

/// The notice of a channel whose turn it is.
pub(super) struct Telling {
    version: Version,
    notice: String,
    tries: u32,
    queued_at: Timestamp,
    pub(super) stage: Stage,
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// It goes as soon as its values are there.
    Next,
    /// It is being sent.
    Sending,
    /// It failed, and goes again at this moment.
    Pausing(TimerKey),
    /// It was sent, or given up; that is not yet decided.
    Reported,
}

impl Telling {
    fn is(&self, version: Version, notice: &str) -> bool {
        self.version == version && self.notice == notice
    }
}

impl Cell {
    /// The end of a notice is decided, durably: the next one of its channel may go, also where that end is no
    /// event because a newer one had taken its place.
    pub(super) fn settle_notice(&mut self, version: Version, notice: &str) {
        let is_it = |telling: &Telling| telling.stage == Stage::Reported && telling.is(version, notice);
        let settled = self.notices.iter().filter(|(_, telling)| is_it(telling));
        let settled: Vec<String> = settled.map(|(channel, _)| channel.clone()).collect();
        for channel in settled {
            self.notices.remove(&channel);
            if let Some(state) = &mut self.state {
                state.touch_channel(channel);
            }
        }
    }
}

impl World {
    /// The state lists nothing for a channel.
    pub(super) fn channel_is_empty(&mut self, cell: &mut Cell, channel: &str) {
        if let Some(Telling { stage: Stage::Pausing(key), .. }) = cell.notices.get(channel) {
            self.pauses.remove(*key);
            cell.notices.remove(channel);
        }
    }

    /// The state lists the first notice of a channel.
    pub(super) fn notice_listed(&mut self, cell: &mut Cell, channel: String, version: Version, notice: &str) {
        let mut tries = 0;
        match cell.notices.get(&channel) {
            None => {}
            Some(Telling { stage: Stage::Sending | Stage::Reported, .. }) => return,
            Some(known) if known.is(version, notice) => match known.stage {
                Stage::Pausing(_) => return,
                _next => tries = known.tries,
            },
            // A newer one took its place.
            Some(other) => {
                if let Stage::Pausing(key) = other.stage {
                    self.pauses.remove(key);
                }
            }
        }
        let Some(state) = &cell.state else { return };
        let planned = loop {
            let planned = catch_unwind(AssertUnwindSafe(|| plan::notice(state, &channel, &cell.loaded)));
            match planned {
                Ok(Err(EvalError::Needs(wanted))) => {
                    let missing = self.shared.values.at_hand(wanted, &mut cell.loaded);
                    if !missing.is_empty() {
                        return self.fetch(cell, missing, WantedBy::Part(Touched::Channel(channel)));
                    }
                }
                other => break other,
            }
        };
        let mut plan = match planned {
            Err(panic) => return self.set_aside(cell, panic_text(panic.as_ref())),
            Ok(Err(_) | Ok(None)) => return,
            Ok(Ok(Some(plan))) => plan,
        };
        let hidden = SecretPlan { spec: std::mem::take(&mut plan.hidden), ..SecretPlan::default() };
        let secrets = request::secrets(state, hidden);
        let telling = Telling {
            version,
            notice: notice.to_owned(),
            tries: tries + 1,
            queued_at: plan.queued_at,
            stage: Stage::Sending,
        };
        let tries = telling.tries;
        cell.notices.insert(channel.clone(), telling);
        let (run, shared) = (cell.run, Arc::clone(&self.shared));
        let span = span::of_notice(run, version, notice);
        self.works.spawn(
            async move {
                let _place = Arc::clone(&shared.notices).acquire_owned().await;
                let sent = AssertUnwindSafe(tell(&shared, run, plan, secrets, tries)).catch_unwind();
                let result = match tokio::time::timeout(TRY_MAX, sent).await {
                    Ok(Ok(result)) => result,
                    Ok(Err(panic)) => {
                        Err(NoticeFailure::passing(format!("the function {}", panic_text(panic.as_ref()))))
                    }
                    Err(_) => {
                        Err(NoticeFailure::passing(format!("no answer within {} s", TRY_MAX.as_secs())))
                    }
                };
                WorkDone::Notice { run, channel, result }
            }
            .instrument(span),
        );
    }

    /// A try ended.
    pub(super) fn noticed(&mut self, cell: &mut Cell, channel: String, result: Result<(), NoticeFailure>) {
        let now = self.shared.now();
        let Some(telling) = cell.notices.get_mut(&channel) else { return };
        let failure = match result {
            Ok(()) => None,
            Err(failure) if failure.permanent => Some(failure.message),
            Err(failure) if now.since(telling.queued_at) >= TRIED_FOR => {
                Some(format!("{}; given up after 24 h", failure.message))
            }
            Err(failure) => {
                let (version, tries) = (telling.version, telling.tries);
                let age = now.since(telling.queued_at);
                let pause = pause(&format!("{}/{version}/{}", cell.run, telling.notice), tries, age)
                    .max(failure.after.unwrap_or_default().min(ASKED_MAX));
                tracing::warn!(
                    run = cell.run.short(),
                    notice = telling.notice,
                    version = version.0,
                    tries,
                    ?pause,
                    "a notice was not sent: {}",
                    failure.message
                );
                let until = self.shared.steady().plus(pause);
                let key = self.pauses.add(until, cell.run, Due::Notice(channel.clone()));
                telling.stage = Stage::Pausing(key);
                // Where a newer one took its place meanwhile, that goes at once.
                return self.look_at_channel(cell, channel);
            }
        };
        telling.stage = Stage::Reported;
        let (version, notice, tries) = (telling.version, telling.notice.clone(), telling.tries);
        let id = InputId::derive(&format!("{}/{version}/{notice}/told", cell.run));
        cell.push(Queued::own(id, InputKind::NoticeFinished { version, notice, tries, failure }));
        self.mark(cell);
    }

    /// The pause of a notice is over.
    pub(super) fn notice_due(&mut self, cell: &mut Cell, channel: String) {
        if let Some(telling) = cell.notices.get_mut(&channel) {
            telling.stage = Stage::Next;
        }
        self.look_at_channel(cell, channel);
    }

    /// Looks at a channel now, where the state is durable, else as soon as it is.
    fn look_at_channel(&mut self, cell: &mut Cell, channel: String) {
        match (&cell.phase, &mut cell.state) {
            _ if self.shared.is_stopping() => {}
            (Phase::Ready | Phase::Fetching, Some(_)) => {
                self.dispatch_part(cell, &Touched::Channel(channel));
            }
            (_, Some(state)) => state.touch_channel(channel),
            // A load lists everything.
            (_, None) => {}
        }
        self.mark(cell);
    }
}

/// Calls the function that tells.
async fn tell(
    shared: &Shared,
    run: RunId,
    plan: NoticePlan,
    secrets: Secrets,
    tries: u32,
) -> Result<(), NoticeFailure> {
    let Some(notifier) = &shared.edge.notifier else {
        return Err(NoticeFailure::permanent("no notices can be sent by this engine"));
    };
    let event = event(shared, run, plan.version).await?;
    let NoticePlan { version, notice, function, with, sender, of_run, .. } = plan;
    let request = NoticeRequest {
        run,
        version,
        notice,
        function,
        with,
        secrets,
        sender,
        event,
        of_run,
        attempt: tries,
    };
    notifier.notify(request).await
}

/// The event that a notice tells of, as expressions see it.
async fn event(shared: &Shared, run: RunId, version: Version) -> Result<Value, NoticeFailure> {
    let read = shared.store.read(&StreamId::run(run), version, 1).await;
    let read = read.map_err(|error| NoticeFailure::passing(error.to_string()))?;
    let Some(envelope) = read.first() else {
        return Err(NoticeFailure::permanent(format!("event {version} is not there")));
    };
    let event = decode(run, envelope).map_err(|error| NoticeFailure::permanent(error.to_string()))?;
    let mut value = serde_json::to_value(&event).unwrap_or_default();
    if let Value::Object(fields) = &mut value {
        fields.insert("version".to_owned(), json!(version));
        fields.insert("at".to_owned(), json!(envelope.header.recorded_at));
        fields.insert("actor".to_owned(), json!(envelope.header.actor));
    }
    Ok(value)
}

/// The pause before the next try: longer each time, and the older the notice is (tries before a crash,
/// or before the run left memory, are not known), spread by what follows from the notice's id.
fn pause(id: &str, tries: u32, age: Duration) -> Duration {
    let by_tries = PAUSE_MIN.saturating_mul(1 << tries.saturating_sub(1).min(16));
    let whole = by_tries.max(age / AGE_SHARE).min(PAUSE_MAX);
    let drawn = Hash::of(format!("{id}/{tries}").as_bytes()).0[0];
    whole.mul_f64(0.75 + f64::from(drawn) / 1_024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn l32_pauses_grow_up_to_a_bound_and_are_spread_without_chance() {
        let pauses: Vec<Duration> =
            (1..20).map(|tries| pause("run/7/failures", tries, Duration::ZERO)).collect();
        assert!(pauses[0] >= PAUSE_MIN.mul_f64(0.75) && pauses[0] <= PAUSE_MIN);
        assert!(pauses.iter().all(|pause| *pause <= PAUSE_MAX));
        assert!(pauses[5] > pauses[1].mul_f64(4.0));
        let now = Duration::ZERO;
        assert_eq!(pauses[3], pause("run/7/failures", 4, now));
        assert_ne!(pause("run/7/failures", 9, now), pause("run/8/failures", 9, now));
        assert!(pause("run/7/failures", 1, Duration::from_secs(3_600)) > Duration::from_secs(160));
    }
}
