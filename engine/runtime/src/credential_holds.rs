//! The starts that are on their way and keep credentials.
//!
//! Law: a start is noted before its values are written, and a sweep looks at one run at a time: no start is noted in
//! between.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use everfold_base::id::RunId;

type Starting = Arc<Mutex<BTreeMap<RunId, usize>>>;

/// The starts that are on their way and keep credentials.
#[derive(Default)]
pub(crate) struct CredentialHolds {
    starting: Starting,
    /// Held while a start is noted, while credentials of a run are replaced, and while a sweep looks at a run and
    /// removes what is kept for it.
    pub(crate) looking: tokio::sync::Mutex<()>,
}

/// A start that is on its way: no sweep takes what is kept for its run.
pub(crate) struct CredentialHold {
    starting: Starting,
    pub(crate) run: RunId,
}

impl CredentialHolds {
    /// Notes a start.
    pub(crate) async fn hold(&self, run: RunId) -> CredentialHold {
        let _no_sweep = self.looking.lock().await;
        *locked(&self.starting).entry(run).or_default() += 1;
        CredentialHold { starting: Arc::clone(&self.starting), run }
    }

    /// Whether a start of the run is on its way.
    pub(crate) fn is_starting(&self, run: RunId) -> bool {
        locked(&self.starting).contains_key(&run)
    }
}

impl Drop for CredentialHold {
    fn drop(&mut self) {
        let mut starting = locked(&self.starting);
        if let Some(count) = starting.get_mut(&self.run) {
            *count -= 1;
            if *count == 0 {
                starting.remove(&self.run);
            }
        }
    }
}

fn locked(starting: &Starting) -> MutexGuard<'_, BTreeMap<RunId, usize>> {
    starting.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_start_is_on_its_way_until_its_last_hold_is_dropped() {
        let (holds, run) = (CredentialHolds::default(), RunId(uuid::Uuid::from_u128(1)));
        let (one, other) = (holds.hold(run).await, holds.hold(run).await);
        drop(one);
        assert!(holds.is_starting(run));
        drop(other);
        assert!(!holds.is_starting(run));
    }
}
