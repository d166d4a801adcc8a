//! Files that a pipeline names.

use std::collections::BTreeMap;

use super::codes::Code;
use super::yaml::SOURCE_BYTES_MAX;

/// Reads files relative to the pipeline. This crate does no IO: the caller implements it.
pub trait FileSource {
    /// The text of a file; `None` where there is none.
    ///
    /// # Errors
    /// Why a file that is there cannot be read, in words.
    fn read(&self, path: &str) -> Result<Option<String>, String>;
}

/// Why a file that a pipeline names cannot be taken.
pub(super) struct FileProblem {
    pub(super) code: Code,
    pub(super) message: String,
    pub(super) hint: &'static str,
}

/// The text of a file beside or below the pipeline; `None` where there is none.
pub(super) fn text_beside(files: &dyn FileSource, path: &str) -> Result<Option<String>, FileProblem> {
    if path.starts_with('/') || path.split('/').any(|part| part == "..") {
        let message = format!("{path} leaves the pipeline's folder");
        let hint = "files are named relative to the pipeline and lie beside or below it";
        return Err(FileProblem { code: Code::File, message, hint });
    }
    match files.read(path) {
        Ok(Some(text)) if text.len() > SOURCE_BYTES_MAX => {
            let message = format!("{path} is larger than 1 MiB");
            Err(FileProblem {
                code: Code::Limit,
                message,
                hint: "shorten it, or have a step read a file of the workspace",
            })
        }
        Ok(found) => Ok(found),
        Err(error) => {
            let message = format!("{path} cannot be read: {error}");
            let hint = "check the path: it is relative to the pipeline file";
            Err(FileProblem { code: Code::File, message, hint })
        }
    }
}

/// The files that a pipeline names, with the texts that were read.
pub(super) struct LoadedFiles<'a> {
    pub(super) files: &'a dyn FileSource,
    pub(super) texts: BTreeMap<String, String>,
}

impl LoadedFiles<'_> {
    /// The text of a file, kept for the definition; `None` where there is none.
    pub(super) fn read(&mut self, path: &str) -> Result<Option<String>, FileProblem> {
        if let Some(text) = self.texts.get(path) {
            return Ok(Some(text.clone()));
        }
        let found = text_beside(self.files, path)?;
        self.texts.extend(found.clone().map(|text| (path.to_owned(), text)));
        Ok(found)
    }
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
