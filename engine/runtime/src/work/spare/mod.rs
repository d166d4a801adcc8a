//! Work of a fork that is not done: what its origin recorded stands in for it, or it is held back because it acts outside.
//!
//! Law: whether work is spared follows from durable history alone, so that it is decided alike however often it is asked.

mod effect_rules;
mod executor;
mod origin_record;
mod read_record;
mod rules;

pub(crate) use effect_rules::{EffectRules, holds_back, is_held_from};
pub(crate) use executor::{SPARED_TRAITS, read_evidence};
pub(crate) use rules::SpareChoice;
