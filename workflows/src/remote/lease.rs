//! The lease of an attempt: which worker holds it, and by which secret.
//!
//! Law: a lease's text is known to its worker alone; what is recorded of it is its hash.

use everfold_base::json::Hash;
use everfold_base::time::Timestamp;
use everfold_ports::{AttemptHolder, WorkerHold};
use everfold_system::clock;

use super::name::WorkerName;
use super::protocol::{LeaseClaim, WorkerRefusal};

/// The worker that holds an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lease {
    /// Of the text that a report must name.
    pub(super) hash: Hash,
    pub(super) worker: WorkerName,
    pub(super) taken_at: Timestamp,
}

impl Lease {
    /// A lease of its own for a worker that takes an attempt now, with its text.
    pub(super) fn draw(worker: WorkerName) -> (Self, String) {
        let text = format!("{:032x}", clock::draw_u128());
        (Self { hash: Self::hash_of(&text), worker, taken_at: clock::now() }, text)
    }

    /// What is recorded of a lease's text.
    pub(super) fn hash_of(text: &str) -> Hash {
        Hash::of(text.as_bytes())
    }

    /// As the run's events say it.
    pub(super) fn holder(&self) -> AttemptHolder {
        AttemptHolder {
            worker: self.worker.actor.clone(),
            instance: self.worker.instance.clone().map(String::from),
            lease: self.hash,
        }
    }

    /// Whether it is the claimant's, by its text and by who it was given to. Another process that learnt the text, from a
    /// file or a queue that both read, reports on the other's work by mistake.
    pub(super) fn check(&self, claim: &LeaseClaim) -> Result<(), WorkerRefusal> {
        let worker = || self.worker.clone();
        if self.worker == claim.worker {
            return match self.hash == Self::hash_of(&claim.lease) {
                true => Ok(()),
                false => Err(WorkerRefusal::OtherLease(worker())),
            };
        }
        match self.worker.actor == claim.worker.actor {
            true => Err(WorkerRefusal::OtherInstance(worker())),
            false => Err(WorkerRefusal::Foreign(worker())),
        }
    }
}

impl From<&WorkerHold> for Lease {
    fn from(hold: &WorkerHold) -> Self {
        let AttemptHolder { worker, instance, lease } = &hold.holder;
        let instance = instance.as_ref().and_then(|instance| instance.parse().ok());
        Self { hash: *lease, worker: WorkerName::new(worker.clone(), instance), taken_at: hold.since }
    }
}
