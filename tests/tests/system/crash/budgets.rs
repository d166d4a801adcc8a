//! Budgets, with the real program killed behind each of their events: every use is counted once, and
//! nothing is executed twice or never.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};

use super::fixtures::{Lab, TRACE, await_that};

/// Kills behind the event before the run is let go.
const CRASHES: usize = 2;

/// Three pieces of paid work: of the shared budget two are left, of the run's own one after a raise.
const PAID: &str = r#"
name: paid
budget:
  - { id: own, cost: "0.50 USD", reserve: "0.05 USD" }
  - { id: team, scope: team, cost: "10 USD", reserve: "0.05 USD" }
steps:
  - id: a
    agent: { profile: script, prompt: Do, args: [sh, work.sh] }
  - id: b
    agent: { profile: script, prompt: Do, args: [sh, work.sh] }
  - id: c
    agent: { profile: script, prompt: Do, args: [sh, work.sh] }
"#;

const SPENDING: &str = r#"echo '{"everfold": {"usage": {"model": "m", "input_tokens": 5, "output_tokens": 7, "cost": 0.30}}}' > "$EVERFOLD_OUTPUT""#;

fn lab() -> Lab {
    let lab = Lab::with(PAID);
    lab.write("work.sh", &format!("{TRACE}\n{SPENDING}\n"));
    lab
}

/// Drives the run to its end, raising its own budget when it waits for that; gives how often it was killed.
fn to_its_end(lab: &Lab, event: &str) -> usize {
    let mut crashes = 0;
    // An owner in the background is killed like any other, and leaves its record behind.
    let mut gone = BTreeSet::new();
    for _ in 0..20 {
        let is_raised = lab.data().exists() && has_raised(lab);
        let crash_after = ["--crash-after", event];
        let crash_after = if crashes < CRASHES { &crash_after[..] } else { &[] };
        let args = ["run", "./p.yaml", "--idempotency-key", "k", "--no-wait"];
        let done = lab.run(&[&args, crash_after].concat());
        crashes += killed(lab, &mut gone, done.code.is_none());
        match done.code {
            None => {}
            Some(0) => return crashes,
            Some(6) => {
                assert_eq!(lab.view("@")["awaits"][0]["kind"], "budget", "{done:?}");
                assert!(!is_raised, "one raise is enough, behind {event}: {done:?}");
                let args = ["budget", "@", "--budget", "own", "--add", "0.50", "-m", "go on"];
                let raised = lab.run(&[&args, crash_after].concat());
                crashes += killed(lab, &mut gone, raised.code.is_none());
            }
            Some(code) => panic!("{code} behind {event}: {done:?}"),
        }
    }
    panic!("it does not end, killed behind {event}");
}

fn has_raised(lab: &Lab) -> bool {
    lab.events("@").iter().any(|event| event.kind() == "BudgetRaised")
}

/// Whether one more of those who owned the folder was killed.
fn killed(lab: &Lab, gone: &mut BTreeSet<i32>, is_seen: bool) -> usize {
    let dead = lab.owner().filter(|pid| !Path::new(&format!("/proc/{pid}")).exists());
    let is_new = dead.is_some_and(|pid| gone.insert(pid));
    usize::from(is_seen || is_new)
}

#[test]
fn l31_every_use_is_counted_once_wherever_the_program_is_killed() {
    let events = [
        "none",
        "BudgetsOpened",
        "FundsRequested",
        "FundsReserved",
        "FundsAnswered",
        "FundsGranted",
        "UsageRecorded",
        "BudgetExceeded",
        "BudgetRaised",
        "SpendCharged",
        "SpendReported",
    ];
    for event in events {
        let lab = lab();
        let crashes = to_its_end(&lab, event);
        assert!(crashes > 0 || event == "none", "never killed behind {event}");
        lab.assert_trace(&["a 1 1", "b 1 1", "c 1 1"]);
        // The counter may hear of the last use after the run's end, from the process that owns the folder then.
        let spent = await_that("the counter knows of every use", || {
            let spent = lab.run(&["spend", "--json"]).ended_with(0).json();
            (spent["budgets"][0]["spent"]["cost_usd"] == "0.900000").then_some(spent)
        });
        assert_eq!(
            (&spent["total"]["cost_usd"], &spent["total"]["reports"], &spent["budgets"][0]["reserved_usd"]),
            (&json!("0.900000"), &json!(3), &json!("0.000000")),
            "killed behind {event}"
        );
        let budgets = lab.run(&["budget", "@", "--json"]).ended_with(0).json();
        let own = budgets["items"].as_array().unwrap().iter().find(|it| it["id"] == "own").unwrap();
        assert_eq!(used(own), json!("0.900000"), "killed behind {event}: {own}");
        lab.assert_left_in_order();
    }
}

fn used(budget: &Value) -> Value {
    budget["spent"]["cost_usd"].clone()
}
