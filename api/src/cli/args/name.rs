//! How an argument that names something is read.

/// What names something is never empty.
pub(super) fn name() -> clap::builder::NonEmptyStringValueParser {
    clap::builder::NonEmptyStringValueParser::new()
}
