//! What triggers do: the cache of triggers of the newest saved pipelines, and acting on what they match.

pub(crate) mod action;
pub(crate) mod book;
pub(crate) mod by;
pub(crate) mod heard;
pub(crate) mod known;
pub(crate) mod report;
pub(crate) mod stopped;
