//! Servers, and who may call them.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};

use super::name::name;

#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// Where to listen; port 0 takes a free one [default: serve.listen of the settings, 127.0.0.1:7878]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) listen: Option<String>,
    /// The certificate for TLS, as PEM
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// Its private key, as PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub(crate) tls_key: Option<PathBuf>,
    /// A proxy in front speaks TLS and says who calls: the addresses and networks that are believed, with commas
    /// between [default: behind_proxy of the settings, else a proxy on this machine]
    #[arg(long, value_name = "PROXY,…", num_args = 0..=1, value_delimiter = ',')]
    pub(crate) behind_proxy: Option<Vec<String>>,
    /// How people reach it, for links
    #[arg(long, value_name = "URL")]
    pub(crate) url: Option<String>,
    /// End when the standard input ends: with the process that holds its other end
    #[arg(long, hide = true)]
    pub(crate) until_input_ends: bool,
}

#[derive(Debug, Args)]
pub(crate) struct UiArgs {
    /// Where to listen on this machine; port 0 takes a free one [default: 127.0.0.1:0]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) listen: Option<String>,
    /// Print the link, and open no browser
    #[arg(long)]
    pub(crate) no_open: bool,
}

#[derive(Debug, Args)]
pub(crate) struct OpenArgs {
    /// The run
    #[arg(value_name = "RUN", default_value = "@", value_parser = name())]
    pub(crate) run: String,
    /// Print the address, and open no browser
    #[arg(long)]
    pub(crate) print: bool,
}

#[derive(Debug, Args)]
pub(crate) struct TokenArgs {
    #[command(subcommand)]
    pub(crate) verb: TokenVerb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TokenVerb {
    /// Make a token and print it, once
    Create {
        /// Its name; events name their actor by it
        #[arg(value_name = "NAME", value_parser = name())]
        name: String,
        /// viewer, approver, operator, worker or admin [default: approver, with --approves]
        #[arg(long, value_name = "ROLE", value_parser = name(), required_unless_present = "approves")]
        role: Option<String>,
        /// An approval role that it decides in; repeatable
        #[arg(long, value_name = "ROLE", value_parser = name())]
        approves: Vec<String>,
        /// How long it is good for, as in 30d [default: for ever]
        #[arg(long, value_name = "SPAN")]
        expires: Option<String>,
    },
    /// List the tokens
    List,
    /// Refuse a token and its sessions from now on
    Revoke {
        /// Its name
        #[arg(value_name = "NAME", value_parser = name())]
        name: String,
        /// Why
        #[arg(short, long = "message", value_name = "TEXT")]
        message: Option<String>,
    },
    /// Print a link that logs one browser in, once
    Link {
        /// The token whose rights the session gets
        #[arg(value_name = "NAME", value_parser = name())]
        name: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct ContextArgs {
    #[command(subcommand)]
    pub(crate) verb: Option<ContextVerb>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ContextVerb {
    /// List them; the one in use has a star
    List,
    /// Name a server or a folder
    Add(ContextAddArgs),
    /// Work with it where nothing else is named
    Use {
        /// Its name; `local` is the data folder of where one is
        #[arg(value_name = "NAME", value_parser = name())]
        name: String,
    },
    /// Where it leads, and who you are there
    Show {
        /// Its name [default: the one in use]
        #[arg(value_name = "NAME", value_parser = name())]
        name: Option<String>,
    },
    /// Forget it
    Remove {
        /// Its name
        #[arg(value_name = "NAME", value_parser = name())]
        name: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct ContextAddArgs {
    /// Its name
    #[arg(value_name = "NAME", value_parser = name())]
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) token: ContextTokenArgs,
    /// Work with it from now on where nothing else is named
    #[arg(long = "use")]
    pub(crate) in_use: bool,
    /// Take the place of the one that has the name
    #[arg(long)]
    pub(crate) replace: bool,
}

/// Where the token of a context is.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub(crate) struct ContextTokenArgs {
    /// The token is in this variable [default: EVERFOLD_TOKEN]
    #[arg(long, value_name = "NAME", value_parser = name())]
    pub(crate) token_env: Option<String>,
    /// The token is in this file
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// This shell command prints the token
    #[arg(long, value_name = "COMMAND", value_parser = name(), value_hint = ValueHint::CommandString)]
    pub(crate) token_command: Option<String>,
    /// Read the token from standard input, and keep it among the contexts
    #[arg(long)]
    pub(crate) with_token: bool,
}
