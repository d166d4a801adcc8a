//! Logs of several random runs, and the read models folded from them.

use std::sync::Arc;

use everfold_base::envelope::Envelope;
use everfold_base::id::Position;
use everfold_projections::Models;
use everfold_store::MemoryStore;
use proptest::prelude::*;

use crate::random_run::RandomRun;

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

pub(crate) fn apply(models: &mut Models, events: &[Arc<Envelope>]) {
    // No store is read: there are no forks among these.
    block_on(models.apply(events.to_vec(), &MemoryStore::default())).unwrap();
    assert_eq!(models.stopped(), None);
}

pub(crate) fn folded(events: &[Arc<Envelope>]) -> Models {
    let mut models = Models::in_memory().unwrap();
    apply(&mut models, events);
    models
}

/// Several runs, and in which order their events came into the store.
pub(crate) fn log(choices: &[(usize, usize, u8)], runs: u64) -> (Vec<RandomRun>, Vec<Arc<Envelope>>) {
    let mut drawn: Vec<RandomRun> = (0..runs).map(RandomRun::begin).collect();
    let mut shown = vec![0; drawn.len()];
    let mut log: Vec<Arc<Envelope>> = vec![Arc::new(RandomRun::definition_saved())];
    let mut show = |drawn: &[RandomRun], shown: &mut Vec<usize>, which: usize| {
        for event in &drawn[which].events[shown[which]..] {
            let position = Position(log.len() as u64 + 1);
            log.push(Arc::new(Envelope { position, ..event.clone() }));
        }
        shown[which] = drawn[which].events.len();
    };
    for (run, which, how) in choices {
        let run = run % drawn.len();
        show(&drawn, &mut shown, run);
        drawn[run].step(*which, *how);
        show(&drawn, &mut shown, run);
    }
    (drawn, log)
}

pub(crate) fn choices(most: usize) -> impl Strategy<Value = Vec<(usize, usize, u8)>> {
    prop::collection::vec((0_usize..9, 0_usize..8, any::<u8>()), 1..most)
}
