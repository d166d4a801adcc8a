//! `git.open_pr` and `git.merge_pr` over every kind of service.

use axum::http::Method;
use everfold_base::failure::FailureKind;
use serde_json::json;

use crate::fixtures::connected_place::ConnectedPlace;
use crate::fixtures::fake_services::{KINDS, Kind, MERGED, SHA};
use crate::fixtures::home::git;

#[tokio::test]
async fn a_pull_request_is_opened_once_and_merged_once() {
    for kind in KINDS {
        let (fake, world) = kind.serve().await;
        let place = ConnectedPlace::at(kind, &fake);
        let first = place.call("git.open_pr", json!({"title": "Add a", "body": "why"})).await;
        assert_eq!(
            (&first["number"], &first["state"], &first["head"], &first["base"], &first["title"]),
            (&json!(1), &json!("open"), &json!("feature/a"), &json!("main"), &json!("Add a")),
            "{kind:?}"
        );
        let again = place.call("git.open_pr", json!({"title": "Add a", "body": "why"})).await;
        assert_eq!((&again["number"], &again["url"]), (&first["number"], &first["url"]), "{kind:?}");
        let creations = fake.asked().into_iter().filter(|asked| asked.method == Method::POST).count();
        assert_eq!(creations, 1, "{kind:?}");

        let merged = place.call("git.merge_pr", json!({"pr": first["number"], "method": "squash"})).await;
        assert_eq!((&merged["state"], &merged["merge_sha"]), (&json!("merged"), &json!(MERGED)), "{kind:?}");
        let orders = fake.count(Method::PUT, "/merge") + fake.count(Method::POST, "/merge");
        let again = place.call("git.merge_pr", json!({"method": "squash"})).await;
        assert_eq!(again, merged, "{kind:?}: one that is merged is done");
        assert_eq!(fake.count(Method::PUT, "/merge") + fake.count(Method::POST, "/merge"), orders);
        assert_eq!(world.lock().unwrap().pulls.len(), 1);
    }
}

#[tokio::test]
async fn an_answer_that_got_lost_after_the_merge_is_looked_up() {
    for kind in KINDS {
        let (fake, world) = kind.serve().await;
        let place = ConnectedPlace::at(kind, &fake);
        place.call("git.open_pr", json!({"title": "T"})).await;
        world.lock().unwrap().loses_merge_answer = true;
        let merged = place.call("git.merge_pr", json!({"pr": "feature/a"})).await;
        assert_eq!(merged["state"], "merged", "{kind:?}");
    }
}

/// The order was taken, and the first looks afterwards said “open”: that was reported as a failure.
#[tokio::test]
async fn row_69_a_merge_that_shows_late_is_waited_for() {
    for kind in KINDS {
        let (fake, world) = kind.serve().await;
        let place = ConnectedPlace::at(kind, &fake);
        place.call("git.open_pr", json!({"title": "T"})).await;
        world.lock().unwrap().shows_late = 2;
        let merged = place.call("git.merge_pr", json!({"pr": 1})).await;
        assert_eq!(merged["state"], "merged", "{kind:?}");
        assert_eq!(fake.count(Method::PUT, "/merge") + fake.count(Method::POST, "/merge"), 1, "{kind:?}");
    }
}

#[tokio::test]
async fn row_69_a_branchs_request_is_found_behind_many_of_others() {
    let (fake, world) = Kind::Gitea.serve().await;
    let place = ConnectedPlace::at(Kind::Gitea, &fake);
    // The service of the tests gives two a page; more than ten pages failed.
    world.lock().unwrap().others = 41;
    let first = place.call("git.open_pr", json!({"title": "T"})).await;
    let again = place.call("git.open_pr", json!({"title": "T"})).await;
    assert_eq!(again["number"], first["number"]);
}

#[tokio::test]
async fn what_cannot_be_merged_fails_with_a_code_of_its_own() {
    for kind in KINDS {
        let (fake, world) = kind.serve().await;
        let place = ConnectedPlace::at(kind, &fake);
        let failure = place.fails("git.merge_pr", json!({})).await;
        assert_eq!(failure.code.as_deref(), Some("NO_PR"), "{kind:?}");
        place.call("git.open_pr", json!({"title": "T"})).await;
        let failure = place.fails("git.merge_pr", json!({"pr": 1, "sha": MERGED})).await;
        assert_eq!((failure.kind, failure.code.as_deref()), (FailureKind::Conflict, Some("HEAD_MOVED")));
        // It says that there are conflicts; or it refuses, and does not say so.
        for (mergeable, code) in [(Some(false), "MERGE_CONFLICT"), (None, "NOT_MERGEABLE")] {
            world.lock().unwrap().mergeable = mergeable;
            let failure = place.fails("git.merge_pr", json!({"pr": 1, "sha": SHA})).await;
            assert_eq!(
                (failure.kind, failure.code.as_deref()),
                (FailureKind::Conflict, Some(code)),
                "{kind:?}"
            );
        }
        world.lock().unwrap().pulls[0].state = "closed";
        let failure = place.fails("git.merge_pr", json!({"pr": 1})).await;
        assert_eq!(failure.code.as_deref(), Some("PR_CLOSED"), "{kind:?}");
        let failure = place.fails("git.merge_pr", json!({"pr": 7})).await;
        assert_eq!(failure.code.as_deref(), Some("NOT_FOUND"), "{kind:?}");
    }
}

#[tokio::test]
async fn one_that_was_merged_with_this_very_commit_is_not_opened_again() {
    for kind in KINDS {
        let (fake, world) = kind.serve().await;
        let place = ConnectedPlace::at(kind, &fake);
        place.call("git.open_pr", json!({"title": "T"})).await;
        let head = git(&place.work(), &["rev-parse", "HEAD"]);
        {
            let mut world = world.lock().unwrap();
            world.pulls[0].state = "merged";
            world.pulls[0].sha = head;
        }
        let found = place.call("git.open_pr", json!({"title": "T"})).await;
        assert_eq!((&found["number"], &found["state"]), (&json!(1), &json!("merged")), "{kind:?}");
        world.lock().unwrap().pulls[0].sha = SHA.to_owned();
        let second = place.call("git.open_pr", json!({"title": "T"})).await;
        assert_eq!(second["number"], 2, "{kind:?}: there is something new to merge");
    }
}

/// Gitea gives what the branch stands at now as the head of a request that was merged before.
#[tokio::test]
async fn work_behind_a_merge_gets_a_request_of_its_own() {
    let (fake, world) = Kind::Gitea.serve().await;
    let place = ConnectedPlace::at(Kind::Gitea, &fake);
    place.call("git.open_pr", json!({"title": "T"})).await;
    let head = git(&place.work(), &["rev-parse", "HEAD"]);
    {
        let mut world = world.lock().unwrap();
        world.pulls[0].state = "merged";
        world.pulls[0].sha.clone_from(&head);
        world.merged_at = Some(SHA.to_owned());
    }
    let second = place.call("git.open_pr", json!({"title": "T"})).await;
    assert_eq!((&second["number"], &second["state"]), (&json!(2), &json!("open")));
    world.lock().unwrap().pulls.pop();
    world.lock().unwrap().merged_at = Some(head);
    let found = place.call("git.open_pr", json!({"title": "T"})).await;
    assert_eq!((&found["number"], &found["state"]), (&json!(1), &json!("merged")));
}

#[tokio::test]
async fn parameters_that_are_none_are_refused_before_anything_is_asked() {
    let (fake, _world) = Kind::Gitea.serve().await;
    let place = ConnectedPlace::at(Kind::Gitea, &fake);
    for (name, with, part) in [
        ("git.open_pr", json!({}), "\"title\""),
        ("git.open_pr", json!({"title": "T", "titel": "x"}), "titel"),
        ("git.open_pr", json!({"title": "T", "head": "main"}), "into itself"),
        ("git.merge_pr", json!({"method": "octopus"}), "with/method"),
        ("git.push", json!({"force": "yes"}), "with/force"),
    ] {
        let failure = place.fails(name, with).await;
        assert_eq!(failure.kind, FailureKind::Validation, "{failure:?}");
        assert!(failure.message.contains(part), "{}", failure.message);
    }
    let asked: Vec<String> = fake.asked().into_iter().map(|asked| asked.path).collect();
    assert_eq!(asked, ["/api/v1/repos/team/app"], "only the default branch");
    let failure = place.fails("git.open_pr", json!({"title": "T", "provider": "hots"})).await;
    assert!(failure.message.contains("did you mean host?"), "{}", failure.message);
}
