//! Ports: the traits through which the runtime reaches executors, probers, workspaces and other systems, with their
//! requests and results.
//!
//! Law: traits and data; a default method answers that nothing is known or done. The runtime calls these traits, crate
//! `everfold-workflows` implements them. An implementation acts only on what it is asked for and never writes to a run.
#![forbid(unsafe_code)]

mod built_ins;
mod credentials;
mod directory;
mod edge;
mod executor;
mod inspector;
mod names;
mod notifier;
mod prober;
mod record_receipt;
mod redactor;
mod secrets;
mod service;
mod survivors;
mod witness;
mod workdir;
mod workspaces;

pub use crate::built_ins::BuiltIns;
pub use crate::credentials::{BroughtCredentials, CredentialError, Credentials};
pub use crate::directory::{Directory, DirectoryError, FoundRun, FoundRuns, RunQuery};
pub use crate::edge::Edge;
pub use crate::executor::{
    AttemptEnd, AttemptObserver, AttemptRequest, AttemptResult, AttemptStop, Executor, LossTraits,
    RequestedFile, RequestedJson, RequestedOutputs, Traits, WorkerReservation,
};
pub use crate::inspector::{Inspector, KeepRequest, LookRequest};
pub use crate::names::{NameFailure, NameRequest, NameWish};
pub use crate::notifier::{NoticeFailure, NoticeReceipt, NoticeRequest, Notifier};
pub use crate::prober::{Fresh, ProbeFailure, ProbeRequest, Prober};
pub use crate::record_receipt::{RecordReceipt, Recorded};
pub use crate::redactor::Redactor;
pub use crate::secrets::Secrets;
pub use crate::service::Service;
pub use crate::survivors::Survivors;
pub use crate::witness::{ENDS_MAX, Witness};
pub use crate::workdir::{GitWorkdir, Workdir};
pub use crate::workspaces::{Fate, Released, WorkspaceRequest, Workspaces};
pub use everfold_core::artefact::{Artefact, Usage, Workspace};
pub use everfold_core::event::{AttemptHolder, AttemptNotes, LogSeal, SeenKind, SeenPart};
pub use everfold_core::seen::LookSpec;
pub use everfold_core::state::{HoldEnd, Resumption, WorkerHold};
pub use everfold_language::expr::{Hidden, MASK, Piece};
