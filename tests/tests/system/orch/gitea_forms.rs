//! Deliveries in Gitea's own forms, over `serve`: a push, a status, reviews of a pull request, a merge (O35, O81, O93, O127, O132).
//!
//! Their names and fields are those that Gitea sends, with what `orch` has no use for beside them.

use serde_json::{Value, json};

use super::host_clone::git;
use super::services::{Delivery, Services};
use super::walk::{DARK, approve_when_asked, begin, comments};
use super::world::{SHOP, World, stands};

const BRANCH: &str = "feature/ET-001-dark-mode";

fn user(login: &str) -> Value {
    json!({ "id": 7, "login": login, "login_name": "", "source_id": 0, "full_name": "", "email": format!("{login}@example.org"),
        "avatar_url": "https://git.example.org/avatars/7", "language": "", "is_admin": false, "username": login })
}

fn repository() -> Value {
    json!({ "id": 1, "owner": user("admin"), "name": "shop", "full_name": "admin/shop", "description": "", "empty": false,
        "private": true, "fork": false, "template": false, "mirror": false, "size": 24, "default_branch": "main",
        "html_url": "https://git.example.org/admin/shop", "clone_url": "https://git.example.org/admin/shop.git",
        "permissions": { "admin": false, "push": false, "pull": false } })
}

/// The head of the task's branch at the origin.
fn head(world: &World) -> String {
    git(&world.origin("shop"), &["rev-parse", BRANCH]).trim().to_owned()
}

fn pull_request(world: &World, merged: bool) -> Value {
    let (merged_at, merged_by) =
        if merged { (json!("2099-01-01T00:00:00Z"), user("olga")) } else { (Value::Null, Value::Null) };
    let end = |name: &str, sha: &str| json!({ "label": name, "ref": name, "sha": sha, "repo_id": 1, "repo": repository() });
    json!({ "id": 101, "url": "https://git.example.org/admin/shop/pulls/1", "number": 1, "user": user("claude-bot"),
        "title": "Dark mode", "body": "", "labels": [], "milestone": null, "assignee": null, "assignees": null,
        "state": if merged { "closed" } else { "open" }, "is_locked": false, "comments": 0,
        "html_url": "https://git.example.org/admin/shop/pulls/1", "mergeable": !merged, "merged": merged,
        "merged_at": merged_at, "merge_commit_sha": if merged { json!("c0ffee") } else { Value::Null }, "merged_by": merged_by,
        "base": end("main", "beef"), "head": end(BRANCH, &head(world)), "merge_base": "beef", "due_date": null,
        "created_at": "2026-11-20T09:00:00Z", "updated_at": "2026-11-20T10:00:00Z", "closed_at": merged_at })
}

fn review(world: &World, kind: &str, words: &str) -> Value {
    json!({ "action": "reviewed", "number": 1, "pull_request": pull_request(world, false), "requested_reviewer": null,
        "repository": repository(), "sender": user("olga"), "commit_id": "",
        "review": { "type": format!("pull_request_review_{kind}"), "content": words } })
}

/// Delivers, and gives what came of it for each trigger: the word, and why.
async fn delivered(world: &World, id: &str, event: &str, body: Value) -> Vec<(String, String)> {
    let delivery = Delivery { source: "gitea", id: id.to_owned(), event: event.to_owned(), body };
    assert_eq!(world.deliver(&delivery).await, Some(202), "{event}");
    super::intake::outcomes_at(world, "gitea", id).await
}

/// Whether something came of it.
fn is_heard(outcomes: &[(String, String)], word: &str) -> bool {
    outcomes.iter().any(|(outcome, _)| outcome == word)
}

fn push(world: &World, sender: &str, reference: &str) -> Value {
    let commit = json!({ "id": head(world), "message": "the review\n", "url": "https://git.example.org/admin/shop/commit/1",
        "author": { "name": sender, "email": "", "username": sender }, "committer": { "name": sender, "email": "", "username": sender },
        "verification": null, "timestamp": "2026-11-20T10:00:00Z", "added": [], "removed": [],
        "modified": ["docs/work-items/ET-001/12-review.md"] });
    json!({ "ref": reference, "before": "beef", "after": head(world), "compare_url": "https://git.example.org/admin/shop/compare/1",
        "commits": [commit.clone()], "total_commits": 1, "head_commit": commit, "repository": repository(),
        "pusher": user(sender), "sender": user(sender) })
}

#[tokio::test(flavor = "multi_thread")]
async fn o132_a_push_a_status_reviews_and_a_merge_are_heard_in_the_forms_that_gitea_sends() {
    let world = World::new().await;
    let wait = |name: &str| format!("until [ -e \"$HOME/{name}\" ]; do sleep 0.02; done");
    world.plan("ET-001", "reviewer", 1, &wait("go-reviewer"));
    world.plan("ET-001", "reviewer", 2, "true");
    // It commits: what a person approves then is not what the developer left.
    world.plan("ET-001", "reviewer", 3, "verdict review 12-review.md 'verdict: REQUEST_CHANGES\nversion: 3' '- [ ] P1: nobody tests the dusk.'");
    world.plan("ET-001", "tester", 1, &wait("go-tester"));
    begin(&world, DARK, SHOP, "Dark mode");
    approve_when_asked(&world, DARK).await;
    let works = |agent: &'static str| {
        let agents = world.path("agents");
        move |_: &Services| {
            std::fs::read_to_string(&agents).unwrap_or_default().contains(&format!("begin ET-001 {agent}\n"))
        }
    };
    world.until("the reviewer", works("reviewer 1")).await;
    // A person requests changes while the reviewer works: it is put off to the end of its work.
    let words = "No test for the dusk.";
    let outcomes = delivered(&world, "r-1", "pull_request_rejected", review(&world, "rejected", words)).await;
    assert!(is_heard(&outcomes, "deferred"), "{outcomes:?}");
    world.write("go-reviewer", "");
    world.until("the second reviewer", works("reviewer 2")).await;
    let prompt = std::fs::read_to_string(world.path("prompts/ET-001-developer-2")).unwrap();
    assert!(prompt.contains("REQUEST_CHANGES by olga") && prompt.contains(words), "{prompt}");
    // A round without a review, and a refusal when all developments are used up, lead to a person.
    world.until("the review that refuses", stands(DARK, "Blocked")).await;
    let refused = |services: &Services| {
        comments(services, DARK)
            .iter()
            .filter(|text| text.contains("QG failed at review: check_reviewer_verdict"))
            .count()
    };
    assert_eq!(refused(&world.services()), 0);
    // Of another branch, of a tag, and our own: nothing is judged again.
    for (id, body) in [
        ("p-other", push(&world, "olga", "refs/heads/feature/ET-002-other")),
        ("p-tag", push(&world, "olga", &format!("refs/tags/{BRANCH}"))),
        ("p-own", push(&world, "orch", &format!("refs/heads/{BRANCH}"))),
    ] {
        let outcomes = delivered(&world, id, "push", body).await;
        assert!(!is_heard(&outcomes, "signalled"), "{id}: {outcomes:?}");
    }
    let outcomes =
        delivered(&world, "p-1", "push", push(&world, "olga", &format!("refs/heads/{BRANCH}"))).await;
    assert!(is_heard(&outcomes, "signalled"), "{outcomes:?}");
    world.until("what the push had judged again", |services| refused(services) == 1).await;
    // A status of a commit that waits for nothing.
    let status = json!({ "id": 4, "sha": head(&world), "state": "success", "context": "ci/build", "description": "",
        "target_url": "https://ci.example.org/4", "created_at": "2026-11-20T10:00:00Z", "updated_at": "2026-11-20T10:00:00Z",
        "commit": { "id": head(&world), "message": "", "url": "", "author": null, "committer": null, "verification": null,
            "timestamp": "2026-11-20T10:00:00Z", "added": null, "removed": null, "modified": null },
        "repository": repository(), "sender": user("ci") });
    let outcomes = delivered(&world, "s-1", "status", status).await;
    assert!(!is_heard(&outcomes, "signalled"), "{outcomes:?}");
    // A person approves: Gitea is asked, and this commit's review counts.
    world.services().reviews.push(json!({ "id": 1, "user": user("olga"), "state": "APPROVED", "commit_id": head(&world),
        "stale": false, "official": true, "dismissed": false, "body": "", "submitted_at": "2026-11-20T10:00:00Z" }));
    let outcomes = delivered(&world, "r-2", "pull_request_approved", review(&world, "approved", "")).await;
    assert!(is_heard(&outcomes, "signalled"), "{outcomes:?}");
    world.until("the tester", works("tester 1")).await;
    // Opened and synchronized end nothing; a merge by hand ends the task, past the gates that are left.
    for (action, merged, word) in
        [("opened", false, "ignored"), ("synchronized", false, "ignored"), ("closed", true, "signalled")]
    {
        let body = json!({ "action": action, "number": 1, "pull_request": pull_request(&world, merged), "requested_reviewer": null,
            "repository": repository(), "sender": user("olga"), "commit_id": "", "review": null });
        let outcomes = delivered(&world, &format!("m-{action}"), "pull_request", body).await;
        assert!(is_heard(&outcomes, word), "{action}: {outcomes:?}");
    }
    world.until("the end", stands(DARK, "Done")).await;
    let told = |services: &Services| {
        let merged = "🔀 PR слит вручную (olga). Пропущены: check_tests_passed, check_staging_status, check_deploy_status";
        comments(services, DARK).iter().any(|text| text == merged)
    };
    world.until("who merged, and past what", told).await;
    world.write("go-tester", "");
}
