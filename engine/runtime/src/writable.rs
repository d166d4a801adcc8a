//! Waits until a store takes appends again.

use everfold_store::Writability;
use std::time::Duration;
use tokio::sync::watch;

/// How long a wait takes at least: what the store reports may lag behind what was refused.
const REFUSED_AGAIN: Duration = Duration::from_millis(50);

/// Waits until a store says that it takes appends; `None` where it never will again.
pub(crate) async fn until_writable(mut writable: watch::Receiver<Writability>) -> Option<()> {
    let was_reported = *writable.borrow() != Writability::Writable;
    {
        let is_over = |now: &Writability| matches!(now, Writability::Writable | Writability::NotOurs(_));
        // A closed watch means a closed store.
        let now = writable.wait_for(is_over).await.ok()?;
        if *now != Writability::Writable {
            return None;
        }
    }
    if !was_reported {
        tokio::time::sleep(REFUSED_AGAIN).await;
    }
    Some(())
}
