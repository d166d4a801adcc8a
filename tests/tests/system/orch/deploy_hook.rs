//! `orchestrator-deploy-hook.sh`: the real script in a real clone, over a docker that is played (O182–O187).

use std::io::Read as _;
use std::process::Stdio;

use serde_json::json;

use super::host_clone::{Host, commit, git, starting};
use crate::workflow_fixtures::fake_server::Answer;

/// Whether `first` came before `second` among the calls.
fn in_order(calls: &[String], words: &[&str]) -> bool {
    let places: Vec<Option<usize>> =
        words.iter().map(|word| calls.iter().position(|call| call.contains(word))).collect();
    places.iter().all(Option::is_some) && places.is_sorted()
}

#[tokio::test(flavor = "multi_thread")]
async fn o182_without_an_environment_it_is_staging_on_8501() {
    let host = Host::new().await;
    let curl = host.clone().join("../curl-calls");
    host.program(
        "curl",
        &format!("#!/bin/sh\necho \"$@\" >> {}\nprintf '{{\"status\":\"ok\"}}\\n200'\n", curl.display()),
    );
    let host = host.without(&["TARGET_PORT", "HEALTH_INTERVAL", "ROLLBACK_INTERVAL"]);
    assert_eq!(host.hook(&["--deploy"]).await, 0, "{}", host.log());
    let calls = host.calls();
    assert!(calls.contains(&"compose --profile staging up -d --no-build orchestrator-staging".to_owned()));
    for call in calls.iter().filter(|call| call.starts_with("compose ")) {
        assert!(call.starts_with("compose --profile staging "), "{call}");
        assert!(call.ends_with(" orchestrator-staging"), "only the staging service: {call}");
    }
    let looked = std::fs::read_to_string(curl).unwrap();
    assert!(looked.contains("--max-time 5 ") && looked.contains("http://localhost:8501/health"), "{looked}");
    let saved = std::fs::read_to_string(host.clone().join(".deploy-prev-image-staging")).unwrap();
    assert_eq!(saved, "sha256:old\n");
}

/// The tests shorten what an installation waits for; these numbers are those of an installation.
#[test]
fn o183_o187_it_looks_ten_times_every_six_seconds_then_five_times_every_three_and_a_login_has_90() {
    let hook = include_str!("../../../../ops/orch/orchestrator-deploy-hook.sh");
    for default in [
        "HEALTH_ATTEMPTS:-10}",
        "HEALTH_INTERVAL:-6}",
        "HEALTH_TIMEOUT:-5}",
        "ROLLBACK_ATTEMPTS:-5}",
        "ROLLBACK_INTERVAL:-3}",
        "AUTH_PROBE_TIMEOUT:-90}",
    ] {
        assert!(hook.contains(&format!("${{{default}")), "{default}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn o183_a_healthy_deploy_ends_with_0() {
    let host = Host::new().await;
    assert_eq!(host.hook(&["--deploy"]).await, 0, "{}", host.log());
    assert_eq!(git(&host.clone(), &["rev-list", "--count", "HEAD"]), "2", "it pulled");
    let order =
        ["inspect", "compose --profile staging build", "up -d --no-build", "cat /etc/orchestrator-revision"];
    assert!(in_order(&host.calls(), &order), "{:?}", host.calls());
    assert_eq!(host.played("image"), "sha256:new\n");
    assert_eq!(host.played("built"), host.head());
    assert_eq!(host.looks(), 1, "nobody looks again at what is healthy");
    let log = host.log();
    assert!(log.lines().all(|line| line.starts_with("[20") && line.contains("Z] ")), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn o183_a_rollback_that_is_healthy_ends_with_1() {
    let host = Host::new().await;
    host.answers(|image| match image {
        "sha256:new" => Answer::status(503, json!({ "status": "ok" })),
        _ => Answer::ok(json!({ "status": "ok" })),
    });
    assert_eq!(host.hook(&["--deploy"]).await, 1);
    assert_eq!(host.looks(), 11, "ten looks at the new, one at the old");
    assert!(host.calls().contains(&"tag sha256:old orchestrator-orchestrator-staging".to_owned()));
    assert_eq!(host.played("image"), "sha256:old\n");
    assert!(host.log().contains("ROLLED BACK"), "{}", host.log());
    assert_eq!(host.played("queue"), "running\n", "the old service goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn o183_a_rollback_that_is_not_healthy_ends_with_2() {
    let host = Host::new().await;
    host.answers(|_| Answer::status(500, json!({})));
    assert_eq!(host.hook(&["--deploy"]).await, 2);
    assert_eq!(host.looks(), 15, "ten looks at the new, five at the old");
}

#[tokio::test(flavor = "multi_thread")]
async fn o183_without_an_image_the_rollback_is_skipped_and_it_ends_with_1() {
    let host = Host::new().await;
    host.runs_nothing();
    host.answers(|_| starting());
    assert_eq!(host.hook(&["--deploy"]).await, 1);
    assert!(host.log().contains("rollback skipped: no saved image"), "{}", host.log());
    assert!(!host.calls().iter().any(|call| call.starts_with("tag ")));

    let host = Host::new().await;
    host.play("image-fails", "");
    host.answers(|_| starting());
    assert_eq!(host.hook(&["--deploy"]).await, 1);
    assert!(host.log().contains("rollback skipped: no local image sha256:old"), "{}", host.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn o183_a_rollback_by_hand_ends_with_0_or_1() {
    let host = Host::new().await;
    assert_eq!(host.hook(&["--rollback"]).await, 1, "nothing was saved");
    assert_eq!(host.hook(&["--deploy"]).await, 0, "{}", host.log());
    // It needs no clone that is right: it is for the moment when nothing is.
    std::fs::write(host.clone().join("first"), "edited").unwrap();
    assert_eq!(host.hook(&["--rollback"]).await, 0, "{}", host.log());
    assert_eq!(host.played("image"), "sha256:old\n");
    host.answers(|_| starting());
    assert_eq!(host.hook(&["--rollback"]).await, 1, "and never with 2");
}

#[tokio::test(flavor = "multi_thread")]
async fn o184_an_answer_200_without_status_ok_is_not_healthy() {
    for said in
        ["", "<html>ok</html>", "{\"status\":\"starting\"}", "{\"state\":\"ok\"}", "{\"status\":\"okay\"}"]
    {
        let host = Host::new().await;
        host.answers(move |image| match image {
            "sha256:new" => Answer::ok(said.into()),
            _ => Answer::ok("{\"status\": \"ok\", \"service\":\"orchestrator\"}".into()),
        });
        assert_eq!(host.hook(&["--deploy"]).await, 1, "{said:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn o185_a_container_without_the_marker_of_new_code_is_a_failed_deploy() {
    let host = Host::new().await;
    host.play("stale", "");
    assert_eq!(host.hook(&["--deploy"]).await, 1);
    assert!(host.log().contains("is not in the running container"), "{}", host.log());
    assert_eq!(host.played("image"), "sha256:old\n", "it was rolled back");
}

#[tokio::test(flavor = "multi_thread")]
async fn o186_a_clone_that_is_dirty_off_main_or_of_root_stops_before_the_service_is_touched() {
    type Spoil = fn(&Host);
    let spoilt: [(&str, Spoil); 4] = [
        ("dirty", |host| std::fs::write(host.clone().join("first"), "edited").unwrap()),
        ("dirty", |host| std::fs::write(host.clone().join("stray"), "").unwrap()),
        ("not on main", |host| drop(git(&host.clone(), &["switch", "--quiet", "-c", "feature/x"]))),
        ("no branch", |host| drop(git(&host.clone(), &["switch", "--quiet", "--detach"]))),
    ];
    for (reason, spoil) in spoilt {
        let host = Host::new().await;
        spoil(&host);
        assert_eq!(host.hook(&["--deploy"]).await, 1, "{reason}");
        assert!(host.log().contains("STOP: ") && host.log().contains(reason), "{reason}: {}", host.log());
        assert_eq!(host.played("calls"), "", "docker is not asked at all");
        assert_eq!(host.looks(), 0);
    }
    let own = rustix::process::getuid();
    // As root everything here is root's; elsewhere the user of the test stands for root.
    let host = Host::new().await;
    let host = match own.is_root() {
        true => host.without(&["FOREIGN_UID"]),
        false => host.with("FOREIGN_UID", own.as_raw().to_string()),
    };
    assert_eq!(host.hook(&["--deploy"]).await, 1);
    assert!(host.log().contains(&format!("STOP: uid {} owns ", own.as_raw())), "{}", host.log());
    assert_eq!(host.played("calls"), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn o186_the_hooks_own_files_do_not_make_the_clone_dirty() {
    let host = Host::new().await.with("LOG", "/proc/none/hook.log");
    assert_eq!(host.hook(&["--deploy"]).await, 0);
    assert_eq!(host.hook(&["--deploy"]).await, 0, "a second time, over what the first left there");
    let log = std::fs::read_to_string(host.clone().join("deploy-hook.log")).unwrap();
    assert!(log.contains("DEPLOYED "), "the log falls back to the clone: {log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn o187_the_login_is_seen_to_work_before_the_queue_resumes() {
    let host = Host::new().await;
    assert_eq!(host.hook(&["--deploy"]).await, 0, "{}", host.log());
    let order = ["everfold pause", "up -d", "claude ", "everfold resume"];
    assert!(in_order(&host.calls(), &order), "{:?}", host.calls());
    assert_eq!(host.played("queue-at-probe"), "held\n");
    assert_eq!(host.played("queue"), "running\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn o187_without_a_login_the_queue_stays_held() {
    let host = Host::new().await;
    host.play("login-fails", "");
    assert_eq!(host.hook(&["--deploy"]).await, 1);
    assert!(host.log().contains("the queue stays held: Please run /login"), "{}", host.log());
    assert_eq!(host.played("queue"), "held\n");

    let host = Host::new().await.with("AUTH_PROBE_TIMEOUT", "1");
    host.play("login-hangs", "");
    assert_eq!(host.hook(&["--deploy"]).await, 1);
    assert!(host.log().contains("does not work within 1 s"), "{}", host.log());
    assert_eq!(host.played("queue"), "held\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn o187_what_an_operator_holds_stays_held() {
    let host = Host::new().await;
    host.play("queue", "held\n");
    assert_eq!(host.hook(&["--deploy"]).await, 0);
    assert_eq!(host.played("queue"), "held\n");
    assert!(host.log().contains("stays held"), "{}", host.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn o187_what_a_deploy_left_held_goes_on_behind_the_next_one_or_a_rollback() {
    let host = Host::new().await;
    host.play("login-fails", "");
    assert_eq!(host.hook(&["--deploy"]).await, 1);
    host.no_longer("login-fails");
    assert_eq!(host.hook(&["--deploy"]).await, 0, "{}", host.log());
    assert_eq!(host.played("queue"), "running\n", "{}", host.log());

    for next in ["--deploy", "--rollback"] {
        let host = Host::new().await;
        assert_eq!(host.hook(&["--deploy"]).await, 0, "{}", host.log());
        // As a kill behind the hold leaves it.
        std::fs::write(host.clone().join(".deploy-prev-image-staging.held"), "").unwrap();
        host.play("queue", "held\n");
        assert_eq!(host.hook(&[next]).await, 0, "{}", host.log());
        assert_eq!(host.played("queue"), "running\n", "{next}: {}", host.log());
        host.play("queue", "held\n");
        assert_eq!(host.hook(&["--deploy"]).await, 0, "{}", host.log());
        assert_eq!(host.played("queue"), "held\n", "an operator's hold since then");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn o183_the_same_deploy_twice_keeps_the_image_to_go_back_to() {
    let host = Host::new().await;
    assert_eq!(host.hook(&["--deploy"]).await, 0, "{}", host.log());
    assert_eq!(host.hook(&["--deploy"]).await, 0, "{}", host.log());
    assert_eq!(host.hook(&["--rollback"]).await, 0, "{}", host.log());
    assert_eq!(host.played("image"), "sha256:old\n", "{}", host.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_a_build_or_a_hold_that_fails_leaves_the_service_alone() {
    for (what, reason) in [("build", "DEPLOY FAILED: build"), ("hold", "the queue could not be held")] {
        let host = Host::new().await;
        host.play(&format!("{what}-fails"), "");
        assert_eq!(host.hook(&["--deploy"]).await, 1);
        assert!(host.log().contains(reason), "{}", host.log());
        assert!(!host.calls().iter().any(|call| call.contains(" up ")), "{:?}", host.calls());
    }
    let host = Host::new().await;
    git(&host.clone(), &["remote", "set-url", "origin", "/nowhere"]);
    assert_eq!(host.hook(&["--deploy"]).await, 1);
    assert!(host.log().contains("DEPLOY FAILED: pull"), "{}", host.log());
    assert!(!host.calls().iter().any(|call| call.contains("build")), "{:?}", host.calls());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_fails_is_rolled_back_without_a_look() {
    let host = Host::new().await;
    host.play("up-fails", "");
    assert_eq!(host.hook(&["--deploy"]).await, 2, "the old one does not start either");
    assert_eq!(host.looks(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn ov1_production_has_no_profile_and_its_own_image_to_go_back_to() {
    let host = Host::new().await.with("TARGET_SERVICE", "orchestrator");
    assert_eq!(host.hook(&["--deploy"]).await, 0, "{}", host.log());
    assert!(host.calls().contains(&"compose up -d --no-build orchestrator".to_owned()), "{:?}", host.calls());
    let saved = std::fs::read_to_string(host.clone().join(".deploy-prev-image")).unwrap();
    assert_eq!(saved, "sha256:old\n");
    assert_eq!(host.hook(&["--rollback"]).await, 0, "{}", host.log());
    assert!(
        host.calls().contains(&"tag sha256:old orchestrator-orchestrator".to_owned()),
        "{:?}",
        host.calls()
    );
    assert_eq!(host.played("image"), "sha256:old\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn ov9_what_was_built_must_be_on_main_itself_or_squashed() {
    for (merge, code) in
        [(None, 1), (Some(["merge", "--quiet", "--no-ff"]), 0), (Some(["merge", "--quiet", "--squash"]), 0)]
    {
        let host = Host::new().await;
        let origin = host.clone().join("../origin");
        git(&origin, &["checkout", "--quiet", "-b", "feature/ET-1"]);
        let built = commit(&origin, "built");
        git(&origin, &["checkout", "--quiet", "main"]);
        if let Some(merge) = merge {
            git(&origin, &[&merge[..], &["feature/ET-1"]].concat());
            git(&origin, &["commit", "--quiet", "--allow-empty", "-m", "merged"]);
        }
        let host = host.with("EXPECTED_COMMIT", built);
        assert_eq!(host.hook(&["--deploy"]).await, code, "{merge:?}: {}", host.log());
        assert_eq!(host.log().contains("is not on main"), code == 1, "{}", host.log());
        assert_eq!(host.calls().iter().any(|call| call.contains(" up ")), code == 0, "{:?}", host.calls());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_deploy_of_the_service_is_waited_for_where_that_is_asked() {
    let held = |host: &Host| {
        let lock = host.clone().join(".deploy-prev-image-staging.lock");
        let mut command = std::process::Command::new("flock");
        command.arg(lock).args(["sh", "-c", "echo held; cat"]);
        let mut other = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut said = [0; 5];
        other.stdout.as_mut().unwrap().read_exact(&mut said).unwrap();
        other
    };
    let host = Host::new().await;
    let mut other = held(&host);
    assert_eq!(host.hook(&["--deploy"]).await, 1);
    assert!(host.log().contains("another deploy of orchestrator-staging is under way"), "{}", host.log());
    let host = host.with("LOCK_WAIT", "60");
    let ends = async {
        drop(other.stdin.take());
        other.wait().unwrap();
    };
    let (code, ()) = tokio::join!(host.hook(&["--deploy"]), ends);
    assert_eq!(code, 0, "{}", host.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_without_one_of_the_two_words_does_nothing() {
    let host = Host::new().await;
    for wrong in [&[][..], &["deploy"], &["--deploy", "--rollback"]] {
        let output = host.output(wrong).await;
        assert_eq!(output.status.code(), Some(64));
        assert!(String::from_utf8_lossy(&output.stderr).contains("--deploy | --rollback"));
    }
    assert_eq!(host.played("calls"), "");
}
