//! The tools, by what they are about.

pub(crate) mod asking;
pub(crate) mod deciding;
pub(crate) mod figures;
pub(crate) mod history;
pub(crate) mod pipelines;
pub(crate) mod runs;
pub(crate) mod starting;
pub(crate) mod steering;
