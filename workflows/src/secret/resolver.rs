//! The values that sources of secrets gave before: after a rotation work still meets the old value, in files that
//! were written and in answers of systems that have not changed it yet.
//!
//! Law: a former value is in the memory of the owner that looked it up, as long as that lives, and nowhere else. The
//! memory is bounded: of each source the newest values, and the sources that were asked last.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use everfold_language::definition::SecretSource;
use lru::LruCache;

use super::mask::Mask;
use super::values::SecretValues;
use crate::credential::SealedCredentials;
use crate::redact::{Patterns, RedactSettings};

/// Values of one source that are remembered.
const VALUES_MAX: usize = 4;
/// Sources that are remembered.
const SOURCES_MAX: NonZeroUsize = NonZeroUsize::new(256).expect("not zero");

/// By folder and source, the newest value first.
type FormerValues = LruCache<(PathBuf, String), Vec<String>>;

/// What looks secrets up, and remembers what their sources gave before. Cheap to clone: all clones remember together.
#[derive(Clone)]
pub(crate) struct SecretResolver {
    former: Arc<Mutex<FormerValues>>,
    patterns: Option<Arc<Patterns>>,
    /// Where credentials of requests are; `None`: nowhere.
    pub(super) credentials: Option<Arc<SealedCredentials>>,
}

impl Default for SecretResolver {
    fn default() -> Self {
        Self { former: Arc::new(Mutex::new(LruCache::new(SOURCES_MAX))), patterns: None, credentials: None }
    }
}

impl SecretResolver {
    /// One that also knows what credentials look like.
    pub(crate) fn new(redact: &RedactSettings) -> Self {
        Self { patterns: Patterns::new(redact), ..Self::default() }
    }

    /// The same with credentials of requests.
    pub(crate) fn with_credentials(self, credentials: Arc<SealedCredentials>) -> Self {
        Self { credentials: Some(credentials), ..self }
    }

    /// Where credentials of requests are.
    pub(crate) fn credentials(&self) -> Option<Arc<SealedCredentials>> {
        self.credentials.clone()
    }

    /// What masks the values, and what looks like a credential.
    pub(crate) fn mask(&self, values: &SecretValues) -> Mask {
        Mask::new(values.texts().map(String::as_str)).with_patterns(self.patterns.clone())
    }

    /// Notes what a source gives now; returns what it gave before.
    pub(super) fn before(&self, source: &SecretSource, folder: &Path, value: &str) -> Vec<String> {
        let mut known = self.former.lock().unwrap_or_else(PoisonError::into_inner);
        let values = known.get_or_insert_mut((folder.to_owned(), format!("{source:?}")), Vec::new);
        values.retain(|known| known != value);
        values.insert(0, value.to_owned());
        values.truncate(VALUES_MAX + 1);
        values[1..].to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_72_what_a_source_gave_before_a_rotation_is_known() {
        let folder = tempfile::tempdir().unwrap();
        let source = SecretSource::File("token".into());
        let resolver = SecretResolver::default();
        let of = |value: &str| resolver.clone().before(&source, folder.path(), value);
        assert!(of("first value").is_empty());
        assert_eq!(of("second value"), ["first value"]);
        assert_eq!(of("second value"), ["first value"]);
        // Turned back.
        assert_eq!(of("first value"), ["second value"]);
        for round in 0..20 {
            assert!(of(&format!("value {round}")).len() <= VALUES_MAX, "bounded");
        }
        assert!(!of("value 20").contains(&"first value".to_owned()), "the oldest are forgotten");
    }

    #[test]
    fn row_72_one_owner_knows_no_value_of_another() {
        let folder = tempfile::tempdir().unwrap();
        let source = SecretSource::File("token".into());
        let (one, other) = (SecretResolver::default(), SecretResolver::default());
        assert!(one.before(&source, folder.path(), "first value").is_empty());
        assert!(other.before(&source, folder.path(), "second value").is_empty());
        assert_eq!(one.before(&source, folder.path(), "second value"), ["first value"]);
    }
}
