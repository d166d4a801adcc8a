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
        Shell::Bash => "bash",
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
