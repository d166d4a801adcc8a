//! A project, onboarded at small servers that speak as Plane and Gitea do.

use std::path::Path;
use std::process::Command;

use everfold_engine::json::Value;
use everfold_workflows::agent::MissingPolicy;
use serde_json::json;

use super::checklist::SetupStanding;
use super::environment::Environment;
use super::onboard::{OnboardReport, onboard};
use super::request::OnboardRequest;
use super::stage::{OnboardStage, PROJECT};
use crate::settings::Settings;

fn standing(report: &OnboardReport, place: &str, name: &str) -> SetupStanding {
    report.items.iter().find(|item| item.place == place && item.name == name).unwrap().standing
}

fn files(folder: &Path) -> Vec<String> {
    let mut files: Vec<String> = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { open.push(path) } else { files.push(path.display().to_string()) }
        }
    }
    files.sort();
    files
}

#[tokio::test]
async fn what_is_missing_is_made_seen_and_made_once() {
    let stage = OnboardStage::set().await;
    stage.clone();
    let request = stage.request();
    let first = stage.onboard(&request).await;
    assert!(first.ready, "{:#?}", first.items);
    for (place, name) in [
        ("plane", "states"),
        ("plane", "labels"),
        ("plane", "webhook"),
        ("gitea", "webhook"),
        ("here", "settings [hooks.plane]"),
        ("here", "settings [providers.gitea]"),
        ("here", "settings [limits]"),
        ("here", "settings [logs]"),
        ("here", "settings [preflight.claude]"),
        ("here", "projects.yaml"),
        ("here", "bots"),
    ] {
        assert_eq!(standing(&first, place, name), SetupStanding::Made, "{place} {name}");
    }
    assert_eq!(standing(&first, "here", "clone"), SetupStanding::There);
    let made = stage.world.lock().unwrap().writes.len();
    assert_eq!(made, 14 + 2 + 1 + 1);
    // The settings are those that the server reads, and find the secrets.
    let settings = Settings::load(&request.settings).unwrap();
    assert_eq!(settings.limits.processes, 1, "as many agents at once as ORCH has");
    let written: toml::Table = std::fs::read_to_string(&request.settings).unwrap().parse().unwrap();
    assert_eq!(written["limits"]["fair_by"].as_str(), Some("label:project"));
    assert_eq!(
        (written["logs"]["keep"].as_str(), written["logs"]["keep_max"].as_integer()),
        (Some("30d"), Some(500))
    );
    let preflight = &settings.preflight["claude"];
    assert_eq!(preflight.on_missing, MissingPolicy::Wait, "what is logged out holds its tasks");
    assert!(
        preflight.credentials.contains(&"~/.claude/.credentials.json".to_owned())
            && preflight.command.is_empty()
    );
    let secret = settings.hooks["plane"].secret.as_ref().unwrap();
    assert!(!format!("{secret}").contains("plane_wh_drawn"));
    assert_eq!(
        std::fs::read_to_string(stage.layout().root().join("plane-hook.secret")).unwrap(),
        "plane_wh_drawn"
    );
    let told = stage.world.lock().unwrap().gitea_hooks[0].clone();
    let kept = std::fs::read_to_string(stage.layout().root().join("gitea-hook.secret")).unwrap();
    assert_eq!(told["config"]["secret"], kept.as_str());
    assert_eq!(told["config"]["url"], "https://everfold.example.org/api/v1/hooks/gitea");

    let before = (files(stage.folder.path()), std::fs::read(&request.settings).unwrap());
    let second = stage.onboard(&request).await;
    assert!(second.ready);
    assert!(second.items.iter().all(|item| item.standing != SetupStanding::Made), "{:#?}", second.items);
    assert_eq!(stage.world.lock().unwrap().writes.len(), made, "nothing is made twice");
    assert_eq!((files(stage.folder.path()), std::fs::read(&request.settings).unwrap()), before);
    let shown = serde_json::to_string(&second).unwrap();
    for secret in ["plane-token", "gitea-token", "plane_wh_drawn", kept.as_str()] {
        assert!(!shown.contains(secret), "a secret is shown");
    }
}

/// Such a Plane ended with the code of what is missing, so that a script stopped there.
#[tokio::test]
async fn ov22_a_webhook_that_a_plane_without_that_api_leaves_to_a_person_is_listed_and_the_rest_is_ready() {
    let stage = OnboardStage::set().await;
    stage.clone();
    stage.world.lock().unwrap().makes_no_hooks = true;
    let request = stage.request();
    for _ in 0..2 {
        let report = stage.onboard(&request).await;
        let item = report.items.iter().find(|item| (item.place, item.name.as_str()) == ("plane", "webhook"));
        let item = item.unwrap();
        assert_eq!(item.standing, SetupStanding::ByHand, "{item:?}");
        assert!(item.to_do.as_deref().unwrap().contains("/api/v1/hooks/plane"), "{item:?}");
        assert!(report.ready, "{:#?}", report.items);
    }
}

fn projects_of(request: &OnboardRequest) -> Value {
    everfold_engine::definition::value_of(&std::fs::read_to_string(&request.projects).unwrap()).unwrap()
}

#[tokio::test]
async fn the_users_of_the_tokens_are_written_as_ours_and_the_ids_of_the_states_that_steer() {
    let stage = OnboardStage::set().await;
    let tokens = [
        ("ORCH_PLANE_API_TOKEN", "plane-token"),
        ("ORCH_PLANE_BOT_ANALYST", "analyst-token"),
        ("ORCH_PLANE_BOT_TESTER", "plane-token"),
    ];
    let tokens = tokens.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let request = OnboardRequest { environment: Environment::of(tokens.into_iter()), ..stage.request() };
    let report = stage.onboard(&request).await;
    assert_eq!(standing(&report, "here", "bots"), SetupStanding::Made, "{:#?}", report.items);
    let written = projects_of(&request);
    assert_eq!(written["bots"], json!(["Everfold service", "5c30-e1", "analyst-bot", "77aa"]));
    let states = &written["projects"][PROJECT]["states"];
    assert_eq!(states["in_progress"], "id of In Progress");
    assert_eq!(
        (&states["approved"], &states["rejected"]),
        (&json!("id of Approved"), &json!("id of Rejected"))
    );
}

#[tokio::test]
async fn a_state_of_the_record_that_is_misspelt_or_that_plane_does_not_have_is_said() {
    let stage = OnboardStage::set().await;
    stage.onboard(&stage.request()).await;
    let request = stage.request();
    let written = std::fs::read_to_string(&request.projects).unwrap();
    let said = async |former: &str, now: &str| {
        assert!(written.contains(former), "{written}");
        std::fs::write(&request.projects, written.replace(former, now)).unwrap();
        let report = stage.onboard(&request).await;
        assert_eq!(standing(&report, "here", "projects.yaml"), SetupStanding::Missing);
        detail(&report, "here", "projects.yaml")
    };
    assert_eq!(
        said("in_progress:", "in_progres:").await,
        "`states` of the record has “in_progres”, not one of in_progress, approved, rejected, done"
    );
    assert_eq!(
        said("\"id of Approved\"", "another").await,
        "`states.approved` of the record is \"another\", and “id of Approved” in Plane"
    );
}

#[tokio::test]
async fn a_list_of_our_users_that_is_there_stays_and_what_it_lacks_is_said() {
    let stage = OnboardStage::set().await;
    let request = stage.request();
    std::fs::create_dir_all(request.projects.parent().unwrap()).unwrap();
    let text = format!("bots: [orch]\nprojects:\n  {PROJECT}: {{ repo: app, prefix: ET }}\n");
    std::fs::write(&request.projects, &text).unwrap();
    let bots = |report: &OnboardReport| report.items.iter().find(|item| item.name == "bots").unwrap().clone();
    let item = bots(&stage.onboard(&request).await);
    assert_eq!(item.standing, SetupStanding::Missing);
    assert_eq!(item.detail, "without Everfold service, whose writes count as those of people");
    assert!(item.to_do.unwrap().contains("bots: [\"Everfold service\", \"5c30-e1\"]"));
    assert_eq!(std::fs::read_to_string(&request.projects).unwrap(), text);
    stage.world.lock().unwrap().tells_no_users = true;
    let item = bots(&stage.onboard(&request).await);
    assert!(item.detail.starts_with("whose token ORCH_PLANE_API_TOKEN is, Plane does not say"), "{item:?}");
}

#[tokio::test]
async fn as_many_agents_work_at_once_as_orch_was_told_and_a_limit_that_is_there_stays() {
    let stage = OnboardStage::set().await;
    let told = [("ORCH_MAX_CONCURRENCY".to_owned(), "3".to_owned())];
    let request = OnboardRequest { environment: Environment::of(told.into_iter()), ..stage.request() };
    assert_eq!(standing(&stage.onboard(&request).await, "here", "settings [limits]"), SetupStanding::Made);
    assert_eq!(Settings::load(&request.settings).unwrap().limits.processes, 3);
    std::fs::write(&request.settings, "[limits]\nprocesses = 9\n").unwrap();
    let again = stage.onboard(&request).await;
    let item = again.items.iter().find(|item| item.name == "settings [limits]").unwrap();
    assert_eq!(
        (item.standing, item.detail.starts_with("9 agents at once in ")),
        (SetupStanding::There, true)
    );
    assert_eq!(Settings::load(&request.settings).unwrap().limits.processes, 9);
}

#[tokio::test]
async fn a_limit_that_is_no_number_from_one_on_is_refused_before_anything_is_made() {
    let stage = OnboardStage::set().await;
    for said in ["three", "0", "-1", "1.5"] {
        let told = [("ORCH_MAX_CONCURRENCY".to_owned(), said.to_owned())];
        let request = OnboardRequest { environment: Environment::of(told.into_iter()), ..stage.request() };
        let refused = onboard(&request, &stage.layout()).await.unwrap_err();
        assert!(refused.message.contains(&format!("ORCH_MAX_CONCURRENCY is “{said}”")), "{refused:?}");
        assert!(!request.settings.exists() && !request.projects.exists());
    }
    let told = [("ORCH_LOG_KEEP_DAYS".to_owned(), "none".to_owned())];
    let request = OnboardRequest { environment: Environment::of(told.into_iter()), ..stage.request() };
    let refused = onboard(&request, &stage.layout()).await.unwrap_err();
    assert!(refused.message.contains("ORCH_LOG_KEEP_DAYS is “none”"), "{refused:?}");
}

#[tokio::test]
async fn no_webhook_is_made_whose_secret_could_not_be_kept() {
    let stage = OnboardStage::set().await;
    stage.clone();
    let names = ["ORCH_PLANE_API_TOKEN", "ORCH_GITEA_TOKEN"].map(str::to_owned);
    let former = stage.request();
    let tokens = names.map(|name| (name.clone(), former.environment.get(&name).unwrap()));
    let set = ("ORCH_PLANE_WEBHOOK_SECRET".to_owned(), "kept".to_owned());
    let request = OnboardRequest { environment: Environment::of(tokens.into_iter().chain([set])), ..former };
    for _ in 0..2 {
        let report = stage.onboard(&request).await;
        let item = report.items.iter().find(|it| it.place == "plane" && it.name == "webhook").unwrap();
        assert!(item.detail.contains("ORCH_PLANE_WEBHOOK_SECRET"), "{item:?}");
        assert!(!report.ready && item.to_do.is_some());
    }
    assert_eq!(stage.world.lock().unwrap().writes.len(), 14 + 2 + 1, "states, labels, Gitea's webhook");
}

#[tokio::test]
async fn a_check_changes_nothing_and_says_what_is_missing() {
    let stage = OnboardStage::set().await;
    let request = OnboardRequest { only_check: true, ..stage.request() };
    let report = stage.onboard(&request).await;
    assert!(!report.ready);
    let missing = |name: &str| {
        let item = report.items.iter().find(|item| item.name == name).unwrap();
        assert_eq!(item.standing, SetupStanding::Missing, "{name}");
        assert!(item.to_do.is_some(), "{name}");
    };
    ["states", "labels", "webhook", "clone", "settings [hooks.gitea]", "projects.yaml"]
        .into_iter()
        .for_each(missing);
    assert!(stage.world.lock().unwrap().writes.is_empty());
    assert!(files(stage.folder.path()).is_empty());
}

#[tokio::test]
async fn what_cannot_be_made_from_here_says_what_a_person_does() {
    let stage = OnboardStage::set().await;
    {
        let mut world = stage.world.lock().unwrap();
        (world.may_push, world.makes_no_hooks) = (false, true);
    }
    let request = stage.request();
    std::fs::create_dir_all(request.projects.parent().unwrap()).unwrap();
    std::fs::write(&request.projects, format!("projects:\n  {PROJECT}: {{ repo: other, prefix: ET }}\n"))
        .unwrap();
    let report = stage.onboard(&request).await;
    let to_do = |place: &str, name: &str| {
        let item = report.items.iter().find(|item| item.place == place && item.name == name).unwrap();
        (item.detail.clone(), item.to_do.clone().unwrap_or_default())
    };
    assert_eq!(to_do("plane", "webhook").0, "this Plane makes no webhooks over its API");
    assert!(to_do("plane", "webhook").1.contains("https://everfold.example.org/api/v1/hooks/plane"));
    assert_eq!(to_do("gitea", "repository").0, "the token's user may not push");
    assert!(
        to_do("here", "projects.yaml").0.contains("“other”")
            || to_do("here", "projects.yaml").0.contains("other")
    );
    assert!(to_do("here", "clone").1.starts_with("git clone "));
    let refused = OnboardRequest { environment: Default::default(), ..request };
    let report = stage.onboard(&refused).await;
    assert_eq!(standing(&report, "here", "ORCH_PLANE_API_TOKEN"), SetupStanding::Missing);
    assert!(report.items.iter().any(|item| item.detail == "not looked at: ORCH_GITEA_TOKEN"));
}

fn with_variables(former: OnboardRequest, more: &[(&str, &str)]) -> OnboardRequest {
    let own = ["ORCH_PLANE_API_TOKEN", "ORCH_GITEA_TOKEN"];
    let own = own.map(|name| (name.to_owned(), former.environment.get(name).unwrap()));
    let more = more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    OnboardRequest { environment: Environment::of(own.into_iter().chain(more)), ..former }
}

fn detail(report: &OnboardReport, place: &str, name: &str) -> String {
    report.items.iter().find(|item| item.place == place && item.name == name).unwrap().detail.clone()
}

#[tokio::test]
async fn the_chat_of_orch_is_written_and_the_bot_and_the_chat_are_looked_at() {
    for variable in ["ORCH_TELEGRAM_CHAT_ID", "TELEGRAM_CHAT_ID"] {
        let stage = OnboardStage::set().await;
        stage.clone();
        let variables = [("ORCH_TELEGRAM_BOT_TOKEN", "bot-token"), (variable, "-100123")];
        let request = with_variables(stage.request(), &variables);
        let report = stage.onboard(&request).await;
        assert!(report.ready, "{:#?}", report.items);
        assert_eq!(standing(&report, "here", "telegram.chat"), SetupStanding::Made, "{variable}");
        assert_eq!(projects_of(&request)["telegram"]["chat"], -100_123);
        assert_eq!(detail(&report, "telegram", "bot"), "@orch_bot");
        assert_eq!(detail(&report, "telegram", "chat"), "-100123 “Orchard”");
        let again = stage.onboard(&request).await;
        assert_eq!(standing(&again, "here", "telegram.chat"), SetupStanding::There);
        assert!(!serde_json::to_string(&again).unwrap().contains("bot-token"), "a secret is shown");
    }
}

#[tokio::test]
async fn a_bot_without_a_chat_or_with_one_that_it_is_not_in_is_missing() {
    let stage = OnboardStage::set().await;
    stage.clone();
    let token = ("ORCH_TELEGRAM_BOT_TOKEN", "bot-token");
    let report = stage.onboard(&with_variables(stage.request(), &[token])).await;
    assert!(!report.ready);
    assert_eq!(detail(&report, "here", "telegram.chat"), "no chat is set: nothing is sent to Telegram");
    let foreign = with_variables(stage.request(), &[token, ("ORCH_TELEGRAM_CHAT_ID", "-5")]);
    let report = stage.onboard(&foreign).await;
    let said = detail(&report, "telegram", "chat");
    assert!(!report.ready && said.contains("chat not found"), "{said}");
    let wrong = with_variables(stage.request(), &[("ORCH_TELEGRAM_BOT_TOKEN", "bot-other")]);
    let report = stage.onboard(&wrong).await;
    assert_eq!(standing(&report, "telegram", "bot"), SetupStanding::Missing);
    assert!(!serde_json::to_string(&report).unwrap().contains("bot-other"), "a secret is shown");
}

#[tokio::test]
async fn the_addresses_for_people_are_taken_over_from_orch() {
    let stage = OnboardStage::set().await;
    let variables = [
        ("ORCH_PLANE_WEB_URL", "https://plane.example.org"),
        ("ORCH_GITEA_PUBLIC_URL", "https://git.example.org"),
    ];
    let request = with_variables(stage.request(), &variables);
    stage.onboard(&request).await;
    let written = projects_of(&request);
    assert_eq!(written["plane"]["web"], "https://plane.example.org");
    assert_eq!(written["gitea"]["public"], "https://git.example.org");
}

#[tokio::test]
async fn a_webhook_of_gitea_without_reviews_is_not_complete() {
    let stage = OnboardStage::set().await;
    stage.clone();
    let request = stage.request();
    assert!(stage.onboard(&request).await.ready);
    let with_events = async |events: Value| {
        stage.world.lock().unwrap().gitea_hooks[0]["events"] = events;
        let report = stage.onboard(&request).await;
        report.items.into_iter().find(|item| item.place == "gitea" && item.name == "webhook").unwrap()
    };
    let item = with_events(json!(["push", "status", "pull_request"])).await;
    assert_eq!(item.standing, SetupStanding::Missing);
    assert!(item.detail.contains("pull_request_review_approved, pull_request_review_rejected"), "{item:?}");
    assert!(item.to_do.unwrap().contains("reviews (approved, rejected, comment)"));
    let item = with_events(json!(["push", "status", "pull_request", "pull_request_review"])).await;
    assert_eq!(item.standing, SetupStanding::There, "{item:?}");
}

#[tokio::test]
async fn ov22_the_clone_is_made_with_the_token_which_stands_nowhere_in_it() {
    let stage = OnboardStage::set().await;
    stage.origin();
    let first = stage.onboard(&stage.request()).await;
    assert_eq!(standing(&first, "here", "clone"), SetupStanding::Made, "{:#?}", first.items);
    assert!(first.ready, "{:#?}", first.items);
    let clone = stage.folder.path().join("repos/app");
    let config = std::fs::read_to_string(clone.join(".git/config")).unwrap();
    assert!(config.contains(&format!("url = {}/owner/app.git", stage.url)), "{config}");
    for file in files(&clone) {
        let bytes = std::fs::read(&file).unwrap();
        assert!(!String::from_utf8_lossy(&bytes).contains("gitea-token"), "{file}");
    }
    let base = ["rev-parse", "--verify", "--quiet", "refs/remotes/origin/main"];
    assert!(Command::new("git").args(base).current_dir(&clone).output().unwrap().status.success());
    let second = stage.onboard(&stage.request()).await;
    assert_eq!(standing(&second, "here", "clone"), SetupStanding::There);
}

#[tokio::test]
async fn ov22_a_repository_that_cannot_be_cloned_is_missing_and_leaves_no_folder() {
    let stage = OnboardStage::set().await;
    let report = stage.onboard(&stage.request()).await;
    assert_eq!(standing(&report, "here", "clone"), SetupStanding::Missing);
    assert!(!stage.folder.path().join("repos/app").exists());
    stage.origin();
    let again = stage.onboard(&stage.request()).await;
    assert_eq!(standing(&again, "here", "clone"), SetupStanding::Made, "{:#?}", again.items);
}

#[tokio::test]
async fn a_clone_without_the_branch_that_tasks_begin_at_is_missing() {
    let stage = OnboardStage::set().await;
    stage.clone();
    let folder = stage.folder.path().join("repos/app");
    let removed = ["update-ref", "-d", "refs/remotes/origin/main"];
    assert!(Command::new("git").args(removed).current_dir(folder).status().unwrap().success());
    let report = stage.onboard(&stage.request()).await;
    assert_eq!(standing(&report, "here", "clone"), SetupStanding::Missing);
    assert!(detail(&report, "here", "clone").contains("has no origin/main"));
}

#[tokio::test]
async fn a_prefix_in_small_letters_is_refused_with_what_to_write() {
    let stage = OnboardStage::set().await;
    for prefix in ["orch", "1A", "A-B"] {
        let request = OnboardRequest { prefix: prefix.into(), ..stage.request() };
        let refused = onboard(&request, &stage.layout()).await.unwrap_err();
        assert!(refused.message.contains(&format!("--prefix is “{prefix}”")), "{refused:?}");
        assert!(!request.settings.exists() && !request.projects.exists());
    }
    let request = OnboardRequest { prefix: "orch".into(), ..stage.request() };
    let refused = onboard(&request, &stage.layout()).await.unwrap_err();
    assert!(format!("{refused:?}").contains("write ORCH"), "{refused:?}");
}

#[tokio::test]
async fn a_settings_document_that_is_no_yaml_is_said_to_be_so() {
    let stage = OnboardStage::set().await;
    let request = stage.request();
    std::fs::create_dir_all(request.projects.parent().unwrap()).unwrap();
    std::fs::write(&request.projects, "projects: [\n").unwrap();
    let report = stage.onboard(&request).await;
    for name in ["projects.yaml", "bots"] {
        assert!(detail(&report, "here", name).ends_with("is no YAML"), "{name}");
    }
    assert_eq!(std::fs::read_to_string(&request.projects).unwrap(), "projects: [\n");
}
