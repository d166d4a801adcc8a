//! The budget allocator: its state, how it answers each request, and the answers that it sends to runs.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::ops::ControlFlow;
use std::sync::Arc;

use crate::error::SubmitError;
use crate::messages::Queued;
use crate::retry::{BUSY_AGAIN, FAILED_AGAIN};
use crate::runtime::Runtime;
use crate::streams::actor::{ActorInbox, Incoming, StreamActor};
use crate::streams::budgets::compare::compare;
use crate::streams::budgets::counter_stream::CounterStream;
use crate::streams::budgets::limit_change::BudgetError;
use crate::streams::budgets::mailbox::{BudgetRequest, FundsWait};
use crate::streams::stream_writer::StreamError;
use everfold_base::envelope::StreamId;
use everfold_base::id::{EffectId, InputId, RunId, Version};
use everfold_base::time::Timestamp;
use everfold_core::budgets::{
    Charge, Counter, CounterInput, FundsRequest, Raise, decide, stream, waits_for_running,
};
use everfold_core::event::{
    BudgetReading, BudgetRefusal, BudgetTerms, FundsAnswered, Measure, SpendReported, Spent,
};
use everfold_core::input::InputKind;
pub use everfold_core::state::spend::SpendReport;
use everfold_language::words::OnOver;

/// How often a counter whose stream changed meanwhile is loaded anew and decided on again.
const TRIES: u32 = 5;
/// Counters that stay in memory.
const COUNTERS_MAX: usize = 1_000;

/// The budget allocator: keeps the counters.
pub(crate) struct BudgetAllocator {
    pub(super) shared: Arc<Runtime>,
    /// Tasks end with a request whose pause is over, or with nothing.
    inbox: ActorInbox<BudgetRequest, Option<RetriedRequest>>,
    counters: HashMap<StreamId, CounterStream>,
    /// How often a counter was used: the clock by which the least recently used one makes room.
    uses: u64,
    /// Attempts for which there was no room, in the order in which they asked.
    waiting: VecDeque<WaitingAttempt>,
    /// Answers so far: each is an input of its own, also beside those of a former engine.
    answers: u64,
    /// A drawn id: it makes the ids of this engine's answers differ from those of a former engine.
    life: uuid::Uuid,
    /// Counters that were compared with the runs that hold reservations in them.
    compared: HashSet<StreamId>,
    /// Counters that are compared again before long: a run could not be looked at.
    half_compared: HashSet<StreamId>,
    /// Attempts that a comparison with their runs found ended. What they asked for before is void; their run's report
    /// is still to come.
    found_over: HashSet<EffectId>,
    /// The last pause of each attempt's request. A request that came anew meanwhile, or whose attempt is over, is not
    /// tried again.
    put_off: HashMap<EffectId, u64>,
    pauses: u64,
}

/// A request that is tried again after a pause.
pub(crate) struct RetriedRequest {
    request: BudgetRequest,
    nth: u64,
}

struct WaitingAttempt {
    attempt: EffectId,
    terms: Vec<BudgetTerms>,
    /// Its run knows that there is no room.
    is_informed: bool,
}

/// What comes of asking for an attempt.
enum AskedFunds {
    Reserved,
    /// Only what is reserved for work that runs is in the way of it, in a budget that ends work when it is used up. Nothing
    /// is ended by that: the run hears when there is room, or the budget is used up.
    Awaited,
    Refused(BudgetRefusal),
}

impl StreamActor for BudgetAllocator {
    type Event = Incoming<BudgetRequest, Option<RetriedRequest>>;

    async fn next(&mut self) -> Self::Event {
        self.inbox.next().await
    }

    fn retry(event: &Self::Event) -> Option<Self::Event> {
        match event {
            // Its caller is told, and may ask again.
            Incoming::Request(BudgetRequest::SetOwnLimit(..) | BudgetRequest::Waiting(_)) => None,
            Incoming::Request(request) | Incoming::Ended(Some(RetriedRequest { request, .. })) => {
                Some(Incoming::Request(request.clone()))
            }
            Incoming::Ended(None) => None,
        }
    }

    async fn handle(&mut self, event: Self::Event) -> Result<(), StreamError> {
        match event {
            Incoming::Request(request) => self.answer(request).await,
            Incoming::Ended(Some(retried)) if self.is_valid(&retried) => self.answer(retried.request).await,
            Incoming::Ended(_answered_or_void) => Ok(()),
        }
    }

    fn failed(&mut self, error: &StreamError, retry: Option<Self::Event>) -> ControlFlow<()> {
        if self.shared.is_stopping() {
            return ControlFlow::Break(());
        }
        tracing::error!(%error, "a budget could not be counted; it is tried again");
        if let Some(Incoming::Request(request)) = retry {
            self.retry_later(request);
        }
        ControlFlow::Continue(())
    }
}

impl BudgetAllocator {
    /// The allocator of an engine; `None`: the engine has one already.
    pub(crate) fn new(shared: Arc<Runtime>) -> Option<Self> {
        let (inbox, life) = (ActorInbox::of(&shared.mailboxes.budgets)?, shared.draw_uuid());
        Some(Self {
            shared,
            inbox,
            counters: HashMap::new(),
            uses: 0,
            waiting: VecDeque::new(),
            answers: 0,
            life,
            compared: HashSet::new(),
            half_compared: HashSet::new(),
            found_over: HashSet::new(),
            put_off: HashMap::new(),
            pauses: 0,
        })
    }

    /// Answers a request after a pause.
    pub(super) fn retry_later(&mut self, request: BudgetRequest) {
        self.pauses += 1;
        let nth = self.pauses;
        if let BudgetRequest::Funds { attempt, .. } = &request {
            self.put_off.insert(attempt.clone(), nth);
        }
        self.inbox.spawn(async move {
            tokio::time::sleep(FAILED_AGAIN).await;
            Some(RetriedRequest { request, nth })
        });
    }

    /// Whether nothing came after a request that makes it void.
    fn is_valid(&self, retried: &RetriedRequest) -> bool {
        match &retried.request {
            BudgetRequest::Funds { attempt, .. } => self.put_off.get(attempt) == Some(&retried.nth),
            _of_no_attempt => true,
        }
    }

    /// An attempt asks anew, or is over: its former request is void.
    fn forget(&mut self, attempt: &EffectId) {
        self.put_off.remove(attempt);
        self.waiting.retain(|waiting| waiting.attempt != *attempt);
    }

    async fn answer(&mut self, request: BudgetRequest) -> Result<(), StreamError> {
        match request {
            BudgetRequest::Funds { attempt, terms, was_refused } => {
                self.forget(&attempt);
                let mut waiting = WaitingAttempt { attempt, terms, is_informed: was_refused };
                if !self.serve(&mut waiting).await? {
                    self.waiting.push_back(waiting);
                }
                Ok(())
            }
            BudgetRequest::Look(stream) => {
                if self.half_compared.remove(&stream) {
                    self.counters.remove(&stream);
                }
                self.open(&stream).await?;
                self.counters_changed(&BTreeSet::from([stream])).await
            }
            BudgetRequest::SetOwnLimit(set, by, answer) => {
                let done = self.set_own_limit(&set, &by).await;
                let _gone = answer.try_send(match &done {
                    Ok(done) => done.clone(),
                    Err(error) => Err(BudgetError::from(error)),
                });
                done.map(drop)
            }
            BudgetRequest::Waiting(answer) => {
                let _gone = answer.try_send(self.waits().collect());
                Ok(())
            }
            BudgetRequest::Report { run, version, report, terms } => {
                let changed = self.report(run, version, &report, &terms).await?;
                let readings = self.readings(&terms).await?;
                self.send(run, InputKind::SpendReported(SpendReported { version, readings }));
                self.counters_changed(&changed).await
            }
        }
    }

    /// Reserves for an attempt and answers its run; whether it waits no longer.
    async fn serve(&mut self, waiting: &mut WaitingAttempt) -> Result<bool, StreamError> {
        match self.try_reserve(waiting).await? {
            AskedFunds::Reserved => {
                self.answer_funds(waiting, None).await?;
                return Ok(true);
            }
            // A run that left memory is loaded for the answer, and asks again when it is loaded: what it knows is not
            // sent again.
            AskedFunds::Refused(refused) if !waiting.is_informed => {
                self.answer_funds(waiting, Some(refused)).await?;
                waiting.is_informed = true;
            }
            AskedFunds::Refused(_) | AskedFunds::Awaited => {}
        }
        Ok(false)
    }

    /// Reserves something for an attempt in every counter, or in none.
    async fn try_reserve(&mut self, waiting: &WaitingAttempt) -> Result<AskedFunds, StreamError> {
        let now = self.shared.now();
        for terms in &waiting.terms {
            let Some(stream) = stream(terms) else { continue };
            let counter = &self.open(&stream).await?.counter;
            let request = request(&waiting.attempt, terms);
            if let (_, Err(measure)) = decide(counter, terms, &request, now) {
                let found = without_room(counter, terms, measure, now);
                self.release(waiting).await?;
                return Ok(found);
            }
        }
        if self.found_over.contains(&waiting.attempt) {
            return Ok(AskedFunds::Reserved); // The attempt is over, and starts nothing, whatever the answer.
        }
        for (stream, terms) in by_counter(&waiting.terms) {
            // No other task decides in between, but a period may end.
            if let Err(measure) = self.record(&stream, &terms, &request(&waiting.attempt, &terms)).await? {
                let found = without_room(&self.open(&stream).await?.counter, &terms, measure, now);
                self.release(waiting).await?;
                return Ok(found);
            }
        }
        Ok(AskedFunds::Reserved)
    }

    /// Gives back what a former try reserved before a crash.
    async fn release(&mut self, waiting: &WaitingAttempt) -> Result<(), StreamError> {
        for (stream, terms) in by_counter(&waiting.terms) {
            let charge = Charge {
                attempt: waiting.attempt.clone(),
                version: Version::ZERO,
                asked: true,
                spent: Spent::default(),
                at: self.shared.now(),
            };
            let _always_taken = self.record(&stream, &terms, &CounterInput::Charge(charge)).await?;
        }
        Ok(())
    }

    /// Counts what a run reports; gives the counters that it changed.
    async fn report(
        &mut self,
        run: RunId,
        version: Version,
        report: &SpendReport,
        terms: &[BudgetTerms],
    ) -> Result<BTreeSet<StreamId>, StreamError> {
        let mut changed = BTreeSet::new();
        for (stream, merged) in by_counter(terms) {
            let input = match report {
                SpendReport::Ended { id, asked, spent, at } => {
                    let attempt = EffectId { run, attempt: id.clone() };
                    self.forget(&attempt);
                    self.found_over.remove(&attempt);
                    let (asked, spent, at) = (*asked, *spent, *at);
                    CounterInput::Charge(Charge { attempt, version, asked, spent, at })
                }
                SpendReport::Raised { budget, add, at } => {
                    let is_it = |it: &&BudgetTerms| {
                        it.id == *budget && everfold_core::budgets::stream(it).as_ref() == Some(&stream)
                    };
                    if !terms.iter().any(|it| is_it(&it)) {
                        continue;
                    }
                    CounterInput::Raise(Raise { run, version, add: *add, at: *at })
                }
            };
            let _always_taken = self.record(&stream, &merged, &input).await?;
            changed.insert(stream);
        }
        Ok(changed)
    }

    /// Serves the attempts that waited for these counters. Where a limit is passed, informs the runs that are to stop.
    pub(super) async fn counters_changed(&mut self, changed: &BTreeSet<StreamId>) -> Result<(), StreamError> {
        let concerns = |waiting: &WaitingAttempt| {
            waiting.terms.iter().filter_map(stream).any(|it| changed.contains(&it))
        };
        let mut unserved = VecDeque::new();
        let mut failed = None;
        while let Some(mut waiting) = self.waiting.pop_front() {
            if failed.is_some() || !concerns(&waiting) {
                unserved.push_back(waiting);
                continue;
            }
            match self.serve(&mut waiting).await {
                Ok(true) => {}
                Ok(false) => unserved.push_back(waiting),
                Err(error) => {
                    unserved.push_back(waiting);
                    failed = Some(error);
                }
            }
        }
        self.waiting = unserved;
        if let Some(error) = failed {
            return Err(error);
        }
        for stream in changed {
            self.report_passed(stream).await?;
        }
        Ok(())
    }

    /// Informs attempts that are to stop when a limit is passed, and did not pass it themselves.
    async fn report_passed(&mut self, stream: &StreamId) -> Result<(), StreamError> {
        let counter = &self.open(stream).await?.counter;
        let used = counter.used();
        let found: Vec<(EffectId, BudgetTerms, Measure)> = counter
            .reserved()
            .filter_map(|(attempt, reserved)| {
                let terms = reserved.terms.as_ref().filter(|terms| terms.on_over != OnOver::Pause)?;
                Some((attempt.clone(), terms.clone(), counter.passed(terms, &used)?))
            })
            .collect();
        for (attempt, terms, measure) in found {
            let refused = BudgetRefusal { budget: terms.id.clone(), measure };
            let running = WaitingAttempt { attempt, terms: vec![terms], is_informed: true };
            self.answer_funds(&running, Some(refused)).await?;
        }
        Ok(())
    }

    async fn readings(&mut self, terms: &[BudgetTerms]) -> Result<Vec<BudgetReading>, StreamError> {
        let mut readings = Vec::with_capacity(terms.len());
        for terms in terms {
            if let Some(stream) = stream(terms) {
                readings.push(reading(terms, &self.open(&stream).await?.counter));
            }
        }
        Ok(readings)
    }

    /// Answers an attempt that asked to start; `refused`: the budget without room.
    async fn answer_funds(
        &mut self,
        waiting: &WaitingAttempt,
        refused: Option<BudgetRefusal>,
    ) -> Result<(), StreamError> {
        let (id, readings) = (waiting.attempt.attempt.clone(), self.readings(&waiting.terms).await?);
        self.send(waiting.attempt.run, InputKind::FundsAnswered(FundsAnswered { id, refused, readings }));
        Ok(())
    }

    /// Sends an answer to a run.
    fn send(&mut self, run: RunId, kind: InputKind) {
        self.answers += 1;
        let id = InputId::derive(&format!("{run}/treasury/{}/{}", self.life, self.answers));
        let shared = Arc::clone(&self.shared);
        self.inbox.spawn(async move {
            send(&shared, run, id, kind).await;
            None
        });
    }

    /// Decides on a counter, and makes durable what follows.
    async fn record(
        &mut self,
        stream: &StreamId,
        terms: &BudgetTerms,
        input: &CounterInput,
    ) -> Result<Result<(), Measure>, StreamError> {
        let shared = Arc::clone(&self.shared);
        let mut tries = 0;
        loop {
            match self.open(stream).await?.record(&shared, terms, input).await {
                Err(StreamError::Changed) if tries < TRIES => {
                    tries += 1;
                    self.counters.remove(stream);
                }
                other => return other,
            }
        }
    }

    pub(super) async fn open(&mut self, stream: &StreamId) -> Result<&mut CounterStream, StreamError> {
        self.uses += 1;
        if !self.counters.contains_key(stream) {
            self.make_room();
            let mut counter_stream = CounterStream::load(&self.shared, stream).await?;
            if !self.compared.contains(stream) {
                if compare(&self.shared, &mut counter_stream, &mut self.found_over).await? {
                    self.compared.insert(stream.clone());
                } else if self.half_compared.insert(stream.clone()) {
                    self.retry_later(BudgetRequest::Look(stream.clone()));
                }
            }
            self.counters.insert(stream.clone(), counter_stream);
        }
        let counter = self.counters.get_mut(stream).ok_or(StreamError::Changed)?;
        counter.used_at = self.uses;
        Ok(counter)
    }

    /// Forgets a counter, so that it is read again.
    pub(super) fn forget_counter(&mut self, stream: &StreamId) {
        self.counters.remove(stream);
    }

    /// The attempts that wait for a counter.
    pub(super) fn waits(&self) -> impl Iterator<Item = FundsWait> {
        let wait = |it: &WaitingAttempt| FundsWait { attempt: it.attempt.clone(), terms: it.terms.clone() };
        self.waiting.iter().map(wait)
    }

    /// Forgets the counter that was used least recently, where there are too many. It is read again when it is needed.
    fn make_room(&mut self) {
        while self.counters.len() >= COUNTERS_MAX {
            let oldest = self.counters.iter().min_by_key(|(_, counter)| counter.used_at);
            let Some(oldest) = oldest.map(|(stream, _)| stream.clone()) else { return };
            self.counters.remove(&oldest);
        }
    }
}

/// What an attempt hears for which a budget has no room.
fn without_room(counter: &Counter, terms: &BudgetTerms, measure: Measure, now: Timestamp) -> AskedFunds {
    if terms.on_over != OnOver::Pause && waits_for_running(counter, terms, now) {
        return AskedFunds::Awaited;
    }
    AskedFunds::Refused(BudgetRefusal { budget: terms.id.clone(), measure })
}

fn request(attempt: &EffectId, terms: &BudgetTerms) -> CounterInput {
    CounterInput::Request(FundsRequest { attempt: attempt.clone(), terms: terms.clone() })
}

/// The counters of a run's budgets, in one order for all runs. Two budgets on one counter are one there,
/// with the larger reserve; their limits were looked at one by one.
fn by_counter(terms: &[BudgetTerms]) -> BTreeMap<StreamId, BudgetTerms> {
    let mut counters: BTreeMap<StreamId, BudgetTerms> = BTreeMap::new();
    for terms in terms {
        let Some(stream) = stream(terms) else { continue };
        match counters.get_mut(&stream) {
            None => drop(counters.insert(stream, terms.clone())),
            Some(known) => {
                let reserve_micros = known.reserve_micros.max(terms.reserve_micros);
                let stops = [&*known, terms].into_iter().find(|it| it.on_over != OnOver::Pause);
                *known = BudgetTerms { reserve_micros, ..stops.unwrap_or(known).clone() };
            }
        }
    }
    counters
}

fn reading(terms: &BudgetTerms, counter: &Counter) -> BudgetReading {
    let used = counter.used();
    BudgetReading {
        budget: terms.id.clone(),
        spent: used.spent,
        reserved_micros: used.reserved_micros,
        raised: used.raised,
        until: counter.period().map(|(_, until)| until),
    }
}

/// Sends an input to a run until it has taken it.
async fn send(shared: &Runtime, run: RunId, id: InputId, kind: InputKind) {
    loop {
        match shared.ask(run, Queued::own(id, kind.clone())).await {
            Err(SubmitError::Busy) => tokio::time::sleep(BUSY_AGAIN).await,
            Err(SubmitError::Full) => {
                if shared.until_writable().await.is_none() {
                    return;
                }
            }
            // The run has it, or asks again when it is loaded.
            Ok(_) | Err(_) => return,
        }
    }
}
