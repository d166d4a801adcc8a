//! Word from the journal to work that waits until something of it is recorded.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt as _;
use futures::channel::oneshot;
use futures::future::{BoxFuture, Shared};

/// Resolves with `true` when what was given with the receipt is durable, with `false` when it will not be recorded, or is
/// not known to be. Cheap to clone.
pub type Recorded = Shared<BoxFuture<'static, bool>>;

/// Goes with something that is to be recorded, and is informed when it is durable. Where all clones are dropped before
/// that, it was not recorded by this way.
#[derive(Clone)]
pub struct RecordReceipt(Arc<Mutex<Option<oneshot::Sender<()>>>>);

impl RecordReceipt {
    /// A receipt, and what resolves by it.
    pub fn new() -> (Self, Recorded) {
        let (sender, receiver) = oneshot::channel();
        let recorded = receiver.map(|informed| informed.is_ok()).boxed().shared();
        (Self(Arc::new(Mutex::new(Some(sender)))), recorded)
    }

    /// It is durable.
    pub fn recorded(&self) {
        if let Some(sender) = self.0.lock().unwrap_or_else(PoisonError::into_inner).take() {
            // Nothing waits any more.
            let _gone = sender.send(());
        }
    }
}

impl fmt::Debug for RecordReceipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecordReceipt")
    }
}

impl PartialEq for RecordReceipt {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_hears_that_it_is_recorded_or_that_it_is_not() {
        let (receipt, recorded) = RecordReceipt::new();
        let clone = receipt.clone();
        drop(receipt);
        assert_eq!(recorded.clone().now_or_never(), None);
        clone.recorded();
        clone.recorded();
        assert_eq!(recorded.now_or_never(), Some(true));

        let (receipt, recorded) = RecordReceipt::new();
        drop(receipt);
        assert_eq!(recorded.now_or_never(), Some(false));
    }
}
