//! `completions`: for the shell to source.

use clap_complete::{generate, shells};

use super::args::{CompletionsArgs, Shell, command};
use super::output::Out;
use crate::fault::Fault;

/// The program without what is hidden: not every shell's completions leave that out by themselves.
fn offered(all: &clap::Command) -> clap::Command {
    let args = all.get_arguments().filter(|arg| !arg.is_hide_set()).cloned();
    let verbs = all.get_subcommands().filter(|verb| !verb.is_hide_set()).cloned();
    let about = all.get_about().cloned().unwrap_or_default();
    clap::Command::new("everfold")
        .about(about)
        .version(env!("CARGO_PKG_VERSION"))
        .args(args)
        .subcommands(verbs)
}

pub(crate) fn run(args: &CompletionsArgs) -> Result<u8, Fault> {
    let (mut description, mut text) = (offered(&command()), Vec::new());
    match args.shell {
        Shell::Bash => generate(shells::Bash, &mut description, "everfold", &mut text),
        Shell::Elvish => generate(shells::Elvish, &mut description, "everfold", &mut text),
        Shell::Fish => generate(shells::Fish, &mut description, "everfold", &mut text),
        Shell::Zsh => generate(shells::Zsh, &mut description, "everfold", &mut text),
    }
    Out::new().bytes(&text);
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_hidden_is_not_offered() {
        let mut text = Vec::new();
        generate(shells::Bash, &mut offered(&command()), "everfold", &mut text);
        let text = String::from_utf8(text).unwrap();
        for offered in ["--config", "unblock", "--server", "--context", "--patience", "--token-command"] {
            assert!(text.contains(offered), "{offered}");
        }
        for hidden in ["background", "shim", "--crash-after"] {
            assert!(!text.contains(hidden), "{hidden}");
        }
    }
}
