//! Budgets that runs share: how full each is, and the limits that it has of its own.

use axum::extract::{Path, Query};
use axum::http::Method;
use axum::response::{IntoResponse as _, Redirect, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::amounts::BudgetAmounts;
use super::chart::micros;
use super::held::{BudgetOfRun, HeldRun, held};
use crate::form::Fields;
use crate::frame::{NavPlace, Visit, with_query};
use crate::problem::Problem;
use crate::system::{Ask, AskField, Given, WAS, field, refused, said_at, segment};

const PERIODS: &[(&str, &str)] =
    &[("total", "in all"), ("day", "a day"), ("week", "a week"), ("month", "a month")];

/// A budget that runs share.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct SharedBudget {
    pub(crate) scope: String,
    pub(crate) per: String,
    pub(crate) zone: Option<String>,
    pub(crate) set: BudgetAmounts,
    pub(crate) limit: BudgetAmounts,
    pub(crate) spent: BudgetAmounts,
    pub(crate) reserved_usd: String,
    pub(crate) over: Option<String>,
    pub(crate) is_reserved: bool,
    pub(crate) until: Option<String>,
    pub(crate) running: u64,
    pub(crate) reason: Option<String>,
    /// The runs that it holds, as far as they were read.
    #[serde(skip)]
    pub(crate) held: Vec<HeldRun>,
    /// Whether one of these runs has used its limit up, and not only reserved it.
    #[serde(skip)]
    pub(super) has_used_up_run: bool,
    /// The limits that the pipelines of these runs name, where it has none of its own: the smallest.
    #[serde(skip)]
    pub(crate) of_runs: BudgetAmounts,
}

/// How full one measure of a budget is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BudgetFill {
    pub(crate) name: &'static str,
    pub(crate) spent: String,
    pub(crate) limit: String,
    /// In percent, at most 100.
    pub(crate) spent_part: u64,
    /// What is kept free for work that runs, behind it.
    pub(crate) kept_part: u64,
}

impl SharedBudget {
    /// The limits that are set, in words.
    fn said(&self) -> String {
        let BudgetAmounts { cost_usd, tokens, wall_ms } = &self.set;
        let parts = [
            cost_usd.as_deref().map(crate::words::usd),
            tokens.map(|tokens| format!("{} tokens", crate::words::count(tokens))),
            wall_ms.map(span),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        if parts.is_empty() { "none".to_owned() } else { parts.join(", ") }
    }

    /// What a form carries of the limits that are set.
    fn mark(&self) -> String {
        let BudgetAmounts { cost_usd, tokens, wall_ms } = &self.set;
        format!("{cost_usd:?} {tokens:?} {wall_ms:?}")
    }

    /// Takes a run that it holds, with the limits that count there.
    fn hold(&mut self, budget: &BudgetOfRun, run: &HeldRun) {
        if !self.held.contains(run) {
            self.held.push(run.clone());
        }
        self.has_used_up_run |= !budget.is_reserved;
        let (known, limit) = (&mut self.of_runs, &budget.limit);
        let costs = known.cost_usd.iter().chain(&limit.cost_usd);
        known.cost_usd = costs.min_by_key(|cost| micros(cost)).cloned();
        known.tokens = known.tokens.into_iter().chain(limit.tokens).min();
        known.wall_ms = known.wall_ms.into_iter().chain(limit.wall_ms).min();
    }

    /// Whether it is a counter of a run.
    fn is_of(&self, budget: &BudgetOfRun) -> bool {
        budget.scope.as_ref() == Some(&self.scope) && budget.per == self.per && budget.zone == self.zone
    }

    /// The limits by which its fill is measured: its own, else those of the runs that it holds.
    fn limits(&self) -> BudgetAmounts {
        let (own, of_runs) = (self.limit.clone(), &self.of_runs);
        BudgetAmounts {
            cost_usd: own.cost_usd.or_else(|| of_runs.cost_usd.clone()),
            tokens: own.tokens.or(of_runs.tokens),
            wall_ms: own.wall_ms.or(of_runs.wall_ms),
        }
    }

    /// Each measure that is limited.
    pub(crate) fn fills(&self) -> Vec<BudgetFill> {
        let mut fills = Vec::new();
        let limits = self.limits();
        if let Some(limit) = &limits.cost_usd {
            let spent = self.spent.cost_usd.as_deref().unwrap_or("0");
            let parts = parts(micros(spent), micros(&self.reserved_usd), micros(limit));
            fills.push(fill("money", crate::words::usd(spent), crate::words::usd(limit), parts));
        }
        if let Some(limit) = limits.tokens {
            let spent = self.spent.tokens.unwrap_or(0);
            let (spent_text, limit_text) = (crate::words::count(spent), crate::words::count(limit));
            fills.push(fill("tokens", spent_text, limit_text, parts(spent, 0, limit)));
        }
        if let Some(limit) = limits.wall_ms {
            let spent = self.spent.wall_ms.unwrap_or(0);
            let text = |ms: u64| match ms {
                0 => "0 h".to_owned(),
                ms => crate::words::duration(i64::try_from(ms).unwrap_or(i64::MAX)),
            };
            fills.push(fill("time", text(spent), text(limit), parts(spent, 0, limit)));
        }
        fills
    }

    pub(crate) fn is_over(&self) -> bool {
        self.over.is_some() || !self.held.is_empty()
    }

    /// Whether what is reserved for work that runs is all that leaves no room.
    pub(crate) fn is_reserved_only(&self) -> bool {
        if self.over.is_some() { self.is_reserved } else { !self.has_used_up_run }
    }

    /// In words, why it has no room.
    pub(crate) fn taken(&self) -> &'static str {
        crate::words::taken(self.is_reserved_only())
    }

    /// Whether nothing but the pipelines of its runs limits it.
    pub(crate) fn is_of_runs(&self) -> bool {
        let BudgetAmounts { cost_usd, tokens, wall_ms } = &self.limit;
        cost_usd.is_none() && tokens.is_none() && wall_ms.is_none()
    }

    /// Whether it has limits that a person set.
    pub(crate) fn has_own(&self) -> bool {
        self.set.cost_usd.is_some() || self.set.tokens.is_some() || self.set.wall_ms.is_some()
    }

    /// Its period in words.
    pub(crate) fn period(&self) -> &str {
        PERIODS.iter().find(|(word, _)| *word == self.per).map_or(&self.per, |(_, text)| text)
    }

    /// What is kept free, where something is.
    pub(crate) fn kept(&self) -> Option<String> {
        (micros(&self.reserved_usd) > 0).then(|| crate::words::usd(&self.reserved_usd))
    }

    /// The address of what can be done with it.
    pub(crate) fn act(&self, act: &str) -> String {
        let path = with_query(&with_query(&format!("/spend/{act}"), "scope", &self.scope), "per", &self.per);
        self.zone.iter().fold(path, |path, zone| with_query(&path, "zone", zone))
    }
}

fn fill(name: &'static str, spent: String, limit: String, (spent_part, kept_part): (u64, u64)) -> BudgetFill {
    BudgetFill { name, spent, limit, spent_part, kept_part }
}

/// The parts of a limit in percent: what was spent, and what is kept.
fn parts(spent: u64, kept: u64, limit: u64) -> (u64, u64) {
    let percent =
        |size: u64| u64::try_from(u128::from(size) * 100 / u128::from(limit.max(1))).unwrap_or(100).min(100);
    let spent_part = percent(spent);
    (spent_part, percent(spent.saturating_add(kept)) - spent_part)
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct BudgetList {
    items: Vec<SharedBudget>,
}

/// All shared budgets, as they are now: those that are used up first, then the fullest.
pub(super) async fn all(visit: &Visit) -> Result<Vec<SharedBudget>, Problem> {
    let (list, held) = futures::join!(visit.rest.get::<BudgetList>("/budgets"), held(visit));
    let mut items = list?.items;
    for (of_run, run) in &held {
        for budget in items.iter_mut().filter(|budget| budget.is_of(of_run)) {
            budget.hold(of_run, run);
        }
    }
    items.sort_by_key(|budget| {
        let fullest = budget.fills().iter().map(|fill| fill.spent_part).max().unwrap_or(0);
        (!budget.is_over(), 100 - fullest)
    });
    Ok(items)
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct BudgetParams {
    scope: String,
    per: String,
    zone: String,
}

impl BudgetParams {
    fn is_of(&self, budget: &SharedBudget) -> bool {
        budget.scope == self.scope
            && budget.per == self.per
            && budget.zone.as_deref().unwrap_or_default() == self.zone
    }
}

/// `GET /spend/{act}`: the question before limits change.
pub(super) async fn ask(
    visit: Visit,
    Path(act): Path<String>,
    Query(params): Query<BudgetParams>,
) -> Result<Response, Problem> {
    allowed(&visit)?;
    let known = all(&visit).await?.into_iter().find(|budget| params.is_of(budget));
    Ok(question(&act, &params, known.as_ref())?.shown(&visit, None))
}

fn allowed(visit: &Visit) -> Result<(), Problem> {
    let may = visit.frame("", NavPlace::Spend).may_operate();
    may.then_some(()).ok_or_else(|| refused(visit, "an operator"))
}

fn question(act: &str, params: &BudgetParams, known: Option<&SharedBudget>) -> Result<Ask, Problem> {
    let reason = field("reason", "Why", "It is recorded.", AskField::Text(""));
    let scope = &params.scope;
    let (title, consequence, button, mut fields) = match act {
        "set-budget" => {
            let title = match known {
                Some(_) => format!("Limits of {scope}"),
                None => "Set limits of a shared budget".to_owned(),
            };
            let consequence = "These limits hold for all its runs from now on, beside those that the runs have. Work that waited for it goes on where there is room.";
            let mut fields = limits(params, known);
            fields.extend(known.map(|known| field(WAS, "", "", AskField::Hidden).saying(known.mark())));
            (title, consequence, "Set these limits", fields)
        }
        "unset-budget" => {
            let hidden = |name, value: &str| field(name, "", "", AskField::Hidden).saying(value);
            let fields =
                vec![hidden("scope", scope), hidden("per", &params.per), hidden("zone", &params.zone)];
            let consequence =
                "It has no limits of its own any more; those that its runs name go on counting.";
            (format!("Take the limits of {scope} away"), consequence, "Take the limits away", fields)
        }
        other => return Err(Problem::not_found(format!("nothing is at /spend/{other}"))),
    };
    fields.push(reason);
    Ok(Ask {
        title,
        consequence: consequence.to_owned(),
        fields,
        button: button.to_owned(),
        is_danger: act == "unset-budget",
        action: format!("/spend/{act}"),
        back: "/spend#budgets".to_owned(),
        place: NavPlace::Spend,
    })
}

/// The fields of a budget's limits, as they are set now.
fn limits(params: &BudgetParams, known: Option<&SharedBudget>) -> Vec<Given> {
    let set = known.map(|budget| budget.set.clone()).unwrap_or_default();
    let per = if params.per.is_empty() { "month" } else { &params.per };
    let example = AskField::Text;
    vec![
        field("scope", "Scope", "What its runs share, as their budgets name it.", example("team-blue"))
            .needed()
            .saying(&params.scope),
        field("per", "Period", "", AskField::Choice(PERIODS)).saying(per),
        field("zone", "Where days begin", "Empty: UTC.", example("Europe/Zurich")).saying(&params.zone),
        field("cost", "Money", "US dollars; empty: not limited.", example("500.00"))
            .saying(set.cost_usd.unwrap_or_default()),
        field("tokens", "Tokens", "Empty: not limited.", example("20000000"))
            .saying(set.tokens.map(|n| n.to_string()).unwrap_or_default()),
        field("wall", "Time of paid attempts", "Empty: not limited.", example("40h"))
            .saying(set.wall_ms.map(span).unwrap_or_default()),
    ]
}

/// A span as a field takes it.
fn span(ms: u64) -> String {
    match ms {
        ms if ms % 3_600_000 == 0 => format!("{}h", ms / 3_600_000),
        ms if ms % 60_000 == 0 => format!("{}m", ms / 60_000),
        ms => format!("{}s", ms.div_ceil(1_000)),
    }
}

/// `POST /spend/{act}`: changes the limits.
pub(super) async fn act(visit: Visit, Path(act): Path<String>, fields: Fields) -> Result<Response, Problem> {
    allowed(&visit)?;
    let said = |name: &str| fields.text(name).map(str::trim).unwrap_or_default().to_owned();
    let params = BudgetParams { scope: said("scope"), per: said("per"), zone: said("zone") };
    let known = all(&visit).await?.into_iter().find(|budget| params.is_of(budget));
    let question = question(&act, &params, known.as_ref())?;
    let now = known.as_ref().map(SharedBudget::mark).unwrap_or_default();
    let written = match act.as_str() {
        "set-budget" if fields.text(WAS).is_some_and(|was| was != now) => {
            let now = known.as_ref().map_or_else(|| "none".to_owned(), SharedBudget::said);
            Err(Problem::changed(format!(
                "others changed these limits since you looked; they are now: {now}"
            )))
        }
        "set-budget" => match body(&fields, &params) {
            Ok(body) => {
                let path = format!("/budgets/{}", segment(&params.scope));
                visit.rest.write(Method::PUT, &path, &body, fields.once()).await
            }
            Err(problem) => Err(problem),
        },
        _ => {
            let mut path = format!("/budgets/{}", segment(&params.scope));
            for (name, value) in [("per", &params.per), ("zone", &params.zone), ("reason", &said("reason"))] {
                if !value.is_empty() {
                    path = with_query(&path, name, value);
                }
            }
            visit.rest.write(Method::DELETE, &path, &Value::Null, fields.once()).await
        }
    };
    match written {
        Ok(_) => Ok(Redirect::to(&said_at(&question.back, &format!("spend-{act}"))).into_response()),
        Err(problem) => Ok(question.typed(&fields).shown(&visit, Some(problem))),
    }
}

/// The body of `PUT /budgets/{scope}`.
fn body(fields: &Fields, params: &BudgetParams) -> Result<Value, Problem> {
    if params.scope.is_empty() {
        return Err(Problem::invalid("the scope is missing"));
    }
    let said = |name: &str| fields.text(name).map(str::trim);
    let tokens = match said("tokens").map(|text| text.replace([' ', '_', '\u{202f}'], "")) {
        Some(text) => {
            Some(text.parse::<u64>().map_err(|_| Problem::invalid("tokens: this is no whole number"))?)
        }
        None => None,
    };
    let zone = (!params.zone.is_empty()).then_some(&params.zone);
    let mut body = json!({ "per": params.per });
    let parts = [
        ("zone", json!(zone)),
        ("cost", json!(said("cost"))),
        ("tokens", json!(tokens)),
        ("wall", json!(said("wall"))),
        ("reason", json!(said("reason"))),
    ];
    for (name, value) in parts.into_iter().filter(|(_, value)| !value.is_null()) {
        body[name] = value;
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_that_others_changed_are_told_from_those_of_the_page() {
        let set = |cost: Option<&str>, tokens| SharedBudget {
            set: BudgetAmounts { cost_usd: cost.map(str::to_owned), tokens, wall_ms: None },
            ..SharedBudget::default()
        };
        let page = set(Some("5.000000"), None);
        assert_eq!(page.mark(), set(Some("5.000000"), None).mark());
        assert_ne!(page.mark(), set(Some("50.000000"), None).mark());
        assert_ne!(page.mark(), set(Some("5.000000"), Some(0)).mark());
        assert_eq!(set(None, None).said(), "none");
        assert!(set(Some("50.000000"), Some(1_000)).said().ends_with(" tokens"));
        let params = BudgetParams { scope: "team".into(), per: "day".into(), zone: String::new() };
        let asked = question("set-budget", &params, Some(&page)).expect("a form");
        let back = asked.typed(&Fields::read(b"was=other&cost=7"));
        let value =
            |name: &str| back.fields.iter().find(|given| given.name == name).map(|given| given.value.clone());
        assert_eq!((value("was"), value("cost")), (Some(page.mark()), Some("7".to_owned())));
    }

    #[test]
    fn a_budget_shows_each_measure_it_limits_and_what_is_kept() {
        let budget = SharedBudget {
            limit: BudgetAmounts { cost_usd: Some("4.000000".into()), tokens: Some(0), wall_ms: None },
            spent: BudgetAmounts { cost_usd: Some("3.000000".into()), tokens: Some(7), wall_ms: Some(1) },
            reserved_usd: "2.000000".into(),
            ..SharedBudget::default()
        };
        let fills = budget.fills();
        let parts: Vec<_> = fills.iter().map(|fill| (fill.name, fill.spent_part, fill.kept_part)).collect();
        assert_eq!(parts, [("money", 75, 25), ("tokens", 100, 0)]);
    }

    #[test]
    fn a_budget_whose_limits_stand_in_pipelines_shows_how_full_it_is_and_whom_it_holds() {
        let mut budget = SharedBudget {
            scope: "team:blue".into(),
            per: "month".into(),
            spent: BudgetAmounts { cost_usd: Some("1.240000".into()), ..BudgetAmounts::default() },
            ..SharedBudget::default()
        };
        let of_run: BudgetOfRun = serde_json::from_value(json!({
            "id": "team", "scope": "team:blue", "per": "month", "zone": null, "over": "cost",
            "limit": { "cost_usd": "0.500000", "tokens": null, "wall_ms": null },
        }))
        .unwrap();
        let other = BudgetOfRun { per: "day".into(), ..of_run.clone() };
        assert!(budget.is_of(&of_run) && !budget.is_of(&other) && !budget.is_over());
        let run = HeldRun { short_id: "1a2b3c4d".into(), name: "work".into() };
        budget.hold(&of_run, &run);
        budget.hold(&of_run, &run);
        let parts: Vec<_> = budget.fills().iter().map(|fill| (fill.name, fill.spent_part)).collect();
        assert_eq!(parts, [("money", 100)]);
        assert!(budget.is_over() && budget.is_of_runs() && budget.held == [run]);
        assert_eq!(budget.taken(), "used up");
    }

    #[test]
    fn a_budget_that_is_only_reserved_is_not_said_to_be_used_up() {
        let over =
            |is_reserved| SharedBudget { over: Some("cost".into()), is_reserved, ..SharedBudget::default() };
        assert_eq!(over(true).taken(), "reserved for work that runs");
        assert_eq!(over(false).taken(), "used up");
        // Of the limits of pipelines the runs that are held say it.
        let run = HeldRun { short_id: "1a2b3c4d".into(), name: "work".into() };
        let of_run = |is_reserved| BudgetOfRun { is_reserved, ..BudgetOfRun::default() };
        let mut budget = SharedBudget::default();
        budget.hold(&of_run(true), &run);
        assert_eq!((budget.is_over(), budget.taken()), (true, "reserved for work that runs"));
        budget.hold(&of_run(false), &run);
        assert_eq!(budget.taken(), "used up");
    }

    #[test]
    fn limits_are_sent_as_they_were_typed_and_empty_ones_not_at_all() {
        let fields = Fields::read(b"scope=a+b&per=day&cost=2+EUR&tokens=1+000&wall=&reason=+");
        let params = BudgetParams { scope: "a b".into(), per: "day".into(), zone: String::new() };
        assert_eq!(body(&fields, &params).unwrap(), json!({ "per": "day", "cost": "2 EUR", "tokens": 1000 }));
        assert!(body(&Fields::read(b"tokens=many"), &params).is_err());
    }
}
