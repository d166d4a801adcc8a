//! What is not well, the worst first: what a person should look at, and where.

use super::facts::SystemFacts;
use crate::words::count;

/// Events that a read model may be behind before that is worth a word.
const LAG_MAX: u64 = 1_000;
/// How long before its end a token is spoken of, in milliseconds.
const EXPIRES_SOON: i64 = 7 * 86_400_000;

/// How bad something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Severity {
    /// Something does not go on.
    Bad,
    /// Somebody should look.
    Warning,
}

/// One thing that is not well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) severity: Severity,
    pub(crate) text: String,
    /// The part of the page that tells more.
    pub(crate) part: &'static str,
}

impl Finding {
    pub(crate) fn glyph(&self) -> &'static str {
        match self.severity {
            Severity::Bad => "✕",
            Severity::Warning => "◆",
        }
    }

    pub(crate) fn tone(&self) -> &'static str {
        match self.severity {
            Severity::Bad => "tone-bad",
            Severity::Warning => "tone-blocked",
        }
    }

    pub(crate) fn word(&self) -> &'static str {
        match self.severity {
            Severity::Bad => "Not well:",
            Severity::Warning => "Look at:",
        }
    }
}

/// All that is not well, the worst first.
pub(crate) fn findings(facts: &SystemFacts) -> Vec<Finding> {
    let mut found = Vec::new();
    of_store(facts, &mut found);
    of_engine(facts, &mut found);
    of_notices(facts, &mut found);
    of_tokens(facts, &mut found);
    found.sort_by_key(|finding| finding.severity);
    found
}

fn bad(part: &'static str, text: impl Into<String>) -> Finding {
    Finding { severity: Severity::Bad, text: text.into(), part }
}

fn warning(part: &'static str, text: impl Into<String>) -> Finding {
    Finding { severity: Severity::Warning, text: text.into(), part }
}

fn things(number: u64, one: &str, many: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{} {many}", count(number)) }
}

fn of_store(facts: &SystemFacts, found: &mut Vec<Finding>) {
    let store = &facts.store;
    if let Some(why) = store.refuses() {
        found.push(bad("store", format!("The store takes no writes: {why}")));
    }
    if !store.adopted {
        found.push(bad(
            "store",
            "This copy of the store does not act: `everfold store adopt` makes it the one that does",
        ));
    }
    let aside = store.set_aside.len() as u64;
    if aside > 0 {
        found.push(bad(
            "store",
            format!("{} set aside: nothing goes on in them", things(aside, "run is", "runs are")),
        ));
    }
    if store.unreadable_events > 0 {
        let number = things(store.unreadable_events, "event", "events");
        found.push(bad("store", format!("{number} cannot be read by this version")));
    }
    found.extend(store.warnings.iter().map(|text| warning("store", text.clone())));
    for model in &facts.models.items {
        if let Some(why) = &model.stopped {
            found.push(bad("models", format!("The read model {} stands still: {}", model.name, why.what)));
        } else if model.lag > LAG_MAX {
            found.push(warning(
                "models",
                format!("The read model {} is {} events behind", model.name, count(model.lag)),
            ));
        }
    }
}

fn of_engine(facts: &SystemFacts, found: &mut Vec<Finding>) {
    for halt in &facts.paused {
        let what = match &halt.pipeline {
            Some(name) => format!("The pipeline {name} is paused"),
            None => "The whole engine is paused".to_owned(),
        };
        found.push(warning("engine", format!("{what} by {}", crate::words::actor(&halt.by))));
    }
    for breaker in facts.limits.breakers.iter().filter(|breaker| !breaker.is_closed()) {
        let waits = match breaker.waiting {
            0 => String::new(),
            n => format!("; {}", things(n, "attempt waits", "attempts wait")),
        };
        let number = things(breaker.failures, "failure", "failures");
        found.push(bad("breakers", format!("The breaker {} is open after {number}{waits}", breaker.service)));
    }
    for pool in facts.limits.places.iter().chain(&facts.limits.resources).filter(|pool| pool.is_short()) {
        let waits = things(pool.waiting, "waits", "wait");
        let used = match pool.size {
            1 => "the one is in use".to_owned(),
            size => format!("all {size} are in use"),
        };
        found.push(warning("limits", format!("{}: {used}, {waits}", pool.name)));
    }
    let is_done = |name: &str| facts.workers.items.iter().any(|worker| worker.does(name));
    for function in facts.workers.functions.iter().filter(|one| one.waiting > 0 && !is_done(&one.name)) {
        let waits = things(function.waiting, "attempt waits", "attempts wait");
        found.push(bad("workers", format!("No worker does {}: {waits}", function.name)));
    }
}

fn of_notices(facts: &SystemFacts, found: &mut Vec<Finding>) {
    let dead = facts.notices.iter().filter(|notice| notice.is_dead()).count() as u64;
    if dead > 0 {
        found.push(warning(
            "notices",
            format!("{} not be sent", things(dead, "notice could", "notices could")),
        ));
    }
    for one in facts.subscriptions.iter().filter(|one| one.state == "failing") {
        found.push(bad("subscriptions", format!("The subscription {} cannot tell what happens", one.name)));
    }
}

fn of_tokens(facts: &SystemFacts, found: &mut Vec<Finding>) {
    let soon = crate::words::now_millis() + EXPIRES_SOON;
    for token in facts.tokens.iter().flatten().filter(|token| token.is_good()) {
        if let Some(end) =
            token.expires_at.as_deref().filter(|end| crate::words::millis(end).is_some_and(|end| end < soon))
        {
            let text = format!("The token {} ends {}", token.name, crate::words::age(end));
            found.push(warning("tokens", text));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::system::facts::{Breaker, Pool, RemoteFunction, Store, Worker};

    fn well() -> SystemFacts {
        let store = Store { adopted: true, writability: json!("writable"), ..Store::default() };
        SystemFacts { store, ..SystemFacts::default() }
    }

    #[test]
    fn a_system_that_is_well_has_nothing_to_say() {
        assert_eq!(findings(&well()), []);
    }

    #[test]
    fn the_worst_comes_first_and_says_how_many_wait() {
        let mut facts = well();
        facts.limits.places = vec![Pool { name: "processes".into(), size: 4, in_use: 4, waiting: 9 }];
        facts.limits.breakers = vec![Breaker {
            service: "agent.claude".into(),
            state: "open".into(),
            failures: 5,
            waiting: 1,
            ..Breaker::default()
        }];
        facts.store.writability = json!({ "read_only": "the disk failed" });
        let texts: Vec<String> = findings(&facts).into_iter().map(|finding| finding.text).collect();
        assert_eq!(
            texts,
            [
                "The store takes no writes: the disk failed",
                "The breaker agent.claude is open after 5 failures; 1 attempt waits",
                "processes: all 4 are in use, 9 wait",
            ]
        );
    }

    #[test]
    fn places_that_are_free_are_not_said_to_be_all_in_use() {
        let mut facts = well();
        // Two attempts wait for the one gpu: they need a process, too, and there are enough.
        facts.limits.places = vec![Pool { name: "processes".into(), size: 64, in_use: 1, waiting: 2 }];
        facts.limits.resources = vec![Pool { name: "gpu".into(), size: 1, in_use: 1, waiting: 2 }];
        let texts: Vec<String> = findings(&facts).into_iter().map(|finding| finding.text).collect();
        assert_eq!(texts, ["gpu: the one is in use, 2 wait"]);
    }

    #[test]
    fn a_function_that_waits_is_a_finding_only_where_no_worker_does_it() {
        let mut facts = well();
        let waiting = |name: &str| RemoteFunction { name: name.to_owned(), waiting: 2 };
        facts.workers.functions = vec![waiting("review"), waiting("scan")];
        facts.workers.items = vec![Worker { functions: vec!["review".to_owned()], ..Worker::default() }];
        let texts: Vec<String> = findings(&facts).into_iter().map(|finding| finding.text).collect();
        assert_eq!(texts, ["No worker does scan: 2 attempts wait"]);
    }

    #[test]
    fn a_read_model_that_stopped_says_why() {
        let mut facts = well();
        facts.models = serde_json::from_value(json!({ "size_bytes": null, "items": [
            { "name": "runs", "stopped": { "run": "0a", "position": 7, "what": "an event is unknown" } },
        ] }))
        .unwrap();
        let texts: Vec<String> = findings(&facts).into_iter().map(|finding| finding.text).collect();
        assert_eq!(texts, ["The read model runs stands still: an event is unknown"]);
    }
}
