//! Gates are opened and judged.

use std::collections::BTreeMap;

use crate::effect::Touched;
use crate::event::{
    GateEvaluated, ProbeFailed, ProbeScheduled, RecheckRequested, ReminderOf, TimerId, TimerKind,
};
use crate::policy::Verdict;
use crate::state::agenda::Agenda;
use crate::state::step::{AttemptEnding, GateVerdict, Judging, Phase, Settling, VerdictSummary};
use crate::state::stored_value::StoredValue;
use crate::state::{Key, RunState};
use everfold_base::id::AttemptId;
use everfold_base::time::Timestamp;

impl RunState {
    pub(super) fn recheck_requested(&mut self, event: &RecheckRequested) {
        let Some(key) = self.key(&event.path) else { return };
        if self.is_asking_approval(key) {
            self.end_asking(key);
            if let Some(unit) = self.unit_mut(key) {
                unit.people_mut().outdated += 1;
            }
            return self.settle_unit(key, AttemptEnding::Outdated, None);
        }
        self.judge_again(key, &event.policies);
    }

    /// All gates of a step are judged again on the same artefacts, where `policies` names them by these.
    pub(super) fn judge_again(&mut self, key: Key, policies: &BTreeMap<String, String>) {
        self.unblock_key(key);
        self.facts.agenda.remove(&Agenda::Settle(key));
        self.facts.probing.remove(&key.step);
        if let Some(gate) = self.graph.step(key.step).gates.get(self.facts.steps[key.step].judging.gate) {
            let name = gate.id.clone();
            self.clear_timer(&TimerId { id: self.attempt_id(key), kind: TimerKind::Poll, name });
        }
        let step = &mut self.facts.steps[key.step];
        step.gates.clear();
        step.policies.clone_from(policies);
        self.open_gate(key.step, 0);
        self.touch(key);
    }

    pub(super) fn open_gate(&mut self, at: usize, gate: usize) {
        self.facts.unread.remove(&self.graph.step(at).id);
        let step = &mut self.facts.steps[at];
        let Some(next) = self.graph.step(at).gates.get(gate) else {
            step.judging = Judging { gate, ..Judging::default() };
            step.phase = Phase::Settling(Settling::GatesPassed);
            return self.settle_later(Key::step(at));
        };
        let probe_no = step.probes.get(&next.id).copied().unwrap_or(0);
        step.judging = Judging { gate, probe_no, ..Judging::default() };
        step.phase = Phase::Judging;
        if self.is_live(at) {
            self.facts.agenda.insert(Agenda::Judge(at));
        }
    }

    pub(super) fn probe_scheduled(&mut self, event: &ProbeScheduled, at: Timestamp) {
        let Some(key) = self.current_gate(&event.id, &event.gate) else { return };
        let version = self.facts.version;
        self.facts.agenda.remove(&Agenda::Judge(key.step));
        self.facts.agenda.remove(&Agenda::Settle(key));
        self.facts.probing.insert(key.step);
        let step = &mut self.facts.steps[key.step];
        step.phase = Phase::Judging;
        step.note_probe(&event.gate, event.probe_no, at);
        step.judging.kind.clone_from(&event.kind);
        step.judging.task = StoredValue::of(&event.task, version);
        self.touch(key);
    }

    /// A signal makes a gate ask at once; one that is being asked is asked once more.
    pub(super) fn gate_woken(&mut self, id: &AttemptId, gate: &str) {
        let Some(key) = self.current(id).filter(|key| self.hears(key.step)) else { return };
        let step = &self.facts.steps[key.step];
        if self.graph.step(key.step).gates.get(step.judging.gate).is_none_or(|current| current.id != gate) {
            return;
        }
        if self.facts.probing.contains(&key.step) {
            self.facts.steps[key.step].judging.again = true;
        } else {
            self.unblock_key(key);
            self.probe_once_more(key);
        }
    }

    /// Whether a signal could make the current gate of a step pass: it has no verdict yet, or a person
    /// is asked because of it.
    pub(crate) fn hears(&self, at: usize) -> bool {
        let step = &self.facts.steps[at];
        let Some(current) = self.graph.step(at).gates.get(step.judging.gate) else { return false };
        let is_open = match &step.phase {
            // What is judged for the first time needs no waking.
            Phase::Judging => step.judging.probe_no > 0 && !self.facts.agenda.contains(&Agenda::Judge(at)),
            Phase::Settling(Settling::GateOpen { .. } | Settling::GateFailed | Settling::GateBroken) => true,
            Phase::Blocked(reason) => reason.gate() == Some(&current.id),
            _elsewhere => false,
        };
        is_open && self.is_live(at)
    }

    /// Asks the current gate now. That is no poll; the next pause begins with its answer.
    fn probe_once_more(&mut self, key: Key) {
        let Some(gate) = self.graph.step(key.step).gates.get(self.facts.steps[key.step].judging.gate) else {
            return;
        };
        let gate = gate.id.clone();
        self.facts.agenda.remove(&Agenda::Settle(key));
        self.clear_timer(&TimerId { id: self.attempt_id(key), kind: TimerKind::Poll, name: gate.clone() });
        let step = &mut self.facts.steps[key.step];
        step.phase = Phase::Judging;
        step.judging.again = false;
        if step.judging.kind.is_empty() {
            // An expression, or parameters that could not be rendered.
            step.judging.uncounted = true;
            self.facts.agenda.insert(Agenda::Judge(key.step));
        } else {
            let probe_no = step.judging.probe_no + 1;
            step.judging.probe_no = probe_no;
            step.probes.insert(gate, probe_no);
            self.facts.probing.insert(key.step);
        }
        self.touch(key);
    }

    /// The step is reset: a probe in progress may still answer.
    pub(super) fn note_late(&mut self, at: usize) {
        let step = &self.facts.steps[at];
        let gate = self.graph.step(at).gates.get(step.judging.gate);
        if let (true, Some(gate)) = (self.facts.probing.contains(&at), gate) {
            let (gate, probe_no) = (gate.id.clone(), step.judging.probe_no);
            let id = self.attempt_id(Key::step(at));
            self.facts.late.insert(id, gate, probe_no);
        }
    }

    /// The step, if this is its current attempt and its current gate.
    pub(super) fn current_gate(&self, id: &AttemptId, gate: &str) -> Option<Key> {
        let key = self.current(id)?;
        let step = &self.facts.steps[key.step];
        let is_judged = matches!(
            step.phase,
            Phase::Judging
                | Phase::Settling(
                    Settling::GateOpen { .. }
                        | Settling::GateFailed
                        | Settling::GateBroken
                        | Settling::Unblocked(..)
                )
        );
        let current = self.graph.step(key.step).gates.get(step.judging.gate)?;
        (is_judged && current.id == gate).then_some(key)
    }

    pub(super) fn gate_evaluated(&mut self, event: &GateEvaluated, at: Timestamp) {
        self.facts.late.remove(&event.id, &event.gate, event.probe_no);
        let Some(key) = self.current_gate(&event.id, &event.gate) else { return };
        self.facts.unread.remove(&self.graph.step(key.step).id);
        let version = self.facts.version;
        self.facts.probing.remove(&key.step);
        self.facts.agenda.remove(&Agenda::Judge(key.step));
        self.facts.agenda.remove(&Agenda::Settle(key));
        let verdict = GateVerdict {
            gate: event.gate.clone(),
            probe_no: event.probe_no,
            verdict: event.verdict,
            reason: event.reason.clone(),
            evidence: StoredValue::of(&event.evidence, version),
            findings: event
                .findings
                .as_ref()
                .map_or(StoredValue::Null, |findings| StoredValue::of(findings, version)),
            tolerated: event.tolerated,
        };
        let step = &mut self.facts.steps[key.step];
        if event.probe_no > step.judging.probe_no {
            // An expression was judged without a probe.
            step.note_probe(&event.gate, event.probe_no, at);
        }
        step.gates.retain(|former| former.gate != verdict.gate);
        let judged = VerdictSummary {
            round: event.id.round,
            verdict: event.verdict,
            evidence: verdict.evidence.clone(),
        };
        step.judged.insert(event.gate.clone(), judged);
        step.judging.said = Some(shortened(&event.reason));
        step.gates.push(verdict);
        let is_over = matches!(event.verdict, Verdict::Pass | Verdict::Skipped);
        if step.judging.again && !is_over {
            return self.probe_once_more(key);
        }
        match event.verdict {
            Verdict::Pass | Verdict::Skipped => {
                self.open_gate(key.step, self.facts.steps[key.step].judging.gate + 1)
            }
            Verdict::Fail if event.tolerated => {
                self.open_gate(key.step, self.facts.steps[key.step].judging.gate + 1)
            }
            Verdict::Fail => {
                step.phase = Phase::Settling(Settling::GateFailed);
                self.settle_later(key);
            }
            Verdict::Pending => {
                step.phase = Phase::Settling(Settling::GateOpen { permanent: false });
                self.settle_later(key);
            }
        }
        self.touch(key);
    }

    pub(super) fn probe_failed(&mut self, event: &ProbeFailed) {
        let Some(key) = self.current_gate(&event.id, &event.gate) else { return };
        self.facts.probing.remove(&key.step);
        self.facts.agenda.remove(&Agenda::Judge(key.step));
        let step = self.graph.step(key.step);
        let gate = step.gates.iter().find(|gate| gate.id == event.gate);
        if gate.and_then(|gate| gate.poll.as_ref()).is_some_and(|poll| poll.max_unread.is_some()) {
            *self.facts.unread.entry(step.id.clone()).or_default() += 1;
        }
        self.facts.steps[key.step].judging.said = Some(shortened(&event.message));
        if self.facts.steps[key.step].judging.again {
            return self.probe_once_more(key);
        }
        self.facts.steps[key.step].phase = Phase::Settling(match event.broken {
            true => Settling::GateBroken,
            false => Settling::GateOpen { permanent: event.permanent },
        });
        self.settle_later(key);
        self.touch(key);
    }

    pub(super) fn timer_set(&mut self, timer: &TimerId, at: Timestamp) {
        self.reminder_set(timer);
        if timer.kind == TimerKind::Budget || matches!(timer.reminds_of(), Some(ReminderOf::Budget(_))) {
            self.set_timer(timer.clone(), at);
            return self.touched.push(Touched::Path(timer.id.path.clone()));
        }
        let Some(key) = self.current(&timer.id) else { return };
        if timer.kind == TimerKind::Poll {
            self.facts.agenda.remove(&Agenda::Settle(key));
            self.facts.steps[key.step].phase = Phase::Judging;
        }
        self.set_timer(timer.clone(), at);
        self.touch(key);
    }
}

/// What is said of a gate that has no verdict: it stays in the state.
fn shortened(text: &str) -> String {
    const CHARS_MAX: usize = 300;
    text.chars().take(CHARS_MAX).collect()
}
