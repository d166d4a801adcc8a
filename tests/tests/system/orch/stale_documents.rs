//! Documents that were there before the round are no verdict, over REST and webhooks alone (O9, O46).

use super::host_clone::git;
use super::walk::{DARK, approve_when_asked, begin, comments};
use super::world::{SHOP, World, stands};

/// A log that reaches main while the developer works, and was committed ten minutes before: the gate allows for clocks that are
/// some seconds apart, and the deployer may begin within these.
const LOG_ON_MAIN: &str = r#"
mkdir -p src && echo "$item" > "src/$item.txt" && echo "- $item" >> CHANGELOG.md
main=$(mktemp -d)
git clone --quiet "$(git remote get-url origin)" "$main/clone"
printf -- '---\ndeploy_status: SUCCESS\n---\n' > "$main/clone/$docs/14-deploy-log.md"
export GIT_COMMITTER_DATE="@$(($(date +%s) - 600)) +0000"
git -C "$main/clone" add . && git -C "$main/clone" commit --quiet -m "log of $item" && git -C "$main/clone" push --quiet origin HEAD:main
"#;

/// Main has a review and a report of this work item, as of a task of the same number before.
fn left_over(world: &World) {
    let clone = world.path("left-over");
    git(&world.path("."), &["clone", "--quiet", world.origin("shop").to_str().unwrap(), "left-over"]);
    let docs = clone.join("docs/work-items/ET-001");
    std::fs::create_dir_all(&docs).unwrap();
    std::fs::write(docs.join("12-review.md"), "---\nverdict: APPROVED\n---\n").unwrap();
    std::fs::write(docs.join("13-test-report.md"), "---\nresult: PASS\n---\n").unwrap();
    git(&clone, &["add", "."]);
    git(&clone, &["commit", "--quiet", "-m", "left over"]);
    git(&clone, &["push", "--quiet", "origin", "HEAD:main"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn o9_documents_from_before_the_round_pass_no_gate_whether_they_lie_on_the_branch_or_on_main() {
    let world = World::new().await;
    left_over(&world);
    world.plan("ET-001", "developer", 1, LOG_ON_MAIN);
    for (step, round) in [("reviewer", 1), ("tester", 1), ("deployer", 1)] {
        world.plan("ET-001", step, round, "true");
    }
    begin(&world, DARK, SHOP, "Dark mode");
    approve_when_asked(&world, DARK).await;
    world.until("the deployment that left nothing", stands(DARK, "Blocked")).await;
    let rounds = |step: &str| {
        let begun = format!("begin ET-001 {step} ");
        world.lines("agents").iter().filter(|line| line.starts_with(&begun)).count()
    };
    // The review of before refused once, and the report once: each sent the developer back.
    assert_eq!((rounds("developer"), rounds("reviewer"), rounds("tester"), rounds("deployer")), (3, 3, 2, 1));
    world
        .until("what is said of the deployment", |services| {
            comments(services, DARK).iter().any(|text| text.starts_with("❌ Deploy FAILED ("))
        })
        .await;
    let prompt = |round: u32| {
        std::fs::read_to_string(world.path(&format!("prompts/ET-001-developer-{round}"))).unwrap()
    };
    for (round, file) in [(2, "12-review.md"), (3, "13-test-report.md")] {
        assert!(
            prompt(round).contains(&format!("{file} is unchanged since the round began")),
            "{}",
            prompt(round)
        );
    }
    // What the next deployer writes itself counts.
    world.services().set_state(DARK, "In Progress", "owner");
    world.until("the end", stands(DARK, "Done")).await;
    assert_eq!((rounds("developer"), rounds("deployer")), (4, 2));
}
