//! Pipelines: read, checked, canonical, hashed.
//!
//! Law: what [`parse`] lets through has no unresolved name and no expression that does not compile;
//! the core relies on it.
//!
//! A file becomes a tree with places (`yaml`), the tree a model (`read`), and what only the whole
//! shows is checked last (`check`). Every step pushes its problems into one list.

pub mod case;
mod case_file;
mod check;
mod children;
mod codes;
mod definition_summary;
mod files;
mod graph;
mod include;
mod inline;
pub mod input;
mod local_form;
mod local_reader;
mod local_writer;
mod locals;
mod model;
mod nested;
mod outline;
mod parse;
mod pipeline_ref;
mod place;
mod problem;
mod read;
mod schema;
mod shell;
mod similar;
mod source_map;
mod templates;
mod tree_size;
mod trigger_settings;
mod written_text;
mod yaml;

pub use crate::words::{
    FinishStatus, OnLimit, OnLost, OnOver, OnTaken, Period, Release, Save, UnblockDecision, Vote,
};
pub use case_file::cases_of;
pub use check::{RUN_FIELDS, STEP_FIELDS};
pub use children::texts_of_child;
pub use codes::{Code, Severity, codes};
pub use definition_summary::{DefinitionSummary, StepSummary};
pub use files::{FileSource, NoFiles};
pub use graph::Graph;
pub use inline::is_inline;
pub use model::*;
pub use nested::{NeededResource, NestedPipeline, nested, resources, with_nested};
pub use outline::{GateLines, StepLines, outline};
pub use parse::{
    CheckedPipeline, ChildError, StoredDefinitionError, child, document_of, parse, schedule_of, settings_of,
    value_of,
};
pub use pipeline_ref::{BadPipelineRef, NAME_BYTES_MAX, PipelineRef, VersionSelector};
pub(crate) use place::place_of;
pub use problem::{Colour, Problem, Problems};
#[cfg(test)]
pub(crate) use read::shapes;
pub use read::{RUN_STATUSES, STEP_STATUSES};
pub use schema::{case_schema, schema};
pub use similar::similar;
pub(crate) use yaml::json_as_yaml;
