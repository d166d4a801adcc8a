//! What holds after every batch, whatever was given.

use std::collections::BTreeSet;

use everfold_engine::budgets::room;
use everfold_engine::decide::{Loaded, rejudge};
use everfold_engine::effect::{Effect, effects, effects_of};
use everfold_engine::event::{GateEvaluated, RunEvent, TimerKind, decode, encode};
use everfold_engine::expr::EvalError;
use everfold_engine::input::Input;
use everfold_engine::json::Payload;
use everfold_engine::state::{EventMeta, RunState};

use super::World;

impl World {
    pub(super) fn check(&mut self, before: &RunState, input: &Input, batch: &[RunEvent]) {
        // The state kept is the fold of what was recorded.
        let mut folded = before.clone();
        let meta = EventMeta { at: input.at, actor: input.actor.clone(), input: input.id };
        for event in batch {
            let (schema, bytes) = encode(event).expect("events can be written");
            assert_eq!(&decode(event.kind(), schema, &bytes).expect("and read"), event);
            if let RunEvent::GateEvaluated(verdict) = event {
                self.check_verdict(&folded, verdict);
            }
            if let RunEvent::FundsGranted(granted) = event
                && !granted.exempt
            {
                let own = folded.budgets(input.at).filter(|budget| budget.terms.scope.is_none());
                let full = own.filter(|budget| room(budget.terms, &budget.used).is_err()).count();
                assert_eq!(full, 0, "{} was granted what is not there, in {batch:#?}", granted.id);
            }
            folded.apply(event, &meta);
        }
        assert_eq!(folded, self.state, "decide folds exactly what it records");
        // Deltas and the full list of effects agree.
        let touched = self.state.take_touched();
        self.touched += touched.len();
        for part in touched {
            let now = effects_of(&self.state, &part);
            if now.is_empty() {
                self.outstanding.remove(&part)
            } else {
                self.outstanding.insert(part, now)
            };
        }
        let kept: BTreeSet<Effect> = self.outstanding.values().flatten().cloned().collect();
        let listed: BTreeSet<Effect> = effects(&self.state).into_iter().collect();
        assert_eq!(kept, listed, "deltas say what the full list says, after {batch:#?}");
        for effect in &listed {
            self.check_effect(effect);
        }
        if !self.state.is_ended() {
            let awaited = self.state.awaited();
            let goes_on = listed.iter().any(|effect| !is_telling(effect));
            assert!(goes_on || !awaited.is_empty(), "stuck in silence after {batch:#?}");
        } else {
            assert!(listed.iter().all(is_telling), "an ended run has only others to tell: {listed:?}");
        }
    }

    /// The same evidence and the same policy give the same verdict.
    fn check_verdict(&self, before: &RunState, verdict: &GateEvaluated) {
        let evidence = match &verdict.evidence {
            Payload::Inline(text) => text.value(),
            Payload::Blob(blob) => self.blobs[&blob.hash].value(),
        };
        let mut loaded = Loaded::default();
        for _ in 0..10 {
            match rejudge(before, &loaded, self.now, verdict, &evidence, None) {
                Ok(judged) => {
                    let judged = judged.expect("every verdict of a step's gate can be given again");
                    let again = (judged.verdict, judged.reason.as_str());
                    return assert_eq!(again, (verdict.verdict, verdict.reason.as_str()), "{verdict:?}");
                }
                Err(EvalError::Needs(values)) => {
                    values.iter().for_each(|it| loaded.insert(it, self.load(it.version, it.hash)));
                }
                Err(failed) => panic!("{verdict:?} cannot be given again: {failed}"),
            }
        }
        panic!("a verdict asks for ever more values");
    }

    fn check_effect(&self, effect: &Effect) {
        match effect {
            Effect::Attempt { id, .. } | Effect::Stop { id } => {
                assert!(self.scheduled.contains(id), "no event scheduled {id}");
                assert!(!self.ended.contains(id), "{id} has ended");
            }
            Effect::Probe { id, gate, probe_no } => {
                let is_known = self.history.iter().any(|(_, event)| match event {
                    RunEvent::ProbeScheduled(event) => {
                        event.id == *id && event.gate == *gate && event.probe_no <= *probe_no
                    }
                    _other => false,
                });
                assert!(is_known, "no event scheduled probe {probe_no} of {gate}");
                let before = if self.anew.1.contains(&id.path.step) { self.anew.0 } else { 0 };
                let is_judged = self.history[before..].iter().any(|(_, event)| match event {
                    RunEvent::GateEvaluated(event) => {
                        event.id == *id && event.gate == *gate && event.probe_no == *probe_no
                    }
                    _other => false,
                });
                assert!(!is_judged, "probe {probe_no} of {gate} was judged");
            }
            Effect::Timer { timer, .. } => {
                let is_known = timer.kind == TimerKind::Budget || self.scheduled.contains(&timer.id);
                assert!(is_known, "no event set {timer:?}")
            }
            Effect::Funds { id, .. } => {
                assert!(self.state.waits_for_funds(id), "{id} does not wait for funds");
                assert!(!self.ended.contains(id), "{id} has ended");
            }
            Effect::Notice { version, notice, .. } => {
                let is_of = |event: &RunEvent| match event {
                    RunEvent::NoticeQueued(event) => event.version == *version && event.notice == *notice,
                    _other => false,
                };
                assert!(
                    self.history.iter().any(|(_, event)| is_of(event)),
                    "no event queued {notice} of {version}"
                );
            }
            Effect::Workspace | Effect::Advance | Effect::Slots | Effect::SpendReport { .. } => {}
        }
    }

    /// A fold from zero gives the same state, and so does every snapshot on the way.
    pub fn check_fold(&self) {
        let mut state = RunState::new(self.state.definition().clone());
        for (at, (meta, event)) in self.history.iter().enumerate() {
            state.apply(event, meta);
            if at % 17 == 0 {
                let bytes = state.snapshot();
                let read = RunState::from_snapshot(state.definition().clone(), &bytes)
                    .expect("a snapshot reads back");
                assert_eq!(read, state);
                assert_eq!(effects(&read), effects(&state));
            }
        }
        assert_eq!(state, self.state, "the fold from zero is the state that was kept");
        assert_eq!(state.fingerprint(), self.state.fingerprint());
    }
}

/// Whether an effect tells others of what happened: nothing of the run depends on it.
pub(super) fn is_telling(effect: &Effect) -> bool {
    matches!(effect, Effect::Notice { .. } | Effect::SpendReport { .. })
}
