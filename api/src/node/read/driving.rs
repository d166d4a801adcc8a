//! Whether the node that holds the folder drives a run.

use std::sync::atomic::Ordering;

use everfold_engine::id::RunId;

use crate::node::handle::Node;

impl Node {
    /// Whether this node drives a run: it drives all runs, this one, or a run above it, whose step started this one.
    pub(in crate::node) async fn drives(&self, run: RunId) -> bool {
        if self.drives_all.load(Ordering::Acquire) {
            return true;
        }
        // A run is younger than the one that started it, so this ends.
        let mut next = Some(run);
        while let Some(run) = next {
            if self.driven().contains(&run) {
                return true;
            }
            let above = self.engine.with_state(run, |state| state.parent().map(|parent| parent.run)).await;
            // Whoever asks reads the run itself, and reports what the store cannot read.
            next = above.ok().flatten();
        }
        false
    }
}
