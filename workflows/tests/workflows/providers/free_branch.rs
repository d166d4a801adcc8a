//! `git.free_branch` on real repositories, with names that are given as the engine gives them.

use std::sync::{Arc, Mutex};

use everfold_base::failure::Failure;
use everfold_base::id::RunId;
use everfold_core::unique_names::UniqueNames;
use everfold_ports::{AttemptObserver, AttemptResult, NameFailure, NameRequest};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde_json::{Value, json};

use crate::fixtures::connected_place::ConnectedPlace;
use crate::fixtures::home::git;

/// The names of one scope.
#[derive(Clone, Default)]
struct Names(Arc<Mutex<UniqueNames>>);

/// Gives names to one step of a run.
struct Namer {
    names: Names,
    run: RunId,
    step: &'static str,
}

impl AttemptObserver for Namer {
    fn started(&self) {}

    fn line(&self, _line: &str) {}

    fn unique_name(&self, request: NameRequest) -> BoxFuture<'static, Result<String, NameFailure>> {
        let mut names = self.names.0.lock().unwrap();
        let path = self.step.parse().unwrap();
        let given = names.take(self.run, &path, &request.wanted).map(|taken| {
            taken.into_iter().for_each(|event| names.apply(&event));
            names.given(self.run, &path, &request.wanted.name).unwrap().to_owned()
        });
        std::future::ready(given.map_err(NameFailure::from)).boxed()
    }
}

async fn ask_as(place: &ConnectedPlace, names: &Names, run: u128, with: Value) -> Result<Value, Failure> {
    let mut request = place.home.request(json!({"name": "git.free_branch", "with": with}));
    let run = format!("{run:032x}").parse().unwrap();
    request.id.run = run;
    request.workdir = place.workdir();
    let namer = Arc::new(Namer { names: names.clone(), run, step: "name" });
    match place.executor("function").start(request, namer).await.result {
        AttemptResult::Succeeded(output) => Ok(output),
        AttemptResult::Failed(failure) => Err(failure),
        other => panic!("{other:?}"),
    }
}

async fn ask(place: &ConnectedPlace, names: &Names, run: u128, with: Value) -> Value {
    ask_as(place, names, run, with).await.unwrap()
}

#[tokio::test]
async fn o114_a_branch_that_is_here_or_at_origin_is_taken_and_the_next_wish_is_given() {
    let place = ConnectedPlace::new("");
    let names = Names::default();
    let wish = json!({"name": "feature/ET-1-dark", "or": ["feature/ET-1-7a79f0a9"]});
    let first = ask(&place, &names, 1, wish.clone()).await;
    assert_eq!(first, json!({"branch": "feature/ET-1-dark", "changed": false}));
    let second = ask(&place, &names, 2, wish.clone()).await;
    assert_eq!(second, json!({"branch": "feature/ET-1-7a79f0a9", "changed": true}), "given to another step");
    let third = ask(&place, &names, 3, wish).await;
    assert_eq!(third["branch"], "feature/ET-1-dark-2", "all wishes are taken");

    git(&place.work(), &["branch", "here"]);
    git(&place.work(), &["push", "--quiet", "origin", "main:there", "main:there-2"]);
    assert!(!git(&place.work(), &["branch", "--list", "there"]).contains("there"));
    let wish = |name: &str| json!({"name": name, "or": ["free"]});
    assert_eq!(ask(&place, &names, 4, wish("here")).await["branch"], "free");
    assert_eq!(ask(&place, &names, 5, json!({"name": "there"})).await["branch"], "there-3");
    let alone = json!({"name": "there", "remote": false});
    assert_eq!(ask(&place, &names, 6, alone).await["branch"], "there", "origin was not to count");
}

#[tokio::test]
async fn a_branch_is_named_behind_a_fetch_where_that_is_asked_for() {
    let place = ConnectedPlace::new("");
    let names = Names::default();
    let work = place.work();
    let before = git(&work, &["rev-parse", "origin/main"]);
    // Somebody else pushes: this clone does not know of it.
    let tree = git(&work, &["rev-parse", "main^{tree}"]);
    let newer = git(&work, &["commit-tree", tree.trim(), "-p", "main", "-m", "of somebody else"]);
    git(&work, &["push", "--quiet", "origin", &format!("{}:main", newer.trim())]);
    git(&work, &["update-ref", "refs/remotes/origin/main", before.trim()]);
    ask(&place, &names, 1, json!({"name": "feature/ET-1"})).await;
    assert_eq!(git(&work, &["rev-parse", "origin/main"]), before);
    ask(&place, &names, 2, json!({"name": "feature/ET-2", "fetch": true})).await;
    assert_eq!(git(&work, &["rev-parse", "origin/main"]).trim(), newer.trim());
}

#[tokio::test]
async fn o114_a_name_above_or_below_a_branch_is_not_free() {
    let place = ConnectedPlace::new("");
    let names = Names::default();
    // `feature/a` is checked out.
    git(&place.work(), &["branch", "top"]);
    let wish = |name: &str| json!({"name": name, "or": ["spare"]});
    assert_eq!(ask(&place, &names, 1, wish("feature")).await["branch"], "spare");
    assert_eq!(ask(&place, &names, 2, json!({"name": "feature"})).await["branch"], "feature-2");
    let below = json!({"name": "spare/x", "or": ["other/x"]});
    assert_eq!(ask(&place, &names, 3, below).await["branch"], "other/x", "below a name that was given");
    let failure = ask_as(&place, &names, 4, json!({"name": "top/a"})).await.unwrap_err();
    assert_eq!(failure.code.as_deref(), Some("NO_FREE_BRANCH"), "{failure:?}");
}

#[tokio::test]
async fn o114_the_same_step_gets_the_same_name_after_the_branch_was_made() {
    let place = ConnectedPlace::new("");
    let names = Names::default();
    let wish = json!({"name": "feature/ET-2"});
    let given = ask(&place, &names, 1, wish.clone()).await;
    git(&place.work(), &["branch", "feature/ET-2"]);
    git(&place.work(), &["push", "--quiet", "origin", "feature/ET-2"]);
    assert_eq!(ask(&place, &names, 1, wish.clone()).await, given, "in another round, or after a crash");
    assert_eq!(ask(&place, &names, 2, wish).await["branch"], "feature/ET-2-2");
}

#[tokio::test]
async fn o114_all_worktrees_of_a_repository_share_its_branches_and_a_path_names_one() {
    let place = ConnectedPlace::new("");
    let names = Names::default();
    let other = place.home.path("other");
    git(&place.work(), &["worktree", "add", "--quiet", "-b", "elsewhere", other.to_str().unwrap()]);
    git(&other, &["commit", "--quiet", "--allow-empty", "-m", "x"]);
    assert_eq!(ask(&place, &names, 1, json!({"name": "elsewhere"})).await["branch"], "elsewhere-2");
    let by_path = json!({"name": "feature/a", "path": other});
    assert_eq!(ask(&place, &names, 2, by_path).await["branch"], "feature/a-2");
    let nowhere = json!({"name": "a", "path": place.home.path("blobs")});
    let failure = ask_as(&place, &names, 3, nowhere).await.unwrap_err();
    assert_eq!(failure.code.as_deref(), Some("NO_REPOSITORY"));
    for bad in ["--force", "a..b", "a b", "/a"] {
        let failure = ask_as(&place, &names, 4, json!({"name": "ok", "or": [bad]})).await.unwrap_err();
        assert_eq!(failure.code.as_deref(), Some("BAD_NAME"), "{bad}");
    }
}

#[tokio::test]
async fn o114_an_origin_that_does_not_answer_gives_no_name() {
    let place = ConnectedPlace::new("");
    let names = Names::default();
    let gone = place.home.path("gone.git");
    git(&place.work(), &["remote", "set-url", "origin", gone.to_str().unwrap()]);
    let failure = ask_as(&place, &names, 1, json!({"name": "a"})).await.unwrap_err();
    assert_eq!(failure.code.as_deref(), Some("UNREACHABLE"), "{failure:?}");
    git(&place.work(), &["remote", "remove", "origin"]);
    assert_eq!(
        ask(&place, &names, 1, json!({"name": "a"})).await["branch"],
        "a",
        "without a remote it is asked here"
    );
}
