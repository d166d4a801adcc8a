//! What agents are given: findings and memory, the model and the program, and nothing that is not theirs.

use serde_json::{Value, json};

use super::host_clone::git;
use super::services::{Outage, Services};
use super::walk::{DARK, approve_when_asked, begin, comments};
use super::world::{SHOP, World, stands};
use crate::workflow_fixtures::program::write_program;

/// What an agent was told in a round.
pub(super) fn prompt(world: &World, item: &str, step: &str, round: u32) -> String {
    std::fs::read_to_string(world.path(&format!("prompts/{item}-{step}-{round}"))).unwrap()
}

/// A world whose settings are changed before it is served.
pub(super) async fn world_with(change: impl FnOnce(&mut Value)) -> World {
    let mut world = World::unserved().await;
    let path = ".orch/projects.yaml";
    let mut settings: Value =
        serde_json::from_str(&std::fs::read_to_string(world.path(path)).unwrap()).unwrap();
    change(&mut settings);
    world.write(path, &settings.to_string());
    world.serve(None);
    world
}

/// The flag of a call, by the beginning of its line.
fn flag(world: &World, call: &str, flag: &str) -> Option<String> {
    let calls = world.lines("calls");
    let line =
        calls.iter().find(|line| line.starts_with(call)).unwrap_or_else(|| panic!("{call}: {calls:#?}"));
    line.split(&format!("{flag} ")).nth(1).map(|rest| rest.split(' ').next().unwrap().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn o088_ov11_a_developer_is_told_all_that_was_found_before_the_newest_first() {
    let world = World::new().await;
    world.plan("ET-001", "reviewer", 1, "verdict review 12-review.md 'verdict: REQUEST_CHANGES\nversion: 1' '- [ ] P1: nobody tests the dusk.'");
    world.plan(
        "ET-001",
        "tester",
        1,
        "verdict test-report 13-test-report.md 'result: FAIL' 'dawn.py fails: it stays dark.'",
    );
    begin(&world, DARK, SHOP, "Dark mode");
    approve_when_asked(&world, DARK).await;
    world.until("the end", stands(DARK, "Done")).await;
    assert!(!prompt(&world, "ET-001", "developer", 1).contains("Note: round"));
    let second = prompt(&world, "ET-001", "developer", 2);
    assert!(second.contains("Note: round 2, sent back by reviewer (check_reviewer_verdict)"), "{second}");
    assert!(second.contains("nobody tests the dusk"), "{second}");
    let third = prompt(&world, "ET-001", "developer", 3);
    assert!(third.contains("Note: round 3, sent back by tester (check_tests_passed)"), "{third}");
    let (newest, former) =
        (third.find("it stays dark").unwrap(), third.find("nobody tests the dusk").unwrap());
    assert!(newest < former, "{third}");
}

#[tokio::test(flavor = "multi_thread")]
async fn o128_a_developer_whose_ci_failed_is_told_which_attempt_of_three_it_is() {
    let world = World::new().await;
    world.services().verdicts.insert("shop".to_owned(), ["failure", "failure"].into());
    begin(&world, DARK, SHOP, "Dark mode");
    approve_when_asked(&world, DARK).await;
    world.until("the end", stands(DARK, "Done")).await;
    assert!(!prompt(&world, "ET-001", "developer", 1).contains("CI failed"));
    for (round, words) in
        [(2, "CI failed, fix and re-push (attempt 2/3)"), (3, "CI failed, fix and re-push (attempt 3/3)")]
    {
        let told = prompt(&world, "ET-001", "developer", round);
        assert!(
            told.contains(&format!("Note: round {round}, sent back by developer (check_ci_green)")),
            "{told}"
        );
        assert!(told.contains(words), "{told}");
        assert!(told.contains("Stage: development"), "{told}");
    }
    let mut states = world.services().issues[DARK].states.clone();
    states.dedup();
    let developments = states.iter().filter(|state| **state == "Development").count();
    assert_eq!(developments, 1, "the issue stays in its stage: {states:?}");
}

/// The repository learns from what was refused; the role that reads it is told to (`ov23_` of the prompts).
#[tokio::test(flavor = "multi_thread")]
async fn ov23_what_a_review_refused_stands_in_the_lessons_of_the_branch() {
    let world = world_with(|settings| settings["lessons"] = json!(true)).await;
    world.plan("ET-001", "reviewer", 1, "verdict review 12-review.md 'verdict: REQUEST_CHANGES\nversion: 1' '- [ ] P1: nobody tests the dusk.'");
    begin(&world, DARK, SHOP, "Dark mode");
    approve_when_asked(&world, DARK).await;
    world.until("the end", stands(DARK, "Done")).await;
    let lessons = git(&world.origin("shop"), &["show", "feature/ET-001-dark-mode:docs/lessons/ET-001.md"]);
    let one_line =
        regex::Regex::new(r"^- ET-001: check_reviewer_verdict \([^;]*Verdict: 'REQUEST_CHANGES'\); P1: nobody tests the dusk\.$").unwrap();
    assert!(one_line.is_match(lessons.trim_end()), "{lessons}");
}

/// The prompt of the attempt that followed was made before people said anything.
#[tokio::test(flavor = "multi_thread")]
async fn o099_an_agent_that_failed_is_begun_again_with_the_words_that_were_said_for_it() {
    let world = World::new().await;
    world.plan("ET-001", "architect", 1, "exit 3");
    world.plan("ET-001", "architect", 2, "exit 3");
    world.plan("ET-001", "architect", 3, "exit 3");
    begin(&world, DARK, SHOP, "Dark mode");
    approve_when_asked(&world, DARK).await;
    let blocked = |times: usize| {
        move |services: &Services| {
            let issue = &services.issues[DARK];
            issue.state == "Blocked"
                && issue.states.iter().filter(|state| **state == "Blocked").count() == times
        }
    };
    world.until("the first failure", blocked(1)).await;
    let unblock =
        ["unblock", "ET-001", "architect", "--decision", "retry", "-m", "HERE-1: the disk was full"];
    let done = world.command(&unblock).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    world.until("the second failure", blocked(2)).await;
    let said = |round| prompt(&world, "ET-001", "architect", round).replace('\n', " ");
    assert!(said(2).contains("Comments of the owner: HERE-1: the disk was full"), "{}", said(2));
    world.services().say(DARK, "PLANE-2: look at the port");
    world.services().set_state(DARK, "In Progress", "owner");
    world.until("the third failure", blocked(3)).await;
    assert!(said(3).contains("Comments of the owner: PLANE-2: look at the port"), "{}", said(3));
    // Nothing newer was said: what was said for the work that failed counts on.
    world.services().set_state(DARK, "In Progress", "owner");
    world.until("the end", stands(DARK, "Done")).await;
    assert!(said(4).contains("Comments of the owner: PLANE-2: look at the port"), "{}", said(4));
    let told = comments(&world.services(), DARK);
    let again =
        told.iter().filter(|text| text.starts_with("🔄 Агент перезапущен с ответами стейкхолдера.")).count();
    assert_eq!(again, 3, "{told:#?}");
    assert!(!told.iter().any(|text| text.starts_with("🔄 Откат")), "it is no rejection: {told:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn ov15_the_analyst_asks_in_the_midst_of_its_work_and_reads_the_answer() {
    let world = World::new().await;
    let asks = r#"echo '{"everfold": {"ask": {"text": "Which colour?"}}}' > "$EVERFOLD_OUTPUT""#;
    world.plan("ET-001", "analyst", 1, asks);
    begin(&world, DARK, SHOP, "Dark mode");
    world.until("the question", stands(DARK, "Needs Input")).await;
    let asked = |services: &Services| {
        comments(services, DARK).iter().any(|text| text.contains("❓") && text.contains("Which colour?"))
    };
    world.until("the question in words", asked).await;
    world.services().say(DARK, "Blue, please");
    world.services().set_state(DARK, "In Progress", "owner");
    world.until("the analysis", stands(DARK, "In Review")).await;
    let second = prompt(&world, "ET-001", "analyst", 2);
    assert!(second.contains("Comments of the owner: Blue, please"), "{second}");
    assert!(second.contains("write `{\"everfold\": {\"ask\""), "the role knows how to ask: {second}");
}

#[tokio::test(flavor = "multi_thread")]
async fn o117_a_rejection_without_words_does_not_bring_back_words_that_were_used() {
    let world = World::new().await;
    begin(&world, DARK, SHOP, "Dark mode");
    let asked = |times: usize| {
        move |services: &Services| {
            let issue = &services.issues[DARK];
            issue.state == "In Review"
                && issue.states.iter().filter(|state| **state == "In Review").count() == times
        }
    };
    world.until("the first analysis", asked(1)).await;
    world.services().say(DARK, "PLANE-A: too long");
    let reject = ["reject", "ET-001", "-m", "HERE-B: too short"];
    let done = world.command(&reject).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    world.until("the second analysis", asked(2)).await;
    world.services().set_state(DARK, "Rejected", "owner");
    world.until("the third analysis", asked(3)).await;
    let second = prompt(&world, "ET-001", "analyst", 2);
    assert!(second.contains("Comments of the owner: PLANE-A: too long\n\nHERE-B: too short"), "{second}");
    let third = prompt(&world, "ET-001", "analyst", 3);
    assert!(!third.contains("PLANE-A"), "{third}");
    let told = comments(&world.services(), DARK);
    let without = "🔄 Analyst перезапущен. Причина отклонения: Rejected via status, no reason comment";
    assert!(told.iter().any(|text| text == without), "{told:#?}");
}

/// One failed request had the agent begin without the owner's words.
#[tokio::test(flavor = "multi_thread")]
async fn o117_comments_that_plane_cannot_give_are_asked_for_again_before_the_agent_begins() {
    let world = World::new().await;
    begin(&world, DARK, SHOP, "Dark mode");
    world.until("the first analysis", stands(DARK, "In Review")).await;
    let outage = Outage { method: "GET", text: "/comments/".to_owned() };
    world.services().outages.push(outage);
    world.services().say(DARK, "Who pays for it?");
    world.services().set_state(DARK, "Rejected", "owner");
    world.until("a request that fails", |services| services.refusals > 0).await;
    world.services().outages.clear();
    let again = "🔄 Analyst перезапущен. Причина отклонения: Who pays for it?";
    let is_told = |services: &Services| comments(services, DARK).iter().any(|text| text == again);
    world.until("the second analysis", is_told).await;
    let in_review = |services: &Services| {
        let issue = &services.issues[DARK];
        issue.states.iter().filter(|state| **state == "In Review").count() == 2
    };
    world.until("its end", in_review).await;
    let second = prompt(&world, "ET-001", "analyst", 2);
    assert!(second.contains("Comments of the owner: Who pays for it?"), "{second}");
}

#[tokio::test(flavor = "multi_thread")]
async fn o045_each_round_of_a_review_stays_readable_with_its_commit() {
    let world = World::new().await;
    world.plan("ET-001", "reviewer", 1, "verdict review 12-review.md 'verdict: REQUEST_CHANGES\nversion: 1' '- [ ] P1: nobody tests the dusk.'");
    begin(&world, DARK, SHOP, "Dark mode");
    approve_when_asked(&world, DARK).await;
    world.until("the end", stands(DARK, "Done")).await;
    for round in 1..=2 {
        let told = prompt(&world, "ET-001", "reviewer", round);
        assert!(told.contains(&format!("version: {round}")), "{told}");
    }
    let (origin, file) = (world.origin("shop"), "docs/work-items/ET-001/12-review.md");
    let commits = git(&origin, &["log", "--reverse", "--format=%H", "feature/ET-001-dark-mode", "--", file]);
    let versions: Vec<String> =
        commits.lines().map(|commit| git(&origin, &["show", &format!("{commit}:{file}")])).collect();
    assert_eq!(versions.len(), 2, "{versions:#?}");
    assert!(versions[0].contains("version: 1") && versions[0].contains("REQUEST_CHANGES"), "{versions:#?}");
    assert!(versions[1].contains("version: 2") && versions[1].contains("APPROVED"), "{versions:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn o196_no_agent_has_a_token_of_a_service() {
    let world = World::new().await;
    world.plan("ET-001", "analyst", 1, "env > \"$HOME/env\"; for n in 01-brd.md 02-trz.md 03-acceptance-criteria.md 04-test-plan.yaml; do echo x > \"$docs/$n\"; done");
    begin(&world, DARK, SHOP, "Dark mode");
    world.until("the analysis", stands(DARK, "In Review")).await;
    let environment = std::fs::read_to_string(world.path("env")).unwrap();
    assert!(environment.contains("EVERFOLD_STEP=analyst"), "{environment}");
    for token in ["plane-token", "gitea-token", "telegram-token", "tester-token", "hook-secret"] {
        assert!(!environment.contains(token), "{token}: {environment}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn o115_a_title_without_latin_letters_and_one_that_is_cut_give_whole_branches() {
    let world = World::new().await;
    const CUT: &str = "0000d021-0000-4000-8000-00000000d021";
    begin(&world, DARK, SHOP, "Тёмная тема");
    world.until("the first analysis", stands(DARK, "In Review")).await;
    begin(&world, CUT, SHOP, "Twenty-nine letters are here, x and more");
    world.until("the second analysis", stands(CUT, "In Review")).await;
    let branches =
        git(&world.origin("shop"), &["branch", "--list", "feature/*", "--format=%(refname:short)"]);
    let branches: Vec<&str> = branches.lines().collect();
    assert_eq!(branches, ["feature/ET-001", "feature/ET-002-twenty-nine-letters-are-here-x"]);
}

const ESTIMATE: &str = r#"rmdir "$HOME/at-work-$item"; printf '{"type":"result","subtype":"success","is_error":false,"result":"{\\"complexity\\":\\"high\\",\\"hours\\":2,\\"cost\\":3}","session_id":"s","total_cost_usd":0.01,"usage":{"input_tokens":1,"output_tokens":1}}\n'; exit"#;

#[tokio::test(flavor = "multi_thread")]
async fn ov6_the_model_is_that_of_the_estimated_complexity() {
    let world = world_with(|settings| {
        settings["models"] = json!({});
        settings["estimate"] = json!({ "on": true });
        settings["complexity"] = json!({ "low": "claude-haiku-4-5", "high": "claude-opus-4-8" });
    })
    .await;
    world.plan("ET-001", "estimate", 1, ESTIMATE);
    begin(&world, DARK, SHOP, "Dark mode");
    world.until("the analysis", stands(DARK, "In Review")).await;
    assert_eq!(flag(&world, "ET-001 estimate ", "--model"), None, "none is known before the estimate");
    assert_eq!(flag(&world, "ET-001 analyst ", "--model").as_deref(), Some("claude-opus-4-8"));
}

#[tokio::test(flavor = "multi_thread")]
async fn ov7_a_role_works_with_the_program_that_its_settings_name() {
    let mut world = World::unserved().await;
    // The other program is the same fake under another name, which it leaves in the lines of its calls.
    let other = std::fs::read_to_string(world.path("bin/claude"))
        .unwrap()
        .replace("$HOME/calls", "$HOME/calls-of-other");
    write_program(&world.path("bin/other"), &other);
    let settings = std::fs::read_to_string(world.path(".everfold/everfold.toml")).unwrap();
    world.write(".everfold/everfold.toml", &format!("{settings}\n[agents.other]\ncommand = [\"other\", \"{{args}}\"]\nprompt = \"stdin\"\noutput = \"claude\"\n"));
    let path = ".orch/projects.yaml";
    let mut projects: Value =
        serde_json::from_str(&std::fs::read_to_string(world.path(path)).unwrap()).unwrap();
    projects["profiles"] = json!({ "default": "claude", "reviewer": "other" });
    world.write(path, &projects.to_string());
    world.serve(None);
    begin(&world, DARK, SHOP, "Dark mode");
    approve_when_asked(&world, DARK).await;
    world.until("the end", stands(DARK, "Done")).await;
    let steps = |file: &str| -> Vec<String> {
        world.lines(file).iter().map(|line| line.split(' ').nth(1).unwrap().to_owned()).collect()
    };
    assert_eq!(steps("calls-of-other"), ["reviewer"]);
    assert_eq!(steps("calls"), ["analyst", "architect", "developer", "tester", "staging", "deployer"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn ov8_a_bug_is_worked_at_by_the_models_for_bugs() {
    let world = world_with(|settings| {
        settings["bugs"] =
            json!({ "models": { "default": "claude-haiku-4-5", "reviewer": "claude-sonnet-4-6" } })
    })
    .await;
    const PLAIN: &str = "0000d022-0000-4000-8000-00000000d022";
    begin(&world, DARK, SHOP, "Dark mode");
    world.services().label(DARK, "Bug");
    begin(&world, PLAIN, SHOP, "Bright mode");
    for issue in [DARK, PLAIN] {
        approve_when_asked(&world, issue).await;
    }
    for issue in [DARK, PLAIN] {
        world.until("the end", stands(issue, "Done")).await;
    }
    let model = |call: &str| flag(&world, call, "--model").unwrap();
    assert_eq!(model("ET-001 developer "), "claude-haiku-4-5");
    assert_eq!(model("ET-001 reviewer "), "claude-sonnet-4-6");
    assert_eq!(model("ET-002 developer "), "claude-opus-4-8", "what is no bug");
    // The same gates: each stage is told of, as of any task.
    let said = super::walk::comments(&world.services(), DARK);
    assert_eq!(said.iter().filter(|text| text.starts_with("🔄 Stage: ")).count(), 7, "{said:#?}");
}

const PARTS: &str = r#"rmdir "$HOME/at-work-$item"; printf '{"type":"result","subtype":"success","is_error":false,"result":"{\\"parts\\":[{\\"title\\":\\"Dark pages\\",\\"description\\":\\"Every page is dark at night.\\"},{\\"title\\":\\"Bright pages\\",\\"description\\":\\"Every page is bright by day.\\"}]}","session_id":"s","total_cost_usd":0.01,"usage":{"input_tokens":1,"output_tokens":1}}\n'; exit"#;

#[tokio::test(flavor = "multi_thread")]
async fn ov17_what_has_the_label_epic_in_plane_is_cut_into_issues_of_their_own() {
    let world = World::new().await;
    world.plan("ET-001", "parts", 1, PARTS);
    begin(&world, DARK, SHOP, "Dark mode");
    world.services().label(DARK, "Epic");
    world.until("the end", stands(DARK, "Done")).await;
    let services = world.services();
    let mut names: Vec<&str> = services.issues.values().map(|issue| issue.name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["Bright pages", "Dark mode", "Dark pages"]);
    drop(services);
    let calls = world.lines("calls");
    assert!(calls.len() == 1 && calls[0].starts_with("ET-001 parts 1"), "{calls:#?}");
}

/// Plane makes the first part and answers 502; its owner sets *In Progress* at the issue, which is Blocked.
#[tokio::test(flavor = "multi_thread")]
async fn ov17_a_lost_answer_makes_no_part_of_an_epic_twice() {
    let world = World::new().await;
    world.plan("ET-001", "parts", 1, PARTS);
    world.services().loses_answers.insert("Dark pages".to_owned());
    begin(&world, DARK, SHOP, "Dark mode");
    world.services().label(DARK, "Epic");
    world.until("the failure", stands(DARK, "Blocked")).await;
    world.services().set_state(DARK, "In Progress", "owner");
    world.until("the end", stands(DARK, "Done")).await;
    let services = world.services();
    let mut names: Vec<&str> = services.issues.values().map(|issue| issue.name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["Bright pages", "Dark mode", "Dark pages"]);
    assert_eq!(services.refusals, 1, "its answer was lost");
}

/// Each agent costs a quarter of a dollar, the task may cost half of one; its owner lets it go on three times.
#[tokio::test(flavor = "multi_thread")]
async fn ov3_behind_the_cost_limit_in_progress_goes_on_and_plane_says_so() {
    let world = world_with(|settings| {
        settings["cost_limit"] = json!(0.5);
        settings["cost_extra"] = json!(0.5);
    })
    .await;
    begin(&world, DARK, SHOP, "Dark mode");
    approve_when_asked(&world, DARK).await;
    for adds in 1..=3 {
        let told = move |services: &super::services::Services| {
            let said = super::walk::comments(services, DARK);
            said.iter().filter(|text| text.contains("лимит стоимости")).count() == adds
        };
        world.until("the limit", told).await;
        world.until("the state", stands(DARK, "Blocked")).await;
        world.services().set_state(DARK, "In Progress", "owner");
    }
    world.until("the end", stands(DARK, "Done")).await;
    let said = super::walk::comments(&world.services(), DARK);
    let of = |text: &str| said.iter().filter(|said| said.contains(text)).cloned().collect::<Vec<_>>();
    assert_eq!(
        of("лимит стоимости"),
        [0.5, 1.0, 1.5].map(|limit| format!(
            "⚠️ лимит стоимости ${limit:.2} исчерпан. In Progress добавит $0.50, и задача пойдёт дальше."
        ))
    );
    assert_eq!(of("💰"), vec!["💰 Лимит повышен на $0.50 (hook:plane/owner)"; 3]);
}
