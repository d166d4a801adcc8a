//! The failure that a used-up budget leads to, with the commands by which a person goes on.
//!
//! Law: it is recorded. Where its words change the fold has a new number, and replay knows the former ones.

use super::{BudgetState, RunClock, full_for_others, is_full_for_others, summary};
use crate::budgets::period_word;
use crate::event::{BudgetTerms, Measure};
use everfold_base::failure::{Failure, FailureKind};
use everfold_base::time::Timestamp;
use everfold_language::definition::{OnOver, Period};

/// A longer scope is not written out in a command.
const SCOPE_BYTES_MAX: usize = 160;

/// The failure that a used-up budget leads to. `is_only`: the run has no other one, so that a raise need not name it.
pub(crate) fn failure(
    budget: &BudgetState,
    measure: Measure,
    is_only: bool,
    (clock, at): (&RunClock, Timestamp),
) -> Failure {
    let (terms, used) = (&budget.terms, budget.used(clock, at));
    let of_scope = is_full_for_others(terms, &used);
    let how = match of_scope {
        true => full_for_others(&used, measure),
        false => summary(terms, &used, measure, ""),
    };
    let message = format!("budget “{}” is used up: {how}", terms.id);
    let hint = match (of_scope, terms.on_over == OnOver::Fail) {
        (true, true) => format!("{}; then `everfold retry RUN`", scope_raise(terms, measure)),
        // Its work was stopped. The run takes a raise as long as it is blocked; whether it is, or fails, its step decides.
        (true, false) => format!(
            "{}; then `everfold unblock RUN STEP --decision retry` where the run is blocked, `everfold retry RUN` where it has failed",
            scope_raise(terms, measure)
        ),
        // The run has ended: nothing can be added to its own budget any more.
        (false, true) => "raise the limit in the pipeline's `budget`, then `everfold restart RUN --from STEP --definition FILE` goes on by it as a new run that keeps what succeeded before; `on_over: pause` waits for a person instead".to_owned(),
        (false, false) => {
            let add = added(terms, measure, is_only);
            format!(
                "where the run is blocked, raise it with `everfold budget RUN{add} -m WHY`, then `everfold unblock RUN STEP --decision retry`; where it has failed, `everfold retry RUN` goes on as a new run NEW that keeps what succeeded, and `everfold budget NEW{add} -m WHY` gives that one more"
            )
        }
    };
    Failure::new(FailureKind::Budget, message).with_hint(hint)
}

/// The options that raise the limit of a run.
fn added(terms: &BudgetTerms, measure: Measure, is_only: bool) -> String {
    let which = if is_only { String::new() } else { format!(" --budget {}", word(&terms.id)) };
    let amount = match measure {
        Measure::Cost => "--add 2.00",
        Measure::Tokens => "--tokens 100000",
        Measure::Wall => "--wall 1h",
    };
    format!("{which} {amount}")
}

/// How the limit of a scope is raised. The command sets all limits of the counter of that period in that zone.
fn scope_raise(terms: &BudgetTerms, measure: Measure) -> String {
    let scope = terms.scope.as_deref().unwrap_or_default();
    let is_long = scope.len() > SCOPE_BYTES_MAX || scope.chars().any(char::is_control);
    let scope = if is_long { "SCOPE".to_owned() } else { word(scope) };
    let zone = terms.zone.as_deref().map(|zone| format!(" --zone {}", word(zone))).unwrap_or_default();
    let limit = match measure {
        Measure::Cost => "--cost 500.00",
        Measure::Tokens => "--tokens 1000000",
        Measure::Wall => "--wall 40h",
    };
    let (per, or_wait) = match terms.per {
        Period::Total => ("total", ""),
        per => (period_word(per), ", or wait for its next period"),
    };
    format!(
        "raise the limit of its scope with `everfold budget set {scope} --per {per}{zone} {limit}` and the other limits that it has, which `everfold budget list` shows{or_wait}"
    )
}

/// A text as one word of a shell.
fn word(text: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "-_./:@+,%".contains(c);
    match !text.is_empty() && !text.starts_with('-') && text.chars().all(is_plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(scope: Option<&str>, per: Period, zone: Option<&str>) -> BudgetTerms {
        BudgetTerms {
            id: "words".into(),
            scope: scope.map(str::to_owned),
            per,
            zone: zone.map(str::to_owned),
            cost_micros: None,
            tokens: None,
            wall_ms: None,
            reserve_micros: 0,
            on_over: OnOver::Stop,
        }
    }

    fn hint(terms: BudgetTerms, measure: Measure, is_only: bool) -> String {
        let budget = BudgetState::new(terms);
        let found = failure(&budget, measure, is_only, (&RunClock::default(), Timestamp(1)));
        found.hint.unwrap_or_default()
    }

    /// It named money whatever was used up, and no budget where there are several: the run refused that.
    #[test]
    fn the_hint_of_a_budget_of_the_run_raises_what_is_used_up() {
        for (measure, is_only, command) in [
            (Measure::Cost, true, "RUN --add 2.00 -m WHY"),
            (Measure::Tokens, true, "RUN --tokens 100000 -m WHY"),
            (Measure::Wall, true, "RUN --wall 1h -m WHY"),
            (Measure::Tokens, false, "RUN --budget words --tokens 100000 -m WHY"),
        ] {
            let own = BudgetTerms { tokens: Some(0), ..terms(None, Period::Total, None) };
            let hint = hint(own, measure, is_only);
            assert!(hint.contains(&format!("`everfold budget {command}`")), "{hint}");
            assert!(hint.contains(&format!("`everfold budget {}`", command.replace("RUN", "NEW"))), "{hint}");
        }
    }

    /// Without period and zone it set the limits of another counter.
    #[test]
    fn the_hint_of_a_scope_names_its_counter() {
        for (scope, per, zone, measure, command) in [
            ("team", Period::Total, None, Measure::Cost, "team --per total --cost 500.00"),
            ("team", Period::Week, None, Measure::Tokens, "team --per week --tokens 1000000"),
            (
                "my team's",
                Period::Month,
                Some("Europe/Berlin"),
                Measure::Wall,
                r"'my team'\''s' --per month --zone Europe/Berlin --wall 40h",
            ),
        ] {
            let hint = hint(terms(Some(scope), per, zone), measure, true);
            assert!(hint.contains(&format!("`everfold budget set {command}`")), "{hint}");
            assert_eq!(hint.contains("next period"), per != Period::Total, "{hint}");
        }
        let hint = hint(terms(Some(&"x".repeat(400)), Period::Day, None), Measure::Cost, true);
        assert!(hint.contains("budget set SCOPE --per day --cost 500.00"), "{hint}");
    }
}
