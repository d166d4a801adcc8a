//! The pipelines that come with Everfold.

use std::io;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use everfold_language::definition::{self, Definition, FileSource};
use everfold_ports::BuiltIns;

/// A built-in pipeline: its file, and the files that it names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BuiltIn {
    /// Its name.
    pub name: &'static str,
    /// Its text.
    pub text: &'static str,
    /// What it names, by path relative to it.
    pub files: &'static [(&'static str, &'static str)],
    /// Its test cases.
    pub cases: &'static str,
}

const DELIVERY: BuiltIn = BuiltIn {
    name: "delivery",
    text: include_str!("../pipelines/delivery.yaml"),
    files: &[
        ("prompts/analyst.md", include_str!("../pipelines/prompts/analyst.md")),
        ("prompts/architect.md", include_str!("../pipelines/prompts/architect.md")),
        ("prompts/developer.md", include_str!("../pipelines/prompts/developer.md")),
        ("prompts/reviewer.md", include_str!("../pipelines/prompts/reviewer.md")),
    ],
    cases: include_str!("../pipelines/delivery.test.yaml"),
};

const ORCH: BuiltIn = BuiltIn {
    name: "orch",
    text: include_str!("../pipelines/orch.yaml"),
    files: &[
        ("orch/settings.yaml", include_str!("../pipelines/orch/settings.yaml")),
        ("orch/gates.yaml", include_str!("../pipelines/orch/gates.yaml")),
        ("orch/steps.yaml", include_str!("../pipelines/orch/steps.yaml")),
        ("orch/voice.yaml", include_str!("../pipelines/orch/voice.yaml")),
        ("orch/projects.yaml", include_str!("../pipelines/orch/projects.yaml")),
        ("orch/prompts/analyst.md", include_str!("../pipelines/orch/prompts/analyst.md")),
        ("orch/prompts/architect.md", include_str!("../pipelines/orch/prompts/architect.md")),
        ("orch/prompts/developer.md", include_str!("../pipelines/orch/prompts/developer.md")),
        ("orch/prompts/reviewer.md", include_str!("../pipelines/orch/prompts/reviewer.md")),
        ("orch/prompts/tester.md", include_str!("../pipelines/orch/prompts/tester.md")),
        ("orch/prompts/deployer.md", include_str!("../pipelines/orch/prompts/deployer.md")),
    ],
    cases: include_str!("../pipelines/orch.test.yaml"),
};

/// Every built-in pipeline.
#[must_use]
pub fn pipelines() -> &'static [BuiltIn] {
    const ALL: [BuiltIn; 2] = [DELIVERY, ORCH];
    &ALL
}

/// The built-in pipeline of this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static BuiltIn> {
    pipelines().iter().find(|pipeline| pipeline.name == name)
}

/// The built-in pipelines for `run` steps, read and checked once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CheckedBuiltIns;

impl BuiltIns for CheckedBuiltIns {
    fn find(&self, name: &str) -> Option<Arc<Definition>> {
        static CHECKED: OnceLock<Vec<Arc<Definition>>> = OnceLock::new();
        let checked = CHECKED.get_or_init(|| {
            let parsed = pipelines().iter().map(|it| definition::parse(it.text, it.name, it));
            // That each of them is sound is a test of this file.
            parsed.filter_map(Result::ok).map(|checked| Arc::new(checked.definition)).collect()
        });
        checked.iter().find(|definition| definition.name == name).cloned()
    }
}

impl BuiltIn {
    /// The text of a file that the pipeline names.
    #[must_use]
    pub fn file(&self, path: &str) -> Option<&'static str> {
        self.files.iter().find(|(name, _)| *name == path).map(|(_, text)| *text)
    }

    /// Writes the pipeline, its test cases and its files into a folder, as a start for one's own.
    ///
    /// # Errors
    /// When a file of it is there already, or cannot be written.
    pub fn write_to(&self, folder: &Path) -> io::Result<()> {
        let (own, cases) = (format!("{}.yaml", self.name), format!("{}.test.yaml", self.name));
        let texts = [(own.as_str(), self.text), (cases.as_str(), self.cases)];
        write_files(folder, texts.into_iter().chain(self.files.iter().copied()))
    }
}

impl FileSource for BuiltIn {
    fn read(&self, path: &str) -> Result<Option<String>, String> {
        Ok(self.file(path).map(str::to_owned))
    }
}

/// Writes new files below a folder.
pub(crate) fn write_files<'a>(
    folder: &Path,
    files: impl Iterator<Item = (&'a str, &'a str)>,
) -> io::Result<()> {
    for (name, text) in files {
        let path = folder.join(name);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        let mut file = std::fs::File::create_new(&path)
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
        io::Write::write_all(&mut file, text.as_bytes())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use everfold_language::definition::{Colour, parse};

    use super::*;

    #[test]
    fn every_built_in_pipeline_is_sound() {
        for pipeline in pipelines() {
            match parse(pipeline.text, pipeline.name, pipeline) {
                Ok(checked) => {
                    assert_eq!(checked.definition.name, pipeline.name);
                    assert!(checked.warnings.is_empty(), "{:?}", checked.warnings);
                }
                Err(problems) => {
                    panic!("{}", problems.0.iter().map(|it| it.render(Colour::Never)).collect::<String>())
                }
            }
        }
    }

    #[test]
    fn every_file_that_a_pipeline_names_comes_with_it() {
        for pipeline in pipelines() {
            for line in pipeline.text.lines() {
                if let Some(path) = line.trim().strip_prefix("prompt: ") {
                    assert!(pipeline.file(path).is_some(), "{path}");
                }
            }
            let folder = tempfile::tempdir().unwrap();
            pipeline.write_to(folder.path()).unwrap();
            assert!(pipeline.write_to(folder.path()).is_err(), "nothing is overwritten");
        }
        assert!(find("delivery").is_some() && find("deliver").is_none());
    }
}
