//! Budgets that runs share: listed, and given limits of their own.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use everfold_engine::budgets::{
    BudgetUse, Counter, CounterName, OwnLimit, OwnLimitSet, limit, shown, stream as stream_of, zone_name,
};
use everfold_engine::definition::{BadAmount, Money, Period, Rates};
use everfold_engine::driver::{By, FundsWait};
use everfold_engine::envelope::StreamId;
use everfold_engine::event::{BudgetTerms, Measure};
use everfold_engine::id::{Position, RunId};
use everfold_engine::state::BudgetView;
use everfold_engine::time::Timestamp;
use everfold_engine::{clock, duration};
use everfold_projections::{Task, TaskKind};
use serde_json::Value;

use super::handle::Node;
use super::write_receipt::WriteReceipt;
use crate::body::budget::{SharedBudgetBody, SharedBudgetView};
use crate::fault::{Code, Fault};
use crate::view::{AmountsView, usd};

/// Tasks of the inbox that are read at once.
const TASKS_AT_ONCE: usize = 1_000;
/// The largest amount.
const AMOUNT_MAX: Money = Money(1_000_000_000_000 * 1_000_000);

/// An amount of money as a request says it, in millionths of a US dollar, with its text where that names another
/// currency; `field` is for messages.
///
/// # Errors
/// It is no amount or too large a one, or its currency has no rate.
pub(crate) fn money(rates: &Rates, field: &str, value: &Value) -> Result<(u64, Option<String>), Fault> {
    // A binary fraction cannot hold every amount, and a sum of some has digits of its own: it is rounded to the nearest
    // millionth, and what is more than nothing to one at least.
    let largest = AMOUNT_MAX.0 as f64 / 1e6;
    if let Some(number) = value.as_f64().filter(|number| (0.0..=largest).contains(number)) {
        let micros = (number * 1e6).round() as u64;
        return Ok((if number > 0.0 { micros.max(1) } else { micros }, None));
    }
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match rates.parse(&text) {
        Ok((money, _)) if money > AMOUNT_MAX => {
            let what = format!("{field}: “{text}” is more than {AMOUNT_MAX}");
            Err(Fault::new(Code::Invalid, what).hint("give less of it, or no limit of money"))
        }
        Ok((Money(micros), currency)) => Ok((micros, currency.map(|_| text.trim().to_owned()))),
        Err(error @ BadAmount::NoAmount(_)) => Err(Fault::new(Code::Invalid, format!("{field}: {error}"))
            .hint("write 2.00, with at most six decimal places")),
        Err(error @ BadAmount::NoRate(_)) => {
            let known: Vec<&str> = rates.codes().collect();
            let known = if known.is_empty() { "none has one".to_owned() } else { known.join(", ") };
            Err(Fault::new(Code::Refused, format!("{field}: {error}"))
                .hint(format!("add it to [rates] of everfold.toml, as EUR = 1.08; known: {known}")))
        }
    }
}

/// A span of time as a request says it, in milliseconds.
///
/// # Errors
/// It is none.
pub(crate) fn span(field: &str, text: &str) -> Result<u64, Fault> {
    let span =
        duration::parse(text).map_err(|error| Fault::new(Code::Invalid, format!("{field}: {error}")))?;
    Ok(u64::try_from(span.as_millis()).unwrap_or(u64::MAX))
}

/// The name of a counter as a request says it.
fn named(scope: String, per: Period, zone: Option<String>) -> Result<CounterName, Fault> {
    if let Some(name) = &zone {
        if per == Period::Total {
            return Err(Fault::new(Code::BadLimit, "zone: it says when a day, a week or a month begins")
                .hint("add per: day, week or month"));
        }
        if jiff::tz::TimeZone::get(name).is_err() {
            return Err(Fault::new(Code::BadLimit, format!("zone: there is no time zone “{name}”"))
                .hint("write Europe/Berlin, or UTC"));
        }
    }
    let zone = zone.map(|zone| zone_name(&zone)).filter(|zone| zone != "UTC");
    Ok(CounterName { scope: scope.trim().to_owned(), per, zone })
}

fn no_own_limit(name: &CounterName) -> Fault {
    let per = serde_json::to_value(name.per).ok().and_then(|per| per.as_str().map(str::to_owned));
    let (per, scope) = (per.unwrap_or_default(), &name.scope);
    let zone = name.zone.as_ref().map(|zone| format!(" of {zone}")).unwrap_or_default();
    Fault::new(Code::NoOwnLimit, format!("“{scope}” has no limits of its own per {per}{zone}"))
        .hint("`everfold budget list` shows the budgets that have some, with their periods and zones")
}

/// A budget that runs share, and what waits for what it keeps for work that runs.
pub(super) struct BudgetWithStarts {
    pub(super) view: SharedBudgetView,
    /// What it keeps, in words.
    pub(super) reserved: String,
    /// The runs whose work waits for that.
    pub(super) runs: BTreeSet<RunId>,
}

/// The attempts for whose start a counter has no room, by the limits of their runs and its own.
fn held<'a>(
    stream: &StreamId,
    counter: &Counter,
    now: Timestamp,
    waits: &'a [FundsWait],
) -> Vec<(&'a FundsWait, HeldStart)> {
    let held = |terms: &BudgetTerms| {
        if stream_of(terms).as_ref() != Some(stream) {
            return None;
        }
        let (used, _) = counter.at(terms, now);
        let behind = BudgetUse { reserved_micros: 0, ..used };
        let measure = counter.room(terms, &used).err()?;
        let own = BudgetTerms { cost_micros: None, tokens: None, wall_ms: None, ..terms.clone() };
        Some(HeldStart {
            measure,
            by_reserve: counter.room(terms, &behind).is_ok(),
            by_own_limit: counter.room(&own, &used).is_err(),
        })
    };
    waits.iter().filter_map(|wait| Some((wait, wait.terms.iter().find_map(held)?))).collect()
}

/// Why a counter has no room for a start.
struct HeldStart {
    measure: Measure,
    /// Only what is kept for work that runs is in the way.
    by_reserve: bool,
    /// The counter's own limits leave no room, whatever those of the run do.
    by_own_limit: bool,
}

fn view(name: CounterName, counter: &Counter, now: Timestamp) -> SharedBudgetView {
    let terms = name.terms();
    let (used, period) = counter.at(&terms, now);
    let own = counter.own();
    let limits = own.map(|own| own.limit.instead_of(&terms)).unwrap_or_else(|| terms.clone());
    let set =
        AmountsView { cost_usd: limits.cost_micros.map(usd), tokens: limits.tokens, wall_ms: limits.wall_ms };
    let limit = |measure| limit(&limits, measure, used.raised);
    let over = counter.room(&terms, &used).err();
    let behind = BudgetUse { reserved_micros: 0, ..used };
    SharedBudgetView {
        scope: own.map_or(name.scope, |own| own.scope.clone()),
        per: name.per,
        zone: name.zone,
        set,
        limit: AmountsView {
            cost_usd: limit(Measure::Cost).map(usd),
            tokens: limit(Measure::Tokens),
            wall_ms: limit(Measure::Wall),
        },
        written: own.and_then(|own| own.written.clone()),
        spent: AmountsView::of(used.spent),
        reserved_usd: usd(used.reserved_micros),
        raised: AmountsView::of(used.raised),
        over,
        is_reserved: over.is_some() && counter.room(&terms, &behind).is_ok(),
        until: period.map(|(_, until)| until),
        running: counter.reserved().count(),
        waiting: 0,
        reason: own.and_then(|own| own.reason.clone()),
        resumed: None,
    }
}

/// The view, with the starts that wait: its own limits may have room for what costs nothing, and none for these.
fn with_starts(view: SharedBudgetView, held: &[(&FundsWait, HeldStart)]) -> SharedBudgetView {
    let (waiting, over) = (held.iter().filter(|(_, how)| how.by_reserve).count(), view.over);
    let used_up = held.iter().find(|(_, how)| how.by_own_limit && !how.by_reserve);
    let over = over.or_else(|| used_up.map(|(_, how)| how.measure));
    SharedBudgetView { waiting, over, ..view }
}

impl Node {
    /// The budgets that runs share, of one scope or of all.
    pub(crate) async fn shared_budgets(&self, scope: Option<&str>) -> Result<Vec<SharedBudgetView>, Fault> {
        let budgets = self.budgets_with_starts().await?.into_iter().map(|budget| budget.view);
        Ok(budgets.filter(|view| scope.is_none_or(|scope| view.scope == scope)).collect())
    }

    /// The budgets that runs share, each with the runs whose work waits for what it keeps for work that runs.
    pub(super) async fn budgets_with_starts(&self) -> Result<Vec<BudgetWithStarts>, Fault> {
        let waits = self.engine().waiting_for_funds().await;
        let (counters, now) = (self.engine().budget_counters().await?, clock::now());
        let view = |(stream, counter): (StreamId, Counter)| {
            let held = held(&stream, &counter, now, &waits);
            let view = with_starts(view(CounterName::of(&stream)?, &counter, now), &held);
            let runs =
                held.iter().filter(|(_, how)| how.by_reserve).map(|(wait, _)| wait.attempt.run).collect();
            let reserved = shown(Measure::Cost, counter.used().reserved_micros);
            Some(BudgetWithStarts { view, reserved, runs })
        };
        Ok(counters.into_iter().filter_map(view).collect())
    }

    /// Gives a shared budget limits of its own in place of those that it has.
    ///
    /// # Errors
    /// The body names no limit, or one that cannot be counted.
    pub(crate) async fn set_shared_budget(
        &self,
        scope: String,
        body: SharedBudgetBody,
        by: By,
    ) -> Result<(WriteReceipt, SharedBudgetView), Fault> {
        let cost = body.cost.as_ref().map(|cost| money(self.engine().rates(), "cost", cost)).transpose()?;
        let limit = OwnLimit {
            cost_micros: cost.as_ref().map(|(micros, _)| *micros),
            tokens: body.tokens,
            wall_ms: body.wall.as_deref().map(|text| span("wall", text)).transpose()?,
        };
        if limit.is_none() {
            return Err(Fault::new(
                Code::BadLimit,
                format!("“{scope}” would have no limit: this limits nothing"),
            )
            .hint("give `cost`, `tokens` or `wall`; DELETE takes the limits away"));
        }
        let name = named(scope, body.per, body.zone)?;
        let written = cost.and_then(|(_, written)| written);
        self.limit_shared_budget(name, limit, written, body.reason, by).await
    }

    /// Takes the limits of its own from a shared budget; those of its runs go on counting.
    ///
    /// # Errors
    /// It has none.
    pub(crate) async fn unset_shared_budget(
        &self,
        (scope, per, zone): (String, Period, Option<String>),
        reason: Option<String>,
        by: By,
    ) -> Result<(WriteReceipt, SharedBudgetView), Fault> {
        let spelled = zone.clone();
        let mut name = named(scope, per, zone)?;
        // Counters of former versions bear a zone as it was spelled.
        if spelled != name.zone && per != Period::Total {
            let former = CounterName { zone: spelled, ..name.clone() };
            if self.engine().budget_counter(&former.stream()).await?.own().is_some() {
                name = former;
            }
        }
        self.limit_shared_budget(name, OwnLimit::default(), None, reason, by).await
    }

    /// The runs that no process drives, and whose work waits for a counter that has room for it now.
    async fn held_by(&self, stream: &StreamId, counter: &Counter, at: Position) -> Result<Vec<RunId>, Fault> {
        let (mut runs, mut cursor) = (BTreeSet::new(), None);
        loop {
            let page = self
                .inbox(Some(at), move |inbox| inbox.list(None, None, cursor, TASKS_AT_ONCE, None))
                .await?;
            let held = |task: &Task| matches!(task.kind, TaskKind::Budget { .. });
            runs.extend(page.items.iter().filter(|task| held(task)).map(|task| task.run));
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        let mut found = Vec::new();
        for run in runs {
            let (stream, counter) = (stream.clone(), counter.clone());
            let waits = self.engine().with_state(run, move |state| {
                let of_counter = |view: &BudgetView<'_>| {
                    view.over.is_some() && stream_of(view.terms).as_ref() == Some(&stream)
                };
                let has_room = |view: BudgetView<'_>| counter.room(view.terms, &counter.used()).is_ok();
                state.held_by_budgets().next().is_some()
                    && state.budgets(clock::now()).filter(of_counter).any(has_room)
            });
            // The engine set a run aside whose events cannot be folded: nothing of it can be driven.
            if waits.await.unwrap_or(false) {
                found.push(run);
            }
        }
        Ok(found)
    }

    async fn limit_shared_budget(
        &self,
        name: CounterName,
        limit: OwnLimit,
        written: Option<String>,
        reason: Option<String>,
        by: By,
    ) -> Result<(WriteReceipt, SharedBudgetView), Fault> {
        self.may_write()?;
        self.refuse_own_counters(&by.actor, &[name.stream()]).await?;
        let CounterName { scope, per, zone } = name.clone();
        let stream = name.stream();
        let set = OwnLimitSet { scope, per, zone, limit, written, reason };
        let done = self.engine().set_own_limit(set, by).await?;
        if limit.is_none() && !done.change.changed && !done.change.repeated {
            return Err(no_own_limit(&name));
        }
        let mut resumed = done.resumed;
        for run in &resumed {
            self.note_driven(*run, true);
        }
        let counter = self.engine().budget_counter(&stream).await?;
        // An owner of the folder drives all runs: those that wait are known to it.
        if !self.drives_all.load(Ordering::Acquire) {
            for run in self.held_by(&stream, &counter, done.change.position).await? {
                if !resumed.contains(&run) {
                    self.drive(run, true).await?;
                    resumed.push(run);
                }
            }
        }
        let (waits, now) = (self.engine().waiting_for_funds().await, clock::now());
        let held = held(&stream, &counter, now, &waits);
        let view = with_starts(view(name, &counter, now), &held);
        Ok((done.change.into(), SharedBudgetView { resumed: Some(resumed), ..view }))
    }
}

#[cfg(test)]
mod tests {
    use everfold_engine::budgets::{CounterEvent, FundsReserved, SpendCharged};
    use everfold_engine::event::Spent;
    use everfold_engine::id::{EffectId, Version};
    use serde_json::json;

    use super::*;

    #[test]
    fn a_shared_budget_that_is_only_reserved_is_told_from_one_that_is_used_up() {
        let name = CounterName { scope: "team".into(), per: Period::Total, zone: None };
        let limit = OwnLimit { cost_micros: Some(100), ..OwnLimit::default() };
        let (scope, per, zone) = (name.scope.clone(), name.per, None);
        let run = "00000000-0000-0000-0000-000000000001".parse().unwrap();
        let attempt = EffectId { run, attempt: "a/1/1".parse().unwrap() };
        let mut counter = Counter::default();
        let mut seen = |event| {
            counter.apply(&event);
            let view = view(name.clone(), &counter, Timestamp(0));
            (view.over, view.is_reserved)
        };
        let set = OwnLimitSet { scope, per, zone, limit, written: None, reason: None };
        assert_eq!(seen(CounterEvent::OwnLimitSet(set)), (None, false));
        let reserved = FundsReserved { attempt: attempt.clone(), cost_micros: 100, terms: None };
        assert_eq!(seen(CounterEvent::FundsReserved(reserved)), (Some(Measure::Cost), true));
        let spent = Spent { cost_micros: 100, ..Spent::default() };
        let charged = SpendCharged { attempt, version: Version(3), spent, at: Timestamp(0) };
        assert_eq!(seen(CounterEvent::SpendCharged(charged)), (Some(Measure::Cost), false));
    }

    #[test]
    fn a_start_waits_for_what_is_reserved_where_that_alone_leaves_no_room() {
        let name = CounterName { scope: "team".into(), per: Period::Total, zone: None };
        let run: RunId = "00000000-0000-0000-0000-000000000001".parse().unwrap();
        let attempt = |text: &str| EffectId { run, attempt: text.parse().unwrap() };
        let wait = |cost: u64, terms: BudgetTerms| FundsWait {
            attempt: attempt("b/1/1"),
            terms: vec![BudgetTerms { cost_micros: Some(cost), reserve_micros: 80, ..terms }],
        };
        let other = CounterName { scope: "other".into(), ..name.clone() };
        let waits = [wait(100, name.terms()), wait(500, name.terms()), wait(100, other.terms())];
        let mut counter = Counter::default();
        let reserved = FundsReserved { attempt: attempt("a/1/1"), cost_micros: 80, terms: None };
        counter.apply(&CounterEvent::FundsReserved(reserved));
        let found = |counter: &Counter| {
            let held = held(&name.stream(), counter, Timestamp(0), &waits);
            held.iter().filter(|(_, how)| how.by_reserve).count()
        };
        assert_eq!(found(&counter), 1, "of the others one has room, and one is another budget's");
        let spent = Spent { cost_micros: 90, ..Spent::default() };
        let charged =
            SpendCharged { attempt: attempt("a/1/1"), version: Version(3), spent, at: Timestamp(0) };
        counter.apply(&CounterEvent::SpendCharged(charged));
        assert_eq!(found(&counter), 0, "it is used up");
    }

    #[test]
    fn an_amount_of_another_currency_is_taken_by_its_rate_and_without_one_refused() {
        let rates = Rates::new([("EUR".to_owned(), 1_100_000)].into());
        assert_eq!(money(&rates, "cost", &json!("2 EUR")).unwrap(), (2_200_000, Some("2 EUR".to_owned())));
        assert_eq!(money(&rates, "cost", &json!(2.5)).unwrap(), (2_500_000, None));
        assert_eq!(money(&rates, "cost", &json!("2.50 USD")).unwrap().0, 2_500_000);
        let refused = money(&rates, "cost", &json!("2 CHF")).unwrap_err();
        assert_eq!(refused.code, Code::Refused);
        assert!(refused.hint.as_deref().unwrap_or_default().contains("known: EUR"), "{refused:?}");
        let refused = money(&Rates::default(), "add", &json!("2 EUR")).unwrap_err();
        assert!(refused.hint.as_deref().unwrap_or_default().contains("none has one"), "{refused:?}");
        for none in [json!("-5"), json!(-5), json!("2 eur"), json!("99999999999999999999"), json!([2])] {
            assert_eq!(money(&rates, "cost", &none).unwrap_err().code, Code::Invalid, "{none}");
        }
    }

    #[test]
    fn an_amount_as_a_number_is_rounded_and_never_to_nothing() {
        let rates = Rates::default();
        for (number, micros) in [
            (json!(0), 0),
            (json!(-0.0), 0),
            (json!(0.1 + 0.2), 300_000),
            (json!(1e-9), 1),
            (json!(19.99), 19_990_000),
            (json!(1.234_567_4), 1_234_567),
            (json!(5e2), 500_000_000),
            (json!(1_000_000_000_000_u64), 1_000_000_000_000_000_000),
            (json!(1e12), 1_000_000_000_000_000_000),
        ] {
            assert_eq!(money(&rates, "cost", &number).unwrap(), (micros, None), "{number}");
        }
        for none in [
            json!("0.1234567"),
            json!(1_000_000_000_001_u64),
            json!(1e13),
            json!(1e300),
            json!("1000000000001"),
            json!("1000000000000.000001"),
            json!(u64::MAX),
            json!(-1e-9),
        ] {
            assert_eq!(money(&rates, "cost", &none).unwrap_err().code, Code::Invalid, "{none}");
        }
    }
}
