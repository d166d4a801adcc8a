//! The task of the treasury.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::super::message::Queued;
use super::super::shared::Shared;
use super::super::{QueryError, SubmitError};
use super::Ask;
use super::book::{Book, BookError};
use crate::budgets::{Charge, Counter, CounterInput, Raise, Request, decide, passed, stream};
use crate::definition::{OnOver, Period};
use crate::envelope::StreamId;
use crate::event::{BudgetReading, BudgetRefusal, BudgetTerms, Measure, Spent};
use crate::id::{EffectId, InputId, RunId, Version};
use crate::input::InputKind;
use crate::state::spend::Report;

/// The pause before a run is told again that was too busy to hear.
const AGAIN: Duration = Duration::from_millis(200);
/// The pause before a counter is tried again that could not be read or written.
const FAILED_AGAIN: Duration = Duration::from_secs(5);
/// How often a counter is decided on again whose stream is not what it was thought to be.
const TRIES: u32 = 5;
/// Counters that stay in memory.
const BOOKS_MAX: usize = 1_000;

/// The one who keeps the counters.
pub(in crate::driver) struct Treasurer {
    shared: Arc<Shared>,
    books: HashMap<StreamId, Book>,
    /// Attempts for which there was no room, in the order in which they asked.
    waiting: VecDeque<Waiting>,
    /// Answers so far: each is an input of its own, also beside those of a former engine.
    answers: u64,
    life: uuid::Uuid,
    /// Counters that were compared with the runs that they keep something free for.
    compared: HashSet<StreamId>,
    /// Counters that are compared again before long: a run could not be looked at.
    half_compared: HashSet<StreamId>,
    /// Attempts that a comparison found over. What they asked for before is void; their run's report is still to come.
    found_over: HashSet<EffectId>,
    /// What could not be done comes back from its pause; who was told something is done.
    errands: JoinSet<Option<Again>>,
    /// The last attempt that was put off for each. Whoever asked anew meanwhile, or is over, is not served by it.
    put_off: HashMap<EffectId, u64>,
    pauses: u64,
}

/// What is tried again after a pause.
struct Again {
    ask: Ask,
    nth: u64,
}

#[derive(Clone)]
struct Waiting {
    attempt: EffectId,
    terms: Vec<BudgetTerms>,
}

impl Drop for Treasurer {
    fn drop(&mut self) {
        self.shared.treasury.close();
    }
}

impl Treasurer {
    pub(in crate::driver) fn new(shared: Arc<Shared>) -> Self {
        let (books, waiting, life) = (HashMap::new(), VecDeque::new(), shared.draw_uuid());
        let (compared, half_compared, found_over) = (HashSet::new(), HashSet::new(), HashSet::new());
        let (errands, put_off, pauses) = (JoinSet::new(), HashMap::new(), 0);
        Self {
            shared,
            books,
            waiting,
            answers: 0,
            life,
            compared,
            half_compared,
            found_over,
            errands,
            put_off,
            pauses,
        }
    }

    /// Works until the engine ends or the store takes nothing more.
    pub(in crate::driver) async fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        loop {
            let ask = tokio::select! {
                biased;
                Some(done) = self.errands.join_next() => match done {
                    Ok(Some(again)) if self.is_still_asked(&again) => again.ask,
                    _told_or_answered => continue,
                },
                ask = shared.treasury.next() => ask,
            };
            if let Err(error) = self.answer(ask.clone()).await {
                if shared.is_stopping() || matches!(error, BookError::Closed) {
                    return;
                }
                tracing::error!(%error, "a budget could not be counted; it is tried again");
                self.later(ask);
            }
        }
    }

    /// Asks itself after a pause.
    fn later(&mut self, ask: Ask) {
        self.pauses += 1;
        let nth = self.pauses;
        if let Ask::Funds { attempt, .. } = &ask {
            self.put_off.insert(attempt.clone(), nth);
        }
        self.errands.spawn(async move {
            tokio::time::sleep(FAILED_AGAIN).await;
            Some(Again { ask, nth })
        });
    }

    /// Whether nothing came after it that makes it void.
    fn is_still_asked(&self, again: &Again) -> bool {
        match &again.ask {
            Ask::Funds { attempt, .. } => self.put_off.get(attempt) == Some(&again.nth),
            Ask::Look(_) | Ask::Report { .. } => true,
        }
    }

    /// An attempt asks anew, or is over: what it asked before is void.
    fn forget(&mut self, attempt: &EffectId) {
        self.put_off.remove(attempt);
        self.waiting.retain(|waiting| waiting.attempt != *attempt);
    }

    async fn answer(&mut self, ask: Ask) -> Result<(), BookError> {
        match ask {
            Ask::Funds { attempt, terms, was_refused } => {
                self.forget(&attempt);
                let waiting = Waiting { attempt, terms };
                let refused = self.try_reserve(&waiting).await?;
                // A run that left memory is loaded to be told, and asks again when it is loaded: what it knows
                // it is not told.
                if refused.is_none() || !was_refused {
                    self.tell_funds(&waiting, refused.clone());
                }
                if refused.is_some() {
                    self.waiting.push_back(waiting);
                }
                Ok(())
            }
            Ask::Look(stream) => {
                if self.half_compared.remove(&stream) {
                    self.books.remove(&stream);
                }
                self.open(&stream).await?;
                self.look_again(&BTreeSet::from([stream])).await
            }
            Ask::Report { run, version, report, terms } => {
                let changed = self.report(run, version, &report, &terms).await?;
                let readings = self.readings(&terms);
                self.tell(run, InputKind::SpendReported { version, readings });
                self.look_again(&changed).await
            }
        }
    }

    /// Keeps something free for an attempt in every counter, or in none; gives the budget without room.
    async fn try_reserve(&mut self, waiting: &Waiting) -> Result<Option<BudgetRefusal>, BookError> {
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
            return Ok(None); // Whatever it is told, it starts nothing.
        }
        for (stream, terms) in by_counter(&waiting.terms) {
            // Nobody else decides in between, but midnight may.
            if let Err(measure) = self.give(&stream, &terms, &request(&waiting.attempt, &terms)).await? {
                self.release(waiting).await?;
                return Ok(Some(BudgetRefusal { budget: terms.id.clone(), measure }));
            }
        }
        Ok(None)
    }

    /// Gives back what a former try kept free before a crash.
    async fn release(&mut self, waiting: &Waiting) -> Result<(), BookError> {
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
    ) -> Result<BTreeSet<StreamId>, BookError> {
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
                        it.id == *budget && crate::budgets::stream(it).as_ref() == Some(&stream)
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

    /// Counters changed: who waited may start now, and where a limit is passed those are told who are to
    /// stop.
    async fn look_again(&mut self, changed: &BTreeSet<StreamId>) -> Result<(), BookError> {
        let concerns =
            |waiting: &Waiting| waiting.terms.iter().filter_map(stream).any(|it| changed.contains(&it));
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
        let Some(book) = self.books.get(stream) else { return };
        let used = book.counter.used();
        let found: Vec<(EffectId, BudgetTerms, Measure)> = book
            .counter
            .reserved()
            .filter_map(|(attempt, reserved)| {
                let terms = reserved.terms.as_ref().filter(|terms| terms.on_over != OnOver::Pause)?;
                Some((attempt.clone(), terms.clone(), passed(terms, &used)?))
            })
            .collect();
        for (attempt, terms, measure) in found {
            let refused = BudgetRefusal { budget: terms.id.clone(), measure };
            self.tell_funds(&Waiting { attempt, terms: vec![terms] }, Some(refused));
        }
    }

    fn readings(&self, terms: &[BudgetTerms]) -> Vec<BudgetReading> {
        let of = |terms: &BudgetTerms| {
            let counter = &self.books.get(&stream(terms)?)?.counter;
            Some(reading(terms, counter))
        };
        terms.iter().filter_map(of).collect()
    }

    fn tell_funds(&mut self, waiting: &Waiting, refused: Option<BudgetRefusal>) {
        let (id, readings) = (waiting.attempt.attempt.clone(), self.readings(&waiting.terms));
        self.tell(waiting.attempt.run, InputKind::FundsAnswered { id, refused, readings });
    }

    fn tell(&mut self, run: RunId, kind: InputKind) {
        self.answers += 1;
        let id = InputId::derive(&format!("{run}/treasury/{}/{}", self.life, self.answers));
        let shared = Arc::clone(&self.shared);
        self.errands.spawn(async move {
            tell(&shared, run, id, kind).await;
            None
        });
    }

    async fn give(
        &mut self,
        stream: &StreamId,
        terms: &BudgetTerms,
        input: &CounterInput,
    ) -> Result<Result<(), Measure>, BookError> {
        let shared = Arc::clone(&self.shared);
        let mut tries = 0;
        loop {
            match self.open(stream).await?.give(&shared, terms, input).await {
                Err(BookError::Changed) if tries < TRIES => {
                    tries += 1;
                    self.books.remove(stream);
                }
                other => return other,
            }
        }
    }

    async fn open(&mut self, stream: &StreamId) -> Result<&mut Book, BookError> {
        if !self.books.contains_key(stream) {
            if self.books.len() >= BOOKS_MAX {
                self.books.clear(); // They are read again as they are needed.
            }
            let mut book = Book::load(&self.shared, stream).await?;
            if !self.compared.contains(stream) {
                if compare(&self.shared, &mut book, &mut self.found_over).await? {
                    self.compared.insert(stream.clone());
                } else if self.half_compared.insert(stream.clone()) {
                    self.later(Ask::Look(stream.clone()));
                }
            }
            self.books.insert(stream.clone(), book);
        }
        self.books.get_mut(stream).ok_or(BookError::Changed)
    }
}

/// Charges what attempts have used up that are over while something is still kept free for them: an owner
/// ended between the two, and the run need not be gone on with for it (D9). What a run still wants to start
/// keeps its reservation, and so does what cannot be looked at now; false where there is such.
async fn compare(
    shared: &Shared,
    book: &mut Book,
    found_over: &mut HashSet<EffectId>,
) -> Result<bool, BookError> {
    let mut is_whole = true;
    let reserved: Vec<EffectId> = book.counter.reserved().map(|(attempt, _)| attempt.clone()).collect();
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
        let _always_taken = book.give(shared, &nobodys(), &CounterInput::Charge(charge)).await?;
        found_over.insert(attempt);
    }
    Ok(is_whole)
}

/// Terms that begin no period: a charge needs none, and whoever asks next begins it.
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

async fn tell(shared: &Shared, run: RunId, id: InputId, kind: InputKind) {
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
