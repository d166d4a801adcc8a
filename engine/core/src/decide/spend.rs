//! Budgets: paid work asks for funds, waits where there is no room, and goes on by itself.
//!
//! Law (L31): what follows for budgets follows after everything else of an input, in one place: periods
//! that began, work that fits now, work that must wait, be stopped or make the run fail. Each looks only
//! at the first that waits, so no input costs as much as all of them.

use super::draft::{Draft, Interrupt, settled};
use super::preconditions::check_text;
use super::refusal::Refusal;
use super::scope::RunScope;
use super::stops::stop_all;
use crate::budgets::{limit, period};
use crate::event::{
    BlockReason, BudgetExceeded, BudgetPeriodBegan, BudgetRaised, FundsAnswered, FundsGranted,
    FundsRequested, Measure, SpendReported, Spent, StopReason, TimerSet,
};
use crate::state::spend::{BudgetState, BudgetTimer, FundStage};
use crate::state::{Key, RunState, Stage};
use everfold_base::failure::FailureKind;
use everfold_base::id::{AttemptId, StepPath};
use everfold_language::definition::{Condition, OnOver};

/// Paid work is about to start.
pub(super) fn wanted(draft: &mut Draft<'_>, request: &FundsRequested) -> Result<(), Interrupt> {
    let id = &request.id;
    let state = &*draft.state;
    let key = state.current(id).filter(|key| state.facts.attempts.contains(key));
    let is_scheduled = |key| state.unit_at(key).is_some_and(|unit| unit.stage == Stage::Scheduled);
    let Some(key) = key.filter(|key| is_scheduled(*key) && state.wants_funds(id)) else {
        return Ok(()); // A repeated request, or one for work that was superseded.
    };
    let exempt = match state.exemption(key.step) {
        None => false,
        Some(Condition::Fixed(exempt)) => *exempt,
        // Work that cannot be classified counts as paid.
        Some(Condition::Computed(expression)) => {
            let scope = RunScope::of(state, draft.loaded, key);
            settled(expression.eval_bool(&scope))?.unwrap_or(false)
        }
    };
    let waits = !exempt && state.facts.spend.is_shared() && own_full(draft).is_some();
    draft.record(FundsRequested { id: id.clone(), waits });
    if exempt {
        draft.record(FundsGranted { id: id.clone(), exempt });
    } else {
        name_first_waiting(draft, id);
    }
    Ok(())
}

/// A limit that running work passed is recorded without naming what waits: the first attempt that does is named here.
fn name_first_waiting(draft: &mut Draft<'_>, id: &AttemptId) {
    let (at, spend) = (draft.now(), &draft.state.facts.spend);
    let mut over = spend.budgets.iter().enumerate().filter(|(_, it)| !it.is_shared() && it.over.is_some());
    let full = over.find_map(|(place, it)| Some((place, it.room(&spend.clock, at).err()?)));
    if let Some((place, measure)) = full.filter(|_| waits_alone(draft.state, id)) {
        exceed(draft, place, measure, Some(id.clone()));
    }
}

/// Whether this attempt alone waits for a budget.
fn waits_alone(state: &RunState, id: &AttemptId) -> bool {
    let held = &state.facts.spend.held;
    held.len() == 1 && held.iter().all(|(_, held)| held == id)
}

/// The counters that the run shares say whether there is room.
pub(super) fn answered(draft: &mut Draft<'_>, answer: &FundsAnswered) {
    let (id, refused) = (&answer.id, answer.refused.as_ref());
    let spend = &draft.state.facts.spend;
    let is_news = match spend.funds.get(id).map(|fund| fund.stage) {
        Some(FundStage::Asked) => true,
        // The same answer again changes nothing.
        Some(FundStage::Refused) => refused.is_none(),
        // Other runs passed a limit while it runs.
        Some(FundStage::Granted) => refused.is_some_and(|refused| {
            let is_it = |it: &&BudgetState| it.terms.id == refused.budget && it.over.is_none();
            spend.budgets.iter().find(is_it).is_some_and(|it| it.terms.on_over != OnOver::Pause)
        }),
        Some(FundStage::Held | FundStage::Returning | FundStage::Waiting) | None => false,
    };
    if !is_news {
        return;
    }
    draft.record(answer.clone());
    let Some(refused) = refused else { return };
    let (spend, is_first) = (&draft.state.facts.spend, waits_alone(draft.state, id));
    let is_news = |it: &BudgetState| it.terms.id == refused.budget && (it.over.is_none() || is_first);
    if let Some(at) = spend.budgets.iter().position(is_news) {
        exceed(draft, at, refused.measure, Some(id.clone()));
    }
}

/// The counters recorded what was reported to them.
pub(super) fn reported(draft: &mut Draft<'_>, report: &SpendReported) {
    if !draft.state.facts.spend.reports.contains_key(&report.version) {
        return;
    }
    draft.record(report.clone());
    // Other runs may have used it up meanwhile: that is seen here first.
    passed(draft);
}

/// A person raises a budget.
pub(super) fn raise(
    draft: &mut Draft<'_>,
    budget: Option<&String>,
    add: Spent,
    reason: Option<&String>,
) -> Result<(), Refusal> {
    check_text("the reason", reason.map(String::as_str))?;
    super::preconditions::refuse_ended(draft.state)?;
    let budgets = &draft.state.facts.spend.budgets;
    let known = || budgets.iter().map(|budget| budget.terms.id.clone()).collect::<Vec<_>>();
    let found = match (budget, budgets.as_slice()) {
        (None, [only]) => only,
        (Some(name), budgets) => {
            let unknown = || Refusal::UnknownBudget { budget: name.clone(), known: known() };
            budgets.iter().find(|it| it.terms.id == *name).ok_or_else(unknown)?
        }
        (None, []) => return Err(Refusal::NoBudgets),
        (None, _several) => return Err(Refusal::SeveralBudgets(known())),
    };
    if add.is_zero() {
        return Err(Refusal::BadRaise { budget: found.terms.id.clone(), why: "by nothing" });
    }
    for (measure, why, why_shared) in [
        (
            Measure::Cost,
            "by money: it limits none",
            "by money: the limit is its scope's, `everfold budget set` raises it",
        ),
        (
            Measure::Tokens,
            "by tokens: it limits none",
            "by tokens: the limit is its scope's, `everfold budget set` raises it",
        ),
        (
            Measure::Wall,
            "by time: it limits none",
            "by time: the limit is its scope's, `everfold budget set` raises it",
        ),
    ] {
        if measure.of(add) > 0 && limit(&found.terms, measure, Spent::default()).is_none() {
            let why = if found.is_shared() { why_shared } else { why };
            return Err(Refusal::BadRaise { budget: found.terms.id.clone(), why });
        }
    }
    let budget = found.terms.id.clone();
    draft.record(BudgetRaised { budget, add, reason: reason.cloned() });
    Ok(())
}

/// The run's own budget whose money is used up, and which holds work of the run or has stopped it.
pub(super) fn holding(state: &RunState) -> Option<String> {
    let is_over = |it: &&BudgetState| !it.is_shared() && it.over == Some(Measure::Cost);
    let budget = state.facts.spend.budgets.iter().find(is_over)?;
    let holds = !state.facts.spend.held.is_empty() || !stopped(state).is_empty();
    holds.then(|| budget.terms.id.clone())
}

/// What waits for a person because a budget has stopped its work.
pub(super) fn stopped(state: &RunState) -> Vec<StepPath> {
    let by_budget = |key: &&Key| {
        let step = state.facts.steps[key.step].failure.as_ref().filter(|_| key.item.is_none());
        let failure = step.or_else(|| state.unit_at(**key).and_then(|unit| unit.failure.as_ref()));
        let reason = state.block_reason(&state.path(**key));
        matches!(reason, Some(BlockReason::Failed))
            && failure.is_some_and(|it| it.kind == FailureKind::Budget)
    };
    state.facts.blocked.iter().filter(by_budget).map(|key| state.path(*key)).collect()
}

/// What follows for budgets after everything else.
pub(super) fn tend(draft: &mut Draft<'_>) {
    let state = &*draft.state;
    if state.facts.spend.budgets.is_empty() || state.is_ending() {
        return;
    }
    begin_periods(draft);
    passed(draft);
    grant(draft);
    if !draft.state.is_ending() {
        set_timers(draft);
    }
}

/// Periods of the run's own budgets begin.
fn begin_periods(draft: &mut Draft<'_>) {
    let at = draft.now();
    let is_over =
        |budget: &&BudgetState| !budget.is_shared() && budget.period.is_none_or(|(_, until)| at >= until);
    let begin = |budget: &BudgetState| {
        let (from, until) = period(at, budget.terms.per, budget.terms.zone.as_deref())?;
        Some(BudgetPeriodBegan { budget: budget.terms.id.clone(), from, until })
    };
    let begun: Vec<_> = draft.state.facts.spend.budgets.iter().filter(is_over).filter_map(begin).collect();
    begun.into_iter().for_each(|event| draft.record(event));
}

/// A limit was passed while paid work runs: where the pipeline says so that is stopped, or the run fails.
fn passed(draft: &mut Draft<'_>) {
    let at = draft.now();
    let spend = &draft.state.facts.spend;
    let runs = draft.state.facts.attempts.iter().any(|key| is_spending(draft, &draft.state.attempt_id(*key)));
    let found: Vec<(usize, Measure)> = spend
        .budgets
        .iter()
        .enumerate()
        .filter(|(_, budget)| budget.over.is_none() && budget.terms.on_over != OnOver::Pause)
        // What a counter said of a period that is over says nothing of the one that began.
        .filter(|(_, budget)| budget.period.is_none_or(|(_, until)| at < until))
        .filter_map(|(place, budget)| {
            let measure = budget.passed(&spend.clock, at)?;
            let ends_all = measure == Measure::Wall && budget.terms.on_over == OnOver::Fail;
            (runs || ends_all).then_some((place, measure))
        })
        .collect();
    for (place, measure) in found {
        if !draft.state.is_ending() {
            exceed(draft, place, measure, None);
        }
    }
}

/// Whether an attempt is paid work that runs.
fn is_spending(draft: &Draft<'_>, id: &AttemptId) -> bool {
    let fund = draft.state.facts.spend.funds.get(id);
    fund.is_some_and(|fund| fund.stage == FundStage::Granted && !fund.exempt)
}

/// Paid work may start, as far as the run's own budgets have room: in the order in which it asked.
fn grant(draft: &mut Draft<'_>) {
    // Other runs need what a paused one would keep.
    if draft.state.facts.paused && draft.state.facts.spend.is_shared() {
        return give_back(draft);
    }
    while !draft.is_full() && !draft.state.is_ending() {
        let held = first_held(draft.state, |stage| matches!(stage, FundStage::Held | FundStage::Waiting));
        let Some((id, stage)) = held else { return };
        match own_full(draft) {
            Some((place, measure)) => {
                let spend = &draft.state.facts.spend;
                let budget = &spend.budgets[place];
                // What is kept free for work that runs does not end that work, or the run.
                let waits = budget.terms.on_over != OnOver::Pause
                    && budget.has_room_behind(&spend.clock, draft.now());
                if budget.over.is_none() && !waits {
                    exceed(draft, place, measure, Some(id));
                }
                return give_back(draft);
            }
            None if stage == FundStage::Waiting => draft.record(FundsRequested { id, waits: false }),
            None => draft.record(FundsGranted { id, exempt: false }),
        }
    }
}

/// What the counters hold for work that has no room in the run's own budgets goes back: other runs need it.
fn give_back(draft: &mut Draft<'_>) {
    while draft.state.facts.spend.is_shared() && !draft.is_full() && !draft.state.is_ending() {
        let held = first_held(draft.state, |stage| stage == FundStage::Held);
        let Some((id, _held)) = held else { return };
        draft.record(FundsRequested { id, waits: true });
    }
}

/// The attempt that asked first of those that wait at a stage, and can go on from there.
fn first_held(state: &RunState, is_it: impl Fn(FundStage) -> bool) -> Option<(AttemptId, FundStage)> {
    let spend = &state.facts.spend;
    spend.held.iter().find_map(|(_, id)| {
        let stage = spend.funds.get(id).map(|fund| fund.stage).filter(|stage| is_it(*stage))?;
        let key = state.current(id).filter(|key| state.facts.attempts.contains(key));
        key.map(|_key| (id.clone(), stage))
    })
}

/// The first of the run's own budgets that has no room, and for what.
fn own_full(draft: &Draft<'_>) -> Option<(usize, Measure)> {
    let (at, spend) = (draft.now(), &draft.state.facts.spend);
    let mut own = spend.budgets.iter().enumerate().filter(|(_, budget)| !budget.is_shared());
    own.find_map(|(place, budget)| Some((place, budget.room(&spend.clock, at).err()?)))
}

/// Records that a budget has no room, and what follows at once.
fn exceed(draft: &mut Draft<'_>, place: usize, measure: Measure, id: Option<AttemptId>) {
    let spend = &draft.state.facts.spend;
    let budget = &spend.budgets[place];
    let (reading, on_over) = (budget.reading(&spend.clock, draft.now()), budget.terms.on_over);
    draft.record(BudgetExceeded { reading, measure, id });
    if on_over == OnOver::Stop {
        let attempts = draft.state.facts.attempts.iter().map(|key| draft.state.attempt_id(*key));
        let ids: Vec<AttemptId> = attempts.filter(|id| is_spending(draft, id)).collect();
        stop_all(draft, &ids, StopReason::Budget);
    }
}

/// The moments at which a budget's time is used up, or it has room again.
fn set_timers(draft: &mut Draft<'_>) {
    let at = draft.now();
    let spend = &draft.state.facts.spend;
    let mut wanted = Vec::new();
    for budget in &spend.budgets {
        let id = &budget.terms.id;
        if let (Some(_), Some((_, until))) = (budget.over, budget.period) {
            wanted.push((BudgetTimer::Period.id(id), until));
        }
        let used = budget.used(&spend.clock, at);
        if let Some(limit) = limit(&budget.terms, Measure::Wall, used.raised)
            && !budget.is_shared()
            && budget.terms.on_over != OnOver::Pause
            && budget.over.is_none()
            && spend.clock.is_running()
            && limit > used.spent.wall_ms
        {
            let left = std::time::Duration::from_millis(limit - used.spent.wall_ms);
            wanted.push((BudgetTimer::Wall.id(id), at.plus(left)));
        }
    }
    for (timer, at) in wanted {
        if !draft.state.facts.timers.contains_key(&timer) {
            draft.record(TimerSet { timer, at });
        }
    }
}
