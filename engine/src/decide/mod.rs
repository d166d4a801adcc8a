//! What follows from an input.
//!
//! Law: pure and total. `decide` knows no clock, no IO and no randomness; equal state and input give
//! equal events. Refusals come before the first event. It goes on until nothing more follows, or a
//! bound is reached, or a value must be loaded: what is left then stands in the state's agenda and
//! is an [`crate::effect::Effect::Advance`].
//!
//! Called by the shard for every input, and by replay for every recorded fact.

use std::collections::BTreeMap;

use crate::event::RunEvent;
use crate::expr::ValueRef;
use crate::id::Version;
use crate::json::{BlobRef, Hash, JsonText};

/// What `decide` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// These facts follow, already applied to the state; none for a late duplicate.
    Events(Batch),
    /// These values must be loaded first; the state is unchanged. Load them, and decide again.
    Needs(Vec<ValueRef>),
}

/// The facts of one input.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    /// In order; the first one is the input's own fact.
    pub events: Vec<RunEvent>,
    /// Values that the events name instead of holding; to be durable before the events.
    pub blobs: Vec<(BlobRef, JsonText)>,
}

/// Values that were loaded for `decide`.
#[derive(Debug, Clone, Default)]
pub struct Loaded(BTreeMap<(Version, Hash), JsonText>);

impl Loaded {
    /// Adds a value.
    pub fn insert(&mut self, value: &ValueRef, text: JsonText) {
        self.0.insert((value.version, value.hash), text);
    }

    /// A loaded value.
    #[must_use]
    pub fn get(&self, value: &ValueRef) -> Option<&JsonText> {
        self.0.get(&(value.version, value.hash))
    }
}
