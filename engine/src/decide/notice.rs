//! Who is told of what happens.

use super::draft::Draft;
use crate::id::Version;

pub(super) fn finished(
    _draft: &mut Draft<'_>,
    _version: Version,
    _notice: &str,
    _tries: u32,
    _failure: Option<&String>,
) {
}
