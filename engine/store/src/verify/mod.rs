//! Verification of a whole store: journal, chains, index, blobs, snapshots.
//!
//! Law: changes nothing, ends at no fault, and names each one. What events mean is asked of the
//! caller through [`Meaning`].
//!
//! Called by `everfold store verify`, on a closed folder or beside a running store.

mod folder;
mod index_source;
mod meaning;
mod open_store;
mod report;
mod walk;

pub(crate) use folder::remakable_faults;
pub use folder::verify_folder;
pub use meaning::{Meaning, NoMeaning};
pub use open_store::verify_open;
pub use report::{VerifyFault, VerifyReport};
