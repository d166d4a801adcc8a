//! Laws of the read model `stages` over histories that the real core decided.

use std::collections::BTreeMap;
use std::sync::Arc;

use everfold_base::envelope::Envelope;
use everfold_base::id::{Position, StepPath};
use everfold_core::state::{Awaited, RunStatus};
use everfold_projections::{Models, StageWaitKind};
use everfold_store::MemoryStore;
use proptest::prelude::*;

use crate::random_run::RandomRun;

fn folded(run: &RandomRun) -> Models {
    let events = run.events.iter().map(|event| {
        // The definition goes before.
        Arc::new(Envelope { position: Position(event.position.0 + 1), ..event.clone() })
    });
    let log: Vec<Arc<Envelope>> =
        [Arc::new(RandomRun::definition_saved())].into_iter().chain(events).collect();
    let mut models = Models::in_memory().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    // No store is read: there are no forks among these.
    runtime.block_on(models.apply(log, &MemoryStore::default())).unwrap();
    assert_eq!(models.stopped(), None);
    models
}

/// What people are asked, by the run's own state.
fn awaited(run: &RandomRun) -> BTreeMap<StepPath, StageWaitKind> {
    let asked = |awaited| match awaited {
        Awaited::Approval { id, .. } => Some((id.path, StageWaitKind::Approval)),
        Awaited::Question { id, .. } => Some((id.path, StageWaitKind::Question)),
        Awaited::Unblock { path, .. } => Some((path, StageWaitKind::Unblock)),
        Awaited::Timer { .. } | Awaited::Signal { .. } | Awaited::Resume | Awaited::Budget { .. } => None,
    };
    run.state.awaited().into_iter().filter_map(asked).collect()
}

/// How often something was sent back for a cause, by the run's own state: by its routes, and by people who decided on what
/// was blocked, for which no route stands in the file.
fn reworks_for(run: &RandomRun, cause: &str) -> u32 {
    let by_routes = run.state.route_uses().into_iter().map(|route| route.causes);
    let by_people = run.state.steps().map(|(step, _)| run.state.causes_of(&format!("{}/unblock", step.id)));
    by_routes.chain(by_people).filter_map(|causes| causes.get(cause).copied()).sum()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Whom a task waits for, how many rounds its steps began and why: what the run's own state says.
    #[test]
    fn a_task_stands_as_the_runs_own_state_says(
        choices in prop::collection::vec((0_usize..8, any::<u8>()), 1..140),
    ) {
        let mut run = RandomRun::begin(5);
        let last = choices.len() - 1;
        for (at, (which, how)) in choices.into_iter().enumerate() {
            run.step(which, how);
            if at % 12 != 0 && at != last {
                continue;
            }
            let models = folded(&run);
            let row = models.stages().unwrap().get(run.run, None).unwrap().unwrap();
            let standing = row.standing;
            let waits: BTreeMap<_, _> = standing.waits.iter().map(|wait| (wait.path.clone(), wait.kind)).collect();
            prop_assert_eq!(waits, awaited(&run));
            prop_assert_eq!(standing.is_ended, run.state.is_ended());
            for (step, facts) in run.state.steps() {
                let rounds = standing.rounds.get(&step.id).copied().unwrap_or_default();
                prop_assert_eq!(rounds, facts.rounds_run, "{}", step.id);
            }
            // The causes of a limited step are those of the rounds that it used, whichever route or person sent back.
            let limited = run.state.steps().find(|(step, _)| step.max_rounds.is_some());
            let (limited, facts) = limited.map(|(step, facts)| (step.id.clone(), facts)).unwrap();
            let causes = standing.causes.get(&limited).cloned().unwrap_or_default();
            prop_assert_eq!(causes.values().sum::<u32>(), facts.rounds_run.saturating_sub(1), "{:?}", causes);
            for (cause, count) in causes {
                let told = reworks_for(&run, &cause);
                prop_assert!(count <= told, "{}: {} rounds of {} reworks", cause, count, told);
            }
            // What neither works, waits nor is timed has stopped for people, or is over.
            let is_idle = standing.work.is_empty() && standing.waits.is_empty() && !standing.is_timed();
            if is_idle && !standing.is_ended {
                prop_assert!(run.state.status() != RunStatus::Blocked);
            }
            prop_assert_eq!(row.layout.stages.clone(), ["making", "deciding"]);
        }
    }
}
