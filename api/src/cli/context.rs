//! What every verb needs: the way to the routes, and how to name the program in the next command.
//!
//! Law: a command that is named next works where the one worked that names it.

use everfold_engine::data_folder::Layout;
use serde::Deserialize as _;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::args::Cli;
use super::lines::hint_commands::{in_place, placed};
use super::output::{Out, columns};
use super::store_progress::store_progress;
use super::target::{CommandTarget, Where};
use crate::client::{Client, FolderOptions};
use crate::fault::{Code, Fault};
use crate::view::{RunView, next_lines};

pub(crate) struct CommandContext {
    pub(crate) client: Client,
    pub(crate) out: Out,
    pub(crate) json: bool,
    /// How the next command begins: `everfold`, with the folder or server where it was given.
    pub(crate) program: String,
    /// The context's name, where the command works with one.
    pub(crate) name: Option<String>,
}

impl CommandContext {
    pub(crate) fn new(cli: &Cli) -> Result<Self, Fault> {
        let Where { target, context, program } = Where::of(cli)?;
        let client = match target {
            CommandTarget::Folder(folder) => Client::new(FolderOptions {
                create: cli.verb.creates_folder(&folder),
                layout: Layout::new(folder),
                config: cli.config.clone(),
                url: cli.verb.url(),
                crash_after: cli.crash_after.clone(),
                progress: Some(store_progress()),
            }),
            CommandTarget::Server(server) => Client::at(*server),
        };
        Ok(Self { client, out: Out::new(), json: cli.is_json(), program, name: context })
    }

    /// Says behind an answer what to type next, where anything is left to do.
    pub(crate) fn say_next(&self, view: &RunView) {
        let next = next_lines(view, &self.program, columns());
        if !next.is_empty() {
            self.out.line(next.join("\n"));
        }
    }

    /// The fault, whose hint names commands as they are typed where this one works.
    pub(crate) fn placed(&self, fault: Fault) -> Fault {
        placed(fault, &self.program, self.client.place().is_none())
    }

    /// A sentence that the owner made, with its commands as they are typed where this one works.
    pub(crate) fn placed_text(&self, text: &str) -> String {
        in_place(text, &self.program, self.client.place().is_none())
    }

    /// The folder in which the command works.
    ///
    /// # Errors
    /// It works at a server. Verbs that need a folder are refused before that ([`Where::of`]).
    pub(crate) fn place(&self) -> Result<&FolderOptions, Fault> {
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
