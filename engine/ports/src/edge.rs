//! All ports of an engine in one value.
//!
//! Law: what is absent is optional; each field says what an engine without it does.

use crate::built_ins::BuiltIns;
use crate::credentials::Credentials;
use crate::directory::Directory;
use crate::executor::Executor;
use crate::inspector::Inspector;
use crate::notifier::Notifier;
use crate::prober::Prober;
use crate::redactor::Redactor;
use crate::survivors::Survivors;
use crate::witness::Witness;
use crate::workspaces::Workspaces;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Everything the runtime can act with: one field for each port.
#[derive(Clone, Default)]
pub struct Edge {
    /// By kind of work.
    pub executors: BTreeMap<String, Arc<dyn Executor>>,
    /// By kind of probe.
    pub probers: BTreeMap<String, Arc<dyn Prober>>,
    /// `None`: pipelines with a workspace fail with `spawn`.
    pub workspaces: Option<Arc<dyn Workspaces>>,
    /// `None`: approvals that show files or a commit fail with `spawn`.
    pub inspector: Option<Arc<dyn Inspector>>,
    /// `None`: nothing lives on without an engine.
    pub survivors: Option<Arc<dyn Survivors>>,
    /// `None`: other runs cannot be asked about.
    pub directory: Option<Arc<dyn Directory>>,
    /// `None`: no notice can be sent.
    pub notifier: Option<Arc<dyn Notifier>>,
    /// Pipelines that `run` steps may name without their being saved.
    pub built_ins: Option<Arc<dyn BuiltIns>>,
    /// `None`: aborts of engines are not counted.
    pub witness: Option<Arc<dyn Witness>>,
    /// `None`: a request that brings credentials is refused.
    pub credentials: Option<Arc<dyn Credentials>>,
    /// `None`: what people and other systems say is recorded as it is.
    pub redactor: Option<Arc<dyn Redactor>>,
}
