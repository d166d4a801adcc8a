//! The rounds of a run's steps: what ran, how it ended, what its gates said, what came of it and what it cost.
//!
//! Law: folded from the run's events alone. A copied history counts, because what was decided there is what the run goes
//! on from.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use everfold_base::envelope::Envelope;
use everfold_base::failure::{Failure, FailureKind};
use everfold_base::id::{AttemptId, Round, StepId, StepPath, Version};
use everfold_base::json::{Hash, JsonText, Payload};
use everfold_base::time::Timestamp;
use everfold_core::event::{self, RunEvent, ScheduledWork, SignalTaker, SkipReason, TimerKind};
use everfold_core::policy::{Verdict, forget_place};
use everfold_language::definition::Vote;

use crate::event_readers::{ROUNDS, passed_over};

/// A round of a step, or of an item of one.
#[derive(Debug, Clone, PartialEq)]
pub struct RoundRow {
    /// The step, or an item of it.
    pub step: String,
    /// The round.
    pub round: Round,
    /// The event that began it, or ended it where it never began.
    pub version: Version,
    /// When that was recorded.
    pub began_at: Timestamp,
    /// How it ended, or that it is blocked; none: it goes on.
    pub end: Option<RoundEnd>,
    /// Whether its work was to begin. A round that was passed over never began.
    pub began: bool,
    /// Why it was passed over.
    pub skipped: Option<SkipReason>,
    /// The event of each attempt's beginning.
    pub attempts: Vec<Version>,
    /// The hash of what its first attempt was given to do.
    pub work: Option<Hash>,
    /// What came of it.
    pub output: Option<RoundOutput>,
    /// How the newest of its attempts that failed did so, or the round itself.
    pub failure: Option<Failure>,
    /// The newest verdict of each gate.
    pub gates: BTreeMap<String, RoundVerdict>,
    /// Cost in millionths of a US dollar.
    pub cost_micros: u64,
}

/// How a round ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoundEnd {
    /// How.
    pub kind: RoundEndKind,
    /// The event.
    pub version: Version,
    /// When.
    pub at: Timestamp,
}

/// The ways in which a round ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoundEndKind {
    /// The step succeeded.
    Succeeded,
    /// The step failed.
    Failed,
    /// It never began.
    Skipped,
    /// It was ended with its run, or by a person.
    Cancelled,
    /// The step was sent back, and began anew.
    Reworked,
    /// A person has to decide; the round has not ended.
    Blocked,
}

impl RoundEndKind {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
            Self::Cancelled => "cancelled",
            Self::Reworked => "reworked",
            Self::Blocked => "blocked",
        }
    }
}

/// What came of a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoundOutput {
    /// The hash of the value.
    pub hash: Hash,
    /// The event that says it.
    pub version: Version,
}

/// What a gate said of a round.
#[derive(Debug, Clone, PartialEq)]
pub struct RoundVerdict {
    /// What it said.
    pub verdict: Verdict,
    /// Why.
    pub reason: String,
    /// The hash of the evidence.
    pub evidence: Hash,
    /// The hash of the policy.
    pub policy: Hash,
    /// The event.
    pub version: Version,
}

/// The rounds of one run, folded event by event.
#[derive(Debug, Clone, Default)]
pub struct RoundsOfRun {
    rows: Vec<RoundRow>,
    places: HashMap<(StepPath, Round), usize>,
    /// The newest round of each step and item.
    newest: HashMap<StepPath, usize>,
    /// The newest rounds of items that began anew in a fork: a retry may keep what they did.
    former: HashMap<(StepPath, Round), RoundRow>,
    /// Steps of which an item began.
    expanded: HashSet<StepId>,
    last_at: Option<Timestamp>,
    /// Where the run was forked, and how long nothing had happened there before.
    forks: Vec<(Version, Duration)>,
}

impl RoundsOfRun {
    /// Folds the run's next event. One that cannot be read is passed over.
    pub fn fold(&mut self, envelope: &Envelope) {
        let header = &envelope.header;
        if let Ok(event) = event::decode(header.kind, header.schema, &envelope.payload) {
            self.apply(&event, header.version, header.recorded_at);
        }
        self.last_at = Some(header.recorded_at);
    }

    /// How much of the time between two events of a fork lies between the end of its copied history and the fork itself:
    /// nothing of the run went on then.
    #[must_use]
    pub fn idle(&self, from: Version, to: Version) -> Duration {
        let within = self.forks.iter().filter(|(at, _)| *at > from && *at <= to);
        within.map(|(_, idle)| *idle).sum()
    }

    /// The rounds, in the order in which they began.
    #[must_use]
    pub fn rows(&self) -> &[RoundRow] {
        &self.rows
    }

    fn row(&mut self, path: &StepPath, round: Round, version: Version, at: Timestamp) -> &mut RoundRow {
        let next = self.rows.len();
        let place = *self.places.entry((path.clone(), round)).or_insert(next);
        if place == next {
            self.newest.insert(path.clone(), place);
            self.rows.push(RoundRow {
                step: path.to_string(),
                round,
                version,
                began_at: at,
                end: None,
                began: false,
                skipped: None,
                attempts: Vec::new(),
                work: None,
                output: None,
                failure: None,
                gates: BTreeMap::new(),
                cost_micros: 0,
            });
        }
        &mut self.rows[place]
    }

    fn known(&mut self, id: &AttemptId) -> Option<&mut RoundRow> {
        let place = *self.places.get(&(id.path.clone(), id.round))?;
        self.rows.get_mut(place)
    }

    /// The round that an end is of. A step that does not begin ends by the number of its round before: 0, or that of a
    /// round which was over already.
    fn round_of(&self, path: &StepPath, round: Round, kind: RoundEndKind) -> Round {
        let former = self.places.get(&(path.clone(), round)).and_then(|at| self.rows.get(*at));
        let is_over = former.and_then(|row| row.end).is_some_and(|end| match end.kind {
            RoundEndKind::Reworked => true,
            RoundEndKind::Blocked => false,
            _over => matches!(kind, RoundEndKind::Skipped | RoundEndKind::Cancelled),
        });
        if round == Round(0) || is_over { round.next() } else { round }
    }

    fn end(&mut self, path: &StepPath, round: Round, end: RoundEnd, failure: Option<&Failure>) {
        let round = self.round_of(path, round, end.kind);
        let has_items = path.item.is_none() && self.expanded.contains(&path.step);
        let row = self.row(path, round, end.version, end.at);
        row.end = Some(end);
        row.began |= has_items;
        if let Some(failure) = failure {
            row.failure = Some(failure.clone());
        }
    }

    fn output(&mut self, id: &AttemptId, hash: Hash, version: Version) {
        if let Some(row) = self.known(id) {
            row.output = Some(RoundOutput { hash, version });
        }
    }

    /// An item that succeeds has no event of its own beside the one that ends its work, or what it waits for.
    fn item_succeeded(&mut self, id: &AttemptId, end: RoundEnd) {
        if id.path.item.is_some()
            && let Some(row) = self.known(id)
        {
            row.end = Some(end);
        }
    }

    /// Drops the rounds of steps that begin anew in a fork: they count from one again.
    fn forget(&mut self, reset: &[StepId]) {
        if reset.is_empty() {
            return;
        }
        let is_kept = |path: &StepPath| !reset.contains(&path.step);
        let mut at: Vec<(usize, (StepPath, Round))> =
            self.places.drain().map(|(key, place)| (place, key)).collect();
        at.sort_unstable_by_key(|(place, _)| *place);
        let rows = std::mem::take(&mut self.rows);
        self.newest.clear();
        for (row, (_, (path, round))) in rows.into_iter().zip(at) {
            if !is_kept(&path) {
                if path.item.is_some() {
                    self.former.insert((path, round), row);
                }
                continue;
            }
            let place = self.rows.len();
            self.newest.insert(path.clone(), place);
            self.places.insert((path, round), place);
            self.rows.push(row);
        }
        self.expanded.retain(|step| !reset.contains(step));
    }

    fn failed(&mut self, id: &AttemptId, failure: Failure) {
        if let Some(row) = self.known(id) {
            row.failure = Some(failure);
        }
    }

    fn apply(&mut self, event: &RunEvent, version: Version, at: Timestamp) {
        let end = |kind| RoundEnd { kind, version, at };
        match event {
            RunEvent::RunForked(event) => {
                self.forget(&event.reset);
                if let Some(last) = self.last_at {
                    self.forks.push((version, at.since(last)));
                }
            }
            RunEvent::StepScheduled(event) => {
                if event.id.path.item.is_some() {
                    self.expanded.insert(event.id.path.step.clone());
                }
                let row = self.row(&event.id.path, event.id.round, version, at);
                if !row.began {
                    // It was passed over in the history that a fork copied.
                    (row.version, row.began_at, row.skipped) = (version, at, None);
                }
                (row.began, row.end) = (true, None);
                row.attempts.push(version);
                match &event.work {
                    ScheduledWork::Task(task) => row.work = Some(task.task.hash()),
                    // The work and the output are those of the attempt that did the item.
                    ScheduledWork::Kept(kept) => {
                        let done = (kept.id.path.clone(), kept.id.round);
                        let before = self.places.get(&done).and_then(|at| self.rows.get(*at));
                        let is_done = |row: &&RoundRow| row.version < version;
                        let found = before.filter(is_done).or_else(|| self.former.get(&done));
                        let found = found.map(|row| (row.work, row.output));
                        if let (Some(row), Some(found)) = (self.known(&event.id), found) {
                            (row.work, row.output) = found;
                        }
                    }
                    ScheduledWork::Items
                    | ScheduledWork::Approval
                    | ScheduledWork::Wait
                    | ScheduledWork::Gates
                    | ScheduledWork::Question => {}
                }
            }
            RunEvent::RetryScheduled(event) => {
                if let Some(row) = self.known(&event.id) {
                    row.end = None;
                    row.attempts.push(version);
                }
            }
            RunEvent::AttemptSucceeded(event) => {
                self.output(&event.id, event.output.hash(), version);
                self.item_succeeded(&event.id, end(RoundEndKind::Succeeded));
            }
            RunEvent::AttemptFailed(event) => self.failed(&event.id, event.failure.clone()),
            RunEvent::AttemptLost(event) => {
                self.failed(&event.id, Failure::new(FailureKind::Lost, event.reason.clone()));
            }
            RunEvent::ChildFinished(event) => {
                self.output(&event.id, event.output.hash(), version);
                match &event.failure {
                    Some(failure) => self.failed(&event.id, failure.clone()),
                    None => self.item_succeeded(&event.id, end(RoundEndKind::Succeeded)),
                }
            }
            RunEvent::ApprovalDecided(event) => {
                let decision = JsonText::new(&serde_json::json!(event.decision));
                self.output(&event.id, decision.hash(), version);
                if event.decision == Vote::Approve {
                    self.item_succeeded(&event.id, end(RoundEndKind::Succeeded));
                }
            }
            RunEvent::QuestionAnswered(event) => {
                self.output(&event.id, event.answer.hash(), version);
                self.item_succeeded(&event.id, end(RoundEndKind::Succeeded));
            }
            RunEvent::TimerFired(event) => {
                if event.timer.kind == TimerKind::Wait {
                    self.item_succeeded(&event.timer.id, end(RoundEndKind::Succeeded));
                }
            }
            RunEvent::SignalTaken(event) => {
                if let SignalTaker::Wait(id) = &event.by {
                    self.item_succeeded(id, end(RoundEndKind::Succeeded));
                }
            }
            RunEvent::GateEvaluated(event) => {
                if let Some(row) = self.known(&event.id) {
                    let verdict = RoundVerdict {
                        verdict: event.verdict,
                        reason: event.reason.clone(),
                        evidence: found_hash(&event.evidence),
                        policy: event.policy_hash,
                        version,
                    };
                    row.gates.insert(event.gate.clone(), verdict);
                }
            }
            RunEvent::UsageRecorded(event) => {
                if let Some(row) = self.known(&event.id) {
                    row.cost_micros = event.added_to(row.cost_micros);
                }
            }
            RunEvent::StepSucceeded(event) => {
                self.end(&event.path, event.round, end(RoundEndKind::Succeeded), None);
            }
            RunEvent::StepFailed(event) => {
                self.end(&event.path, event.round, end(RoundEndKind::Failed), Some(&event.failure));
            }
            RunEvent::StepSkipped(event) => {
                self.end(&event.path, event.round, end(RoundEndKind::Skipped), None);
                if let Some(row) = self.newest.get(&event.path).and_then(|at| self.rows.get_mut(*at)) {
                    row.skipped = Some(event.reason);
                }
            }
            RunEvent::StepCancelled(event) => {
                self.end(&event.path, event.round, end(RoundEndKind::Cancelled), None);
            }
            RunEvent::StepBlocked(event) => {
                self.end(&event.path, event.round, end(RoundEndKind::Blocked), None);
            }
            RunEvent::RunUnblocked(event) => {
                let row = self.newest.get(&event.unblocked.path).and_then(|at| self.rows.get_mut(*at));
                if let Some(row) = row.filter(|row| row.end.is_some_and(|end| is_blocked(&end))) {
                    row.end = None;
                }
            }
            RunEvent::ReworkRequested(event) => {
                let reset = self.newest.iter().filter(|(path, _)| event.reset.contains(&path.step));
                for place in reset.map(|(_, place)| *place).collect::<Vec<_>>() {
                    if let Some(row) = self.rows.get_mut(place)
                        && row.end.as_ref().is_none_or(is_blocked)
                    {
                        row.end = Some(end(RoundEndKind::Reworked));
                    }
                }
            }
            other => passed_over(other, ROUNDS),
        }
    }
}

/// The hash of what was found. Evidence that a fork took over names the event that it stands in, and is the same as there;
/// of a large one, which is a blob, that is not seen.
fn found_hash(evidence: &Payload) -> Hash {
    let inline = evidence.text().filter(|text| text.as_str().contains(r#""recorded":{"#));
    let Some(mut found) = inline.map(JsonText::value) else { return evidence.hash() };
    forget_place(&mut found);
    JsonText::new(&found).hash()
}

fn is_blocked(end: &RoundEnd) -> bool {
    end.kind == RoundEndKind::Blocked
}
