//! The server is killed behind each kind of event of a task's whole way, and behind each single event, and served again:
//! never two agents at once, never a stage without its job, every outside effect once (O37, O91, O58).

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};

use super::services::Services;
use super::walk::{DARK, begin, comments, is_told};
use super::world::{SHOP, World, stands};

/// Worlds at once: most of them wait most of the time.
const WORKERS: usize = 3;

/// Behind any event of a run.
const ANY: &str = "*";

/// Lives of a server that kills itself behind the first event of each; a task's way has some hundred.
const LIVES_MAX: usize = 1_000;

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
    // A comment links the pull request where it is found within 5 s; on a busy machine it goes without.
    let link = regex::Regex::new(r"<li><a href=[^>]*/pulls/[^<]*</a></li>").unwrap();
    let said = comments(&services, DARK).into_iter();
    let mut said: Vec<String> = said.map(|said| link.replace(&said, "").into_owned()).collect();
    // Notices of one event are sent in any order.
    said.sort();
    let (live, pings): (Vec<_>, Vec<_>) = services.messages.iter().partition(|message| message.is_silent);
    Seen {
        comments: said,
        states,
        pulls: services.pulls.len(),
        // Telegram knows no keys: killed while it is asked, a ping rings again, and a live message of which nothing is known
        // stays as it was sent while the next update sends another. Only one of them is ever kept up to date.
        has_two_live: live.iter().filter(|message| message.edits > 0).count() > 1,
        pings: pings.iter().map(|message| message.text.clone()).collect(),
        agents: world.lines("agents"),
        two: world.lines("two"),
    }
}

/// The kinds of events in the order in which they first come.
fn kinds(events: &[String]) -> Vec<String> {
    let mut kinds = Vec::new();
    for kind in events {
        if !kinds.contains(kind) {
            kinds.push(kind.clone());
        }
    }
    kinds
}

/// A task's whole way, the server killed behind each of these; gives those that did not come.
async fn whole_way(prepare: fn(&World), plan: Vec<String>) -> (World, Vec<String>) {
    let mut world = World::unserved().await;
    prepare(&world);
    let mut plan = VecDeque::from(plan);
    world.serve(plan.front().map(String::as_str));
    begin(&world, DARK, SHOP, "Dark mode");
    world.until_over_crashes("the analysis", &mut plan, stands(DARK, "In Review")).await;
    // A state that was written and is not recorded so is written again by the next server, also over that of the owner.
    while !world.is_state_told() {
        world.until_over_crashes("a server", &mut plan, |_| true).await;
    }
    world.services().set_state(DARK, "Approved", "owner");
    let is_over = |services: &Services| services.issues[DARK].state == "Done" && is_told(services, DARK);
    world.until_over_crashes("the end", &mut plan, is_over).await;
    (world, plan.into())
}

/// Kills the server behind each of these kinds, first of all behind `first`: what is seen is as if it had lived.
async fn killed_behind(prepare: fn(&World), first: Option<&str>, kinds: &[String], golden: Seen) {
    let begun = |kinds: Vec<String>| first.map(str::to_owned).into_iter().chain(kinds).collect::<Vec<_>>();
    // Every third kind in one world: what comes in one batch is killed behind in different ones.
    let plans: VecDeque<Vec<String>> =
        (0..WORKERS).map(|nth| begun(kinds.iter().skip(nth).step_by(WORKERS).cloned().collect())).collect();
    let plans = Arc::new(Mutex::new(plans));
    let golden = Arc::new(golden);
    let alone = begun(vec![String::new()]).len();
    let first = first.map(str::to_owned);
    let mut workers = tokio::task::JoinSet::new();
    for _ in 0..WORKERS {
        let (plans, golden, first) = (plans.clone(), golden.clone(), first.clone());
        workers.spawn(async move {
            loop {
                let Some(plan) = plans.lock().unwrap().pop_front() else { return };
                let (world, missed) = whole_way(prepare, plan.clone()).await;
                assert_eq!(seen(&world), *golden, "killed behind {plan:?}, but for {missed:?}");
                if plan.len() > alone {
                    // It came before the server was to be killed behind it: once more, first of all.
                    let again = missed.into_iter().map(|kind| first.iter().cloned().chain([kind]).collect());
                    plans.lock().unwrap().extend(again);
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

#[tokio::test(flavor = "multi_thread")]
async fn o091_killed_behind_any_event_a_task_ends_as_ever_and_nothing_is_done_twice() {
    let (world, _) = whole_way(|_| (), Vec::new()).await;
    let (golden, kinds) = (seen(&world), kinds(&world.event_kinds()));
    assert!(golden.two.is_empty() && golden.pulls == 2, "{golden:#?}");
    assert!(kinds.len() > 15, "{kinds:?}");
    drop(world);
    killed_behind(|_| (), None, &kinds, golden).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn o091_killed_behind_any_event_of_a_rework_a_task_ends_as_ever_and_nothing_is_done_twice() {
    const REWORK: &str = "ReworkRequested";
    let refuse = |world: &World| {
        let finding = "'verdict: REQUEST_CHANGES\nversion: 1' '- [ ] P1: there is no test.'";
        world.plan("ET-001", "reviewer", 1, &format!("verdict review 12-review.md {finding}"));
    };
    let (world, _) = whole_way(refuse, Vec::new()).await;
    let events = world.event_kinds();
    let (golden, begins) = (seen(&world), events.iter().position(|kind| kind == REWORK).unwrap());
    let ends = begins + events[begins..].iter().position(|kind| kind == "RunSucceeded").unwrap();
    let kinds = kinds(&events[begins + 1..=ends]);
    assert!(golden.two.is_empty() && golden.pulls == 2, "{golden:#?}");
    assert!(golden.agents.contains(&"begin ET-001 developer 2".to_owned()), "{golden:#?}");
    assert!(kinds.len() > 8, "{kinds:?}");
    drop(world);
    killed_behind(refuse, Some(REWORK), &kinds, golden).await;
}

/// Each server lives for one append: all that it did besides is done again, or found done, by the next one.
#[tokio::test(flavor = "multi_thread")]
async fn o091_killed_behind_every_single_event_a_task_ends_as_ever_and_nothing_is_done_twice() {
    let refuse = |world: &World| {
        let finding = "'verdict: REQUEST_CHANGES\nversion: 1' '- [ ] P1: there is no test.'";
        world.plan("ET-001", "reviewer", 1, &format!("verdict review 12-review.md {finding}"));
    };
    let (world, _) = whole_way(refuse, Vec::new()).await;
    let golden = seen(&world);
    assert!(golden.two.is_empty() && golden.pulls == 2, "{golden:#?}");
    drop(world);
    let (world, rest) = whole_way(refuse, vec![ANY.to_owned(); LIVES_MAX]).await;
    assert_eq!(seen(&world), golden);
    let (deaths, appends) = (LIVES_MAX - rest.len(), world.appends_to_the_end());
    assert!(appends > 60 && deaths >= appends, "{deaths} deaths, {appends} appends");
}
