//! Keys and values as the storage takes and returns them.

use std::sync::Arc;

/// Keys with their new values; `None` removes the key.
pub(crate) type KeyChanges = Vec<(Vec<u8>, Option<Vec<u8>>)>;
/// A key with its value.
pub(crate) type StoredPair = (Vec<u8>, Vec<u8>);

/// A key that readers, the fold and its checkpoint share.
pub(crate) type StorageKey = Arc<[u8]>;
/// A value that readers and the fold share.
pub(crate) type StorageValue = Arc<Vec<u8>>;

/// What brings the storage up to the position of a model.
#[derive(Default)]
pub(crate) struct Checkpoint {
    /// Written first, key by key.
    pub(crate) ahead: Vec<(StorageKey, StorageValue)>,
    /// Written as a whole; an empty value removes the key.
    pub(crate) batch: Vec<(StorageKey, StorageValue)>,
}
