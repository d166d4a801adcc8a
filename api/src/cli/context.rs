//! What every verb needs: the way to the routes, and how to name the program in the next command.

use std::path::{Path, PathBuf};

use everfold_engine::layout::Layout;
use serde::Deserialize as _;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::args::{Cli, Verb};
use super::output::Out;
use super::show::what_next;
use super::target::{Target, Where};
use crate::client::{Client, Place};
use crate::fault::{Code, Fault};
use crate::view::RunView;

/// The folder's name.
pub(crate) const FOLDER: &str = ".everfold";

pub(crate) struct Context {
    pub(crate) client: Client,
    pub(crate) out: Out,
    pub(crate) json: bool,
    /// How the next command begins: `everfold`, with the folder or server where it was given.
    pub(crate) program: String,
    /// The context's name, where the command works with one.
    pub(crate) name: Option<String>,
}

impl Context {
    pub(crate) fn new(cli: &Cli) -> Result<Self, Fault> {
        let create = matches!(
            cli.verb,
            Verb::Run(_)
                | Verb::Serve(_)
                | Verb::Token(_)
                | Verb::Background(_)
                | Verb::Demo(_)
                | Verb::Bench(_)
                | Verb::Init(_)
                | Verb::Hook(_)
        ) || matches!(&cli.verb, Verb::Pipeline(args) if super::pipeline::saves(args))
            || matches!(&cli.verb, Verb::Schedule(args) if super::schedule::adds(args));
        let Where { target, context, program } = Where::of(cli)?;
        let client = match target {
            Target::Folder(folder) => Client::new(Place {
                layout: Layout::new(folder),
                config: cli.config.clone(),
                crash_after: cli.crash_after.clone(),
                create,
            }),
            Target::Server(server) => Client::at(*server),
        };
        Ok(Self { client, out: Out::new(), json: cli.json, program, name: context })
    }

    /// Says behind an answer what to type next, where anything is left to do.
    pub(crate) fn say_next(&self, view: &RunView) {
        let next = what_next(view, &self.program);
        if !next.is_empty() {
            self.out.line(next.join("\n"));
        }
    }

    /// The folder in which the command works.
    ///
    /// # Errors
    /// It works at a server. Verbs that need a folder are refused before that ([`Where::of`]).
    pub(crate) fn place(&self) -> Result<&Place, Fault> {
        self.client.place().ok_or_else(|| Fault::new(Code::OnFolder, "the verb works on a data folder"))
    }
}

/// The items of a list's answer.
///
/// # Errors
/// They are not what this version knows.
pub(crate) fn items<T: DeserializeOwned>(page: &Value) -> Result<Vec<T>, Fault> {
    Vec::deserialize(&page["items"])
        .map_err(|error| Fault::new(Code::Internal, format!("the owner's answer cannot be read: {error}")))
}

/// The data folder: as given, else `$EVERFOLD_DIR`, else the nearest `.everfold` upwards, else
/// `./.everfold`.
pub(crate) fn data_folder(given: Option<&Path>) -> Result<PathBuf, Fault> {
    let from_environment =
        || std::env::var_os("EVERFOLD_DIR").filter(|dir| !dir.is_empty()).map(PathBuf::from);
    if let Some(dir) = given.map(Path::to_owned).or_else(from_environment) {
        return absolute(&dir);
    }
    let here = absolute(Path::new("."))?;
    let nearest = here.ancestors().map(|folder| folder.join(FOLDER)).find(|folder| folder.is_dir());
    Ok(nearest.unwrap_or_else(|| here.join(FOLDER)))
}

/// An absolute path without `.` parts; links stay as they are.
pub(crate) fn absolute(path: &Path) -> Result<PathBuf, Fault> {
    let absolute = std::path::absolute(path).map_err(|error| {
        Fault::new(Code::File, format!("the current folder is not there any more: {error}"))
    })?;
    Ok(absolute.components().collect())
}

/// A text as a word of a shell.
pub(crate) fn quoted(text: &str) -> String {
    let plain =
        !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "/._-:@%+=,".contains(c));
    if plain { text.to_owned() } else { format!("'{}'", text.replace('\'', "'\\''")) }
}
