//! The functions `gitea.*` over a service that fails in every way.

use std::time::{Duration, Instant};

use everfold_core::policy::Verdict::{Fail, Pass, Pending};
use everfold_workflows::fakes::{FakeGitea, FakeReview, FakeServer, ServiceFault};
use serde_json::{Value, json};

use crate::fixtures::connected_place::ConnectedPlace;

const OLD: &str = "1111111111111111111111111111111111111111";
const NEW: &str = "2222222222222222222222222222222222222222";

struct Forge {
    place: ConnectedPlace,
    fake: FakeServer<FakeGitea>,
    _token: tempfile::NamedTempFile,
}

impl Forge {
    async fn new() -> Self {
        let mut gitea = FakeGitea::new("sesame-token", "team/app");
        gitea.push("feature/a", NEW);
        let fake = FakeServer::serve(gitea).await.unwrap();
        let token = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(token.path(), "sesame-token\n").unwrap();
        let settings = format!(
            "[providers.host]\nkind = \"gitea\"\nurl = \"{}\"\ntoken = {{ file = \"{}\" }}\nowner = \"team\"\n",
            fake.url(),
            token.path().display(),
        );
        Self { place: ConnectedPlace::new(&settings), fake, _token: token }
    }

    async fn pull_of(&self, branch: &str) -> Value {
        self.place.call("gitea.pr_of", json!({ "branch": branch })).await
    }

    async fn reviews(&self, with: Value) -> Value {
        self.place.call("gitea.pr_reviews", with).await
    }

    fn open(&self) -> u64 {
        self.fake.service(|gitea| gitea.open("feature/a", "main", "Add it"))
    }
}

#[tokio::test]
async fn o133_the_request_of_a_branch_is_the_open_one_else_the_merged_one() {
    let forge = Forge::new().await;
    let none = forge.pull_of("feature/a").await;
    assert_eq!((&none["number"], &none["merged"]), (&Value::Null, &json!(false)));
    assert_eq!(none["reason"], "feature/a has no pull request");
    let merged = forge.open();
    forge.fake.service(|gitea| gitea.find(merged).unwrap().state = "merged");
    let closed = forge.open();
    forge.fake.service(|gitea| gitea.find(closed).unwrap().state = "closed");
    let found = forge.pull_of("feature/a").await;
    let expected = json!({
        "number": merged, "url": format!("https://git.example.org/team/app/pulls/{merged}"), "state": "merged",
        "merged": true, "sha": NEW,
    });
    assert_eq!(found, expected);
    let open = forge.open();
    let found = forge.pull_of("feature/a").await;
    assert_eq!(
        (&found["number"], &found["state"], &found["merged"]),
        (&json!(open), &json!("open"), &json!(false))
    );
}

#[tokio::test]
async fn o133_a_lookup_that_fails_gives_no_request_and_no_failure() {
    let forge = Forge::new().await;
    forge.open();
    for fault in [
        ServiceFault::Status(500),
        ServiceFault::Status(502),
        ServiceFault::Garbled,
        ServiceFault::LostAnswer,
        ServiceFault::Limited(60),
    ] {
        forge.fake.fail_next([Some(fault)]);
        let found = forge.pull_of("feature/a").await;
        assert_eq!((&found["number"], &found["url"]), (&Value::Null, &Value::Null), "{fault:?}");
        let reason = found["reason"].as_str().unwrap();
        assert!(reason.contains("host") && !reason.contains("sesame"), "{fault:?}: {reason}");
    }
    let found = forge.place.call("gitea.pr_of", json!({"branch": "x", "provider": "nowhere"})).await;
    assert_eq!(found["number"], Value::Null);
    assert!(found["reason"].as_str().unwrap().contains("no provider “nowhere”"), "{found}");
}

#[tokio::test]
async fn o133_a_service_that_never_answers_is_waited_for_five_seconds() {
    let forge = Forge::new().await;
    forge.open();
    forge.fake.fail_next([Some(ServiceFault::Silent)]);
    let began = Instant::now();
    let found = forge.pull_of("feature/a").await;
    assert_eq!(found["number"], Value::Null);
    assert!(found["reason"].as_str().unwrap().contains("no answer within 5s"), "{found}");
    assert!(began.elapsed() >= Duration::from_secs(5), "{:?}", began.elapsed());
    forge.fake.fail_next([Some(ServiceFault::Slow(Duration::from_millis(100)))]);
    assert_eq!(forge.pull_of("feature/a").await["number"], 1);
}

#[tokio::test]
async fn a_merge_at_a_silent_gitea_is_given_up_after_five_seconds_and_a_look_at_its_checks_after_ten() {
    let forge = Forge::new().await;
    let number = forge.open();
    forge.fake.fail_next([Some(ServiceFault::Silent)]);
    let failure = forge.place.fails("git.merge_pr", json!({ "pr": number, "provider": "host" })).await;
    assert!(failure.message.contains("no answer within 5s"), "{failure:?}");
    forge.fake.fail_next([Some(ServiceFault::Silent)]);
    let outage = forge.place.probe("ci", json!({ "provider": "host", "sha": NEW })).await.unwrap_err();
    assert!(outage.message.contains("no answer within 10s") && !outage.permanent, "{outage:?}");
}

/// A developer pushes over a commit that CI has found green: for some seconds CI knows nothing of the new one.
#[tokio::test]
async fn o034_a_green_commit_from_before_the_push_says_nothing_of_the_one_that_was_pushed() {
    let forge = Forge::new().await;
    let told = |sha: &str, word: &str| {
        let status = (sha.to_owned(), "ci".to_owned(), word.to_owned());
        forge.fake.service(|gitea| {
            gitea.statuses.retain(|(commit, ..)| commit != sha);
            gitea.statuses.push(status);
        });
    };
    let judged = async |sha: &str| {
        let (evidence, verdict, _) =
            forge.place.judged("ci", json!({ "provider": "host", "sha": sha })).await;
        assert_eq!(evidence["sha"], sha);
        verdict
    };
    forge.fake.service(|gitea| gitea.push("feature/a", OLD));
    told(OLD, "success");
    assert_eq!(judged(OLD).await, Pass);
    forge.fake.service(|gitea| gitea.push("feature/a", NEW));
    assert_eq!(judged(NEW).await, Pending, "CI has not begun");
    told(NEW, "pending");
    assert_eq!(judged(NEW).await, Pending);
    told(NEW, "failure");
    assert_eq!((judged(NEW).await, judged(OLD).await), (Fail, Pass), "each has its own");
    told(NEW, "success");
    assert_eq!(judged(NEW).await, Pass);
    let asked: Vec<String> = forge.fake.asked().into_iter().map(|asked| asked.path).collect();
    assert!(
        asked.iter().all(|path| path.contains(OLD) || path.contains(NEW)),
        "never by the branch: {asked:?}"
    );
}

#[tokio::test]
async fn o132_only_the_newest_decision_of_each_person_on_this_commit_counts() {
    let forge = Forge::new().await;
    let number = forge.open();
    let none = forge.reviews(json!({ "pr": number })).await;
    assert_eq!((&none["ok"], &none["reason"]), (&json!(false), &json!("nobody has decided on 2222222")));
    let review = |by: &str, state: &str| forge.fake.service(|gitea| gitea.review(number, by, state));
    let change = |index: usize, change: &dyn Fn(&mut FakeReview)| {
        forge.fake.service(|gitea| change(&mut gitea.find(number).unwrap().reviews[index]));
    };

    review("ada", "REQUEST_CHANGES");
    review("bob", "APPROVED");
    let split = forge.reviews(json!({ "pr": number })).await;
    assert_eq!(
        (&split["ok"], &split["approved"], &split["changes_requested"]),
        (&json!(false), &json!(true), &json!(true))
    );
    assert_eq!(split["reason"], "ada requested changes");

    review("ada", "APPROVED");
    review("ada", "COMMENT");
    review("ada", "PENDING");
    let approved = forge.reviews(json!({ "pr": number })).await;
    assert_eq!((&approved["ok"], &approved["reason"]), (&json!(true), &json!("approved by ada, bob")));
    assert_eq!(approved["reviews"].as_array().unwrap().len(), 2, "one of each person");

    // Bob's was of a former commit, Ada's is taken back: nothing is left, nor does her first one come back.
    change(1, &|review| OLD.clone_into(&mut review.sha));
    change(2, &|review| review.is_dismissed = true);
    let left = forge.reviews(json!({ "pr": number })).await;
    assert_eq!(
        (&left["ok"], &left["approved"], &left["changes_requested"]),
        (&json!(false), &json!(false), &json!(false))
    );
    let of_bob = forge.reviews(json!({ "pr": number, "sha": OLD })).await;
    assert_eq!((&of_bob["ok"], &of_bob["sha"]), (&json!(true), &json!(OLD)), "it counts for its own commit");
    change(1, &|review| review.is_stale = true);
    assert_eq!(
        forge.reviews(json!({ "pr": number, "sha": OLD })).await["ok"],
        false,
        "stale by its own word"
    );
}

#[tokio::test]
async fn o132_reviews_come_in_pages_and_a_gate_reads_them() {
    let forge = Forge::new().await;
    let number = forge.open();
    forge.fake.service(|gitea| {
        gitea.page_max = 3;
        (0..7).for_each(|n| gitea.review(number, &format!("reader-{n}"), "COMMENT"));
        gitea.review(number, "zoe", "APPROVED");
    });
    let read =
        forge.reviews(json!({ "pr": format!("https://git.example.org/team/app/pulls/{number}") })).await;
    assert_eq!((&read["ok"], &read["reason"]), (&json!(true), &json!("approved by zoe")));
    let asked = forge.fake.asked();
    assert_eq!(asked.iter().filter(|asked| asked.path.ends_with("/reviews")).count(), 3);

    let spec = json!({"name": "gitea.pr_reviews", "with": {"pr": number, "sha": NEW}});
    let evidence = forge.place.probe("function", spec.clone()).await.unwrap();
    assert_eq!((&evidence["ok"], &evidence["reason"]), (&json!(true), &json!("approved by zoe")));
    forge.fake.fail_next([Some(ServiceFault::Status(500))]);
    let outage = forge.place.probe("function", spec).await.unwrap_err();
    assert!(!outage.permanent, "no evidence is no verdict: {outage:?}");
    let failure = forge.place.fails("gitea.pr_reviews", json!({"pr": 99})).await;
    assert_eq!(failure.code.as_deref(), Some("NOT_FOUND"));
    let failure = forge.place.fails("gitea.pr_reviews", json!({"pr": "feature/a"})).await;
    assert!(failure.message.contains("`with.pr`"), "{failure:?}");
}
