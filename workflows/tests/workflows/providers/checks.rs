//! The gates `ci` and `mergeable` over every kind of service.

use everfold_core::policy::Verdict::{Fail, Pass, Pending};
use serde_json::json;

use crate::fixtures::connected_place::ConnectedPlace;
use crate::fixtures::fake_server::{Answer, Fake};
use crate::fixtures::fake_services::{KINDS, Kind, SHA, TOKEN};

#[tokio::test]
async fn checks_are_read_from_all_pages_and_a_bad_one_fails() {
    for kind in KINDS {
        let (fake, world) = kind.serve().await;
        let place = ConnectedPlace::at(kind, &fake);
        let [good, bad, open] = kind.words();
        let spec = || json!({"provider": "host", "sha": SHA});
        let (evidence, verdict, reason) = place.judged("ci", spec()).await;
        assert_eq!((verdict, evidence["total"].as_u64()), (Pending, Some(0)), "{kind:?}: {reason}");
        let none = json!({"provider": "host", "sha": SHA, "none": "pass"});
        assert_eq!(place.judged("ci", none).await.1, Pass, "{kind:?}");

        world.lock().unwrap().checks = vec![("build", good), ("lint", good), ("test", open)];
        let (_, verdict, reason) = place.judged("ci", spec()).await;
        assert_eq!(verdict, Pending, "{kind:?}: {reason}");
        assert!(reason.contains("test"), "{kind:?}: {reason}");

        world.lock().unwrap().checks.push(("docs", bad));
        let (evidence, verdict, reason) = place.judged("ci", spec()).await;
        assert_eq!(verdict, Fail, "{kind:?}: {evidence}");
        assert!(reason.contains("docs"), "{kind:?}: {reason}");
        let first = &evidence["checks"][0];
        assert_eq!(
            (&first["name"], &first["state"], &first["status"]),
            (&json!("docs"), &json!("fail"), &json!(bad))
        );
        assert!(first["url"].as_str().unwrap().starts_with("https://"), "{evidence}");
        assert_eq!(evidence["repository"], "team/app");

        world.lock().unwrap().checks = vec![("a", good), ("b", good), ("c", good), ("d", good), ("e", good)];
        let (evidence, verdict, _) = place.judged("ci", spec()).await;
        let pipeline = u64::from(kind == Kind::Gitlab);
        assert_eq!((verdict, evidence["total"].as_u64()), (Pass, Some(5 + pipeline)), "{kind:?}");
        assert!(!evidence.to_string().contains(TOKEN));
    }
}

#[tokio::test]
async fn a_commit_that_is_not_known_there_fails_and_names_it() {
    for kind in KINDS {
        let (fake, world) = kind.serve().await;
        world.lock().unwrap().no_commit = true;
        let place = ConnectedPlace::at(kind, &fake);
        let (_, verdict, reason) = place.judged("ci", json!({"provider": "host", "sha": "feature/a"})).await;
        assert_eq!((verdict, reason.as_str()), (Fail, "commit feature/a is not known there"), "{kind:?}");
    }
}

/// A cache or a proxy that mixes its answers up let a commit pass by the checks of another one.
#[tokio::test]
async fn an_answer_about_another_commit_is_no_evidence() {
    let other = "0".repeat(40);
    for kind in KINDS {
        let status = json!({"id": 1, "sha": other, "name": "build", "context": "build", "state": "success", "status": "success"});
        let answer = match kind {
            Kind::Gitlab => json!([status]),
            Kind::Gitea | Kind::Github => {
                json!({"sha": other, "state": "success", "total_count": 0, "check_runs": [], "statuses": [status]})
            }
        };
        let fake = Fake::serve(move |_asked| Answer::ok(answer.clone())).await;
        let place = ConnectedPlace::at(kind, &fake);
        let failure = place.probe("ci", json!({"provider": "host", "sha": SHA})).await.unwrap_err();
        assert!(
            failure.message.contains(&format!("it answers about {other}")),
            "{kind:?}: {}",
            failure.message
        );
        assert!(!failure.permanent, "{kind:?}");
    }
}

#[tokio::test]
async fn both_kinds_of_github_checks_count() {
    let (fake, world) = Kind::Github.serve().await;
    let place = ConnectedPlace::at(Kind::Github, &fake);
    for (name, word, verdict) in [
        ("legacy/jenkins", "error", Fail),
        ("legacy/jenkins", "pending", Pending),
        ("legacy/jenkins", "success", Pass),
        ("run", "neutral", Pass),
        ("run", "skipped", Pass),
        ("run", "stale", Fail),
        ("run", "action_required", Fail),
        ("run", "queued", Pending),
    ] {
        world.lock().unwrap().checks = vec![("build", "success"), (name, word)];
        let judged = place.judged("ci", json!({"provider": "host", "sha": SHA})).await;
        assert_eq!(judged.1, verdict, "{name} {word}: {}", judged.2);
    }
}

#[tokio::test]
async fn a_gitlab_job_that_may_fail_passes_and_a_request_brings_its_own_pipeline() {
    let (fake, world) = Kind::Gitlab.serve().await;
    let place = ConnectedPlace::at(Kind::Gitlab, &fake);
    world.lock().unwrap().checks = vec![("build", "success"), ("may-fail", "failed")];
    assert_eq!(place.judged("ci", json!({"provider": "host", "sha": SHA})).await.1, Pass);
    place.call("git.open_pr", json!({"title": "T", "base": "main"})).await;
    let (evidence, _, _) = place.judged("ci", json!({"provider": "host", "pr": "!1"})).await;
    assert_eq!(evidence["pr"]["number"], 1);
    let names = evidence["checks"].as_array().unwrap().iter().map(|check| check["name"].as_str().unwrap());
    assert!(names.into_iter().any(|name| name == "pipeline 77 (merge_request_event)"), "{evidence}");
}

#[tokio::test]
async fn whether_a_request_can_be_merged_is_waited_for_until_it_is_known() {
    for kind in KINDS {
        let (fake, world) = kind.serve().await;
        let place = ConnectedPlace::at(kind, &fake);
        let opened = place.call("git.open_pr", json!({"title": "T", "base": "main"})).await;
        for (mergeable, verdict) in [(None, Pending), (Some(false), Fail), (Some(true), Pass)] {
            world.lock().unwrap().mergeable = mergeable;
            for pr in [json!(1), json!("#1"), opened["url"].clone(), json!("feature/a")] {
                let (evidence, judged, reason) =
                    place.judged("mergeable", json!({"provider": "host", "pr": pr})).await;
                assert_eq!(judged, verdict, "{kind:?} {mergeable:?}: {reason} {evidence}");
            }
        }
        world.lock().unwrap().pulls[0].state = "merged";
        assert_eq!(place.judged("mergeable", json!({"provider": "host", "pr": 1})).await.1, Pass);
        world.lock().unwrap().pulls[0].state = "closed";
        assert_eq!(place.judged("mergeable", json!({"provider": "host", "pr": 1})).await.1, Fail);
        assert_eq!(place.judged("mergeable", json!({"provider": "host", "pr": 9})).await.1, Fail);
    }
}

#[tokio::test]
async fn no_answer_a_limit_and_a_fault_are_no_evidence_and_settings_never_help() {
    let fake = Fake::serve(|asked| match asked.path.as_str() {
        path if path.contains("/limited/") => {
            Answer::status(403, json!({"message": "API rate limit exceeded"})).with("retry-after", "600")
        }
        path if path.contains("/broken/") => Answer::status(502, "<html>bad gateway</html>".into()),
        path if path.contains("/forbidden/") => {
            Answer::status(403, json!({"message": format!("token {TOKEN} has no access")}))
        }
        _other => Answer::ok("<html>welcome</html>".into()),
    })
    .await;
    let place = ConnectedPlace::at(Kind::Github, &fake);
    for (repository, permanent, part) in [
        ("limited/app", false, "limits requests; again in 10m"),
        ("broken/app", false, "answered 502: <html>bad gateway</html>"),
        ("forbidden/app", true, "token *** has no access"),
        ("other/app", false, "its answer is no JSON"),
    ] {
        let spec = json!({"provider": "host", "sha": SHA, "repository": repository});
        let failure = place.probe("ci", spec).await.unwrap_err();
        assert_eq!(failure.permanent, permanent, "{failure}");
        assert!(failure.message.contains(part), "{failure}");
    }
    let failure = place.probe("ci", json!({"provider": "hots", "sha": SHA})).await.unwrap_err();
    assert!(failure.permanent && failure.message.contains("did you mean host?"), "{failure}");
    std::fs::remove_file(place.home.path("token")).unwrap();
    let failure = place.probe("ci", json!({"provider": "host", "sha": SHA})).await.unwrap_err();
    assert!(failure.permanent && failure.message.contains("could not read the token"), "{failure}");
    let url = fake.url.clone();
    drop(fake);
    let unreachable = ConnectedPlace::new(&format!(
        "[providers.host]\nkind = \"gitea\"\nurl = \"{url}\"\nowner = \"team\""
    ));
    tokio::task::yield_now().await;
    let failure = unreachable.probe("ci", json!({"provider": "host", "sha": SHA})).await.unwrap_err();
    assert!(!failure.permanent, "{failure}");
}

#[tokio::test]
async fn a_short_pause_that_the_service_asks_for_is_kept() {
    let asked = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(0));
    let count = asked.clone();
    let fake = Fake::serve(move |_| match count.fetch_add(1, std::sync::atomic::Ordering::Relaxed) {
        0 => Answer::status(429, json!({"message": "slow down"})).with("retry-after", "0"),
        _later => Answer::ok(json!({"state": "success", "statuses": null, "total_count": 0})),
    })
    .await;
    let place = ConnectedPlace::at(Kind::Gitea, &fake);
    assert_eq!(place.judged("ci", json!({"provider": "host", "sha": SHA})).await.1, Pending);
    assert_eq!(asked.load(std::sync::atomic::Ordering::Relaxed), 2);
}
