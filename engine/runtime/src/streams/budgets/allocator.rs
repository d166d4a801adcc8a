//! The task of the budget allocator.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::error::{QueryError, SubmitError};
use crate::messages::Queued;
use crate::runtime::Runtime;
use crate::streams::budgets::counter_stream::{CounterError, CounterStream};
use crate::streams::budgets::mailbox::BudgetRequest;
use everfold_base::envelope::StreamId;
use everfold_base::id::{EffectId, InputId, RunId, Version};
use everfold_core::budgets::{Charge, Counter, CounterInput, Raise, Request, decide, passed, stream};
use everfold_core::event::{BudgetReading, BudgetRefusal, BudgetTerms, Measure, Spent};
use everfold_core::input::InputKind;
pub use everfold_core::state::spend::Report;
use everfold_language::words::{OnOver, Period};

/// The pause before a message to a run that was too busy is repeated.
const AGAIN: Duration = Duration::from_millis(200);
/// The pause before a counter is tried again that could not be read or written.
const FAILED_AGAIN: Duration = Duration::from_secs(5);
/// How often a counter is decided on again whose stream is not what it was thought to be.
const TRIES: u32 = 5;
/// Counters that stay in memory.
const COUNTERS_MAX: usize = 1_000;

/// The budget allocator: keeps the counters.
pub(crate) struct BudgetAllocator {
    shared: Arc<Runtime>,
    counters: HashMap<StreamId, CounterStream>,
    /// Attempts for which there was no room, in the order in which they asked.
    waiting: VecDeque<WaitingAttempt>,
    /// Answers so far: each is an input of its own, also beside those of a former engine.
    answers: u64,
    life: uuid::Uuid,
    /// Counters that were compared with the runs that they keep something free for.
    compared: HashSet<StreamId>,
    /// Counters that are compared again before long: a run could not be looked at.
    half_compared: HashSet<StreamId>,
    /// Attempts that a comparison found over. What they asked for before is void; their run's report is still to come.
    found_over: HashSet<EffectId>,
    /// What could not be done comes back from its pause; an answered one is done.
    tasks: JoinSet<Option<RetriedRequest>>,
    /// The last attempt that was put off for each. An attempt that asked anew meanwhile, or is over, is not served by it.
    put_off: HashMap<EffectId, u64>,
    pauses: u64,
}

/// What is tried again after a pause.
struct RetriedRequest {
    ask: BudgetRequest,
    nth: u64,
}

#[derive(Clone)]
struct WaitingAttempt {
    attempt: EffectId,
    terms: Vec<BudgetTerms>,
}

impl Drop for BudgetAllocator {
    fn drop(&mut self) {
        self.shared.mailboxes.budgets.close();
    }
}

impl BudgetAllocator {
    pub(crate) fn new(shared: Arc<Runtime>) -> Self {
        let (counters, waiting, life) = (HashMap::new(), VecDeque::new(), shared.draw_uuid());
        let (compared, half_compared, found_over) = (HashSet::new(), HashSet::new(), HashSet::new());
        let (tasks, put_off, pauses) = (JoinSet::new(), HashMap::new(), 0);
        Self {
            shared,
            counters,
            waiting,
            answers: 0,
            life,
            compared,
            half_compared,
            found_over,
            tasks,
            put_off,
            pauses,
        }
    }

    /// Works until the engine ends or the store takes nothing more.
    pub(crate) async fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        loop {
            let ask = tokio::select! {
                biased;
                Some(done) = self.tasks.join_next() => match done {
                    Ok(Some(again)) if self.is_still_asked(&again) => again.ask,
                    _told_or_answered => continue,
                },
                ask = shared.mailboxes.budgets.next() => ask,
            };
            if let Err(error) = self.answer(ask.clone()).await {
                if shared.is_stopping() || matches!(error, CounterError::Closed) {
                    return;
                }
                tracing::error!(%error, "a budget could not be counted; it is tried again");
                self.later(ask);
            }
        }
    }

    /// Asks itself after a pause.
    fn later(&mut self, ask: BudgetRequest) {
        self.pauses += 1;
        let nth = self.pauses;
        if let BudgetRequest::Funds { attempt, .. } = &ask {
            self.put_off.insert(attempt.clone(), nth);
        }
        self.tasks.spawn(async move {
            tokio::time::sleep(FAILED_AGAIN).await;
            Some(RetriedRequest { ask, nth })
        });
    }

    /// Whether nothing came after it that makes it void.
    fn is_still_asked(&self, again: &RetriedRequest) -> bool {
        match &again.ask {
            BudgetRequest::Funds { attempt, .. } => self.put_off.get(attempt) == Some(&again.nth),
            BudgetRequest::Look(_) | BudgetRequest::Report { .. } => true,
        }
    }

    /// An attempt asks anew, or is over: what it asked before is void.
    fn forget(&mut self, attempt: &EffectId) {
        self.put_off.remove(attempt);
        self.waiting.retain(|waiting| waiting.attempt != *attempt);
    }

    async fn answer(&mut self, ask: BudgetRequest) -> Result<(), CounterError> {
        match ask {
            BudgetRequest::Funds { attempt, terms, was_refused } => {
                self.forget(&attempt);
                let waiting = WaitingAttempt { attempt, terms };
                let refused = self.try_reserve(&waiting).await?;
                // A run that left memory is loaded for the answer, and asks again when it is loaded: what it knows
                // is not sent again.
                if refused.is_none() || !was_refused {
                    self.tell_funds(&waiting, refused.clone());
                }
                if refused.is_some() {
                    self.waiting.push_back(waiting);
                }
                Ok(())
            }
            BudgetRequest::Look(stream) => {
                if self.half_compared.remove(&stream) {
                    self.counters.remove(&stream);
                }
                self.open(&stream).await?;
                self.look_again(&BTreeSet::from([stream])).await
            }
            BudgetRequest::Report { run, version, report, terms } => {
                let changed = self.report(run, version, &report, &terms).await?;
                let readings = self.readings(&terms);
                self.tell(run, InputKind::SpendReported { version, readings });
                self.look_again(&changed).await
            }
        }
    }

    /// Keeps something free for an attempt in every counter, or in none; gives the budget without room.
    async fn try_reserve(&mut self, waiting: &WaitingAttempt) -> Result<Option<BudgetRefusal>, CounterError> {
        let now = self.shared.now();
        for terms in &waiting.terms {
            let Some(stream) = stream(terms) else { continue };
            let counter = &self.open(&stream).await?.counter;
            let request = request(&waiting.attempt, terms);
            if let (_, Err(measure)) = decide(counter, terms, &request, now) {
                self.release(waiting).await?;
                return Ok(Some(BudgetRefusal { budget: terms.id.clone(), measure }));
            }
        }
        if self.found_over.contains(&waiting.attempt) {
            return Ok(None); // It starts nothing, whatever the answer.
        }
        for (stream, terms) in by_counter(&waiting.terms) {
            // No other task decides in between, but midnight may.
            if let Err(measure) = self.give(&stream, &terms, &request(&waiting.attempt, &terms)).await? {
                self.release(waiting).await?;
                return Ok(Some(BudgetRefusal { budget: terms.id.clone(), measure }));
            }
        }
        Ok(None)
    }

    /// Gives back what a former try kept free before a crash.
    async fn release(&mut self, waiting: &WaitingAttempt) -> Result<(), CounterError> {
        for (stream, terms) in by_counter(&waiting.terms) {
            let charge = Charge {
                attempt: waiting.attempt.clone(),
                version: Version::ZERO,
                asked: true,
                spent: Spent::default(),
                at: self.shared.now(),
            };
            let _always_taken = self.give(&stream, &terms, &CounterInput::Charge(charge)).await?;
        }
        Ok(())
    }

    /// Counts what a run says; gives the counters that it changed.
    async fn report(
        &mut self,
        run: RunId,
        version: Version,
        report: &Report,
        terms: &[BudgetTerms],
    ) -> Result<BTreeSet<StreamId>, CounterError> {
        let mut changed = BTreeSet::new();
        for (stream, merged) in by_counter(terms) {
            let input = match report {
                Report::Ended { id, asked, spent, at } => {
                    let attempt = EffectId { run, attempt: id.clone() };
                    self.forget(&attempt);
                    self.found_over.remove(&attempt);
                    let (asked, spent, at) = (*asked, *spent, *at);
                    CounterInput::Charge(Charge { attempt, version, asked, spent, at })
                }
                Report::Raised { budget, add, at } => {
                    let is_it = |it: &&BudgetTerms| {
                        it.id == *budget && everfold_core::budgets::stream(it).as_ref() == Some(&stream)
                    };
                    if !terms.iter().any(|it| is_it(&it)) {
                        continue;
                    }
                    CounterInput::Raise(Raise { run, version, add: *add, at: *at })
                }
            };
            let _always_taken = self.give(&stream, &merged, &input).await?;
            changed.insert(stream);
        }
        Ok(changed)
    }

    /// Counters changed: who waited may start now, and where a limit is passed the runs are informed that are to
    /// stop.
    async fn look_again(&mut self, changed: &BTreeSet<StreamId>) -> Result<(), CounterError> {
        let concerns = |waiting: &WaitingAttempt| {
            waiting.terms.iter().filter_map(stream).any(|it| changed.contains(&it))
        };
        let mut still = VecDeque::new();
        let mut failed = None;
        while let Some(waiting) = self.waiting.pop_front() {
            if failed.is_some() || !concerns(&waiting) {
                still.push_back(waiting);
                continue;
            }
            match self.try_reserve(&waiting).await {
                Ok(None) => self.tell_funds(&waiting, None),
                Ok(Some(_)) => still.push_back(waiting),
                Err(error) => {
                    still.push_back(waiting);
                    failed = Some(error);
                }
            }
        }
        self.waiting = still;
        for stream in changed {
            self.tell_passed(stream);
        }
        failed.map_or(Ok(()), Err)
    }

    /// Work that is to stop when a limit is passed, and did not pass it itself.
    fn tell_passed(&mut self, stream: &StreamId) {
        let Some(counter_stream) = self.counters.get(stream) else { return };
        let used = counter_stream.counter.used();
        let found: Vec<(EffectId, BudgetTerms, Measure)> = counter_stream
            .counter
            .reserved()
            .filter_map(|(attempt, reserved)| {
                let terms = reserved.terms.as_ref().filter(|terms| terms.on_over != OnOver::Pause)?;
                Some((attempt.clone(), terms.clone(), passed(terms, &used)?))
            })
            .collect();
        for (attempt, terms, measure) in found {
            let refused = BudgetRefusal { budget: terms.id.clone(), measure };
            self.tell_funds(&WaitingAttempt { attempt, terms: vec![terms] }, Some(refused));
        }
    }

    fn readings(&self, terms: &[BudgetTerms]) -> Vec<BudgetReading> {
        let of = |terms: &BudgetTerms| {
            let counter = &self.counters.get(&stream(terms)?)?.counter;
            Some(reading(terms, counter))
        };
        terms.iter().filter_map(of).collect()
    }

    fn tell_funds(&mut self, waiting: &WaitingAttempt, refused: Option<BudgetRefusal>) {
        let (id, readings) = (waiting.attempt.attempt.clone(), self.readings(&waiting.terms));
        self.tell(waiting.attempt.run, InputKind::FundsAnswered { id, refused, readings });
    }

    fn tell(&mut self, run: RunId, kind: InputKind) {
        self.answers += 1;
        let id = InputId::derive(&format!("{run}/treasury/{}/{}", self.life, self.answers));
        let shared = Arc::clone(&self.shared);
        self.tasks.spawn(async move {
            tell(&shared, run, id, kind).await;
            None
        });
    }

    async fn give(
        &mut self,
        stream: &StreamId,
        terms: &BudgetTerms,
        input: &CounterInput,
    ) -> Result<Result<(), Measure>, CounterError> {
        let shared = Arc::clone(&self.shared);
        let mut tries = 0;
        loop {
            match self.open(stream).await?.give(&shared, terms, input).await {
                Err(CounterError::Changed) if tries < TRIES => {
                    tries += 1;
                    self.counters.remove(stream);
                }
                other => return other,
            }
        }
    }

    async fn open(&mut self, stream: &StreamId) -> Result<&mut CounterStream, CounterError> {
        if !self.counters.contains_key(stream) {
            if self.counters.len() >= COUNTERS_MAX {
                self.counters.clear(); // They are read again as they are needed.
            }
            let mut counter_stream = CounterStream::load(&self.shared, stream).await?;
            if !self.compared.contains(stream) {
                if compare(&self.shared, &mut counter_stream, &mut self.found_over).await? {
                    self.compared.insert(stream.clone());
                } else if self.half_compared.insert(stream.clone()) {
                    self.later(BudgetRequest::Look(stream.clone()));
                }
            }
            self.counters.insert(stream.clone(), counter_stream);
        }
        self.counters.get_mut(stream).ok_or(CounterError::Changed)
    }
}

/// Charges what attempts have used up that are over while something is still kept free for them: an owner
/// ended between the two, and the run need not be gone on with for it (D9). What a run still wants to start
/// keeps its reservation, and so does what cannot be looked at now; false where there is such.
async fn compare(
    shared: &Runtime,
    counter_stream: &mut CounterStream,
    found_over: &mut HashSet<EffectId>,
) -> Result<bool, CounterError> {
    let mut is_whole = true;
    let reserved: Vec<EffectId> =
        counter_stream.counter.reserved().map(|(attempt, _)| attempt.clone()).collect();
    for attempt in reserved {
        let id = attempt.attempt.clone();
        let charge = match shared.with_state(attempt.run, move |state| state.charge_of(&id)).await {
            Ok(Some(charge)) => charge,
            Ok(None) => continue,
            // It is gone with all that it was.
            Err(QueryError::NotFound(_)) => (Version::ZERO, Spent::default(), shared.now()),
            Err(_not_now) => {
                is_whole = false;
                continue;
            }
        };
        let (version, spent, at) = charge;
        let charge = Charge { attempt: attempt.clone(), version, asked: true, spent, at };
        let _always_taken = counter_stream.give(shared, &nobodys(), &CounterInput::Charge(charge)).await?;
        found_over.insert(attempt);
    }
    Ok(is_whole)
}

/// Terms that begin no period: a charge needs none, and the next request begins it.
fn nobodys() -> BudgetTerms {
    BudgetTerms {
        id: String::new(),
        scope: None,
        per: Period::Total,
        zone: None,
        cost_micros: None,
        tokens: None,
        wall_ms: None,
        reserve_micros: 0,
        on_over: OnOver::Pause,
    }
}

fn request(attempt: &EffectId, terms: &BudgetTerms) -> CounterInput {
    CounterInput::Request(Request { attempt: attempt.clone(), terms: terms.clone() })
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

async fn tell(shared: &Runtime, run: RunId, id: InputId, kind: InputKind) {
    loop {
        match shared.ask(run, Queued::own(id, kind.clone())).await {
            Err(SubmitError::Busy) => tokio::time::sleep(AGAIN).await,
            Err(SubmitError::Full) => {
                if shared.until_writable().await.is_none() {
                    return;
                }
            }
            // Taken, or for the next engine: the run asks again.
            Ok(_) | Err(_) => return,
        }
    }
}
