//! The read model `audit`: where decisions stand in the log, by what they are.
//!
//! Law: it holds places, not evidence: the decision, its object and its actor are read from the event itself,
//! so the model cannot contradict it. Decisions of copied histories are their origins'.

use std::borrow::Cow;
use std::ops::ControlFlow;

use everfold_base::actor::Actor;
use everfold_base::id::{Position, RunId, Version};
use everfold_core::event::RunEvent;
use everfold_core::policy::Verdict;
use serde::{Deserialize, Serialize};

use crate::decision::{DecisionType, actor_of, is_decision, type_of};
use crate::event_readers::{PIPELINES, RECHECKS, is_read_by, passed_over};
use crate::index::bitmap_index::{TermChanges, term};
use crate::index::predicate::Predicate;
use crate::open_runs::OpenRuns;
use crate::projection::{Fact, FoldError, Projection};
use crate::rechecks::{OpenRechecks, RecheckPlace};
use crate::row_codec;
use crate::snapshot::{KeyReader as _, ReadSnapshot};
use crate::write_batch::WriteBatch;

const ACTOR: u8 = b'a';
const GATE: u8 = b'g';
/// Of all kinds but verdicts of gates, which their [`VERDICT`] tells.
const KIND: u8 = b'k';
const VERDICT: u8 = b'v';
const PIPELINE: u8 = b'p';
const RUN: u8 = b'u';
const HEAD: &[u8] = b"H";
/// Places in one value.
const BLOCK: u32 = 64;

/// Where a decision stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DecisionPlace {
    /// Its run.
    pub run: RunId,
    /// The event's place in the run.
    pub version: Version,
    /// The event's place in the store.
    pub position: Position,
    /// The recheck that it fails to judge, or displaces.
    pub about: Option<RecheckPlace>,
}

/// Which verdicts of gates are wanted; all conditions must hold.
#[derive(Debug, Clone, Default)]
pub struct GateFilter {
    /// With this verdict.
    pub verdict: Option<Verdict>,
    /// Of the gates of this name.
    pub gate: Option<String>,
    /// Of runs of this pipeline.
    pub pipeline: Option<String>,
    /// Behind this position.
    pub since: Option<Position>,
    /// At this position or before it.
    pub until: Option<Position>,
}

/// Which decisions are wanted; all conditions must hold.
#[derive(Debug, Clone, Default)]
pub struct DecisionFilter {
    /// Of one of these kinds, of any where there are none. [`DecisionType::Override`] finds every decision that a person
    /// put in the place of the pipeline's own: also a recheck by other policies.
    pub kinds: Vec<DecisionType>,
    /// By one of these actors, by any where there are none.
    pub actor: Vec<Actor>,
    /// A verdict of the gates of one of these names, a recheck of one that could not be judged, or a rework that one of
    /// them ordered; any where there are none.
    pub gate: Vec<String>,
    /// A verdict of a gate, one of these; any decision where there are none.
    pub verdict: Vec<Verdict>,
    /// Of runs of one of these pipelines, of any where there are none.
    pub pipeline: Vec<String>,
    /// Of one of these runs, of any where there are none.
    pub run: Vec<RunId>,
    /// Behind this position.
    pub since: Option<Position>,
    /// At this position or before it.
    pub until: Option<Position>,
}

/// Part of a list of decisions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DecisionPage {
    /// Where they stand; newest first.
    pub items: Vec<DecisionPlace>,
    /// Where the next part begins, if there is one.
    pub next: Option<u64>,
}

/// The read model `audit`.
#[derive(Default)]
pub struct AuditModel {
    count: u32,
    is_count_changed: bool,
    /// What is known of runs that go on.
    open: OpenRuns<AuditedRun>,
    /// What is indexed of decisions that were not yet shown.
    terms: TermChanges,
}

/// What decisions of a run need that their events do not say.
#[derive(Serialize, Deserialize)]
struct AuditedRun {
    pipeline: String,
    rechecks: OpenRechecks,
}

impl AuditedRun {
    fn of(pipeline: &str) -> Self {
        Self { pipeline: pipeline.to_owned(), rechecks: OpenRechecks::default() }
    }
}

/// The read model `audit`, to be asked.
pub struct AuditView<'a> {
    snapshot: ReadSnapshot<'a>,
    count: u32,
}

fn block_key(block: u32) -> [u8; 5] {
    let [a, b, c, d] = block.to_be_bytes();
    [b'd', a, b, c, d]
}

fn count(head: Option<Cow<'_, [u8]>>) -> Result<u32, FoldError> {
    head.map_or(Ok(0), |bytes| row_codec::read(&mut &*bytes))
}

fn run_text(run: RunId) -> String {
    run.0.simple().to_string()
}

fn with_verdict(verdict: Verdict) -> Predicate {
    Predicate::Term(term(VERDICT, verdict.as_str()))
}

fn with_any_verdict() -> Predicate {
    let all = [Verdict::Pass, Verdict::Fail, Verdict::Pending, Verdict::Skipped];
    Predicate::Any(all.map(with_verdict).to_vec())
}

fn of_kind(kind: DecisionType) -> Predicate {
    match kind {
        DecisionType::Gate => with_any_verdict(),
        other => Predicate::Term(term(KIND, other.as_str())),
    }
}

impl AuditModel {
    /// Indexes what a decision says of itself. A decision never changes, so its terms only grow.
    fn index(&mut self, number: u32, kind: DecisionType, fact: &Fact<'_>) {
        self.terms.add(RUN, &run_text(fact.run), number);
        let actor = actor_of(fact.event).unwrap_or(&fact.context.actor);
        self.terms.add(ACTOR, &actor.to_string(), number);
        match fact.event {
            RunEvent::GateEvaluated(event) => {
                self.terms.add(GATE, &event.gate, number);
                self.terms.add(VERDICT, event.verdict.as_str(), number);
                return;
            }
            RunEvent::ReworkRequested(event) => {
                if let Some(gate) = &event.source.gate {
                    self.terms.add(GATE, gate, number);
                }
            }
            RunEvent::ProbeFailed(event) => self.terms.add(GATE, &event.gate, number),
            RunEvent::RecheckRequested(event) if !event.policies.is_empty() => {
                self.terms.add(KIND, DecisionType::Override.as_str(), number);
            }
            _ => {}
        }
        self.terms.add(KIND, kind.as_str(), number);
    }

    /// The recheck that an event fails to judge, or displaces.
    fn recheck(&mut self, fact: &Fact<'_>, batch: &WriteBatch) -> Result<Option<RecheckPlace>, FoldError> {
        if !is_read_by(fact.event, RECHECKS) {
            return Ok(None);
        }
        let is_asked = matches!(fact.event, RunEvent::RecheckRequested(_) | RunEvent::RunUnblocked(_));
        // A run without a recheck, which most are, is not written again.
        if !is_asked && self.open.get(fact.run, batch)?.is_none_or(|open| open.rechecks.is_empty()) {
            return Ok(None);
        }
        let open = self.open.change(fact.run, batch)?;
        Ok(open.and_then(|open| open.rechecks.take(fact.event, fact.context.version)))
    }
}

impl<'a> AuditView<'a> {
    pub(crate) fn new(snapshot: ReadSnapshot<'a>) -> Result<Self, FoldError> {
        let count = count(snapshot.get(HEAD)?)?;
        Ok(Self { snapshot, count })
    }

    /// Verdicts of gates, newest first, at most `limit` from `cursor` on.
    ///
    /// # Errors
    /// The read model cannot be read.
    pub fn gates(
        &self,
        filter: &GateFilter,
        cursor: Option<u64>,
        limit: usize,
    ) -> Result<DecisionPage, FoldError> {
        let mut all = vec![filter.verdict.map_or_else(with_any_verdict, with_verdict)];
        all.extend(filter.gate.iter().map(|gate| Predicate::Term(term(GATE, gate))));
        all.extend(filter.pipeline.iter().map(|name| Predicate::Term(term(PIPELINE, name))));
        self.newest(all, (filter.since, filter.until), cursor, limit)
    }

    /// Decisions of all kinds, newest first, at most `limit` from `cursor` on.
    ///
    /// # Errors
    /// The read model cannot be read.
    pub fn decisions(
        &self,
        filter: &DecisionFilter,
        cursor: Option<u64>,
        limit: usize,
    ) -> Result<DecisionPage, FoldError> {
        let term = |kind, text: &str| Predicate::Term(term(kind, text));
        let all = [
            Predicate::one_of(&filter.kinds, |kind| of_kind(*kind)),
            Predicate::one_of(&filter.verdict, |verdict| with_verdict(*verdict)),
            Predicate::one_of(&filter.actor, |actor| term(ACTOR, &actor.to_string())),
            Predicate::one_of(&filter.gate, |gate| term(GATE, gate)),
            Predicate::one_of(&filter.pipeline, |name| term(PIPELINE, name)),
            Predicate::one_of(&filter.run, |run| term(RUN, &run_text(*run))),
        ];
        let all = all.into_iter().flatten().collect();
        self.newest(all, (filter.since, filter.until), cursor, limit)
    }

    /// What is true of all of these, behind one position and until another.
    fn newest(
        &self,
        all: Vec<Predicate>,
        (since, until): (Option<Position>, Option<Position>),
        cursor: Option<u64>,
        limit: usize,
    ) -> Result<DecisionPage, FoldError> {
        let last = u32::try_from(cursor.unwrap_or(u64::MAX)).unwrap_or(u32::MAX).saturating_add(1);
        let until = match until {
            Some(until) => self.known_by(until)?,
            None => self.count,
        };
        let first = since.map_or(Ok(0), |since| self.known_by(since))?;
        self.page(&Predicate::All(all), first..until.min(last), true, limit)
    }

    /// Every decision of a run, oldest first.
    ///
    /// # Errors
    /// The read model cannot be read.
    pub fn of_run(&self, run: RunId) -> Result<Vec<DecisionPlace>, FoldError> {
        let condition = Predicate::Term(term(RUN, &run_text(run)));
        Ok(self.page(&condition, 0..self.count, false, usize::MAX)?.items)
    }

    fn page(
        &self,
        condition: &Predicate,
        numbers: std::ops::Range<u32>,
        newest: bool,
        limit: usize,
    ) -> Result<DecisionPage, FoldError> {
        let (mut found, mut next) = (Vec::new(), None);
        condition.walk(&self.snapshot, numbers, newest, |number| {
            if found.len() == limit {
                next = Some(u64::from(number));
                return Ok(ControlFlow::Break(()));
            }
            found.push(number);
            Ok(ControlFlow::Continue(()))
        })?;
        let mut items = Vec::with_capacity(found.len());
        let mut block: (Option<u32>, Vec<DecisionPlace>) = (None, Vec::new());
        for number in found {
            if block.0 != Some(number / BLOCK) {
                block = (Some(number / BLOCK), self.block(number / BLOCK)?);
            }
            items.extend(block.1.get((number % BLOCK) as usize).copied());
        }
        Ok(DecisionPage { items, next })
    }

    fn block(&self, block: u32) -> Result<Vec<DecisionPlace>, FoldError> {
        let bytes = self.snapshot.get(&block_key(block))?.unwrap_or_default();
        let (mut bytes, mut places) = (&*bytes, Vec::new());
        while !bytes.is_empty() {
            places.push(row_codec::read(&mut bytes)?);
        }
        Ok(places)
    }

    /// How many decisions were known at a position.
    fn known_by(&self, at: Position) -> Result<u32, FoldError> {
        let (mut from, mut to) = (0, self.count.div_ceil(BLOCK));
        while from < to {
            let middle = u32::midpoint(from, to);
            let first = self.block(middle)?.first().map_or(Position(u64::MAX), |place| place.position);
            if first <= at { from = middle + 1 } else { to = middle }
        }
        let Some(block) = from.checked_sub(1) else { return Ok(0) };
        let within = self.block(block)?.iter().take_while(|place| place.position <= at).count();
        Ok(block * BLOCK + within as u32)
    }
}

impl Projection for AuditModel {
    const NAME: &'static str = "audit";
    const SCHEMA: u32 = 8;

    fn handles(event: &RunEvent) -> bool {
        is_read_by(event, PIPELINES | RECHECKS) || is_decision(event)
    }

    fn open(batch: &WriteBatch) -> Result<Self, FoldError> {
        Ok(Self { count: count(batch.get(HEAD)?)?, ..Self::default() })
    }

    fn apply(&mut self, fact: &Fact<'_>, batch: &mut WriteBatch) -> Result<(), FoldError> {
        match fact.event {
            RunEvent::RunStarted(event) => self.open.begin(fact.run, AuditedRun::of(&event.pipeline)),
            RunEvent::RunForked(_) => {
                for copied in fact.taken_over() {
                    if let RunEvent::RunStarted(event) = copied.event {
                        self.open.begin(fact.run, AuditedRun::of(&event.pipeline));
                    }
                }
            }
            RunEvent::RunSucceeded(_) | RunEvent::RunFailed(_) | RunEvent::RunCancelled(_) => {
                self.open.end(fact.run, batch)?;
            }
            other => passed_over(other, PIPELINES),
        }
        let about = self.recheck(fact, batch)?;
        let Some(kind) = type_of(fact.event) else { return Ok(()) };
        if kind == DecisionType::Unjudged && about.is_none() {
            return Ok(());
        }
        let number = self.count;
        self.count += 1;
        self.is_count_changed = true;
        let (run, version, position) = (fact.run, fact.context.version, fact.position);
        let place = DecisionPlace { run, version, position, about };
        row_codec::write(batch.entry(&block_key(number / BLOCK))?, &place)?;
        self.index(number, kind, fact);
        if let Some(open) = self.open.get(fact.run, batch)? {
            self.terms.add(PIPELINE, &open.pipeline, number);
        }
        Ok(())
    }

    fn publish(&mut self, batch: &mut WriteBatch) -> Result<(), FoldError> {
        self.terms.flush(batch)?;
        if std::mem::take(&mut self.is_count_changed) {
            batch.put(HEAD, row_codec::encode(&self.count)?);
        }
        Ok(())
    }

    fn settle(&mut self, batch: &mut WriteBatch) -> Result<(), FoldError> {
        self.open.settle(batch)
    }

    fn unsettled(&self) -> usize {
        self.open.unsettled()
    }

    fn trim(&mut self) {
        self.open.trim();
    }
}
