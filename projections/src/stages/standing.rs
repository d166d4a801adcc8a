//! Where a task stands: the fold of what happened to it.
//!
//! Law: pure, and total over [`StageFact`]. What it holds is bounded by the steps of the pipeline and by what is in progress.

use std::collections::{BTreeMap, BTreeSet};

use everfold_base::id::{AttemptId, Round, StepId, StepPath};
use everfold_base::time::Timestamp;
use everfold_core::event::{TimerId, TimerKind};
use serde::{Deserialize, Serialize};

use super::parts::{
    LiveMessage, ReviewClock, SentBack, StagePause, StagePauseKind, StageWait, StageWaitKind, StageWork,
    WorkKind,
};
use super::stage_fact::{ReworkFact, StageFact};

/// Causes that are told apart at one step; further ones count as [`OTHER`].
const CAUSES_MAX: usize = 16;
const OTHER: &str = "other";

/// What a gate said last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JudgedGate {
    /// The step.
    pub step: StepId,
    /// Its gate.
    pub gate: String,
    /// The round.
    pub round: Round,
    /// Whether it passed.
    pub passed: bool,
    /// Why.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}

/// Where a task stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// The stage of the step that began last, among those that name one.
    pub stage: Option<String>,
    /// Since when it stands there.
    pub stage_since: Option<Timestamp>,
    /// The attempts that have not ended, by step.
    pub work: Vec<StageWork>,
    /// What people are asked.
    pub waits: Vec<StageWait>,
    /// How long they had each approval.
    pub reviews: BTreeMap<StepId, ReviewClock>,
    /// How many rounds each step began.
    pub rounds: BTreeMap<StepId, u32>,
    /// How many rounds of a step began for each cause: of a step with a limit, all but the first.
    pub causes: BTreeMap<StepId, BTreeMap<String, u32>>,
    /// What was sent back last.
    pub sent_back: Option<SentBack>,
    /// What a gate said last.
    pub judged: Option<JudgedGate>,
    /// The message that shows how it stands.
    pub live: Option<LiveMessage>,
    /// The run has ended.
    pub is_ended: bool,
    timers: Vec<(TimerId, Timestamp)>,
    /// Who works at a step.
    kinds: BTreeMap<StepId, WorkKind>,
    /// How the work of a step failed last.
    failures: BTreeMap<StepId, String>,
    /// What was said with the last decision.
    words: Option<(StepPath, String)>,
    /// Why the next round of a step begins.
    next_causes: BTreeMap<StepId, String>,
    /// Steps that a fork cut off, whose round begins again without being one more.
    cut_off: BTreeSet<StepId>,
}

impl Standing {
    /// Whether it goes on by itself at some moment.
    #[must_use]
    pub fn is_timed(&self) -> bool {
        !self.timers.is_empty()
    }

    /// When it goes on by itself.
    #[must_use]
    pub fn next_at(&self) -> Option<Timestamp> {
        self.timers.iter().map(|(_, at)| *at).min()
    }

    /// What goes on by itself at a moment, the next first.
    #[must_use]
    pub fn pauses(&self) -> Vec<StagePause> {
        let pause = |(timer, at): &(TimerId, Timestamp)| {
            let kind = match timer.kind {
                TimerKind::Retry => StagePauseKind::Retry,
                TimerKind::Poll => StagePauseKind::Poll,
                TimerKind::Wait => StagePauseKind::Wait,
                _bounds_something_else => return None,
            };
            let path = timer.id.path.clone();
            let why = match kind {
                StagePauseKind::Retry => self.failures.get(&path.step).cloned(),
                StagePauseKind::Poll => Some(timer.name.clone()).filter(|gate| !gate.is_empty()),
                StagePauseKind::Wait => None,
            };
            Some(StagePause { path, kind, at: *at, why })
        };
        let mut pauses: Vec<StagePause> = self.timers.iter().filter_map(pause).collect();
        pauses.sort_by_key(|pause| pause.at);
        pauses
    }

    pub(super) fn apply(&mut self, fact: &StageFact, at: Timestamp) {
        match fact {
            StageFact::Round { id, work, stage } => {
                self.enter(stage.as_deref(), at);
                if id.path.item.is_none() {
                    self.count_round(&id.path.step);
                }
                if let Some(kind) = work {
                    self.kinds.insert(id.path.step.clone(), *kind);
                    self.begin(id, at);
                }
            }
            StageFact::Retry { id, at: due } => {
                self.answered(&id.path, at, |_| true);
                if *due <= at {
                    self.begin(id, at);
                } else {
                    let timer = TimerId { id: id.clone(), kind: TimerKind::Retry, name: String::new() };
                    self.set(timer, *due);
                }
            }
            StageFact::TimerSet { timer, at: due } => self.set(timer.clone(), *due),
            StageFact::TimerFired(timer) => {
                self.timers.retain(|(known, _)| known != timer);
                match timer.kind {
                    TimerKind::Retry => self.begin(&timer.id, at),
                    TimerKind::Expiry => {
                        self.answered(&timer.id.path, at, |kind| kind != StageWaitKind::Unblock);
                    }
                    _nothing_begins => {}
                }
            }
            StageFact::Began(id) => {
                if let Some(work) = self.work.iter_mut().find(|work| work.is(id)) {
                    work.started_at = Some(at);
                }
            }
            StageFact::Over { id, failed, remark } => {
                self.work.retain(|work| !work.is(id));
                // Whoever sent it back said why in a comment, which the step that begins anew reads.
                if let (Some(sent_back), Some(remark)) = (&mut self.sent_back, remark)
                    && sent_back.to == id.path.step
                    && sent_back.gate.is_none()
                {
                    sent_back.reason = Some(remark.clone());
                }
                if let Some(failed) = failed {
                    self.failures.insert(id.path.step.clone(), failed.clone());
                }
            }
            StageFact::Closed { path, passed, ends_run } => {
                if *passed && let Some(clock) = self.reviews.get_mut(&path.step) {
                    clock.end(at);
                }
                self.close(path, at);
                if *ends_run {
                    self.withdraw(at);
                }
            }
            StageFact::Asked { path, kind, why, stage } => {
                self.enter(stage.as_deref(), at);
                self.ask(path, *kind, why.clone(), at);
            }
            StageFact::Answered { path, kind } => self.answered(path, at, |asked| asked == *kind),
            StageFact::Decided { path, approved, words } => {
                if *approved && let Some(clock) = self.reviews.get_mut(&path.step) {
                    clock.end(at);
                }
                self.words = words.clone().map(|words| (path.clone(), words));
                self.answered(path, at, |kind| kind == StageWaitKind::Approval);
            }
            StageFact::Judged { step, gate, round, passed, reason } => {
                self.judged = Some(JudgedGate {
                    step: step.clone(),
                    gate: gate.clone(),
                    round: *round,
                    passed: *passed,
                    reason: reason.clone(),
                    at,
                });
            }
            StageFact::Reworked(rework) => self.rework(rework, at),
            StageFact::Withdrawn => self.withdraw(at),
            StageFact::Ended => {
                self.withdraw(at);
                self.work.clear();
                self.is_ended = true;
            }
            StageFact::Forked { reset, stage, counts_on } => {
                self.enter(stage.as_deref(), at);
                self.fork(reset, *counts_on, at);
            }
            StageFact::Live { notice, version } => {
                self.live = Some(LiveMessage { notice: notice.clone(), version: *version });
            }
        }
    }

    fn enter(&mut self, stage: Option<&str>, at: Timestamp) {
        if let Some(stage) = stage
            && self.stage.as_deref() != Some(stage)
        {
            (self.stage, self.stage_since) = (Some(stage.to_owned()), Some(at));
        }
    }

    fn count_round(&mut self, step: &StepId) {
        if !self.cut_off.remove(step) {
            let rounds = self.rounds.entry(step.clone()).or_default();
            *rounds = rounds.saturating_add(1);
        }
        let Some(cause) = self.next_causes.remove(step) else { return };
        let causes = self.causes.entry(step.clone()).or_default();
        let is_apart = causes.len() < CAUSES_MAX || causes.contains_key(&cause);
        let count = causes.entry(if is_apart { cause } else { OTHER.to_owned() }).or_default();
        *count = count.saturating_add(1);
    }

    /// An attempt is to be done. What people are asked again has no kind, for nothing executes it.
    fn begin(&mut self, id: &AttemptId, at: Timestamp) {
        let Some(kind) = self.kinds.get(&id.path.step).copied() else { return };
        self.work.retain(|known| known.path != id.path);
        self.work.push(StageWork::of(id, kind, at));
    }

    fn set(&mut self, timer: TimerId, at: Timestamp) {
        self.timers.retain(|(known, _)| *known != timer);
        self.timers.push((timer, at));
    }

    fn ask(&mut self, path: &StepPath, kind: StageWaitKind, why: Option<String>, at: Timestamp) {
        // Asked again, it is an attempt that nothing executes.
        self.work.retain(|work| work.path != *path);
        if kind == StageWaitKind::Approval {
            let clock = ReviewClock::asked(self.reviews.get(&path.step), at);
            self.reviews.insert(path.step.clone(), clock);
        }
        self.waits.retain(|wait| wait.path != *path);
        self.waits.push(StageWait { path: path.clone(), kind, since: at, why });
    }

    /// People are not asked any more what fits.
    fn answered(&mut self, path: &StepPath, at: Timestamp, fits: impl Fn(StageWaitKind) -> bool) {
        self.unask(at, |wait| wait.path == *path && fits(wait.kind));
    }

    fn unask(&mut self, at: Timestamp, is_over: impl Fn(&StageWait) -> bool) {
        for over in self.waits.iter().filter(|wait| is_over(wait)) {
            if let Some(clock) = self.reviews.get_mut(&over.path.step) {
                clock.stop(at);
            }
        }
        self.waits.retain(|wait| !is_over(wait));
    }

    fn withdraw(&mut self, at: Timestamp) {
        self.unask(at, |_| true);
        self.timers.clear();
    }

    /// Nothing goes on at a step, or an item, any more.
    fn close(&mut self, path: &StepPath, at: Timestamp) {
        let is_part = |other: &StepPath| other == path || (path.item.is_none() && other.step == path.step);
        self.work.retain(|work| !is_part(&work.path));
        self.timers.retain(|(timer, _)| !is_part(&timer.id.path));
        self.unask(at, |wait| is_part(&wait.path));
    }

    fn rework(&mut self, rework: &ReworkFact, at: Timestamp) {
        let failure = || self.failures.get(&rework.source.step).cloned();
        let cause = rework.cause.clone().or_else(failure).unwrap_or_else(|| OTHER.to_owned());
        let has_run = |step: &&StepId| self.rounds.get(*step).is_some_and(|rounds| *rounds > 0);
        let capped: Vec<StepId> = rework.capped.iter().filter(has_run).cloned().collect();
        let counted = if capped.is_empty() { vec![rework.target.clone()] } else { capped };
        // A person who lets go on what is held sends nothing back: its round begins for what did.
        let is_release = rework.by.is_some()
            && rework.cause.is_none()
            && counted.iter().all(|step| self.next_causes.contains_key(step));
        if !is_release {
            self.next_causes.extend(counted.into_iter().map(|step| (step, cause.clone())));
            self.sent_back = Some(SentBack {
                at,
                step: rework.source.step.clone(),
                gate: rework.gate.clone(),
                by: rework.by.clone(),
                reason: self.reason(rework),
                cause,
                to: rework.target.clone(),
            });
        }
        for step in &rework.reset {
            self.cut_off.remove(step);
            self.close(&StepPath::step(step), at);
        }
    }

    /// Why something is sent back: what the gate or the person said, else what the findings say.
    fn reason(&self, rework: &ReworkFact) -> Option<String> {
        let of_gate = rework.gate.as_ref().and_then(|gate| {
            let judged = self.judged.as_ref().filter(|judged| judged.gate == *gate && !judged.passed);
            judged.map(|judged| judged.reason.clone())
        });
        let said = self.words.as_ref().filter(|(path, _)| *path == rework.source);
        let of_person = said.map(|(_, words)| words.clone());
        of_gate.or(of_person).filter(|reason| !reason.is_empty()).or_else(|| rework.findings.clone())
    }

    /// What was in progress goes on as the next attempt of this run. Of steps that begin anew nothing has been counted,
    /// but where another system began them.
    fn fork(&mut self, reset: &[StepId], counts_on: bool, at: Timestamp) {
        self.is_ended = false;
        self.live = None;
        let open = self.work.iter().map(|work| &work.path).chain(self.waits.iter().map(|wait| &wait.path));
        self.cut_off = open.filter(|path| path.item.is_none()).map(|path| path.step.clone()).collect();
        for work in &mut self.work {
            (work.attempt, work.since, work.started_at) = (work.attempt.next(), at, None);
        }
        self.unask(at, |wait| wait.kind == StageWaitKind::Budget);
        for step in reset {
            if !counts_on {
                self.rounds.remove(step);
                self.causes.remove(step);
            }
            self.next_causes.remove(step);
            self.cut_off.remove(step);
            self.close(&StepPath::step(step), at);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
    use everfold_base::id::AttemptId;

    use super::*;

    fn step(name: &str) -> StepPath {
        StepPath::step(&StepId::new(name))
    }

    fn id(text: &str) -> AttemptId {
        text.parse().unwrap()
    }

    fn asked(name: &str) -> StageFact {
        StageFact::Asked { path: step(name), kind: StageWaitKind::Approval, why: None, stage: None }
    }

    fn decided(name: &str, approved: bool, words: Option<&str>) -> StageFact {
        StageFact::Decided { path: step(name), approved, words: words.map(str::to_owned) }
    }

    fn round(text: &str, stage: &str) -> StageFact {
        StageFact::Round { id: id(text), work: Some(WorkKind::Agent), stage: Some(stage.to_owned()) }
    }

    fn rework(target: &str, source: &str, gate: Option<&str>, reset: &[&str]) -> StageFact {
        StageFact::Reworked(rework_fact(target, source, gate, reset))
    }

    fn rework_fact(target: &str, source: &str, gate: Option<&str>, reset: &[&str]) -> ReworkFact {
        ReworkFact {
            target: StepId::new(target),
            source: step(source),
            gate: gate.map(str::to_owned),
            by: None,
            cause: Some(gate.unwrap_or("rejected").to_owned()),
            findings: None,
            reset: reset.iter().map(|step| StepId::new(step)).collect(),
            capped: reset.iter().filter(|step| **step == "developer").map(|step| StepId::new(step)).collect(),
        }
    }

    /// Folds facts, each at its second.
    fn told(facts: &[(i64, StageFact)]) -> Standing {
        let mut standing = Standing::default();
        facts.iter().for_each(|(at, fact)| standing.apply(fact, Timestamp(at * 1_000)));
        standing
    }

    #[test]
    fn o055_a_review_begins_once_and_ends_once_and_only_after_it_began() {
        let twice = told(&[(10, asked("approve")), (20, asked("approve"))]);
        let clock = twice.reviews[&StepId::new("approve")];
        assert_eq!((clock.started_at, clock.open_since), (Timestamp(10_000), Some(Timestamp(10_000))));
        let ended = told(&[
            (10, asked("approve")),
            (20, decided("approve", true, None)),
            (21, StageFact::Closed { path: step("approve"), passed: true, ends_run: false }),
            (50, StageFact::Closed { path: step("approve"), passed: true, ends_run: false }),
        ]);
        let clock = ended.reviews[&StepId::new("approve")];
        assert_eq!((clock.ended_at, clock.elapsed_ms(Timestamp(90_000))), (Some(Timestamp(20_000)), 10_000));
        let never_asked =
            told(&[(5, StageFact::Closed { path: step("approve"), passed: true, ends_run: false })]);
        assert!(never_asked.reviews.is_empty(), "an end without a beginning is none, and stops nothing");
    }

    #[test]
    fn o056_an_open_review_counts_on_and_an_ended_one_stands() {
        let mut facts = vec![(10, asked("approve"))];
        let clock = |facts: &[(i64, StageFact)]| told(facts).reviews[&StepId::new("approve")];
        let open = clock(&facts);
        assert_eq!([15_000, 70_000].map(|now| open.elapsed_ms(Timestamp(now))), [5_000, 60_000]);
        facts.push((40, decided("approve", true, None)));
        let ended = clock(&facts);
        assert_eq!([45_000, 70_000].map(|now| ended.elapsed_ms(Timestamp(now))), [30_000, 30_000]);
        assert_eq!(ended.open_since, None);
    }

    #[test]
    fn o057_work_on_what_a_review_sent_back_is_no_time_of_people() {
        let facts = [
            (0, asked("approve")),
            (30, decided("approve", false, Some("section 2 is missing"))),
            (30, rework("analyst", "approve", None, &["analyst", "approve"])),
            (31, round("analyst/2/1", "analysis")),
            (1_000, StageFact::Over { id: id("analyst/2/1"), failed: None, remark: None }),
            (1_001, asked("approve")),
        ];
        let standing = told(&facts);
        let clock = standing.reviews[&StepId::new("approve")];
        assert_eq!(clock.elapsed_ms(Timestamp(1_011_000)), 40_000);
        assert_eq!((clock.started_at, clock.ended_at), (Timestamp(0), None));
        let sent_back = standing.sent_back.unwrap();
        assert_eq!(
            (sent_back.cause.as_str(), sent_back.reason.as_deref()),
            ("rejected", Some("section 2 is missing"))
        );
    }

    #[test]
    fn o070_what_is_held_after_a_failed_deploy_waits_for_a_person_in_the_stage_it_went_back_to() {
        let held = StageFact::Asked {
            path: step("developer"),
            kind: StageWaitKind::Unblock,
            why: Some("held".into()),
            stage: Some("development".into()),
        };
        let standing = told(&[
            (1, round("developer/1/1", "development")),
            (2, StageFact::Over { id: id("developer/1/1"), failed: None, remark: None }),
            (3, round("deployer/1/1", "deploy")),
            (4, StageFact::Over { id: id("deployer/1/1"), failed: Some("exit".into()), remark: None }),
            (5, rework("developer", "deployer", Some("check_deploy_status"), &["developer", "deployer"])),
            (5, held),
        ]);
        assert_eq!(standing.stage.as_deref(), Some("development"));
        assert_eq!(
            (standing.waits[0].kind, standing.waits[0].since),
            (StageWaitKind::Unblock, Timestamp(5_000))
        );
        assert!(standing.work.is_empty() && !standing.is_timed());
    }

    #[test]
    fn o090_rounds_are_counted_with_their_causes_whatever_began_anew_in_front_of_them() {
        let developer = StepId::new("developer");
        let standing = told(&[
            (1, round("developer/1/1", "development")),
            (2, rework("developer", "developer", Some("check_ci_green"), &["developer", "reviewer"])),
            (3, round("developer/2/1", "development")),
            (4, rework("why-developer", "reviewer", None, &["why-developer", "developer", "reviewer"])),
            (5, round("developer/3/1", "development")),
        ]);
        assert_eq!(standing.rounds[&developer], 3);
        let causes: Vec<_> =
            standing.causes[&developer].iter().map(|(cause, n)| (cause.as_str(), *n)).collect();
        assert_eq!(causes, [("check_ci_green", 1), ("rejected", 1)]);
    }

    #[test]
    fn o090_a_held_round_that_a_person_lets_go_on_is_counted_once_and_under_what_sent_it_back() {
        let released = ReworkFact {
            cause: None,
            by: Some("user:ada".into()),
            ..rework_fact("developer", "developer", None, &["developer"])
        };
        let developer = StepId::new("developer");
        let facts = [
            (1, round("developer/1/1", "development")),
            (2, rework("developer", "deployer", Some("check_deploy_status"), &["developer"])),
            (3, StageFact::Reworked(released)),
            (4, round("developer/2/1", "development")),
        ];
        let held = told(&facts[..2]);
        assert_eq!((held.rounds[&developer], held.causes.is_empty()), (1, true), "no round was used yet");
        let standing = told(&facts);
        assert_eq!(standing.rounds[&developer], 2);
        assert_eq!(standing.causes[&developer], [("check_deploy_status".to_owned(), 1)].into());
        assert_eq!(standing.sent_back, held.sent_back);
    }

    #[test]
    fn a_round_that_a_fork_cut_off_is_no_further_one_and_of_steps_begun_anew_none_is_counted() {
        let developer = StepId::new("developer");
        let mut facts = vec![
            (1, round("developer/1/1", "development")),
            (2, rework("developer", "reviewer", None, &["developer"])),
            (3, round("developer/2/1", "development")),
        ];
        let forked = |reset: &[&str]| {
            let reset: Vec<StepId> = reset.iter().map(|step| StepId::new(step)).collect();
            StageFact::Forked { reset, stage: None, counts_on: false }
        };
        facts.extend([(4, forked(&[])), (5, round("developer/2/1", "development"))]);
        let standing = told(&facts);
        assert_eq!((standing.rounds[&developer], standing.causes[&developer]["rejected"]), (2, 1));
        facts.extend([(6, forked(&["developer"])), (7, round("developer/3/1", "development"))]);
        let standing = told(&facts);
        assert_eq!((standing.rounds[&developer], standing.causes.get(&developer)), (1, None));
        let handed_over = StageFact::Forked { reset: vec![developer.clone()], stage: None, counts_on: true };
        facts.extend([(8, handed_over), (9, round("developer/4/1", "development"))]);
        assert_eq!(told(&facts).rounds[&developer], 2, "rounds in another system are counted on");
    }

    #[test]
    fn the_comment_that_says_why_is_read_by_the_step_that_begins_anew() {
        let remark = Some("wrong colour".to_owned());
        let standing = told(&[
            (1, rework("why-developer", "reviewer", None, &["why-developer"])),
            (2, round("why-developer/2/1", "development")),
            (3, StageFact::Over { id: id("why-developer/2/1"), failed: None, remark }),
        ]);
        assert_eq!(standing.sent_back.unwrap().reason.as_deref(), Some("wrong colour"));
    }

    #[test]
    fn what_waits_before_it_is_tried_again_says_until_when_and_why() {
        let mut facts = vec![
            (1, round("developer/1/1", "development")),
            (
                2,
                StageFact::Over {
                    id: id("developer/1/1"),
                    failed: Some("RATE_LIMITED".into()),
                    remark: None,
                },
            ),
            (2, StageFact::Retry { id: id("developer/1/2"), at: Timestamp(32_000) }),
        ];
        let [pause] = told(&facts).pauses().try_into().unwrap();
        assert_eq!(
            (pause.path, pause.kind, pause.at),
            (step("developer"), StagePauseKind::Retry, Timestamp(32_000))
        );
        assert_eq!(pause.why.as_deref(), Some("RATE_LIMITED"));
        let timer = TimerId { id: id("developer/1/2"), kind: TimerKind::Retry, name: String::new() };
        facts.push((32, StageFact::TimerFired(timer)));
        assert_eq!(told(&facts).pauses(), []);
    }

    #[test]
    fn what_waits_for_a_timer_goes_on_by_itself_until_its_step_is_closed() {
        let timer = TimerId { id: id("ci/1/1"), kind: TimerKind::Poll, name: "green".into() };
        let mut facts = vec![(1, StageFact::TimerSet { timer, at: Timestamp(11_000) })];
        assert_eq!(told(&facts).next_at(), Some(Timestamp(11_000)));
        facts.push((2, StageFact::Closed { path: step("ci"), passed: false, ends_run: false }));
        assert!(!told(&facts).is_timed());
    }
}
