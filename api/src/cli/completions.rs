//! `completions`: for the shell to source.

use clap_complete::{generate, shells};

use super::args::{CompletionsArgs, Shell, command};
use super::output::Out;
use crate::fault::Fault;

pub(crate) fn run(args: &CompletionsArgs) -> Result<u8, Fault> {
    let (mut description, mut text) = (command(), Vec::new());
    match args.shell {
        Shell::Bash => generate(shells::Bash, &mut description, "everfold", &mut text),
        Shell::Elvish => generate(shells::Elvish, &mut description, "everfold", &mut text),
        Shell::Fish => generate(shells::Fish, &mut description, "everfold", &mut text),
        Shell::Zsh => generate(shells::Zsh, &mut description, "everfold", &mut text),
    }
    Out::new().bytes(&text);
    Ok(0)
}
