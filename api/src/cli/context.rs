//! What every verb needs: the way to the routes, and how to name the program in the next command.
//!
//! Law: a command that is named next works where the one worked that names it.

use everfold_engine::data_folder::Layout;
use serde::Deserialize as _;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::args::{self, Cli};
use super::output::{Out, columns};
use super::store_progress::store_progress;
use super::target::{CommandTarget, Where, is_of_folder};
use crate::client::{Client, FolderOptions};
use crate::fault::{Code, Fault};
use crate::view::{RunView, next_lines};

/// How commands begin in the hint of a fault that was made where the place is unknown.
const PROGRAM: &str = "everfold ";

/// Verbs that work nowhere, or that say where commands work.
const PLACELESS: [&str; 6] = ["completions", "context", "explain", "help", "man", "version"];

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

    /// The fault, whose hint names commands as they are typed for the folder or server in which this one works. Most faults
    /// are made where nothing tells how that was named. Of verbs that work on the files of a folder a server knows nothing.
    pub(crate) fn placed(&self, fault: Fault) -> Fault {
        let is_server = self.client.place().is_none();
        let hint = fault.hint.as_ref().filter(|_| self.program != PROGRAM.trim_end());
        let hint = hint.map(|hint| placed(hint, &self.program, is_server));
        fault.hinted(hint)
    }

    /// The folder in which the command works.
    ///
    /// # Errors
    /// It works at a server. Verbs that need a folder are refused before that ([`Where::of`]).
    pub(crate) fn place(&self) -> Result<&FolderOptions, Fault> {
        self.client.place().ok_or_else(|| Fault::new(Code::OnFolder, "the verb works on a data folder"))
    }
}

/// A hint with `program` at the beginning of each command that works in a place.
fn placed(hint: &str, program: &str, is_server: bool) -> String {
    let verbs = args::command();
    let has_place = |words: &[&str]| {
        let verb = words.first().copied().unwrap_or_default();
        let is_verb = verbs.find_subcommand(verb).is_some() && !PLACELESS.contains(&verb);
        // Who lacks a token for a server makes one where its folder is.
        is_verb && !(is_server && (verb == "token" || is_of_folder(words)))
    };
    let mut parts = hint.split(PROGRAM);
    let mut text = parts.next().unwrap_or_default().to_owned();
    for rest in parts {
        let is_part_of_word =
            text.ends_with(|c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '/' | '.'));
        let words: Vec<&str> = rest.split(' ').take(2).map(|word| word.trim_end_matches(is_mark)).collect();
        match !is_part_of_word && has_place(&words) {
            true => text.push_str(&format!("{program} ")),
            false => text.push_str(PROGRAM),
        }
        text.push_str(rest);
    }
    text
}

/// What may stand behind a word of a command in a sentence.
fn is_mark(c: char) -> bool {
    matches!(c, '`' | ',' | ';' | ':' | '.' | ')')
}

/// The items of a list's answer.
///
/// # Errors
/// They are not what this version knows.
pub(crate) fn items<T: DeserializeOwned>(page: &Value) -> Result<Vec<T>, Fault> {
    Vec::deserialize(&page["items"])
        .map_err(|error| Fault::new(Code::Internal, format!("the owner's answer cannot be read: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The hints lost `--dir`: typed as they stood, the commands worked in another folder.
    #[test]
    fn commands_of_a_hint_work_in_the_folder_that_was_named() {
        for (hint, is_placed) in [
            (
                "if no other copy acts: everfold store adopt",
                "if no other copy acts: everfold --dir d store adopt",
            ),
            (
                "`everfold store verify` names every fault",
                "`everfold --dir d store verify` names every fault",
            ),
            (
                "everfold show ab, or everfold cancel ab",
                "everfold --dir d show ab, or everfold --dir d cancel ab",
            ),
            ("`everfold runs`, `everfold inbox`", "`everfold --dir d runs`, `everfold --dir d inbox`"),
        ] {
            assert_eq!(placed(hint, "everfold --dir d", false), is_placed);
            assert_eq!(placed(hint, "everfold", false), hint);
        }
        for hint in [
            "use the everfold that wrote it",
            "`everfold explain EF0401`, `everfold context use local`",
            "the key `resources` in everfold.toml",
            "/opt/everfold runs there",
            "everfold --dir d store repair --yes",
        ] {
            assert_eq!(placed(hint, "everfold --dir d", false), hint);
        }
    }

    #[test]
    fn a_hint_asks_no_server_for_what_works_on_the_files_of_a_folder() {
        let hint =
            "`everfold store verify` or `everfold doctor`; `everfold store info` and `everfold runs` ask";
        let is_placed = "`everfold store verify` or `everfold doctor`; `everfold -s store info` and `everfold -s runs` ask";
        assert_eq!(placed(hint, "everfold -s", true), is_placed);
        let hint = "everfold token create NAME --role ROLE, where the server's folder is, makes another";
        assert_eq!(placed(hint, "everfold -s", true), hint);
    }
}
