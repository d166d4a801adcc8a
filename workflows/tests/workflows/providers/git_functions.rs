//! `git.branch`, `git.commit`, `git.push` and `git.ready` on real repositories.

use everfold_ports::{AttemptResult, Executor as _};
use serde_json::{Value, json};

use crate::fixtures::connected_place::{ConnectedPlace, write};
use crate::fixtures::fake_server::{Answer, Fake};
use crate::fixtures::fake_services::{Kind, TOKEN};
use crate::fixtures::home::{git, observer};
use crate::fixtures::program::write_program;

fn head(place: &ConnectedPlace) -> String {
    git(&place.work(), &["rev-parse", "HEAD"])
}

#[tokio::test]
async fn a_commit_is_made_once_however_often_the_step_is_repeated() {
    let place = ConnectedPlace::new("");
    write(&place.work(), "a b.txt", "1\n");
    let with = json!({"message": "Add \"a\"; touch pwned", "author": "Ada <ada@example.org>"});
    let first = place.call_as("save", "git.commit", with.clone()).await;
    let AttemptResult::Succeeded(output) = &first.result else { panic!("{first:?}") };
    assert_eq!(
        (&output["committed"], &output["branch"], &output["files"]),
        (&json!(true), &json!("feature/a"), &json!(["a b.txt"]))
    );
    assert_eq!(first.commit.as_deref(), output["sha"].as_str(), "the run knows the commit");
    assert_eq!(
        git(&place.work(), &["log", "-1", "--format=%an %ce %s"]),
        "Ada ada@example.org Add \"a\"; touch pwned"
    );
    assert!(!place.work().join("pwned").exists());

    // As after a crash between the commit and its record.
    let again = place.call_as("save", "git.commit", with.clone()).await;
    let AttemptResult::Succeeded(repeated) = &again.result else { panic!("{again:?}") };
    assert_eq!(repeated, output, "the same round finds its own commit");
    assert_eq!(git(&place.work(), &["rev-list", "--count", "main..HEAD"]), "1");

    let other = place.call_as("later", "git.commit", with).await;
    let AttemptResult::Succeeded(nothing) = &other.result else { panic!("{other:?}") };
    assert_eq!((&nothing["committed"], &nothing["files"]), (&json!(false), &json!([])));
    assert_eq!(nothing["sha"], output["sha"]);
}

#[tokio::test]
async fn only_the_named_paths_are_committed_and_a_lock_left_behind_is_no_obstacle() {
    let place = ConnectedPlace::new("");
    let work = place.work();
    write(&work, "a", "1");
    write(&work, "b", "1");
    write(&work, "*", "1");
    git(&work, &["rm", "--quiet", "readme"]);
    let lock = std::fs::File::create(work.join(".git/index.lock")).unwrap();
    lock.set_modified(std::time::SystemTime::now() - std::time::Duration::from_secs(10)).unwrap();
    let output = place.call("git.commit", json!({"message": "m", "paths": ["*", "readme"]})).await;
    assert_eq!(output["files"], json!(["*", "readme"]));
    let again = place.call("git.commit", json!({"message": "m", "paths": ["*", "readme"]})).await;
    assert_eq!(again, output);
    assert_eq!(git(&work, &["status", "--porcelain"]), "?? a\n?? b");
    let failure = place.fails("git.commit", json!({"message": "m", "paths": ["--amend"]})).await;
    assert_eq!(failure.code.as_deref(), Some("BAD_NAME"));
}

#[tokio::test]
async fn a_branch_is_made_once_and_taken_as_it_is_after_that() {
    let place = ConnectedPlace::new("");
    let main = git(&place.work(), &["rev-parse", "main"]);
    write(&place.work(), "a", "1");
    place.call("git.commit", json!({"message": "m"})).await;
    let with = json!({"name": "feature/b", "base": "main"});
    let first = place.call("git.branch", with.clone()).await;
    assert_eq!(first, json!({"branch": "feature/b", "sha": main, "created": true}));
    assert_eq!(place.call("git.branch", with.clone()).await, first);
    assert_eq!(git(&place.work(), &["branch", "--show-current"]), "feature/b");
    let other = place.call_as("other", "git.branch", with).await;
    let AttemptResult::Succeeded(found) = &other.result else { panic!("{other:?}") };
    assert_eq!(found["created"], false);
    for (with, code) in [
        (json!({"name": "--force"}), "BAD_NAME"),
        (json!({"name": "a..b"}), "BAD_NAME"),
        (json!({"name": "c", "base": "nowhere"}), "NO_COMMIT"),
    ] {
        assert_eq!(place.fails("git.branch", with).await.code.as_deref(), Some(code));
    }
}

#[tokio::test]
async fn a_push_repeated_is_the_same_push_and_never_goes_over_others() {
    let place = ConnectedPlace::new("");
    write(&place.work(), "a", "1");
    place.call("git.commit", json!({"message": "m"})).await;
    let sha = head(&place);
    let first = place.call("git.push", json!({})).await;
    assert_eq!((&first["branch"], &first["sha"]), (&json!("feature/a"), &json!(sha)));
    assert_eq!(git(&place.remote(), &["rev-parse", "refs/heads/feature/a"]), sha);
    assert_eq!(place.call("git.push", json!({})).await, first);

    // Another clone pushes on top of it before the step is repeated.
    let other = place.home.path("other");
    git(place.home.path("team").as_path(), &["clone", "--quiet", "app.git", other.to_str().unwrap()]);
    git(&other, &["switch", "--quiet", "feature/a"]);
    git(
        &other,
        &["-c", "user.name=B", "-c", "user.email=b@x", "commit", "--quiet", "--allow-empty", "-m", "more"],
    );
    git(&other, &["push", "--quiet"]);
    assert_eq!(place.call("git.push", json!({})).await, first, "what is there, and more, is pushed");

    write(&place.work(), "a", "2");
    place.call_as("second", "git.commit", json!({"message": "m2"})).await;
    let failure = place.fails("git.push", json!({})).await;
    assert_eq!(failure.code.as_deref(), Some("PUSH_REJECTED"), "{failure:?}");
    // It names both commits, and what joins them.
    let (ours, theirs) = (head(&place), git(&other, &["rev-parse", "HEAD"]));
    for commit in [&ours[..12], &theirs[..12]] {
        assert!(failure.message.contains(commit), "{failure:?}");
    }
    assert!(
        failure.hint().contains("fetch origin feature/a") && failure.hint().contains("merge FETCH_HEAD"),
        "{failure:?}"
    );
    let failure = place.fails("git.push", json!({"remote": "upstream"})).await;
    assert_eq!(failure.code.as_deref(), Some("NO_REMOTE"));
}

#[tokio::test]
async fn a_push_over_a_lease_goes_only_over_what_was_seen() {
    let place = ConnectedPlace::new("");
    write(&place.work(), "a", "1");
    place.call("git.commit", json!({"message": "m"})).await;
    place.call("git.push", json!({})).await;
    git(&place.work(), &["fetch", "--quiet", "origin"]);
    git(&place.work(), &["commit", "--quiet", "--amend", "-m", "better"]);
    assert_eq!(place.fails("git.push", json!({})).await.code.as_deref(), Some("PUSH_REJECTED"));
    let pushed = place.call("git.push", json!({"force": "lease"})).await;
    assert_eq!(git(&place.remote(), &["rev-parse", "refs/heads/feature/a"]), pushed["sha"].as_str().unwrap());
}

/// The look after a refused push fetched the branch, and with that moved the lease of the next attempt.
#[tokio::test]
async fn row_61_a_retried_push_over_a_lease_overwrites_nobody() {
    let place = ConnectedPlace::new("");
    write(&place.work(), "a", "1");
    place.call("git.commit", json!({"message": "m"})).await;
    place.call("git.push", json!({})).await;
    git(&place.work(), &["fetch", "--quiet", "origin"]);
    let seen = git(&place.work(), &["rev-parse", "refs/remotes/origin/feature/a"]);
    // Another clone pushes on top of it, while the run makes its commit anew.
    let other = place.home.path("other");
    git(place.home.path("team").as_path(), &["clone", "--quiet", "app.git", other.to_str().unwrap()]);
    git(&other, &["switch", "--quiet", "feature/a"]);
    let who = ["-c", "user.name=B", "-c", "user.email=b@x"];
    git(&other, &[&who[..], &["commit", "--quiet", "--allow-empty", "-m", "theirs"]].concat());
    git(&other, &["push", "--quiet"]);
    let theirs = git(&other, &["rev-parse", "HEAD"]);
    git(&place.work(), &["commit", "--quiet", "--amend", "-m", "better"]);
    for attempt in 1..=3 {
        let failure = place.fails("git.push", json!({"force": "lease"})).await;
        assert_eq!(failure.code.as_deref(), Some("PUSH_REJECTED"), "attempt {attempt}: {failure:?}");
        assert_eq!(git(&place.remote(), &["rev-parse", "refs/heads/feature/a"]), theirs, "attempt {attempt}");
        let tracked = git(&place.work(), &["rev-parse", "refs/remotes/origin/feature/a"]);
        assert!(attempt == 3 || tracked == seen, "looking moves no reference");
        if attempt == 2 {
            // Nor does it count what others fetch there between two attempts.
            git(&place.work(), &["fetch", "--quiet", "origin"]);
        }
    }
    // What this round pushed itself, it may push over.
    git(&other, &["push", "--quiet", "--force", "origin", &format!("{seen}:refs/heads/feature/a")]);
    place.call("git.push", json!({"force": "lease"})).await;
    git(&place.work(), &["commit", "--quiet", "--amend", "-m", "best"]);
    let pushed = place.call("git.push", json!({"force": "lease"})).await;
    assert_eq!(git(&place.remote(), &["rev-parse", "refs/heads/feature/a"]), pushed["sha"].as_str().unwrap());
    // A branch that this repository never saw must not be overwritten.
    git(&other, &["push", "--quiet", "origin", "HEAD:refs/heads/unseen"]);
    let failure = place.fails("git.push", json!({"branch": "unseen", "force": "lease"})).await;
    assert_eq!(failure.code.as_deref(), Some("PUSH_REJECTED"), "{failure:?}");
}

#[tokio::test]
async fn row_69_the_reason_of_a_refused_push_is_reported() {
    let place = ConnectedPlace::new("");
    let hook = place.remote().join("hooks/pre-receive");
    write_program(&hook, "#!/bin/sh\necho 'no pushes on Fridays' >&2\nexit 1\n");
    write(&place.work(), "a", "1");
    place.call("git.commit", json!({"message": "m"})).await;
    let failure = place.fails("git.push", json!({})).await;
    assert_eq!(failure.code.as_deref(), Some("PUSH_REJECTED"));
    assert!(failure.message.contains("no pushes on Fridays"), "{}", failure.message);
    assert!(failure.message.contains("pre-receive hook declined"), "{}", failure.message);
}

#[tokio::test]
async fn row_69_a_repository_into_which_git_could_not_look_is_not_said_to_be_ready() {
    let place = ConnectedPlace::new("");
    std::fs::write(place.work().join(".git/index"), "damaged").unwrap();
    let failure = place.fails("git.ready", json!({})).await;
    assert_eq!(failure.code.as_deref(), Some("GIT_FAILED"), "{failure:?}");
    std::fs::write(place.work().join(".git/config"), "[core").unwrap();
    let failure = place.fails("git.ready", json!({"require": true, "path": "."})).await;
    assert_eq!(failure.detail.as_deref(), Some("NOT_READABLE"), "{failure:?}");
}

#[tokio::test]
async fn row_69_what_is_saved_is_pushed_with_the_providers_token() {
    use base64::Engine as _;
    use everfold_language::definition::Save;
    use everfold_workflows::command::CommandExecutor;
    let fake = Fake::serve(|_| Answer::status(403, "no".into())).await;
    let place = ConnectedPlace::at(Kind::Gitea, &fake);
    git(&place.work(), &["remote", "set-url", "origin", &format!("{}/team/app.git", fake.url)]);
    let mut request = place.home.shell("echo 1 > a");
    request.workdir = place.workdir();
    request.workdir.git.as_mut().unwrap().save = Save::Push;
    let end = CommandExecutor::new(place.processes()).start(request, observer()).await;
    let AttemptResult::Failed(failure) = &end.result else { panic!("{end:?}") };
    assert_eq!(failure.code.as_deref(), Some("save"), "{failure:?}");
    assert!(!format!("{end:?}").contains(TOKEN));
    let basic = base64::engine::general_purpose::STANDARD.encode(format!("x-access-token:{TOKEN}"));
    let asked = fake.asked();
    assert!(!asked.is_empty());
    assert!(asked.iter().all(|asked| asked.header("authorization") == format!("Basic {basic}")));
}

#[tokio::test]
async fn the_token_goes_to_the_provider_alone_and_into_no_failure() {
    use base64::Engine as _;
    let fake = Fake::serve(|_| Answer::status(403, "no".into())).await;
    let place = ConnectedPlace::at(Kind::Gitea, &fake);
    git(&place.work(), &["remote", "set-url", "origin", &format!("{}/team/app.git", fake.url)]);
    let failure = place.fails("git.push", json!({})).await;
    let shown = format!("{failure:?}");
    assert!(!shown.contains(TOKEN), "{shown}");
    let basic = base64::engine::general_purpose::STANDARD.encode(format!("x-access-token:{TOKEN}"));
    assert!(!shown.contains(&basic), "{shown}");
    let asked = fake.asked();
    assert!(
        !asked.is_empty()
            && asked.iter().all(|asked| asked.header("authorization") == format!("Basic {basic}"))
    );

    let elsewhere = Fake::serve(|_| Answer::status(403, "no".into())).await;
    let url = elsewhere.url.replace("127.0.0.1", "ada:pass@localhost");
    git(&place.work(), &["remote", "set-url", "origin", &format!("{url}/team/app.git")]);
    let failure = place.fails("git.push", json!({})).await;
    assert!(!format!("{failure:?}").contains("pass@"), "{failure:?}");
    assert!(elsewhere.asked().iter().all(|asked| !asked.header("authorization").contains(&basic)));
}

#[tokio::test]
async fn a_repository_that_is_not_ready_says_everything_that_is_missing() {
    let place = ConnectedPlace::new("");
    let ready = place.call("git.ready", json!({})).await;
    assert_eq!(
        (&ready["ok"], &ready["default_branch"], &ready["problems"]),
        (&json!(true), &json!("main"), &json!([]))
    );
    let codes = |output: &Value| -> Vec<String> {
        let problems = output["problems"].as_array().unwrap();
        problems.iter().map(|problem| problem["code"].as_str().unwrap().to_owned()).collect()
    };
    write(&place.work(), "draft", "x");
    let dirty = place.call("git.ready", json!({"remote": "upstream", "base": "develop"})).await;
    assert_eq!(dirty["ok"], false);
    assert_eq!(codes(&dirty), ["NO_DEFAULT_BRANCH", "NO_REMOTE", "NOT_CLEAN"]);
    assert_eq!(place.call("git.ready", json!({"clean": false})).await["ok"], true);

    let empty = place.home.path("empty");
    std::fs::create_dir(&empty).unwrap();
    let path = empty.to_str().unwrap();
    assert_eq!(codes(&place.call("git.ready", json!({"path": path})).await), ["NO_REPOSITORY"]);
    git(&empty, &["init", "--quiet"]);
    assert_eq!(codes(&place.call("git.ready", json!({"path": path})).await), ["NO_COMMIT", "NO_REMOTE"]);
    let failure = place.fails("git.ready", json!({"path": path, "require": true})).await;
    assert_eq!(failure.code.as_deref(), Some("REPO_NOT_READY"));
    assert!(failure.message.starts_with("The repository is not ready: "), "{}", failure.message);
}

#[tokio::test]
async fn functions_say_what_they_take_and_give_and_may_be_repeated() {
    let place = ConnectedPlace::new("");
    let executor = place.executor("function");
    for name in ["git.branch", "git.commit", "git.push", "git.open_pr", "git.merge_pr", "git.ready"] {
        let traits = executor.traits(&json!({"name": name}));
        assert!(traits.loss.idempotent && !traits.reads_input, "{name}");
    }
    let mut request = place.home.request(json!({"name": "git.ready", "with": {}}));
    request.workdir = place.workdir();
    let end = executor.reattach(request.clone(), observer()).await;
    assert!(matches!(end.result, AttemptResult::Succeeded(_)), "{end:?}");
    request.idempotent = Some(false);
    let end = executor.reattach(request, observer()).await;
    assert!(matches!(end.result, AttemptResult::Lost { .. }), "the step's word counts: {end:?}");
}

/// A pause that one tracker asked for held every call of the function, of whichever project.
#[tokio::test]
async fn l16_a_function_of_a_tracker_calls_upon_the_host_of_that_tracker() {
    let fake = Fake::serve(|_| Answer::status(404, json!({}))).await;
    let place = ConnectedPlace::at(Kind::Gitea, &fake);
    let executor = place.executor("function");
    let services = |url: &str| -> Vec<String> {
        let spec = json!({"name": "plane.comment", "with": {"url": url}});
        executor.services(&spec).iter().map(ToString::to_string).collect()
    };
    assert_eq!(services("https://Plane.example.org/x"), ["function.plane.comment", "http.plane.example.org"]);
    assert_eq!(services("http://10.0.0.7:8080"), ["function.plane.comment", "http.10.0.0.7:8080"]);
    assert_eq!(services("nowhere"), ["function.plane.comment"]);
}

/// What a provider asked for was kept for gates, and lost where a function heard it.
#[tokio::test]
async fn l16_a_provider_that_asks_to_be_left_alone_is_heard_by_the_functions_that_call_it() {
    let fake =
        Fake::serve(|_| Answer::status(429, json!({"message": "slow down"})).with("retry-after", "600"))
            .await;
    let place = ConnectedPlace::at(Kind::Gitea, &fake);
    for (name, with) in [
        ("git.open_pr", json!({"title": "T", "base": "main", "provider": "host"})),
        ("git.merge_pr", json!({"pr": 1, "provider": "host"})),
    ] {
        let mut request = place.home.request(json!({"name": name, "with": with}));
        request.workdir = place.workdir();
        let executor = place.executor("function");
        let last = executor.services(&request.spec).pop().unwrap();
        assert_eq!(last.to_string(), "provider.host", "the one who answers stands last");
        let end = executor.start(request, observer()).await;
        assert!(matches!(end.result, AttemptResult::Failed(_)), "{end:?}");
        assert_eq!(end.again_after, Some(std::time::Duration::from_secs(600)), "{name}");
    }
}
