//! The commands that hints of faults name, as they are typed: for the place in which the command worked, and for the run that
//! it named.
//!
//! Law: most faults are made where nothing tells how place and run were named; a command that is named next works where the one
//! worked that names it.

use crate::cli::args;
use crate::fault::Fault;
use crate::text::quoted;

/// How commands begin in the hint of a fault.
const PROGRAM: &str = "everfold ";
/// How hints name the run where it is not known.
const RUN: &str = " RUN";

/// Verbs that work nowhere, or that say where commands work.
const PLACELESS: [&str; 6] = ["completions", "context", "explain", "help", "man", "version"];

/// The fault, whose hint has `program` at the beginning of each command. Of verbs that work on the files of a folder a server
/// knows nothing.
pub(in crate::cli) fn placed(fault: Fault, program: &str, is_server: bool) -> Fault {
    let hint = fault.hint.as_ref().filter(|_| program != PROGRAM.trim_end());
    let hint = hint.map(|hint| in_place(hint, program, is_server));
    fault.hinted(hint)
}

/// The fault, whose hint names the run as it was typed.
pub(in crate::cli) fn of_run(fault: Fault, run: &str) -> Fault {
    let hint = fault.hint.as_ref().map(|hint| with_run(hint, run));
    fault.hinted(hint)
}

fn with_run(hint: &str, run: &str) -> String {
    let mut parts = hint.split(RUN);
    let mut text = parts.next().unwrap_or_default().to_owned();
    for rest in parts {
        let is_word = rest.is_empty() || rest.starts_with([' ', '`', ',', ';']);
        match is_word && text.contains(PROGRAM) {
            true => text.push_str(&format!(" {}", quoted(run))),
            false => text.push_str(RUN),
        }
        text.push_str(rest);
    }
    text
}

/// A text with `program` at the beginning of each command that works in a place.
pub(in crate::cli) fn in_place(hint: &str, program: &str, is_server: bool) -> String {
    let verbs = args::command();
    let has_place = |words: &[&str]| {
        let verb = words.first().copied().unwrap_or_default();
        let is_verb = verbs.find_subcommand(verb).is_some() && !PLACELESS.contains(&verb);
        // Who lacks a token for a server makes one where its folder is.
        is_verb && !(is_server && (verb == "token" || args::is_of_folder(words)))
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Hints said RUN, which no shell knows.
    #[test]
    fn a_hint_names_the_run_that_was_typed() {
        for (hint, typed) in [
            ("everfold restart RUN --from STEP begins anew", "everfold restart @1 --from STEP begins anew"),
            (
                "`everfold show RUN` says it, `everfold events RUN`",
                "`everfold show @1` says it, `everfold events @1`",
            ),
            ("a notice is named RUN:VERSION; RUN is a run", "a notice is named RUN:VERSION; RUN is a run"),
            ("everfold notices resend RUN:VERSION", "everfold notices resend RUN:VERSION"),
        ] {
            assert_eq!(with_run(hint, "@1"), typed);
        }
        assert_eq!(with_run("everfold show RUN", "my run"), "everfold show 'my run'");
    }

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
            assert_eq!(in_place(hint, "everfold --dir d", false), is_placed);
            assert_eq!(in_place(hint, "everfold", false), hint);
        }
        for hint in [
            "use the everfold that wrote it",
            "`everfold explain EF0401`, `everfold context use local`",
            "the key `resources` in everfold.toml",
            "/opt/everfold runs there",
            "everfold --dir d store repair --yes",
        ] {
            assert_eq!(in_place(hint, "everfold --dir d", false), hint);
        }
    }

    #[test]
    fn a_hint_asks_no_server_for_what_works_on_the_files_of_a_folder() {
        let hint =
            "`everfold store verify` or `everfold doctor`; `everfold store info` and `everfold runs` ask";
        let is_placed = "`everfold store verify` or `everfold doctor`; `everfold -s store info` and `everfold -s runs` ask";
        assert_eq!(in_place(hint, "everfold -s", true), is_placed);
        let hint = "everfold token create NAME --role ROLE, where the server's folder is, makes another";
        assert_eq!(in_place(hint, "everfold -s", true), hint);
    }
}
