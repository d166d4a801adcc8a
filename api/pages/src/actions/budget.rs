//! How full the budgets of a run are, and raising one.

use super::act::Act;
use super::acting_run::BudgetNow;
use super::confirmation::{
    Asked, Confirmation, Line, Meter, Offer, Select, counted, message_option, reason, shell_word,
};

pub(super) fn confirm(act: &Act) -> Confirmation {
    let run = &act.run;
    let over = run.budget.iter().find(|budget| budget.over.is_some());
    let typed = act.typed.text("budget");
    let chosen = typed.or(over.or(run.budget.first()).map(|budget| budget.id.as_str())).unwrap_or_default();
    let mut says = Vec::new();
    let amounts = amounts(act);
    says.push(match amounts.as_str() {
        "" => format!(
            "Raises {chosen} by what you say below, for this run{}.",
            shared(run.budget.iter().find(|it| it.id == chosen))
        ),
        amounts => {
            format!("Raises {chosen} by {amounts}{}.", shared(run.budget.iter().find(|it| it.id == chosen)))
        }
    });
    let held = run.awaits.iter().filter(|it| it.kind == "budget").count();
    if held > 0 {
        let verb = if held == 1 { "waits" } else { "wait" };
        says.push(format!(
            "{} {verb} for a budget and may begin then.",
            counted(held, "piece of work", "pieces of work")
        ));
    }
    let mut asked: Vec<Asked> = run.budget.iter().map(|budget| Asked::Meter(meter(budget))).collect();
    if run.budget.len() > 1 {
        asked.push(Asked::Select(Select {
            name: "budget".to_owned(),
            label: "Budget".to_owned(),
            hint: String::new(),
            options: run
                .budget
                .iter()
                .map(|it| Offer::new(it.id.as_str(), format!("{} · {}", it.id, it.summary), ""))
                .collect(),
            chosen: chosen.to_owned(),
        }));
    }
    let field = |name: &str, label: &str, hint: &str| {
        Asked::Line(Line {
            name: name.to_owned(),
            label: label.to_owned(),
            hint: hint.to_owned(),
            text: act.typed.text(name).unwrap_or_default().to_owned(),
            changes_says: true,
            ..Line::default()
        })
    };
    asked.push(field("add", "More money", "US dollars: 2.00, or 2 EUR where the settings have its rate."));
    asked.push(field("tokens", "More tokens", "A whole number."));
    asked.push(field("wall", "More time", "30m, 2h."));
    asked.push(reason(&act.typed));
    let refused = run.ended_refusal().or_else(|| {
        run.budget.is_empty().then(|| "The run has no budget: nothing limits what it uses up.".to_owned())
    });
    Confirmation {
        title: format!("Budget of {}", run.quoted()),
        says,
        asked,
        button: if amounts.is_empty() {
            format!("Raise {chosen}")
        } else {
            format!("Raise {chosen} by {amounts}")
        },
        is_dangerous: false,
        command: format!("everfold budget {}{}{}", run.short_id, options(act), message_option(&act.typed)),
        refused,
        ..Confirmation::default()
    }
}

fn shared(budget: Option<&BudgetNow>) -> &'static str {
    match budget.and_then(|budget| budget.scope.as_ref()) {
        Some(_) => "; all runs that share it may use it",
        None => "",
    }
}

/// What is typed, in words.
fn amounts(act: &Act) -> String {
    let add = act.typed.text("add").map(str::trim).map(|add| {
        if add.chars().all(|c| c.is_ascii_digit() || c == '.') {
            format!("{add} USD")
        } else {
            add.to_owned()
        }
    });
    let tokens = act.typed.text("tokens").map(|tokens| format!("{} tokens", tokens.trim()));
    let wall = act.typed.text("wall").map(|wall| wall.trim().to_owned());
    [add, tokens, wall].into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn options(act: &Act) -> String {
    let option = |name: &str| {
        act.typed.text(name).map(|text| format!(" --{name} {}", shell_word(text.trim()))).unwrap_or_default()
    };
    let budget = if act.run.budget.len() > 1 { option("budget") } else { String::new() };
    format!("{budget}{}{}{}", option("add"), option("tokens"), option("wall"))
}

fn meter(budget: &BudgetNow) -> Meter {
    let money = |amount: &Option<String>| amount.as_ref()?.parse::<f64>().ok();
    let number = |amount: Option<u64>| amount.map(|amount| amount as f64);
    let shares = [
        (money(&budget.spent.cost_usd), money(&budget.limit.cost_usd)),
        (number(budget.spent.tokens), number(budget.limit.tokens)),
        (number(budget.spent.wall_ms), number(budget.limit.wall_ms)),
    ];
    // The fullest of its limits is the one that matters.
    let full = shares.into_iter().filter_map(|pair| match pair {
        (Some(spent), Some(limit)) if limit > 0.0 => Some(spent / limit * 100.0),
        (_, Some(_)) => Some(100.0),
        _unlimited => None,
    });
    let percent = full.fold(None::<f64>, |most, share| Some(most.map_or(share, |most| most.max(share))));
    Meter {
        label: budget.id.clone(),
        says: budget.summary.clone(),
        percent: percent.map(|percent| percent.clamp(0.0, 100.0) as u64),
        taken: budget.over.is_some().then(|| crate::words::taken(budget.is_reserved)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_budget_is_as_full_as_the_fullest_of_its_limits() {
        let of = |value| meter(&serde_json::from_value(value).unwrap()).percent;
        let money = json!({ "limit": { "cost_usd": "2.00", "tokens": 1000 }, "spent": { "cost_usd": "0.50", "tokens": 900 } });
        assert_eq!(of(money), Some(90));
        assert_eq!(of(json!({ "limit": {}, "spent": { "cost_usd": "1" } })), None);
        assert_eq!(of(json!({ "limit": { "cost_usd": "1" }, "spent": { "cost_usd": "3" } })), Some(100));
    }
}
