//! What a refused round left, over REST and webhooks alone: a file out of scope is named until it is taken back (O72, O194), and
//! what is refused twice as it is leads to a person (O10).

use super::host_clone::git;
use super::walk::{DARK, approve_when_asked, begin, comments};
use super::world::{SHOP, World, stands};

/// How often something was said in the tracker.
fn said(world: &World, text: &str) -> usize {
    comments(&world.services(), DARK).iter().filter(|comment| comment.contains(text)).count()
}

/// The alerts that rang.
fn alerts(world: &World) -> Vec<String> {
    let services = world.services();
    let pings =
        services.messages.iter().filter(|message| !message.is_silent && message.text.starts_with('🔴'));
    pings.map(|message| message.text.clone()).collect()
}

/// The rounds in which an agent worked.
fn rounds(world: &World, step: &str) -> usize {
    world.lines("agents").iter().filter(|line| line.starts_with(&format!("begin ET-001 {step} "))).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn o72_o194_what_a_role_wrote_out_of_its_scope_is_refused_until_it_is_taken_back() {
    let world = World::new().await;
    let approved = "verdict review 12-review.md \"verdict: APPROVED\nversion: $round\" 'Nothing to say.'";
    world.plan("ET-001", "reviewer", 1, &format!("mkdir -p src && echo evil > src/evil.py\n{approved}"));
    world.plan("ET-001", "reviewer", 3, &format!("git rm --quiet src/evil.py\n{approved}"));
    begin(&world, DARK, SHOP, "Dark mode");
    approve_when_asked(&world, DARK).await;
    let refused = "⚠️ QG failed at review: scope — src/evil.py is";
    world.until("the refusal", |services| stands(DARK, "Blocked")(services)).await;
    assert_eq!(said(&world, &format!("{refused} changed, which only")), 1, "{}", world.story());
    // The next round leaves it where it is.
    world.services().set_state(DARK, "In Progress", "owner");
    world
        .until("the second refusal", |services| {
            let told = comments(services, DARK);
            told.iter().any(|text| text.contains("still as a refused round left it"))
                && stands(DARK, "Blocked")(services)
        })
        .await;
    assert_eq!(said(&world, &format!("{refused} still as a refused round left it: only")), 1);
    let prompt = |round: u32| {
        std::fs::read_to_string(world.path(&format!("prompts/ET-001-reviewer-{round}"))).unwrap_or_default()
    };
    assert!(!prompt(1).contains("was refused"), "{}", prompt(1));
    let told = "Your round before was refused: src/evil.py is changed, which only docs/work-items/ET-001/12-review.md may be.";
    assert!(prompt(2).contains(told), "{}", prompt(2));
    // The one that takes it back goes on.
    world.services().set_state(DARK, "In Progress", "owner");
    world.until("the end", stands(DARK, "Done")).await;
    let files = git(&world.origin("shop"), &["ls-tree", "-r", "--name-only", "feature/ET-001-dark-mode"]);
    assert!(!files.contains("src/evil.py") && files.contains("src/ET-001.txt"), "{files}");
    assert_eq!((rounds(&world, "reviewer"), rounds(&world, "developer")), (3, 1));
}

/// Plays the task until it is blocked, and gives the one alert that was sent.
async fn the_only_alert(world: &World) -> String {
    begin(world, DARK, SHOP, "Dark mode");
    approve_when_asked(world, DARK).await;
    world.until("the alert", |services| services.messages.iter().any(|it| it.text.starts_with('🔴'))).await;
    world.until("Blocked", stands(DARK, "Blocked")).await;
    let alerts = alerts(world);
    assert_eq!(alerts.len(), 1, "{alerts:#?}");
    alerts[0].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn o10_a_review_that_is_left_as_it_was_refused_leads_to_a_person_and_to_no_third_development() {
    let world = World::new().await;
    world.plan(
        "ET-001",
        "reviewer",
        1,
        "verdict review 12-review.md 'verdict: REQUEST_CHANGES\nversion: 1' '- [ ] P1: there is no test.'",
    );
    world.plan("ET-001", "reviewer", 2, "true");
    let alert = the_only_alert(&world).await;
    assert!(alert.contains("12-review.md is unchanged since the round began"), "{alert}");
    assert!(alert.contains("the evidence is that of its failure before"), "{alert}");
    assert_eq!((rounds(&world, "reviewer"), rounds(&world, "developer")), (2, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn o10_red_ci_twice_on_the_same_commit_leads_to_a_person_and_to_no_third_development() {
    let world = World::new().await;
    world.services().verdicts.insert("shop".to_owned(), ["failure", "failure", "failure"].into());
    world.plan("ET-001", "developer", 2, "true");
    let alert = the_only_alert(&world).await;
    assert!(alert.contains("CI state: failure; the evidence is that of its failure before"), "{alert}");
    assert_eq!(rounds(&world, "developer"), 2);
}
