//! Where the verdict of a deployment is read: in the worktree, else on main of the origin (O66).

use super::walk::{DARK, approve_when_asked, begin, comments};
use super::world::{MAP, SHOP, World, stands};

const ROADS: &str = "0000d002-0000-4000-8000-00000000d002";
/// The log reaches main by itself, as through a request of its own.
const ON_MAIN: &str = r#"
main=$(mktemp -d)
git clone --quiet "$(git remote get-url origin)" "$main/clone"
mkdir -p "$main/clone/$docs"
printf -- '---\ndeploy_status: SUCCESS\n---\n' > "$main/clone/$docs/14-deploy-log.md"
git -C "$main/clone" add . && git -C "$main/clone" commit --quiet -m "log of $item" && git -C "$main/clone" push --quiet origin HEAD:main
"#;

#[tokio::test(flavor = "multi_thread")]
async fn o066_a_log_on_main_counts_and_one_in_the_worktree_goes_before_it() {
    let world = World::new().await;
    world.plan("ET-001", "deployer", 1, ON_MAIN);
    let in_both =
        format!("{ON_MAIN}\nverdict deploy 14-deploy-log.md 'deploy_status: FAILED' 'it stays dark'");
    world.plan("MAP-001", "deployer", 1, &in_both);
    begin(&world, DARK, SHOP, "Dark mode");
    begin(&world, ROADS, MAP, "Roads at night");
    for issue in [DARK, ROADS] {
        approve_when_asked(&world, issue).await;
    }
    world.until("the end", stands(DARK, "Done")).await;
    world.until("the failure", stands(ROADS, "Blocked")).await;
    let failed =
        "❌ Deploy FAILED (Deploy status: FAILED). Rolled back to development. Developer нужен для фикса.";
    world
        .until("what is said of it", |services| comments(services, ROADS).iter().any(|text| text == failed))
        .await;
    let log = super::host_clone::git(
        &world.origin("shop"),
        &["ls-tree", "-r", "--name-only", "feature/ET-001-dark-mode"],
    );
    assert!(!log.contains("14-deploy-log.md"), "it lies on main alone: {log}");
}
