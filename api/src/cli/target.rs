//! Where a command works: in a folder of this machine, or at a server.
//!
//! Law: what is typed goes before the environment, and both before the context in use; a command never
//! works somewhere else than was named because that cannot be had.

use std::path::PathBuf;
use std::time::Duration;

use super::args::{Cli, Verb, on_folder};
use super::contexts::{self, Contexts, LOCAL, Named};
use super::data_folder::data_folder;
use super::lines::hint_commands::placed;
use crate::client::{RemoteServer, ServerAddress, ServerTokenSource};
use crate::fault::{Code, Fault};
use crate::text::option;

/// The variable with the token for a server whose context names none.
const TOKEN: &str = "EVERFOLD_TOKEN";

/// Where a command works.
pub(crate) enum CommandTarget {
    /// In this data folder.
    Folder(PathBuf),
    /// At this server.
    Server(Box<RemoteServer>),
}

/// Where a command works, and how it was named.
pub(crate) struct Where {
    pub(crate) target: CommandTarget,
    /// The context's name, where it is one.
    pub(crate) context: Option<String>,
    /// How the next command begins.
    pub(crate) program: String,
}

/// Who named it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum NamedBy {
    Flag,
    Variable,
    File,
}

impl Where {
    /// The fault, whose hint names commands as they are typed where this one works.
    pub(crate) fn placed(&self, fault: Fault) -> Fault {
        placed(fault, &self.program, matches!(self.target, CommandTarget::Server(_)))
    }

    /// Where the arguments, the environment and the contexts say.
    ///
    /// # Errors
    /// They contradict each other, name what there is not, or the verb works on a folder.
    pub(crate) fn of(cli: &Cli) -> Result<Self, Fault> {
        let place = Self::found(cli)?;
        if let CommandTarget::Server(server) = &place.target {
            if let Some(verb) = on_folder(&cli.verb) {
                return Err(Fault::new(
                    Code::OnFolder,
                    format!("`{verb}` works on a data folder, and {} is a server", server.address()),
                )
                .hint("run it on the machine that has the folder, with --dir DIR"));
            }
            let of_folder =
                [("--config", cli.config.is_some()), ("--crash-after", cli.crash_after.is_some())];
            if let Some((flag, _)) = of_folder.into_iter().find(|(_, is_given)| *is_given) {
                return Err(Fault::new(
                    Code::Usage,
                    format!("{flag} is for a data folder, and {} is a server", server.address()),
                )
                .hint("a server has the settings that it was started with"));
            }
        } else {
            let of_server = [("--ca", cli.ca.is_some()), ("--patience", cli.patience.is_some())];
            if let Some((flag, _)) = of_server.into_iter().find(|(_, is_given)| *is_given) {
                return Err(Fault::new(
                    Code::Usage,
                    format!("{flag} is for a server, and the command works in a data folder"),
                )
                .hint("name the server, too: --server https://HOST"));
            }
        }
        Ok(place)
    }

    fn found(cli: &Cli) -> Result<Self, Fault> {
        let given = [
            ("--server", cli.server.is_some()),
            ("--context", cli.context.is_some()),
            ("--dir", cli.dir.is_some()),
        ];
        let given: Vec<&str> =
            given.into_iter().filter(|(_, is_given)| *is_given).map(|(flag, _)| flag).collect();
        if given.len() > 1 {
            return Err(Fault::new(Code::Usage, format!("{} name different places", given.join(" and ")))
                .hint("give one of them"));
        }
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let folder = || -> Result<Self, Fault> {
            let program = match &cli.dir {
                Some(dir) => format!("everfold {}", option("--dir", &dir.display().to_string())),
                None => "everfold".to_owned(),
            };
            Ok(Self {
                target: CommandTarget::Folder(data_folder(cli.dir.as_deref())?),
                context: None,
                program,
            })
        };
        if let Some(url) = &cli.server {
            return Self::server(cli, url, NamedBy::Flag);
        }
        if let Some(name) = &cli.context {
            return Self::named(cli, name, NamedBy::Flag);
        }
        if cli.dir.is_some() {
            return folder();
        }
        if let Some(url) = variable("EVERFOLD_SERVER") {
            return Self::server(cli, &url, NamedBy::Variable);
        }
        if let Some(name) = variable("EVERFOLD_CONTEXT") {
            return Self::named(cli, &name, NamedBy::Variable);
        }
        // What a demonstration plays with is made by it.
        if variable("EVERFOLD_DIR").is_some() || matches!(cli.verb, Verb::Demo(_)) {
            return folder();
        }
        let contexts = contexts::read()?;
        match &contexts.in_use {
            Some(name) => Self::of_context(cli, name, &contexts, NamedBy::File),
            None => folder(),
        }
    }

    fn server(cli: &Cli, url: &str, by: NamedBy) -> Result<Self, Fault> {
        let named = Named::of_server(url.to_owned(), None);
        let target = target(cli, &named)?;
        let mut program = "everfold".to_owned();
        if by == NamedBy::Flag {
            program.push_str(&format!(" {}", option("--server", url)));
        }
        if let Some(ca) = &cli.ca {
            program.push_str(&format!(" {}", option("--ca", &ca.display().to_string())));
        }
        Ok(Self { target, context: None, program })
    }

    fn named(cli: &Cli, name: &str, by: NamedBy) -> Result<Self, Fault> {
        Self::of_context(cli, name, &contexts::read()?, by)
    }

    fn of_context(cli: &Cli, name: &str, contexts: &Contexts, by: NamedBy) -> Result<Self, Fault> {
        let program = if by == NamedBy::Flag {
            format!("everfold {}", option("--context", name))
        } else {
            "everfold".to_owned()
        };
        if name == LOCAL {
            return Ok(Self { target: CommandTarget::Folder(data_folder(None)?), context: None, program });
        }
        let named = contexts.named(name).map_err(|fault| match by {
            NamedBy::Flag => fault,
            NamedBy::Variable => {
                Fault { message: format!("{}, which EVERFOLD_CONTEXT names", fault.message), ..fault }
            }
            NamedBy::File => Fault { message: format!("{}, which is in use", fault.message), ..fault }
                .hint(format!("`everfold context use {LOCAL}`, or the name of another")),
        })?;
        Ok(Self { target: target(cli, named)?, context: Some(name.to_owned()), program })
    }
}

fn target(cli: &Cli, named: &Named) -> Result<CommandTarget, Fault> {
    if let Some(dir) = &named.dir {
        return Ok(CommandTarget::Folder(dir.clone()));
    }
    let server = server(named, cli.ca.as_ref().or(named.ca.as_ref()))?;
    let patience = cli.patience.as_deref().map(patience).transpose()?;
    Ok(CommandTarget::Server(Box::new(match patience {
        Some(patience) => server.with_patience(patience),
        None => server,
    })))
}

/// The server of a context. A token goes where it belongs: one that a context names goes before the
/// variable, which may hold another server's.
fn server(named: &Named, ca: Option<&PathBuf>) -> Result<RemoteServer, Fault> {
    let address = ServerAddress::parse(named.server.as_deref().unwrap_or_default())?;
    let token = named.token().unwrap_or_else(|| ServerTokenSource::Env(TOKEN.to_owned()));
    Ok(RemoteServer::new(address, token, ca.cloned()))
}

fn patience(text: &str) -> Result<Duration, Fault> {
    everfold_engine::duration::parse(text).map_err(|error| {
        Fault::new(Code::Usage, format!("--patience: {error}")).hint("write it as 30s, 5m or 1h")
    })
}
