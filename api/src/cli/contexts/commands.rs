//! `context`: servers and folders that have names.

use std::io::{IsTerminal as _, Read as _};

use serde_json::{Value, json};

use super::file::{self, LOCAL, Named, read};
use crate::cli::args::{Cli, ContextAddArgs, ContextArgs, ContextTokenArgs, ContextVerb};
use crate::cli::context::CommandContext;
use crate::cli::data_folder::absolute;
use crate::cli::output::{Out, note};
use crate::client::{ServerAddress, ServerTokenSource};
use crate::fault::{Code, Fault};
use crate::text::{quoted, table};

/// Whether a verb asks the server; the others are about the file alone.
pub(crate) fn asks(args: &ContextArgs) -> bool {
    matches!(args.verb, Some(ContextVerb::Show { .. }))
}

/// A verb about the file alone.
pub(crate) fn run(args: &ContextArgs, cli: &Cli) -> Result<u8, Fault> {
    let (out, as_json) = (Out::new(), cli.is_json());
    match &args.verb {
        None | Some(ContextVerb::List) => list(&out, as_json),
        Some(ContextVerb::Add(args)) => add(args, cli, &out),
        Some(ContextVerb::Use { name }) => use_one(name, &out, as_json),
        Some(ContextVerb::Remove { name }) => remove(name, &out, as_json),
        Some(ContextVerb::Show { .. }) => Err(Fault::new(Code::Internal, "this verb asks the server")),
    }
}

fn list(out: &Out, as_json: bool) -> Result<u8, Fault> {
    let contexts = read()?;
    let in_use = contexts.in_use.as_deref().unwrap_or(LOCAL);
    if as_json {
        let items: Vec<Value> =
            contexts.contexts.iter().map(|(name, named)| view(name, named, name == in_use)).collect();
        out.json(&json!({ "items": items, "in_use": in_use, "file": file::path()? }))?;
        return Ok(0);
    }
    let mark = |name: &str| if name == in_use { "*".to_owned() } else { String::new() };
    let local = [mark(LOCAL), LOCAL.to_owned(), "the data folder of where one is".to_owned(), String::new()];
    let rows = contexts.contexts.iter().map(|(name, named)| {
        let token = named.token().map(|source| source.to_string()).unwrap_or_default();
        [mark(name), name.clone(), place(named), token]
    });
    out.line(table(["", "CONTEXT", "WHERE", "TOKEN"], [local].into_iter().chain(rows)));
    if contexts.contexts.is_empty() {
        note("  everfold context add NAME --server https://HOST");
    }
    Ok(0)
}

fn place(named: &Named) -> String {
    let folder = || named.dir.as_ref().map(|dir| dir.display().to_string());
    named.server.clone().or_else(folder).unwrap_or_default()
}

/// A context as programs see it; never its token.
fn view(name: &str, named: &Named, in_use: bool) -> Value {
    let token = named.token().map(|source| source.to_string());
    json!({ "name": name, "server": named.server, "dir": named.dir, "ca": named.ca, "token": token, "in_use": in_use })
}

fn add(args: &ContextAddArgs, cli: &Cli, out: &Out) -> Result<u8, Fault> {
    file::check_name(&args.name)?;
    let token = token(&args.token)?;
    let named = match (&cli.server, &cli.dir) {
        (Some(url), None) => {
            let ca = cli.ca.as_deref().map(absolute).transpose()?;
            let address = ServerAddress::parse(url)?.to_string();
            Named::of_server(address, ca).with_token(token)
        }
        (None, Some(dir)) if token.is_none() && cli.ca.is_none() => Named::of_folder(absolute(dir)?),
        (None, Some(_)) => return Err(Fault::new(Code::Usage, "a data folder needs no token and no --ca")),
        _none_or_both => {
            return Err(Fault::new(Code::Usage, "a context is a server or a data folder")
                .hint("give --server https://HOST, or --dir DIR"));
        }
    };
    let (name, made) = (args.name.clone(), named.clone());
    let is_new = file::change(|contexts| {
        if args.in_use {
            contexts.in_use = Some(name.clone());
        }
        match contexts.contexts.insert(name.clone(), named) {
            Some(_) if !args.replace => {
                Err(Fault::new(Code::Refused, format!("there is a context “{name}” already"))
                    .hint(format!("`everfold context add {name} … --replace`, or take another name")))
            }
            former => Ok(former.is_none()),
        }
    })?;
    if cli.is_json() {
        out.json(&view(&args.name, &made, args.in_use))?;
        return Ok(0);
    }
    let word = if is_new { "added" } else { "replaced" };
    let in_use = if args.in_use { " and in use" } else { "" };
    out.line(format!("the context {} is {word}{in_use}: {}", args.name, place(&made)));
    if made.server.is_some() && made.token().is_none() {
        out.line("  its token is taken from EVERFOLD_TOKEN");
    }
    out.line(format!("  everfold context show {}", args.name));
    if !args.in_use {
        out.line(format!("  everfold context use {}", args.name));
    }
    Ok(0)
}

/// Where the token is, as it was given.
fn token(given: &ContextTokenArgs) -> Result<Option<ServerTokenSource>, Fault> {
    if given.with_token {
        if std::io::stdin().is_terminal() {
            note("paste the token, then press Enter and Ctrl-D");
        }
        let mut text = String::new();
        let read = std::io::stdin().take(64 * 1024).read_to_string(&mut text);
        read.map_err(|error| Fault::new(Code::File, format!("no token could be read: {error}")))?;
        let token = text.trim().to_owned();
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Fault::new(Code::Usage, "standard input holds no token; one begins with evf_"));
        }
        return Ok(Some(ServerTokenSource::Kept(token)));
    }
    if let Some(file) = &given.token_file {
        return Ok(Some(ServerTokenSource::File(absolute(file)?)));
    }
    let env = given.token_env.clone().map(ServerTokenSource::Env);
    Ok(env.or_else(|| given.token_command.clone().map(ServerTokenSource::Command)))
}

fn use_one(name: &str, out: &Out, as_json: bool) -> Result<u8, Fault> {
    let place = file::change(|contexts| {
        if name == LOCAL {
            contexts.in_use = None;
            return Ok("the data folder of where one is".to_owned());
        }
        let place = place(contexts.named(name)?);
        contexts.in_use = Some(name.to_owned());
        Ok(place)
    })?;
    if as_json {
        out.json(&json!({ "in_use": name }))?;
        return Ok(0);
    }
    out.line(format!("commands work with {name} from now on: {place}"));
    if name != LOCAL {
        out.line(format!("  everfold context use {LOCAL}   # ends that"));
    }
    for variable in ["EVERFOLD_SERVER", "EVERFOLD_CONTEXT", "EVERFOLD_DIR"] {
        if std::env::var_os(variable).is_some_and(|value| !value.is_empty()) {
            note(format!("here {variable} goes before it"));
        }
    }
    Ok(0)
}

fn remove(name: &str, out: &Out, as_json: bool) -> Result<u8, Fault> {
    let was_in_use = file::change(|contexts| {
        contexts.named(name)?;
        contexts.contexts.remove(name);
        let was_in_use = contexts.in_use.as_deref() == Some(name);
        if was_in_use {
            contexts.in_use = None;
        }
        Ok(was_in_use)
    })?;
    if as_json {
        out.json(&json!({ "name": name, "removed": true }))?;
        return Ok(0);
    }
    let rest = if was_in_use { "; commands work in the data folder of where one is" } else { "" };
    out.line(format!("the context {} is removed{rest}", quoted(name)));
    Ok(0)
}

/// Says where a context leads and who one is there, by asking.
pub(crate) async fn show(context: &CommandContext) -> Result<u8, Fault> {
    let Some(server) = context.client.server() else {
        return show_folder(context);
    };
    let address = server.address().to_string();
    let token = server.tokens().to_string();
    let version = server.meet().await?;
    let who: Value = context.client.get("/api/v1/session").await?;
    if context.json {
        context.out.json(&json!({
            "context": context.name, "server": address, "version": version, "token": token, "session": who,
        }))?;
        return Ok(0);
    }
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let roles: Vec<&str> =
        who["approves"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let decides = if roles.is_empty() { String::new() } else { format!(", decides as {}", roles.join(", ")) };
    let who = match text(&who["role"]) {
        Some(role) => format!("{}, {role}{decides}", text(&who["actor"]).unwrap_or_default()),
        None => "an unknown caller: no token was sent".to_owned(),
    };
    let rows = [
        ("context", context.name.clone().unwrap_or_default()),
        ("server", address),
        ("version", format!("Everfold {version}")),
        ("token", format!("from {token}")),
        ("you are", who),
    ];
    for (label, value) in rows.into_iter().filter(|(_, value)| !value.is_empty()) {
        context.out.line(format!("{label:<9}{value}"));
    }
    Ok(0)
}

fn show_folder(context: &CommandContext) -> Result<u8, Fault> {
    let folder = context.client.place().map(|place| place.layout.root().to_owned()).unwrap_or_default();
    let is_there = folder.exists();
    if context.json {
        context.out.json(&json!({ "context": context.name, "dir": folder, "exists": is_there }))?;
        return Ok(0);
    }
    context.out.line(format!("context  {}", context.name.as_deref().unwrap_or(LOCAL)));
    let rest = if is_there { "" } else { ", which is not there yet" };
    context.out.line(format!("folder   {}{rest}", folder.display()));
    Ok(0)
}
