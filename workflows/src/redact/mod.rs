//! What credentials look like: finds them by their form in all that work, people and other systems say.
//!
//! Law: what is found depends on the text alone, not on the pieces in which it comes; what is masked is never longer
//! than what it stands for; a search takes time in proportion to the text.

mod anchors;
mod key_block;
mod key_names;
mod line;
mod own_patterns;
mod patterns;
mod rules;
mod settings;
mod stream;
#[cfg(test)]
mod tests;
mod web_token;
mod words;

pub use settings::{ActivePattern, RedactSettings};

pub(crate) use patterns::Patterns;
pub(crate) use stream::PatternStream;
