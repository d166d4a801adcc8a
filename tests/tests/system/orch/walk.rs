//! Issues from In Progress to Done, over REST and webhooks alone: agents, gates, people, CI, and what the services saw of it.

use super::host_clone::git;
use super::services::Services;
use super::world::{LIVE, MAP, ORCHESTRATOR, SHOP, World, stands};

pub(super) const DARK: &str = "0000d001-0000-4000-8000-00000000d001";
const ROADS: &str = "0000d002-0000-4000-8000-00000000d002";
const QUEUE: &str = "0000d003-0000-4000-8000-00000000d003";
const TEXT: &str = "A page that is dark at night, and bright by day.";

/// The texts of an issue's comments, in order, with `T` for what is measured.
pub(super) fn comments(services: &Services, issue: &str) -> Vec<String> {
    let measured = regex::Regex::new(r"\d+h \d+m|\d+m \d+s|\d+s").unwrap();
    let of_issue = services.comments.iter().filter(|comment| comment.issue == issue);
    of_issue.map(|comment| measured.replace_all(&comment.html, "T").into_owned()).collect()
}

/// Opens an issue and sets it in progress.
pub(super) fn begin(world: &World, issue: &str, project: &str, name: &str) {
    let mut services = world.services();
    services.open(issue, project, name, TEXT);
    services.set_state(issue, "In Progress", "owner");
}

/// The owner approves what is in review.
pub(super) async fn approve_when_asked(world: &World, issue: &'static str) {
    world.until("the analysis", stands(issue, "In Review")).await;
    world.services().set_state(issue, "Approved", "owner");
}

/// The last that is said in the tracker of a task.
pub(super) fn is_told(services: &Services, issue: &str) -> bool {
    let said = comments(services, issue);
    ["📊 Итого", "✅ Task completed!"].iter().all(|text| said.iter().any(|comment| comment.starts_with(text)))
}

/// The task is done, and all has been said of it.
fn is_over(services: &Services, issue: &str) -> bool {
    services.issues[issue].state == "Done"
        && is_told(services, issue)
        && services.messages.iter().any(|message| message.text.contains("ГОТОВО"))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issue_goes_from_in_progress_to_done() {
    let world = World::new().await;
    begin(&world, DARK, SHOP, "Dark mode");
    approve_when_asked(&world, DARK).await;
    world.until("the end", |services| is_over(services, DARK)).await;
    let services = world.services();
    let mut states = services.issues[DARK].states.clone();
    states.dedup();
    assert_eq!(
        states,
        [
            "In Progress",
            "Todo",
            "In Progress",
            "In Review",
            "Approved",
            "Architecture",
            "Development",
            "Review",
            "Testing",
            "In Progress",
            "Done",
        ]
    );
    let said = comments(&services, DARK);
    let first = |text: &str| said.iter().filter(|comment| comment.starts_with(text)).count();
    for (role, times) in [
        ("🔍 Analyst", 1),
        ("📐 Architect", 1),
        ("💻 Developer", 1),
        ("🔎 Reviewer", 1),
        ("🧪 Tester", 1),
        ("🚀 Deployer", 2),
    ] {
        assert_eq!(first(role), times, "{role}: {said:#?}");
    }
    assert_eq!((first("🔄 Stage: "), first("📊 Итого"), first("✅ Task completed!")), (7, 1, 1), "{said:#?}");
    assert_eq!(first("analyst launched (8–15 min)"), 1, "{said:#?}");
    assert_eq!(said.len(), 17, "and nothing else: {said:#?}");
    let by = |text: &str| {
        services.comments.iter().find(|comment| comment.html.starts_with(text)).map(|it| &*it.token)
    };
    let [tester, reviewer, analyst] = ["🧪 Tester", "🔎 Reviewer", "🔍 Analyst"].map(by);
    assert_eq!(tester, Some("tester-token"));
    assert_eq!(
        (reviewer, analyst),
        (Some("plane-token"), Some("plane-token")),
        "set to nothing, and not set"
    );
    let pulls: Vec<_> = services.pulls.iter().map(|pull| (&*pull.title, pull.merged.is_some())).collect();
    assert_eq!(pulls, [("Dark mode", true), ("ET-001: deploy log", true)]);
    let on_main = git(&world.origin("shop"), &["ls-tree", "-r", "--name-only", "main"]);
    for name in ["src/ET-001.txt", "15-staging-log.md", "14-deploy-log.md"] {
        assert!(on_main.contains(name), "{name} is on main: {on_main}");
    }
    // One silent message that is edited, and one that rings: the analysis waits.
    let (live, pings): (Vec<_>, Vec<_>) = services.messages.iter().partition(|message| message.is_silent);
    assert_eq!((live.len(), pings.len()), (1, 1), "{:#?}", services.messages);
    assert!(live[0].edits > 0 && live[0].text.contains("ГОТОВО"), "{:#?}", live[0]);
    assert!(pings[0].text.starts_with("📋 ET-001: BRD/ТЗ/AC готовы."), "{:#?}", pings[0]);
    if World::is_walked_under_the_trap() {
        // They are none of Everfold's own tokens, so each reaches every agent by the environment that it inherits.
        let given = world.lines("credentials");
        assert!(given.len() == 7 && given.iter().all(|names| *names == LIVE.join(" ")), "{given:?}");
    }
}

/// Two people's words, a rework, a red CI, a staging gate: three tasks at once, each as it should.
#[tokio::test(flavor = "multi_thread")]
async fn three_issues_go_their_ways_at_once() {
    let world = World::new().await;
    world.plan(
        "MAP-001",
        "reviewer",
        1,
        "verdict review 12-review.md 'verdict: REQUEST_CHANGES\nversion: 1' '- [ ] P1: there is no test.'",
    );
    world.services().verdicts.insert("orchestrator".to_owned(), ["failure"].into());
    begin(&world, DARK, SHOP, "Dark mode");
    begin(&world, ROADS, MAP, "Roads at night");
    begin(&world, QUEUE, ORCHESTRATOR, "A queue that is fair");
    for issue in [DARK, ROADS, QUEUE] {
        world.until("the analysis", stands(issue, "In Review")).await;
    }
    {
        let mut services = world.services();
        services.say(ROADS, "The scope is too wide.");
        services.set_state(ROADS, "Rejected", "owner");
        services.set_state(DARK, "Approved", "owner");
        services.set_state(QUEUE, "Approved", "owner");
    }
    world
        .until("the second analysis", |services| {
            comments(services, ROADS).iter().filter(|text| text.starts_with("🔍 Analyst")).count() == 2
                && services.issues[ROADS].state == "In Review"
        })
        .await;
    world.services().set_state(ROADS, "Approved", "owner");
    for issue in [DARK, ROADS, QUEUE] {
        world.until("the end", stands(issue, "Done")).await;
    }
    let services = world.services();
    let said = |issue: &str, text: &str| {
        comments(&services, issue).iter().filter(|comment| comment.starts_with(text)).count()
    };
    let returned = "🔄 Analyst перезапущен. Причина отклонения: The scope is too wide.";
    assert_eq!(said(ROADS, returned), 1, "{:#?}", comments(&services, ROADS));
    assert_eq!((said(ROADS, "🔎 Reviewer"), said(ROADS, "💻 Developer")), (2, 2), "a rework");
    assert_eq!((said(QUEUE, "💻 Developer"), said(QUEUE, "🔎 Reviewer")), (2, 1), "a red CI");
    assert_eq!((said(DARK, "💻 Developer"), services.pulls.len()), (1, 6));
    assert!(services.pulls.iter().all(|pull| pull.merged.is_some()), "{:#?}", services.pulls);
    drop(services);
    assert_eq!(world.lines("two"), Vec::<String>::new(), "one agent at once for each task");
}

#[tokio::test(flavor = "multi_thread")]
async fn o149_o150_o151_agents_commit_as_claude_bot_from_their_own_worktree_and_leave_nothing_behind() {
    let world = World::new().await;
    begin(&world, DARK, SHOP, "Dark mode");
    begin(&world, ROADS, SHOP, "Roads at night");
    for issue in [DARK, ROADS] {
        approve_when_asked(&world, issue).await;
    }
    for issue in [DARK, ROADS] {
        world.until("the end", stands(issue, "Done")).await;
    }
    let origin = world.origin("shop");
    let begun = git(&origin, &["merge-base", "feature/ET-001-dark-mode", "feature/ET-002-roads-at-night"]);
    for (branch, own, other) in [
        ("feature/ET-001-dark-mode", "ET-001", "ET-002"),
        ("feature/ET-002-roads-at-night", "ET-002", "ET-001"),
    ] {
        let log = git(&origin, &["log", "--format=%an|%cn|%s", "--name-only", &format!("{begun}..{branch}")]);
        let commits: Vec<&str> = log.lines().filter(|line| line.contains('|')).collect();
        assert!(commits.iter().all(|commit| commit.starts_with("claude-bot|claude-bot|")), "O149: {log}");
        assert!(!log.contains(other), "O150: {log}");
        assert!(log.contains(&format!("src/{own}.txt")), "{log}");
        assert!(log.contains(&format!("|{own}: code of round 1")), "O149: an agent's own commit: {log}");
        let leftovers = commits
            .iter()
            .filter(|commit| commit.contains("|developer(ET): auto-commit from developer run_id="));
        assert_eq!(leftovers.count(), 1, "O151: {log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn o145_o146_models_and_efforts_come_from_the_project_then_the_role_then_the_default() {
    let world = World::new().await;
    begin(&world, DARK, SHOP, "Dark mode");
    begin(&world, QUEUE, ORCHESTRATOR, "A queue that is fair");
    for issue in [DARK, QUEUE] {
        approve_when_asked(&world, issue).await;
    }
    for issue in [DARK, QUEUE] {
        world.until("the end", stands(issue, "Done")).await;
    }
    let calls = world.lines("calls");
    let called = |what: &str| {
        let call =
            calls.iter().find(|call| call.starts_with(what)).unwrap_or_else(|| panic!("{what}: {calls:#?}"));
        let value = |flag: &str| {
            call.split(&format!("{flag} ")).nth(1).map(|rest| rest.split(' ').next().unwrap().to_owned())
        };
        (value("--model"), value("--effort"))
    };
    let some = |text: &str| Some(text.to_owned());
    // The project's own goes before the default; what nobody says is the default's.
    assert_eq!(called("ORCH-001 architect "), (some("claude-sonnet-4-6"), some("high")));
    assert_eq!(called("ORCH-001 developer "), (some("claude-opus-4-8"), some("high")));
    // A role's own goes before the default.
    assert_eq!(called("ET-001 tester "), (some("claude-opus-4-8"), some("medium")));
    assert_eq!(called("ET-001 deployer "), (some("claude-opus-4-8"), some("medium")));
    // An effort that there is not is left out.
    assert_eq!(called("ET-001 architect "), (some("claude-opus-4-8"), None));
}
