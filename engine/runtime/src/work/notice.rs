//! Notices: sent one after the other in each channel, again after a pause where they fail.
//!
//! Law (L32): a notice is sent only when the event that queued it is durable, and its result is an input like any
//! other. After a crash it is sent again under the same id. A run that waits only for the next try, or for its
//! receiver to answer, may leave memory.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use serde_json::json;
use tracing::Instrument as _;

use crate::load::decode;
use crate::messages::Queued;
use crate::panic::panic_text;
use crate::receivers::registry::{NoticeTurn, SendingPlace, receiver};
use crate::redaction::redact_option;
use crate::run::loaded_run::{LoadedRun, RunPhase};
use crate::run::notice_progress::{NoticeProgress, NoticeReadiness, NoticeStage, PAUSE_MAX};
use crate::runtime::Runtime;
use crate::shard::core::ShardCore;
use crate::shard::job_done::WantedBy;
use crate::shard::timers::TimerDue;
use crate::work::request;
use crate::work::run_span;
use crate::work::work_done::WorkDone;
use everfold_base::envelope::StreamId;
use everfold_base::id::{InputId, RunId, Version};
use everfold_base::json::{Hash, Value};
use everfold_core::decide::plan;
use everfold_core::decide::plan::{NoticePlan, SecretPlan};
use everfold_core::effect::Touched;
use everfold_core::event::{NoticeFailed, NoticeSent};
use everfold_core::input::InputKind;
use everfold_language::expr::EvalError;
use everfold_ports::{NoticeFailure, NoticeReceipt, NoticeRequest, Secrets};

/// How long a notice is tried.
const TRIED_FOR: Duration = Duration::from_secs(24 * 60 * 60);
/// The first pause after a failure; each further one is twice as long.
const PAUSE_MIN: Duration = Duration::from_secs(1);
/// The longest pause that a receiver may ask for.
const ASKED_MAX: Duration = Duration::from_secs(60 * 60);
/// How often a waiting notice is checked for having waited too long.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// A pause is at least one part in so many of a notice's age.
const AGE_SHARE: u32 = 16;
/// The time limit of one try.
const TRY_MAX: Duration = Duration::from_secs(60);
/// The longest reason that is kept.
const REASON_CHARS_MAX: usize = 500;

impl LoadedRun {
    /// The end of a notice is decided, durably: the next one of its channel may be sent, also where that end is no event
    /// because a newer notice had replaced it.
    pub(crate) fn settle_notice(&mut self, version: Version, notice: &str) {
        let is_it = |progress: &NoticeProgress| {
            matches!(progress.stage, NoticeStage::Reported) && progress.is(version, notice)
        };
        let settled = self.notices.iter().filter(|(_, progress)| is_it(progress));
        let settled: Vec<String> = settled.map(|(channel, _)| channel.clone()).collect();
        for channel in settled {
            self.notices.remove(&channel);
            if let Some(state) = &mut self.state {
                state.touch_channel(channel);
            }
        }
    }

    /// The run cannot continue for a while: its notices give their places to others.
    pub(crate) fn give_up_places(&mut self) {
        for progress in self.notices.values_mut() {
            if let NoticeStage::Next(place) = &mut progress.stage {
                drop(place.take());
            }
        }
    }
}

impl ShardCore {
    /// The state lists nothing for a channel.
    pub(crate) fn channel_is_empty(&mut self, loaded: &mut LoadedRun, channel: &str) {
        if loaded
            .notices
            .get(channel)
            .is_some_and(|progress| !matches!(progress.stage, NoticeStage::Sending | NoticeStage::Reported))
            && let Some(progress) = loaded.notices.remove(channel)
        {
            self.withdraw(loaded.run, channel, &progress);
        }
    }

    /// Drops what waits for a notice that is not sent any more.
    fn withdraw(&mut self, run: RunId, channel: &str, progress: &NoticeProgress) {
        if let Some(key) = progress.key() {
            self.pauses.remove(key);
        }
        self.shared.receivers.forget(run, channel);
    }

    /// The state lists the first notice of a channel.
    pub(crate) fn notice_listed(
        &mut self,
        loaded: &mut LoadedRun,
        channel: String,
        version: Version,
        notice: &str,
    ) {
        let known = match loaded.notices.get(&channel) {
            Some(NoticeProgress { stage: NoticeStage::Sending | NoticeStage::Reported, .. }) => return,
            Some(known) if known.is(version, notice) && known.is_at_rest() => return,
            _next_or_another => loaded.notices.remove(&channel),
        };
        // The progress of another notice is dropped with that: a newer one replaced it.
        let mut known = known.and_then(|known| {
            let is_it = known.is(version, notice);
            if !is_it {
                self.withdraw(loaded.run, &channel, &known);
            }
            is_it.then_some(known)
        });
        if let Some(progress) = known.take_if(|progress| matches!(progress.stage, NoticeStage::Next(None))) {
            // Its receiver is known, so none of its values is read before its turn.
            match self.turn(loaded.run, &channel, progress) {
                NoticeReadiness::Now(progress) => known = Some(progress),
                NoticeReadiness::Later(progress) => return drop(loaded.notices.insert(channel, progress)),
                NoticeReadiness::Never(progress, failure) => {
                    loaded.notices.insert(channel.clone(), progress);
                    return self.report_notice(loaded, &channel, Err(failure));
                }
            }
        }
        match self.holds_notices(loaded, WantedBy::Part(Touched::Channel(channel.clone()))) {
            None => {
                loaded.notices.extend(known.map(|known| (channel, known)));
                return;
            }
            Some(true) => return self.hold_notice(loaded, channel, known, (version, notice)),
            Some(false) => {}
        }
        let Some(state) = &loaded.state else { return };
        let planned = loop {
            let planned =
                catch_unwind(AssertUnwindSafe(|| plan::notice(state, &channel, &loaded.values.of_plans)));
            match planned {
                Ok(Err(EvalError::Needs(wanted))) => {
                    let missing = self.shared.values.at_hand(wanted, &mut loaded.values.of_plans);
                    if !missing.is_empty() {
                        loaded.notices.extend(known.map(|known| (channel.clone(), known)));
                        return self.fetch(loaded, missing, WantedBy::Part(Touched::Channel(channel)));
                    }
                }
                other => break other,
            }
        };
        let plan = match planned {
            Err(panic) => return self.quarantine(loaded, panic_text(panic.as_ref())),
            Ok(Err(_) | Ok(None)) => return,
            Ok(Ok(Some(plan))) => plan,
        };
        let progress = match known {
            Some(known) => known,
            None => match self.turn(loaded.run, &channel, self.new_progress(&plan)) {
                NoticeReadiness::Now(progress) => progress,
                NoticeReadiness::Later(progress) => return drop(loaded.notices.insert(channel, progress)),
                NoticeReadiness::Never(progress, failure) => {
                    loaded.notices.insert(channel.clone(), progress);
                    return self.report_notice(loaded, &channel, Err(failure));
                }
            },
        };
        self.send_notice(loaded, channel, progress, plan);
    }

    /// A run that may not act outside sends no notice: it is recorded as one that was left alone.
    fn hold_notice(
        &mut self,
        loaded: &mut LoadedRun,
        channel: String,
        known: Option<NoticeProgress>,
        (version, notice): (Version, &str),
    ) {
        let progress = known.unwrap_or_else(|| NoticeProgress {
            version,
            notice: notice.to_owned(),
            tries: 0,
            queued_at: self.shared.now(),
            receiver: receiver("", &Value::Null, &[]),
            failures_before: 0,
            stage: NoticeStage::Next(None),
        });
        loaded.notices.insert(channel.clone(), progress);
        let reason = Some("held back: this run is a fork that does not act outside".to_owned());
        self.report_notice(loaded, &channel, Ok(NoticeReceipt { reason }));
    }

    fn new_progress(&self, plan: &NoticePlan) -> NoticeProgress {
        let to = match &self.shared.edge.notifier {
            Some(notifier) => notifier.receiver(&plan.function, &plan.with),
            None => Value::Null,
        };
        let receiver = receiver(&plan.function, &to, &plan.hidden);
        NoticeProgress {
            version: plan.version,
            notice: plan.notice.clone(),
            tries: 0,
            queued_at: plan.queued_at,
            receiver,
            failures_before: self.shared.receivers.failures(&receiver),
            stage: NoticeStage::Next(None),
        }
    }

    /// Asks for the place of a notice that is to go.
    pub(crate) fn turn(
        &mut self,
        run: RunId,
        channel: &str,
        mut progress: NoticeProgress,
    ) -> NoticeReadiness {
        let receivers = Arc::clone(&self.shared.receivers);
        let age = self.shared.now().since(progress.queued_at);
        if age >= TRIED_FOR
            && receivers.is_left_alone(&progress.receiver)
            && let Some(failing) = receivers.failing(&progress.receiver)
        {
            // Tries at its receiver while it waited count as its own.
            let others = failing.failures.saturating_sub(progress.failures_before);
            let tries = progress.tries.max(u32::try_from(others).unwrap_or(u32::MAX));
            if tries > 0 {
                progress.tries = tries;
                return NoticeReadiness::Never(progress, format!("{}; given up after 24 h", failing.message));
            }
        }
        match receivers.ask(progress.receiver, self.at, run, channel) {
            NoticeTurn::Now(place) => {
                progress.stage = NoticeStage::Next(Some(place));
                NoticeReadiness::Now(progress)
            }
            NoticeTurn::Later(ticket) => {
                let left = TRIED_FOR.saturating_sub(age).max(LOOK_EVERY);
                let until = self.shared.steady().plus(left);
                let key = self.pauses.add(until, run, TimerDue::Notice(channel.to_owned()));
                progress.stage = NoticeStage::Waiting(ticket, key);
                receivers.waits(&progress.about(run, channel), progress.receiver);
                NoticeReadiness::Later(progress)
            }
        }
    }

    /// Calls the function of a notice that has a place.
    fn send_notice(
        &mut self,
        loaded: &mut LoadedRun,
        channel: String,
        mut progress: NoticeProgress,
        mut plan: NoticePlan,
    ) {
        let Some(state) = &loaded.state else { return };
        let (spec, role) = (std::mem::take(&mut plan.hidden), plan.sender.clone());
        let hidden = SecretPlan { spec, role, ..SecretPlan::default() };
        let secrets = request::secrets(state, hidden);
        progress.tries += 1;
        let tries = progress.tries;
        let NoticeStage::Next(place) = std::mem::replace(&mut progress.stage, NoticeStage::Sending) else {
            return;
        };
        let span = run_span::of_notice(loaded.run, progress.version, &progress.notice);
        loaded.notices.insert(channel.clone(), progress);
        let (run, shared) = (loaded.run, Arc::clone(&self.shared));
        self.spawn_work(
            run,
            async move {
                let sent = AssertUnwindSafe(call_function(&shared, run, plan, secrets, tries)).catch_unwind();
                let result = match tokio::time::timeout(TRY_MAX, sent).await {
                    Ok(Ok(result)) => result,
                    Ok(Err(panic)) => {
                        Err(NoticeFailure::passing(format!("the function {}", panic_text(panic.as_ref()))))
                    }
                    Err(_) => {
                        Err(NoticeFailure::passing(format!("no answer within {} s", TRY_MAX.as_secs())))
                    }
                };
                if let Some(place) = place {
                    place.ended(&result);
                }
                WorkDone::Notice { run, channel, result }
            }
            .instrument(span),
        );
    }

    /// A try ended.
    pub(crate) fn noticed(
        &mut self,
        loaded: &mut LoadedRun,
        channel: String,
        result: Result<NoticeReceipt, NoticeFailure>,
    ) {
        let now = self.shared.now();
        let Some(progress) = loaded.notices.get_mut(&channel) else { return };
        let failure = match result {
            Ok(receipt) => return self.report_notice(loaded, &channel, Ok(receipt)),
            Err(failure) if failure.permanent => failure.message,
            Err(failure) if now.since(progress.queued_at) >= TRIED_FOR => {
                format!("{}; given up after 24 h", failure.message)
            }
            Err(failure) => {
                let (version, tries) = (progress.version, progress.tries);
                let age = now.since(progress.queued_at);
                let pause = pause(&format!("{}/{version}/{}", loaded.run, progress.notice), tries, age)
                    .max(failure.after.unwrap_or_default().min(ASKED_MAX));
                tracing::warn!(
                    run = loaded.run.short(),
                    notice = progress.notice,
                    version = version.0,
                    tries,
                    ?pause,
                    "a notice was not sent: {}",
                    failure.message
                );
                let until = self.shared.steady().plus(pause);
                let key = self.pauses.add(until, loaded.run, TimerDue::Notice(channel.clone()));
                progress.stage = NoticeStage::Pausing(key);
                self.shared.receivers.failed(&progress.about(loaded.run, &channel), &failure.message, until);
                // Where a newer notice replaced it meanwhile, that is sent at once.
                return self.look_at_channel(loaded, channel);
            }
        };
        self.report_notice(loaded, &channel, Err(failure));
    }

    /// The result of a notice, or why there is none, becomes an input.
    fn report_notice(
        &mut self,
        loaded: &mut LoadedRun,
        channel: &str,
        result: Result<NoticeReceipt, String>,
    ) {
        let Some(progress) = loaded.notices.get_mut(channel) else { return };
        progress.stage = NoticeStage::Reported;
        let (version, notice, tries) = (progress.version, progress.notice.clone(), progress.tries);
        let id = InputId::derive(&format!("{}/{version}/{notice}/told", loaded.run));
        let kind = match result {
            Ok(receipt) => {
                let reason = receipt.reason;
                InputKind::NoticeSent(NoticeSent { version, notice, tries, reason })
            }
            Err(message) => InputKind::NoticeFailed(NoticeFailed { version, notice, tries, message }),
        };
        loaded.push(Queued::own(id, kind));
        self.shared.receivers.forget(loaded.run, channel);
        self.mark(loaded);
    }

    /// The timer of a notice is due: its pause is over, or it has waited for its receiver for long.
    pub(crate) fn notice_due(&mut self, loaded: &mut LoadedRun, channel: String) {
        if let Some(progress) = loaded.notices.get_mut(&channel).filter(|progress| progress.is_at_rest()) {
            progress.stage = NoticeStage::Next(None);
        }
        self.look_at_channel(loaded, channel);
    }

    /// The run is being resumed: its notices skip their own pauses and those of their receivers.
    pub(crate) fn hurry_notices(&mut self, loaded: &mut LoadedRun) {
        let mut channels = Vec::new();
        for (channel, progress) in &mut loaded.notices {
            if progress.is_at_rest() {
                self.shared.receivers.hurry(progress.receiver);
            }
            if let NoticeStage::Pausing(key) = progress.stage {
                self.pauses.remove(key);
                progress.stage = NoticeStage::Next(None);
                channels.push(channel.clone());
            }
        }
        channels.into_iter().for_each(|channel| self.look_at_channel(loaded, channel));
    }

    /// A notice that waited has a place.
    pub(crate) fn notice_called(&mut self, loaded: &mut LoadedRun, channel: String, place: SendingPlace) {
        let Some(progress) = loaded.notices.get_mut(&channel) else { return };
        let Some(key) = progress.called(place) else { return };
        self.pauses.remove(key);
        match loaded.phase {
            RunPhase::Ready | RunPhase::Fetching => self.dispatch_part(loaded, &Touched::Channel(channel)),
            RunPhase::Loading | RunPhase::Appending => {
                if let Some(state) = &mut loaded.state {
                    state.touch_channel(channel);
                }
            }
            RunPhase::Stalled | RunPhase::Quarantined(_) => {
                loaded.give_up_places();
                loaded.dispatching.unlisted = true;
            }
        }
        self.mark(loaded);
    }

    /// Lists a channel now, where the state is durable, else as soon as it is.
    fn look_at_channel(&mut self, loaded: &mut LoadedRun, channel: String) {
        match (&loaded.phase, &mut loaded.state) {
            _ if self.shared.is_stopping() => {}
            (RunPhase::Ready | RunPhase::Fetching, Some(_)) => {
                self.dispatch_part(loaded, &Touched::Channel(channel));
            }
            (_, Some(state)) => state.touch_channel(channel),
            // A load lists everything.
            (_, None) => {}
        }
        self.mark(loaded);
    }
}

/// Calls the function of a notice.
async fn call_function(
    shared: &Runtime,
    run: RunId,
    plan: NoticePlan,
    secrets: Secrets,
    tries: u32,
) -> Result<NoticeReceipt, NoticeFailure> {
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
    let receipt = notifier.notify(request).await?;
    Ok(NoticeReceipt { reason: receipt.reason.and_then(|reason| kept_reason(shared, reason)) })
}

/// The reason as it is recorded. It is masked before it is cut: of half a credential nothing is recognised.
fn kept_reason(shared: &Runtime, reason: String) -> Option<String> {
    let mut reason = Some(reason);
    if let Some(redactor) = &shared.edge.redactor {
        redact_option(&**redactor, &mut reason);
    }
    let reason = reason.as_deref().map(str::trim).filter(|reason| !reason.is_empty())?;
    Some(match reason.char_indices().nth(REASON_CHARS_MAX) {
        None => reason.to_owned(),
        Some(_) => reason.chars().take(REASON_CHARS_MAX - 1).chain(['…']).collect(),
    })
}

/// The event that a notice is about, as expressions see it.
async fn event(shared: &Runtime, run: RunId, version: Version) -> Result<Value, NoticeFailure> {
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
