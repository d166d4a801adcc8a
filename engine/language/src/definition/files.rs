//! Files that a pipeline names.

use std::collections::BTreeMap;

/// Reads files relative to the pipeline. This crate does no IO: the caller implements it.
pub trait FileSource {
    /// The text of a file; `None` where there is none.
    ///
    /// # Errors
    /// Why a file that is there cannot be read, in words.
    fn read(&self, path: &str) -> Result<Option<String>, String>;
}

/// A pipeline that stands alone: every file it names is missing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoFiles;

impl FileSource for NoFiles {
    fn read(&self, _path: &str) -> Result<Option<String>, String> {
        Ok(None)
    }
}

/// Texts by path: a saved pipeline, a test.
impl FileSource for BTreeMap<String, String> {
    fn read(&self, path: &str) -> Result<Option<String>, String> {
        Ok(self.get(path).cloned())
    }
}

impl<F> FileSource for F
where
    F: Fn(&str) -> Result<Option<String>, String>,
{
    fn read(&self, path: &str) -> Result<Option<String>, String> {
        self(path)
    }
}
