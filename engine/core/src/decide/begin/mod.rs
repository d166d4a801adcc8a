//! What is rendered and judged before a run's first event.
//!
//! Pure: the runtime reads documents and collects evidence in between, and `decide` repeats all of it when the
//! run starts, so that the history follows from its first event.
//!
//! Order (L2): input, config, key, admit, concurrency.

mod admit;
mod beginning;
mod config;
mod records;
mod terms;

pub use admit::{Admission, AdmissionJudgement, AdmissionProbe, EVIDENCE_BYTES_MAX};
pub use beginning::{Beginning, checked};
pub use config::{CONFIG_BYTES_MAX, Document, check_config, fixed_documents, merge};
pub use records::{SkippedRecord, keep_sound, skipped_again, skipped_list};
pub use terms::KEY_BYTES_MAX;
