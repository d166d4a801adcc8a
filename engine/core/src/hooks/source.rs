//! Sources of deliveries: their streams, their names, and their limits.

use std::time::Duration;

use everfold_base::envelope::{StreamId, StreamKind};

/// The largest body of a delivery.
pub const BODY_BYTES_MAX: usize = 1024 * 1024;
/// The longest id of a delivery.
pub const ID_BYTES_MAX: usize = 160;
/// All headers of a delivery together.
pub const HEADERS_BYTES_MAX: usize = 32 * 1024;
/// How long a delivery's id is remembered, and how long a signal waits for a run that takes it.
pub const KEPT: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// Signals of one source that wait for a run that takes them.
pub const PARKED_MAX: usize = 1_000;
/// Deliveries of one source that are remembered; older ones are forgotten before their 7 days.
pub const REMEMBERED_MAX: usize = 100_000;

/// Changes with what the fold keeps: snapshots of another one are not used.
pub const FOLD_VERSION: u32 = 4;

/// The stream of a source.
#[must_use]
pub fn stream(source: &str) -> StreamId {
    StreamId { kind: StreamKind::Hook, id: source.into() }
}

/// Whether a text may name a source: as ids of the language do.
#[must_use]
pub fn is_source(text: &str) -> bool {
    let is_first = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_rest = |byte: u8| is_first(byte) || byte == b'_' || byte == b'-';
    !text.is_empty()
        && text.len() <= 64
        && text.bytes().next().is_some_and(is_first)
        && text.bytes().all(is_rest)
}
