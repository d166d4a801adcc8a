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
    /// Examples of settings that it reads elsewhere.
    pub examples: &'static [(&'static str, &'static str)],
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
    examples: &[],
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
        ("orch/prompts/analyst.md", include_str!("../pipelines/orch/prompts/analyst.md")),
        ("orch/prompts/architect.md", include_str!("../pipelines/orch/prompts/architect.md")),
        ("orch/prompts/developer.md", include_str!("../pipelines/orch/prompts/developer.md")),
        ("orch/prompts/reviewer.md", include_str!("../pipelines/orch/prompts/reviewer.md")),
        ("orch/prompts/tester.md", include_str!("../pipelines/orch/prompts/tester.md")),
        ("orch/prompts/deployer.md", include_str!("../pipelines/orch/prompts/deployer.md")),
    ],
    examples: &[("orch/projects.yaml", include_str!("../pipelines/orch/projects.yaml"))],
    cases: include_str!("../pipelines/orch.test.yaml"),
};

/// The variables in which the tokens and secrets of the built-in pipelines stand: of their own `secrets`, and of the providers
/// and hooks that they are used with. No work and no gate inherits them, whatever the settings name.
pub const SECRET_VARIABLES: [&str; 12] = [
    "ORCH_GITEA_TOKEN",
    "ORCH_GITEA_WEBHOOK_SECRET",
    "ORCH_PLANE_API_TOKEN",
    "ORCH_PLANE_BOT_ANALYST",
    "ORCH_PLANE_BOT_ARCHITECT",
    "ORCH_PLANE_BOT_DEPLOYER",
    "ORCH_PLANE_BOT_DEVELOPER",
    "ORCH_PLANE_BOT_REVIEWER",
    "ORCH_PLANE_BOT_STREAM",
    "ORCH_PLANE_BOT_TESTER",
    "ORCH_PLANE_WEBHOOK_SECRET",
    "ORCH_TELEGRAM_BOT_TOKEN",
];

static ALL: [BuiltIn; 2] = [DELIVERY, ORCH];

/// Every built-in pipeline.
#[must_use]
pub fn pipelines() -> &'static [BuiltIn] {
    &ALL
}

/// The built-in pipeline of this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static BuiltIn> {
    pipelines().iter().find(|pipeline| pipeline.name == name)
}

/// The built-in pipelines for `run` steps, each read and checked once it is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CheckedBuiltIns;

impl BuiltIns for CheckedBuiltIns {
    fn find(&self, name: &str) -> Option<Arc<Definition>> {
        static CHECKED: [OnceLock<Option<Arc<Definition>>>; ALL.len()] =
            [const { OnceLock::new() }; ALL.len()];
        let (built_in, checked) = ALL.iter().zip(&CHECKED).find(|(built_in, _)| built_in.name == name)?;
        let read = || {
            // That each of them is sound is a test of this file.
            let checked = definition::parse(built_in.text, built_in.name, built_in).ok()?;
            Some(Arc::new(checked.definition))
        };
        checked.get_or_init(read).clone()
    }
}

impl BuiltIn {
    /// The text of a file that the pipeline names: a prompt, a text of a local, an included file.
    #[must_use]
    pub fn file(&self, path: &str) -> Option<&'static str> {
        let path = path.trim_start_matches("./");
        self.files.iter().find(|(name, _)| *name == path).map(|(_, text)| *text)
    }

    /// Writes the pipeline, its test cases and its files into a folder, as a start for one's own.
    ///
    /// # Errors
    /// When a file of it is there already, or cannot be written.
    pub fn write_to(&self, folder: &Path) -> io::Result<()> {
        let texts = self.texts();
        write_files(folder, texts.iter().map(|(path, text)| (path.as_str(), *text)))
    }

    /// The pipeline, its test cases, its files and examples, by their paths.
    #[must_use]
    pub fn texts(&self) -> Vec<(String, &'static str)> {
        let own =
            [(format!("{}.yaml", self.name), self.text), (format!("{}.test.yaml", self.name), self.cases)];
        let others = self.files.iter().chain(self.examples).map(|(path, text)| ((*path).to_owned(), *text));
        own.into_iter().chain(others).collect()
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
    use everfold_ports::Secrets;

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
    fn every_variable_of_a_secret_of_a_built_in_pipeline_is_withheld_from_work() {
        for pipeline in pipelines() {
            let definition = parse(pipeline.text, pipeline.name, pipeline).unwrap().definition;
            let secrets = Secrets { sources: Arc::new(definition.secrets), ..Secrets::default() };
            let is_inherited = |name: &&String| !SECRET_VARIABLES.contains(&name.as_str());
            assert_eq!(secrets.variables().find(is_inherited), None, "{}", pipeline.name);
        }
    }

    #[test]
    fn every_file_that_comes_with_a_pipeline_is_one_that_it_names() {
        for pipeline in pipelines() {
            let definition = parse(pipeline.text, pipeline.name, pipeline).unwrap().definition;
            let named: Vec<&str> = definition.files.keys().map(String::as_str).collect();
            let mut there: Vec<&str> = pipeline.files.iter().map(|(path, _)| *path).collect();
            there.sort_unstable();
            assert_eq!(named, there, "{}", pipeline.name);
            let folder = tempfile::tempdir().unwrap();
            pipeline.write_to(folder.path()).unwrap();
            assert!(pipeline.write_to(folder.path()).is_err(), "nothing is overwritten");
        }
        assert!(find("delivery").is_some() && find("deliver").is_none());
    }

    /// A pipeline of several files in folders.
    const PARTS: BuiltIn = BuiltIn {
        examples: &[],
        name: "parts",
        text: "name: parts\ninclude: [./parts/steps.yaml, parts/words/texts.yaml]\nsteps: [{ id: a, like: write }]\n",
        files: &[
            (
                "parts/steps.yaml",
                "templates: { write: { agent: { profile: script, prompt: parts/prompts/write.md }, env: { T: '${local.html}' } } }\n",
            ),
            ("parts/words/texts.yaml", "locals: { html: { file: parts/words/long.html } }\n"),
            ("parts/words/long.html", "<b>${run.title}</b>\n"),
            ("parts/prompts/write.md", "Write ${local.html}.\n"),
        ],
        cases: "- name: one\n  steps: { a: { output: {} } }\n  expect: { status: succeeded }\n",
    };

    #[test]
    fn a_pipeline_of_several_files_is_the_same_from_the_program_and_written_into_a_folder() {
        let own = parse(PARTS.text, PARTS.name, &PARTS).unwrap();
        assert_eq!(own.warnings, []);
        let folder = tempfile::tempdir().unwrap();
        PARTS.write_to(folder.path()).unwrap();
        let files = |path: &str| match std::fs::read_to_string(folder.path().join(path)) {
            Ok(text) => Ok(Some(text)),
            Err(error) => Err(error.to_string()),
        };
        let text = std::fs::read_to_string(folder.path().join("parts.yaml")).unwrap();
        let written = parse(&text, "parts.yaml", &files).unwrap();
        assert_eq!(written.definition.hash(), own.definition.hash());
        let [step] = own.definition.steps.as_slice() else { panic!("one step") };
        let Some(everfold_language::definition::Work::Task(task)) = &step.work else { panic!("an agent") };
        assert_eq!(task.spec.source()["prompt"], "Write <b>${run.title}</b>.\n");
    }
}
