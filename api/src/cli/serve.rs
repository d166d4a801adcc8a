//! `serve`: the owner as a service.

use std::time::Duration;

use everfold_workflows::settings::TlsFiles;
use serde_json::json;

use super::args::ServeArgs;
use super::context::{Context, absolute};
use super::interrupt::Interrupts;
use super::output::note;
use crate::access::TokenWish;
use crate::fault::{Code, Fault};
use crate::owner::{self, Readiness};
use crate::serve::Server;
use everfold_engine::access::Role;
use everfold_engine::actor::Actor;

/// The name of the token that the first `serve` makes.
const FIRST_TOKEN: &str = "admin";

pub(crate) async fn run(context: &Context, args: ServeArgs) -> Result<u8, Fault> {
    let place = context.place()?;
    let mut settings = owner::settings(&place.layout, place.config.as_deref())?.serve;
    if let Some(listen) = args.listen {
        settings.listen = listen;
    }
    if let (Some(cert), Some(key)) = (&args.tls_cert, &args.tls_key) {
        settings.tls = Some(TlsFiles { cert: absolute(cert)?, key: absolute(key)? });
    }
    settings.behind_proxy |= args.behind_proxy;
    settings.url = args.url.or(settings.url);
    // Before the folder is taken: a mistake in the arguments makes no folder.
    crate::serve::Place::of(&settings)?;

    let mut interrupts = Interrupts::listen()?;
    context.client.reach().await?;
    let held = context.client.with_held(|held| (held.owner().clone(), held.routes())).await;
    let Some((owner, routes)) = held else {
        let record = owner::read_record(&place.layout.owner());
        let (pid, url) = record.map_or((0, None), |record| (record.pid, record.url));
        let at = url.map_or_else(|| "on its socket alone".to_owned(), |url| format!("at {url}"));
        return Err(Fault::new(Code::Served, format!("process {pid} owns the folder and serves {at}"))
            .hint("end that process first, or name another folder with --dir"));
    };
    owner.measure();
    let server = Server::start(owner.clone(), routes, &settings).await?;
    owner.set_url(&server.url);
    let first = first_token(&owner).await?;
    announce(context, &server.url, &owner, first.as_deref()).await?;
    let recovered = owner.drive_all().await?;
    owner.set_readiness(Readiness::Ready);
    if recovered > 0 {
        note(format!("{recovered} unfinished {} on", if recovered == 1 { "run goes" } else { "runs go" }));
    }
    tokio::select! {
        _interrupted = interrupts.next() => {}
        fault = owner.broken() => {
            owner.begin_closing();
            return Err(fault);
        }
    }
    note("ending: what is being answered is finished, processes of steps live on");
    owner.set_readiness(Readiness::Ending);
    let drained = tokio::time::sleep(Duration::from_secs(settings.drain_seconds));
    tokio::select! {
        () = drained => {}
        // Asked twice, it ends at once.
        _again = interrupts.next() => {}
    }
    // Streams end by themselves once the owner says that it closes.
    owner.begin_closing();
    server.stop().await;
    Ok(0)
}

/// Makes the first token of a folder; its text, where it was made now.
async fn first_token(owner: &owner::Owner) -> Result<Option<String>, Fault> {
    if owner.access().access().await?.tokens().next().is_some() || owner.may_not_write() {
        return Ok(None);
    }
    let wish = TokenWish { name: FIRST_TOKEN.into(), role: Role::Admin, approves: Vec::new(), lasts: None };
    let made = owner.access().create(wish, Actor::Engine, None).await?;
    Ok(Some(made.secret.reveal().to_owned()))
}

/// Says where it serves and, the first time, how to get in.
async fn announce(
    context: &Context,
    url: &str,
    owner: &owner::Owner,
    token: Option<&str>,
) -> Result<(), Fault> {
    let link = match token {
        Some(_) => Some(owner.access().link(FIRST_TOKEN).await?),
        None => None,
    };
    let login = link.map(|link| format!("{url}/login?code={}", link.code.reveal()));
    if context.json {
        let root = owner.layout().root().display().to_string();
        let pid = std::process::id();
        return context
            .out
            .json(&json!({ "url": url, "pid": pid, "dir": root, "token": token, "login": login }));
    }
    context.out.line(format!("serving {} at {url}", owner.layout().root().display()));
    if let (Some(token), Some(login)) = (token, login) {
        context.out.line(format!("  token of “{FIRST_TOKEN}”, shown this once: {token}"));
        context.out.line(format!("  log in with a browser, once, within 15 minutes: {login}"));
    } else {
        let program = &context.program;
        context.out.line(format!("  {program} token list, or {program} token create NAME --role viewer|approver|operator|worker|admin"));
    }
    Ok(())
}
