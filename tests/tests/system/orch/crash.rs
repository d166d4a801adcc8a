//! The server is killed behind each kind of event of a task's whole way, and served again: never two agents at once,
//! never a stage without its job, every outside effect once (O37, O91, O58).

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};

use super::services::Services;
use super::walk::{DARK, begin, comments, is_told};
use super::world::{SHOP, World, stands};

/// Worlds at once: most of them wait most of the time.
const WORKERS: usize = 3;

/// What comes when all is done and said: the test may be over first.
const LAST: &str = "WorkspaceRemoved";

/// What the outside saw of a task.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    comments: Vec<String>,
    states: Vec<&'static str>,
    pulls: usize,
    has_two_live: bool,
    pings: BTreeSet<String>,
    agents: Vec<String>,
    two: Vec<String>,
}

fn seen(world: &World) -> Seen {
    let services = world.services();
    let mut states = services.issues[DARK].states.clone();
    // To write the state that it has already is no effect.
    states.dedup();
    let mut said = comments(&services, DARK);
    // Notices of one event are sent in any order.
    said.sort();
    let (live, pings): (Vec<_>, Vec<_>) = services.messages.iter().partition(|message| message.is_silent);
    Seen {
        comments: said,
        states,
        pulls: services.pulls.len(),
        // Telegram knows no keys: killed while it is asked, the live message stays as it is, and a ping rings again.
        has_two_live: live.len() > 1,
        pings: pings.iter().map(|message| message.text.clone()).collect(),
        agents: world.lines("agents"),
        two: world.lines("two"),
    }
}

/// The kinds of events in the order in which they first come.
fn kinds(world: &World) -> Vec<String> {
    let mut kinds = Vec::new();
    for kind in world.event_kinds() {
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    kinds
}

/// A task's whole way, the server killed behind each of these; gives those that did not come.
async fn whole_way(plan: Vec<String>) -> (World, Vec<String>) {
    let mut world = World::unserved().await;
    let mut plan = VecDeque::from(plan);
    world.serve(plan.front().map(String::as_str));
    begin(&world, DARK, SHOP, "Dark mode");
    world.until_over_crashes("the analysis", &mut plan, stands(DARK, "In Review")).await;
    world.services().set_state(DARK, "Approved", "owner");
    let is_over = |services: &Services| services.issues[DARK].state == "Done" && is_told(services, DARK);
    world.until_over_crashes("the end", &mut plan, is_over).await;
    (world, plan.into())
}

#[tokio::test(flavor = "multi_thread")]
async fn o091_killed_behind_any_event_a_task_ends_as_ever_and_nothing_is_done_twice() {
    let (world, _) = whole_way(Vec::new()).await;
    let (golden, kinds) = (seen(&world), kinds(&world));
    assert!(golden.two.is_empty() && golden.pulls == 1, "{golden:#?}");
    assert!(kinds.len() > 15, "{kinds:?}");
    drop(world);
    // Every third kind in one world: what comes in one batch is killed behind in different ones.
    let plans: VecDeque<Vec<String>> =
        (0..WORKERS).map(|first| kinds.iter().skip(first).step_by(WORKERS).cloned().collect()).collect();
    let plans = Arc::new(Mutex::new(plans));
    let golden = Arc::new(golden);
    let mut workers = tokio::task::JoinSet::new();
    for _ in 0..WORKERS {
        let (plans, golden) = (plans.clone(), golden.clone());
        workers.spawn(async move {
            loop {
                let Some(plan) = plans.lock().unwrap().pop_front() else { return };
                let (world, missed) = whole_way(plan.clone()).await;
                assert_eq!(seen(&world), *golden, "killed behind {plan:?}, but for {missed:?}");
                if plan.len() > 1 {
                    // It came before the server was to be killed behind it: once more, first of all.
                    plans.lock().unwrap().extend(missed.into_iter().map(|kind| vec![kind]));
                } else {
                    let never = missed.iter().find(|kind| **kind != LAST);
                    assert_eq!(never, None, "the server was never killed behind it");
                }
            }
        });
    }
    while let Some(done) = workers.join_next().await {
        done.unwrap();
    }
}
