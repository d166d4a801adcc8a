//! `completions`: for the shell to source. The script has the program itself asked for what fits: runs, steps, tasks and
//! pipelines are known to it alone.

use std::ffi::OsString;
use std::process::ExitCode;

use clap_complete::CompleteEnv;
use clap_complete::env::Shells;

use super::args::{CompletionsArgs, Shell};
use super::candidates::described;
use super::output::Out;
use crate::fault::{Code, Fault};

/// The variable by which a shell's script asks for what fits; its value is the shell.
const VARIABLE: &str = "EVERFOLD_COMPLETE";

/// The script of bash: that of the library takes each piece between colons for a word.
const BASH: &str = include_str!("completions.bash");

/// Answers a shell's question for what fits; `None`: the program is called to do something.
pub(super) fn answered(args: &[OsString]) -> Option<ExitCode> {
    std::env::var_os(VARIABLE).filter(|shell| !shell.is_empty())?;
    let asked = CompleteEnv::with_factory(described).var(VARIABLE).completer("everfold");
    match asked.try_complete(args.iter().cloned(), std::env::current_dir().ok().as_deref()) {
        Ok(true) => Some(ExitCode::SUCCESS),
        Ok(false) => None,
        Err(error) => {
            let _closed = error.print();
            Some(ExitCode::from(Code::Usage.exit()))
        }
    }
}

pub(crate) fn run(args: &CompletionsArgs) -> Result<u8, Fault> {
    let name = match args.shell {
        Shell::Bash => {
            Out::new().bytes(BASH.as_bytes());
            return Ok(0);
        }
        Shell::Elvish => "elvish",
        Shell::Fish => "fish",
        Shell::Zsh => "zsh",
    };
    let shells = Shells::builtins();
    let shell = shells.completer(name).ok_or_else(|| Fault::new(Code::Internal, "the shell is unknown"))?;
    let mut text = Vec::new();
    shell
        .write_registration(VARIABLE, "everfold", "everfold", "everfold", &mut text)
        .map_err(|error| Fault::new(Code::Internal, error.to_string()))?;
    Out::new().bytes(&text);
    Ok(0)
}

#[cfg(test)]
mod tests {
    use clap_complete::engine::complete;

    use super::*;

    fn offered(words: &[&str]) -> Vec<String> {
        let words: Vec<OsString> = ["everfold"].iter().chain(words).map(OsString::from).collect();
        let at = words.len() - 1;
        let found = complete(&mut described(), words, at, None).unwrap();
        found.into_iter().map(|it| it.get_value().to_string_lossy().into_owned()).collect()
    }

    /// What bash is given for a line, and with which words it asks the program. The line is in the pieces into which bash
    /// parts it; the last one is that at the cursor.
    fn completed_by_bash(pieces: &[&str], current: &str) -> (String, String) {
        let asks = r#"everfold() { printf '%s ' "${@:2}" >&2; printf '5b80:ok:1\0135b80:other:2'; }"#;
        let (stdout, stderr) = bash(asks, pieces, current, r#"printf '%s ' "${COMPREPLY[@]}""#);
        (stdout.trim_end().to_owned(), stderr.trim_end().to_owned())
    }

    /// A function in the place of everfold that says with which words it is asked.
    const ASKS: &str = r#"everfold() { printf '%s|' "${@:2}" >&2; }"#;

    /// What is printed with a function in the place of everfold, and by what follows the completion.
    fn bash(setup: &str, pieces: &[&str], current: &str, then: &str) -> (String, String) {
        let quoted = |text: &str| format!("'{}'", text.replace('\'', r"'\''"));
        let line: String = pieces.concat();
        let words: Vec<String> = pieces.iter().filter(|it| **it != " ").map(|it| quoted(it)).collect();
        let script = format!(
            "{BASH}\n{setup}\n\
             COMP_LINE={line} COMP_CWORD={at} COMP_WORDS=({words})\n\
             _everfold everfold {current}; {then}",
            line = quoted(&line),
            at = words.len() - 1,
            words = words.join(" "),
            current = quoted(current),
        );
        let done = std::process::Command::new("bash").args(["-c", &script]).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (text(&done.stdout), text(&done.stderr))
    }

    /// Behind the colon of an id nothing was offered.
    #[test]
    fn bash_completes_names_that_have_colons() {
        assert!(BASH.contains(&format!("{VARIABLE}=bash")));
        for (pieces, current, offered, asked) in [
            (&["everfold", " ", "approve", " ", "5b"][..], "5b", "5b80:ok:1 5b80:other:2", "approve 5b"),
            (&["everfold", " ", "approve", " ", "5b80", ":"], "", "ok:1 other:2", "approve 5b80:"),
            (&["everfold", " ", "approve", " ", "5b80", ":", "o"], "o", "ok:1 other:2", "approve 5b80:o"),
            (
                &["everfold", " ", "approve", " ", "5b80", ":", "ok", ":"],
                "",
                "1 5b80:other:2",
                "approve 5b80:ok:",
            ),
            (
                &["everfold", " ", "show", " ", "a", ":", "b", " ", "5"],
                "5",
                "5b80:ok:1 5b80:other:2",
                "show a:b 5",
            ),
        ] {
            let asked = (offered.to_owned(), format!("everfold {asked}"));
            assert_eq!(completed_by_bash(pieces, current), asked, "{pieces:?}");
        }
    }

    /// They were words of their own, or were taken with their quotes, so that another folder was looked at.
    #[test]
    fn bash_gives_the_words_before_the_cursor_as_a_command_gets_them() {
        let home = std::env::var("HOME").unwrap();
        let at_home = format!("show --dir {home}/x 5");
        for (pieces, current, offered, asked) in [
            (&["everfold", " ", "show", " ", "--dir", "="][..], "", "5b80:ok:1 5b80:other:2", "show --dir="),
            (
                &["everfold", " ", "show", " ", "--dir", "=", "x/"],
                "x/",
                "5b80:ok:1 5b80:other:2",
                "show --dir=x/",
            ),
            (
                &["everfold", " ", "show", " ", "--dir", "=", "\"~/x\"", " ", "5"],
                "5",
                "5b80:ok:1 5b80:other:2",
                "show --dir=~/x 5",
            ),
            (
                &["everfold", " ", "show", " ", "--dir", " ", "~/x", " ", "5"],
                "5",
                "5b80:ok:1 5b80:other:2",
                &at_home,
            ),
            (
                &["everfold", " ", "show", " ", "--dir", "=", "${HOME}/x\\ y", " ", "5"],
                "5",
                "5b80:ok:1 5b80:other:2",
                &format!("show --dir={home}/x y 5"),
            ),
            (
                &["everfold", " ", "show", " ", "--dir", " ", "$(touch never)", " ", "5"],
                "5",
                "5b80:ok:1 5b80:other:2",
                "show --dir $(touch never) 5",
            ),
            (
                &["everfold", " ", "show", " ", "${never:=1}", " ", "5"],
                "5",
                "5b80:ok:1 5b80:other:2",
                "show ${never:=1} 5",
            ),
        ] {
            let asked = (offered.to_owned(), format!("everfold {asked}"));
            assert_eq!(completed_by_bash(pieces, current), asked, "{pieces:?}");
        }
        assert!(!std::path::Path::new("never").exists(), "nothing is run");
    }

    /// A variable may be a reference whose place is computed by a command, and a word of two parts was a command.
    #[test]
    fn bash_runs_nothing_of_a_line_that_is_being_completed() {
        let folder = tempfile::tempdir().unwrap();
        let made = folder.path().join("made");
        let touch = format!("touch {}", made.display());
        let setup = format!("{ASKS}; x='$({touch})'; declare -n ref='a[$({touch})0]'");
        for (word, asked) in [
            ("$ref", "$ref"),
            ("\"${ref}\"", "\"${ref}\""),
            ("$x", &format!("$({touch})")),
            ("${x@P}", "${x@P}"),
            ("${!x}", "${!x}"),
            ("${n:=1}", "${n:=1}"),
            ("$((a[$x]))", "$((a[$x]))"),
            (&format!("a {touch}"), &format!("a {touch}")),
            (&format!("a\t{touch}"), &format!("a\t{touch}")),
            (&format!("a;{touch}"), &format!("a;{touch}")),
            (&format!("a\n{touch}"), &format!("a\n{touch}")),
            (&format!("`{touch}`"), &format!("`{touch}`")),
            (&format!("\"$({touch})\""), &format!("\"$({touch})\"")),
            (&format!("<({touch})"), &format!("<({touch})")),
            ("a\\;b'$(c)'", "a;b$(c)"),
            ("!!", "!!"),
            ("*", "*"),
            ("'open", "'open"),
            // Names that the script itself might have.
            ("\"$words$i$rest\"", ""),
            ("$_", "$_"),
        ] {
            let pieces = ["everfold", " ", "show", " ", word, " ", "5"];
            let (_, given) = bash(&setup, &pieces, "5", ":");
            assert_eq!(given, format!("everfold|show|{asked}|5|"), "{word}");
            assert!(!made.exists(), "{word} was run");
        }
    }

    /// The last run and a value from a file were parted at the sign, and all behind them moved by a word.
    #[test]
    fn bash_keeps_words_with_an_at_sign_together() {
        for (pieces, current, asked) in [
            (&["everfold", " ", "show", " ", "@", "2", " ", "5"][..], "5", "show @2 5"),
            (&["everfold", " ", "run", " ", "-i", " ", "task", "=@", "5"], "@5", "run -i task=@5"),
            (&["everfold", " ", "run", " ", "-i", " ", "task", "=@"], "@", "run -i task=@"),
            (&["everfold", " ", "show", " ", "@"], "@", "show @"),
        ] {
            let (_, given) = completed_by_bash(pieces, current);
            assert_eq!(given, format!("everfold {asked}"), "{pieces:?}");
        }
    }

    /// Names with a star became those of files, and one with a command in it would have run it when the line was entered.
    #[test]
    fn an_answer_is_the_word_that_it_names_whatever_is_in_it() {
        let names = [
            "a b",
            "it's",
            "a\"b",
            "`id`",
            "$(id)",
            "$HOME",
            "*",
            "C*.toml",
            "[a]",
            "{a,b}",
            "x!y",
            "#a",
            "~",
            "k=~",
            "a\\b",
            "a;b&c|d<e>f",
            "a\tb",
            "a\nb",
            "é",
        ];
        for name in names {
            for quote in ["", "'", "\""] {
                let setup = format!("everfold() {{ printf '%s' '{}'; }}", name.replace('\'', r"'\''"));
                let then =
                    format!("eval \"printf '%s' {q}${{COMPREPLY[0]}}{q}\"", q = quote.replace('"', "\\\""));
                let (word, _) = bash(&setup, &["everfold", " ", "show", " ", quote], "", &then);
                assert_eq!(word, name, "in {quote}");
            }
        }
    }

    /// A part that stood behind a backslash was asked for with it, so that nothing more was offered.
    #[test]
    fn bash_asks_for_the_word_at_the_cursor_without_its_marks() {
        for (pieces, current, asked) in [
            (&["everfold", " ", "show", " ", "a\\ b"][..], "a\\ b", "everfold|show|a b|"),
            (&["everfold", " ", "show", " ", "\"a b"], "a b", "everfold|show|a b|"),
            (&["everfold", " ", "show", " ", "a'b c"], "b c", "everfold|show|ab c|"),
            (&["everfold", " ", "show", " ", "$HOME/x"], "$HOME/x", "everfold|show|$HOME/x|"),
        ] {
            let (_, given) = bash(ASKS, pieces, current, ":");
            assert_eq!(given, asked, "{pieces:?}");
        }
    }

    #[test]
    fn what_is_hidden_is_not_offered() {
        let verbs = offered(&[""]);
        for verb in ["unblock", "man", "runs"] {
            assert!(verbs.iter().any(|it| it == verb), "{verb}");
        }
        assert!(!verbs.iter().any(|it| it == "background" || it == "shim"), "{verbs:?}");
        let flags = offered(&["run", "--"]);
        for flag in ["--input", "--config", "--server", "--context", "--patience"] {
            assert!(flags.iter().any(|it| it == flag), "{flag}: {flags:?}");
        }
        assert!(!flags.iter().any(|it| it == "--crash-after"), "{flags:?}");
    }
}
