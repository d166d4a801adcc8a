//! `staging_check.py`: the real suite over services that are played (O188–O193), and the compose file of both services.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::host_clone::git;
use super::staging_world::{PRODUCTION, SANDBOX, SUITE, World};
use super::world as orch_world;

const COMPOSE: &str = include_str!("../../../../ops/orch/compose.example.yaml");

/// The rows that are left in the store of ORCH.
fn left(world: &World) -> [String; 3] {
    ["tasks", "jobs", "events"].map(|table| world.sql(&format!("SELECT COUNT(*) FROM {table}")))
}

/// The suite and the server are the real ones; Plane, Gitea and the agent are played.
#[tokio::test(flavor = "multi_thread")]
async fn o073_the_suite_passes_over_a_server_of_everfold_and_leaves_nothing_behind() {
    let world = orch_world::World::new().await;
    let mut command = world.staging_check(SUITE);
    let ended = Arc::new(AtomicBool::new(false));
    let is_over = Arc::clone(&ended);
    let suite = tokio::spawn(async move {
        let output = command.output().await.unwrap();
        is_over.store(true, Ordering::SeqCst);
        output
    });
    world.until("the end of the suite", |_| ended.load(Ordering::SeqCst)).await;
    let output = suite.await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}{}", String::from_utf8_lossy(&output.stderr), world.story());
    assert!(said.contains("10/10 checks PASS"), "{said}");
    let services = world.services();
    assert!(services.issues.is_empty(), "the issue is removed: {:#?}", services.issues);
    drop(services);
    let branches = git(&world.origin("shop"), &["for-each-ref", "--format=%(refname:short)", "refs/heads"]);
    assert_eq!(branches.trim(), "main", "and its branch");
}

#[tokio::test(flavor = "multi_thread")]
async fn all_checks_pass_and_nothing_is_left_behind() {
    let world = World::new().await;
    let (code, said) = world.check().await;
    assert_eq!(code, 0, "{said}");
    assert!(said.ends_with("10/10 checks PASS, mode stub\n"), "{said}");
    for check in ["A1", "A2", "A3", "B4", "B5", "B6", "C7", "C8", "C9a", "C9b"] {
        assert!(said.contains(&format!("PASS {check} ")), "{check}: {said}");
    }
    let services = world.services.lock().unwrap();
    assert_eq!(services.issues, Vec::<serde_json::Value>::new());
    assert_eq!(services.branches.len(), 2, "what was there before: {:?}", services.branches);
    drop(services);
    assert_eq!(left(&world), ["1", "1", "1"], "what others have is left alone");
}

/// (E) of the deployer's verdict: mode, what was not exercised, the candidate, what was looked at (O73).
#[tokio::test(flavor = "multi_thread")]
async fn o073_the_report_says_mode_candidate_inputs_and_what_was_not_exercised() {
    let world = World::new().await;
    assert_eq!(world.check().await.0, 0);
    let report = world.report();
    assert_eq!(report["staging_status"], "SUCCESS");
    assert_eq!((&report["mode"], &report["commit"]), (&"stub".into(), &"c0ffee".into()));
    assert_eq!((&report["result"], &report["exit_code"]), (&"10/10 checks PASS".into(), &0.into()));
    assert_eq!(report["inputs"]["project"], SANDBOX);
    assert!(
        report["inputs"]["branch"].as_str().unwrap().starts_with("feature/SANDBOX-002-stgcheck-"),
        "{report}"
    );
    assert!(
        report["unexercised"].as_array().unwrap().contains(&"a language model's work".into()),
        "{report}"
    );
}

/// What mode `stub` refuses is what this one is for: the real program works, and the report no longer says that none did.
#[tokio::test(flavor = "multi_thread")]
async fn ov25_in_mode_full_real_the_real_program_works_and_the_report_says_so() {
    let world = World::new().await.with("ORCH_CLAUDE_BIN", "/usr/bin/claude");
    let (code, said) = world.check_in("full-real").await;
    assert_eq!(code, 0, "{said}");
    assert!(said.ends_with("10/10 checks PASS, mode full-real\n"), "{said}");
    let report = world.report();
    assert_eq!((&report["mode"], &report["staging_status"]), (&"full-real".into(), &"SUCCESS".into()));
    let unexercised = report["unexercised"].as_array().unwrap();
    assert!(!unexercised.contains(&"a language model's work".into()), "{report}");
    assert!(unexercised.contains(&"review".into()), "what neither mode looks at: {report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn o188_what_is_not_staging_is_refused_with_2_before_any_request() {
    for (name, value) in [
        ("ORCH_STAGING", ""),
        ("ORCH_STAGING", "false"),
        ("ORCH_STAGING", "True"),
        ("ORCH_CLAUDE_BIN", "/usr/bin/claude"),
    ] {
        let world = World::new().await.with(name, value);
        let (code, said) = world.check().await;
        assert_eq!(code, 2, "{name}={value}: {said}");
        assert!(said.starts_with("ABORT A3 "), "{said}");
        assert!(world.asked().is_empty(), "nobody was asked");
        assert_eq!(left(&world), ["2", "3", "1"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn o189_after_c7_its_dependents_are_skipped_and_the_cleanup_runs() {
    let world = World::new().await;
    world.services.lock().unwrap().broken.push(("POST", "/issues/"));
    let (code, said) = world.check().await;
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("FAIL C7 an issue is created: HTTP 500"), "{said}");
    for dependent in ["C8", "C9a", "C9b"] {
        let line = said.lines().find(|line| line.starts_with(&format!("FAIL {dependent} "))).unwrap();
        assert!(line.ends_with(": skipped: C7 failed"), "{line}");
    }
    assert_eq!(left(&world)[2], "1", "the deliveries of its questions were removed");
}

#[tokio::test(flavor = "multi_thread")]
async fn o189_an_issue_whose_answer_was_lost_is_removed_too() {
    let world = World::new().await;
    world.services.lock().unwrap().answer_is_lost = true;
    let (code, said) = world.check().await;
    assert_eq!(code, 1, "{said}");
    assert!(
        said.contains("FAIL C7 ")
            && said.contains("FAIL C9a the branch of this run appears: skipped: C7 failed"),
        "{said}"
    );
    assert!(world.services.lock().unwrap().issues.is_empty(), "{said}");
    assert!(world.saw("DELETE", "/issues/1b2c3d4e-0000-4000-8000-000000000001/"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn o190_a_project_of_production_that_the_service_knows_fails_b6() {
    let world = World::new().await;
    world.services.lock().unwrap().registry.push(PRODUCTION.to_owned());
    let (code, said) = world.check().await;
    assert_eq!(code, 1, "{said}");
    let line = said.lines().find(|line| line.starts_with("FAIL B6 ")).unwrap();
    assert!(line.ends_with(&format!("knows the project of production {PRODUCTION}")), "{line}");
    assert!(said.contains("FAIL C7 an issue is created: skipped: B6 failed"), "{said}");
    let asked = world.asked();
    let questions = asked.iter().filter(|asked| asked.body["data"]["project"] == PRODUCTION);
    assert_eq!(questions.count(), 1, "the service itself was asked");
    assert!(world.services.lock().unwrap().issues.is_empty());

    let world = World::new().await;
    world.services.lock().unwrap().registry.clear();
    let (code, said) = world.check().await;
    assert!(code == 1 && said.contains("does not know the sandbox"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn o191_a_cleanup_of_a_wrong_store_is_a_finding() {
    let world = World::new().await;
    world.sql("DROP TABLE jobs; DROP TABLE tasks");
    let (code, said) = world.check().await;
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("FAIL cleanup: the store ") && said.contains("no such table: tasks"), "{said}");
    assert!(world.services.lock().unwrap().issues.is_empty(), "the rest was cleaned all the same");

    let world = World::new().await;
    world.sql("DELETE FROM jobs; DELETE FROM tasks");
    let (code, said) = world.check().await;
    assert!(code == 1 && said.contains("has no task of this issue"), "{said}");

    let world = World::new().await.with("ORCH_DB_PATH", "/nowhere/orch.sqlite");
    let (code, said) = world.check().await;
    assert!(code == 1 && said.contains("the store /nowhere/orch.sqlite is not there"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn o191_the_branch_of_another_run_is_not_taken_for_this_ones() {
    let world = World::new().await;
    world.services.lock().unwrap().asleep = true;
    let (code, said) = world.check().await;
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("FAIL C9a the branch of this run appears: no branch of run "), "{said}");
    assert_eq!(world.services.lock().unwrap().branches.len(), 2, "and it is not removed");
    assert!(!world.saw("DELETE", "orch"), "{said}");
}

/// The lines of a service of the compose file.
fn service(name: &str) -> Vec<&'static str> {
    let services = COMPOSE.split("\nservices:\n").nth(1).unwrap().split("\nvolumes:\n").next().unwrap();
    let after = services.lines().skip_while(|line| *line != format!("  {name}:")).skip(1);
    after.take_while(|line| line.starts_with("    ")).map(str::trim).collect()
}

/// A plain `docker compose up -d` starts the services that have no profile.
#[test]
fn o192_staging_starts_with_its_profile_alone_and_shares_nothing_with_production() {
    let (production, staging) = (service("orchestrator"), service("orchestrator-staging"));
    let value = |lines: &[&'static str], key: &str| {
        let found = lines.iter().find_map(|line| line.strip_prefix(key)?.strip_prefix(": "));
        found.unwrap_or_else(|| panic!("{key} is not said: {lines:?}")).to_owned()
    };
    assert_eq!(value(&staging, "profiles"), "[staging]");
    assert!(!production.iter().any(|line| line.starts_with("profiles")), "{production:?}");
    // What both write to is not the same: volumes, settings, images, ports.
    for key in ["volumes", "env_file", "image", "command"] {
        assert_ne!(value(&production, key), value(&staging, key), "{key}");
    }
    assert!(
        value(&production, "command").contains(":8500\"") && value(&staging, "command").contains(":8501\"")
    );
    assert_eq!(value(&staging, "environment"), "{ ORCH_STAGING: \"true\" }");
    assert!(!production.iter().any(|line| line.contains("ORCH_STAGING")), "{production:?}");
    assert_eq!(value(&staging, "image"), "orchestrator-orchestrator-staging", "as the hook says by default");
}

/// The image says its commit where the hook looks for it.
#[test]
fn o185_the_image_says_the_commit_that_it_was_built_from() {
    const IMAGE: &str = include_str!("../../../../ops/Dockerfile");
    const HOOK: &str = include_str!("../../../../ops/orch/orchestrator-deploy-hook.sh");
    assert!(
        HOOK.contains("MARKER_COMMAND:-cat /etc/orchestrator-revision}")
            && HOOK.contains("--build-arg \"REVISION=$1\"")
    );
    assert!(IMAGE.contains("ARG REVISION=unknown\nRUN echo \"$REVISION\" > /etc/orchestrator-revision\n"));
}
