//! The verbs that work on the files of a data folder, so that no server can be asked for them.

use std::ffi::OsString;

use super::command_line::Verb;
use super::description::read;
use super::folder::StoreVerb;

/// Whether the command that begins with these words works on the files of a folder, so that no server can be asked for it.
pub(crate) fn is_of_folder(words: &[&str]) -> bool {
    // A verb, or a verb below another one; none of them needs an argument.
    (1..=words.len().min(2)).any(|count| {
        let typed = std::iter::once("everfold").chain(words[..count].iter().copied());
        read(typed.map(OsString::from)).is_ok_and(|cli| on_folder(&cli.verb).is_some())
    })
}

/// What a verb is called that works on the files of a folder.
pub(crate) fn on_folder(verb: &Verb) -> Option<&'static str> {
    Some(match verb {
        Verb::Demo(_) => "demo",
        Verb::Serve(_) => "serve",
        Verb::Ui(_) => "ui",
        Verb::Doctor(_) => "doctor",
        Verb::Init(_) => "init",
        Verb::Bench(_) => "bench",
        Verb::Background(_) => "background",
        Verb::Store(args) => match args.verb {
            StoreVerb::Verify { .. } => "store verify",
            StoreVerb::Repair { .. } => "store repair",
            StoreVerb::Adopt => "store adopt",
            StoreVerb::Info => return None,
        },
        _asks => return None,
    })
}
