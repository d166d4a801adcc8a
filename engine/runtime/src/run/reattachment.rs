//! What a recovered run does first: it waits for the reports of its re-attached attempts.
//!
//! Law (D6): results of attempts that ended while the engine was down are recorded in the order in
//! which the work ended, and before timers that came due meanwhile.

use std::collections::HashSet;

use crate::messages::Queued;
use crate::shard::timers::TimerKey;
use everfold_base::id::AttemptId;
use everfold_base::time::Timestamp;

/// A recovered run that waits for reports.
pub(crate) struct Reattachment {
    awaited: HashSet<AttemptId>,
    /// Those of them whose executor said that they began: they live, or their report is on its way.
    living: HashSet<AttemptId>,
    reports: Vec<(Timestamp, Vec<Queued>)>,
    timers: Vec<Queued>,
    /// The timer at which it stops waiting.
    pub(crate) until: TimerKey,
}

impl Reattachment {
    pub(crate) fn new(awaited: HashSet<AttemptId>, until: TimerKey) -> Self {
        Self { awaited, living: HashSet::new(), reports: Vec::new(), timers: Vec::new(), until }
    }

    /// An attempt began. True when all awaited attempts have.
    pub(crate) fn lives(&mut self, attempt: &AttemptId) -> bool {
        if self.awaited.contains(attempt) {
            self.living.insert(attempt.clone());
        }
        self.living.len() == self.awaited.len()
    }

    pub(crate) fn report(&mut self, attempt: &AttemptId, ended_at: Timestamp, inputs: Vec<Queued>) {
        self.awaited.remove(attempt);
        self.living.remove(attempt);
        self.reports.push((ended_at, inputs));
    }

    pub(crate) fn timer(&mut self, input: Queued) {
        self.timers.push(input);
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.awaited.is_empty()
    }

    /// Everything held back, in the order in which it is to be decided.
    pub(crate) fn into_inputs(mut self) -> impl Iterator<Item = Queued> {
        self.reports.sort_by_key(|(ended_at, _)| *ended_at);
        self.reports.into_iter().flat_map(|(_, inputs)| inputs).chain(self.timers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use everfold_base::id::InputId;
    use everfold_core::input::InputKind;

    #[test]
    fn d6_results_go_by_their_end_and_before_timers() {
        let input = |name: &str| Queued::own(InputId::derive(name), InputKind::Advance);
        let attempt: AttemptId = "build/1/1".parse().unwrap();
        let mut settling = Reattachment::new(HashSet::new(), (Timestamp(0), 0));
        settling.timer(input("timer"));
        settling.report(&attempt, Timestamp(20), vec![input("late usage"), input("late")]);
        settling.report(&attempt, Timestamp(10), vec![input("early")]);
        let order: Vec<_> = settling.into_inputs().map(|queued| queued.id).collect();
        let wanted = ["early", "late usage", "late", "timer"].map(InputId::derive);
        assert_eq!(order, wanted);
    }
}
