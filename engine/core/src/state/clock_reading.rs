//! What the clock says, and what follows where it says less than the record ([`super::clock`]).

use std::time::Duration;

use super::clock::Reading;
use super::run_state::RunState;
use super::spend::is_period;
use super::step::StepState;
use crate::effect::Touched;
use crate::event::{ClockRead, TimerId, TimerKind};
use everfold_base::time::Timestamp;
use everfold_language::definition::Work;

/// Differences up to this are none: clocks are corrected by small steps all the time.
const SLACK: Duration = Duration::from_millis(100);

impl RunState {
    /// What the clock said when the last event was recorded.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock_at(self.facts.last_at)
    }

    /// What the clock says when something is recorded at a moment, the last or a later one.
    pub(crate) fn clock_at(&self, at: Timestamp) -> Timestamp {
        self.facts.clock.reading.filter(|reading| reading.at >= at).map_or(at, |reading| reading.clock)
    }

    /// Whether a reading of the clock must be recorded before anything else.
    pub fn wants_clock(&self, clock: Timestamp) -> bool {
        if self.run().is_none() || self.is_ended() || clock >= self.facts.last_at {
            return false;
        }
        let known = self.now();
        known.since(clock).max(clock.since(known)) > SLACK
    }

    /// Whether something waits that was set when the clock said more than it does now.
    pub fn waits_since_later(&self, clock: Timestamp) -> bool {
        self.facts.clock.set.values().any(|set| set.since(clock) > SLACK)
    }

    pub(super) fn note_set(&mut self, timer: &TimerId) {
        if self.counts_a_span(timer) {
            let now = self.now();
            self.facts.clock.set.insert(timer.clone(), now);
        }
    }

    /// Whether a timer waits for a span to pass, and not for a moment of the calendar.
    fn counts_a_span(&self, timer: &TimerId) -> bool {
        match timer.kind {
            TimerKind::Budget => !is_period(timer),
            TimerKind::Wait => self.key(&timer.id.path).is_none_or(|key| {
                !matches!(&self.graph.step(key.step).work, Some(Work::Wait(wait)) if wait.until.is_some())
            }),
            TimerKind::Retry
            | TimerKind::Poll
            | TimerKind::Expiry
            | TimerKind::Reminder
            | TimerKind::Timeout
            | TimerKind::Deadline
            | TimerKind::Signal => true,
        }
    }

    /// What waits for a span waits for as much of it as was left before this one passed. Deadlines are put off by themselves.
    pub(super) fn put_off_spans(&mut self, passed: Duration) {
        let later: Vec<_> = self.spans().map(|(timer, at)| (timer.clone(), at.plus(passed))).collect();
        for step in self.facts.steps.iter_mut().filter(|step| step.is_polling()) {
            step.judging.since = step.judging.since.map(|since| since.plus(passed));
        }
        for (timer, at) in later {
            self.clear_timer(&timer);
            self.touched.push(Touched::Path(timer.id.path.clone()));
            self.set_timer(timer, at);
        }
    }

    /// Whether something waits for a span, of which a run that continues this one has what is left.
    pub(crate) fn waits_for_spans(&self) -> bool {
        self.facts.steps.iter().any(StepState::is_polling) || self.spans().next().is_some()
    }

    /// The timers that wait for spans, and that a run which continues this one does not set anew.
    fn spans(&self) -> impl Iterator<Item = (&TimerId, &Timestamp)> {
        let is_set_anew =
            |kind| matches!(kind, TimerKind::Deadline | TimerKind::Timeout | TimerKind::Reminder);
        self.facts
            .timers
            .iter()
            .filter(move |(timer, _)| !is_set_anew(timer.kind) && self.counts_a_span(timer))
    }

    pub(super) fn clock_read(&mut self, event: &ClockRead) {
        let clock = event.clock;
        self.facts.clock.reading = Some(Reading { at: self.facts.last_at, clock });
        let later = self.facts.clock.set.iter().filter(|(_, set)| **set > clock);
        let later: Vec<_> = later.map(|(timer, set)| (timer.clone(), *set)).collect();
        for (timer, set) in later {
            // How much of it had passed before is unknown: it counts as a whole, from now.
            let Some(due) = self.facts.timers.get(&timer).copied() else { continue };
            self.clear_timer(&timer);
            self.touched.push(Touched::Path(timer.id.path.clone()));
            self.set_timer(timer, clock.plus(due.since(set)));
        }
        let earlier = |since: &mut Option<Timestamp>| *since = since.map(|since| since.min(clock));
        earlier(&mut self.facts.order.still_since);
        self.facts.spend.clock.set_back(clock);
        for at in &self.facts.probing {
            earlier(&mut self.facts.steps[*at].judging.since);
        }
        let polled = self.facts.timers.keys().filter(|timer| timer.kind == TimerKind::Poll);
        let polled: Vec<_> = polled.filter_map(|timer| self.key(&timer.id.path)).collect();
        for key in polled {
            earlier(&mut self.facts.steps[key.step].judging.since);
        }
    }
}
