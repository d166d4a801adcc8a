//! `ui`: the pages of a folder for who sits at this machine, for as long as the command runs; and `open`: the page of a
//! run.

use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::args::{OpenArgs, UiArgs};
use super::background_owner::take_over;
use super::context::CommandContext;
use super::interrupt::Interrupts;
use super::output::note;
use crate::access::caller::own_name;
use crate::body::token::{LinkBody, TokenBody};
use crate::client::{FolderOptions, Leave, encode, query};
use crate::fault::{Code, Fault};
use crate::node::{self, Readiness};
use crate::serve::{ListenPlace, Server};
use crate::settings::{Proxies, ServeSettings};
use crate::view::RunView;

/// Names that are tried for the token of who sits here.
const NAMES_MAX: usize = 20;

pub(crate) async fn run(context: &CommandContext, args: UiArgs) -> Result<(u8, Leave), Fault> {
    let place = context.place()?;
    let mut interrupts = Interrupts::listen()?;
    let settings = settings_of(place, args.listen.as_deref())?;
    if let Some(other) = take_over(place).await?
        && other.url.is_none()
    {
        let what = format!("process {} has the folder and does not serve it", other.pid);
        return Err(Fault::new(Code::Served, what).hint("wait until that command has ended, or end it first"));
    }
    tokio::select! {
        biased;
        _signal = interrupts.next() => return Ok((0, Leave::Waiting)),
        reached = context.client.reach() => reached?,
    }
    let held = context.client.with_guard(|node_guard| (node_guard.node().clone(), node_guard.routes())).await;
    let Some((owner, routes)) = held else {
        // A server has the folder: its pages are those of the folder.
        let url = login_url(context, None).await?;
        announce(context, place, &url, !args.no_open)?;
        return Ok((0, Leave::Waiting));
    };
    owner.measure();
    owner.begin_to_drive_all();
    let server = Server::start(owner.clone(), routes, &settings).await?;
    owner.set_url(&server.url);
    let served = async {
        let recovered = owner.drive_all().await?;
        owner.set_readiness(Readiness::Ready);
        let url = login_url(context, None).await?;
        announce(context, place, &url, !args.no_open)?;
        if recovered > 0 {
            note(format!(
                "{recovered} unfinished {} on",
                if recovered == 1 { "run goes" } else { "runs go" }
            ));
        }
        if !context.json {
            note("Ctrl-C ends the pages; runs go on in the background");
        }
        std::future::pending::<Result<(), Fault>>().await
    };
    let served = tokio::select! {
        biased;
        _signal = interrupts.next() => Ok(()),
        served = served => served,
        fault = owner.broken() => {
            owner.begin_closing();
            return Err(fault);
        }
    };
    owner.set_readiness(Readiness::Ending);
    // Streams end by themselves once the owner says that it closes.
    owner.begin_closing();
    server.stop().await;
    served.map(|()| (0, Leave::Everything))
}

/// The settings of a server for this machine alone.
fn settings_of(place: &FolderOptions, listen: Option<&str>) -> Result<ServeSettings, Fault> {
    let configured = node::settings(&place.layout, place.config.as_deref())?.serve;
    let listen = listen.unwrap_or("127.0.0.1:0").to_owned();
    let settings =
        ServeSettings { listen, tls: None, url: None, behind_proxy: Proxies::default(), ..configured };
    let address = ListenPlace::of(&settings).map(|place| place.address);
    if address.as_ref().is_ok_and(|address| address.ip().is_loopback()) {
        return Ok(settings);
    }
    Err(Fault::new(Code::Usage, format!("--listen {}: `ui` is for this machine alone", settings.listen))
        .hint("name a loopback address as 127.0.0.1:7878; `everfold serve` serves other machines"))
}

/// Says where the pages are, and opens them where that can be.
fn announce(context: &CommandContext, place: &FolderOptions, login: &str, opens: bool) -> Result<(), Fault> {
    let url = login.split_once("/enter?").map_or(login, |(url, _)| url);
    if context.json {
        let root = place.layout.root().display().to_string();
        return context
            .out
            .json(&json!({ "url": url, "pid": std::process::id(), "dir": root, "login": login }));
    }
    context.out.line(format!("{} at {url}", place.layout.root().display()));
    context.out.line(format!("  opens one browser, once, within 15 minutes: {login}"));
    if opens {
        open_in_browser(login);
    }
    Ok(())
}

/// `open`: the page of a run, in the browser.
pub(crate) async fn open(context: &CommandContext, args: OpenArgs) -> Result<u8, Fault> {
    let view: RunView = context.client.get(&format!("/api/v1/runs/{}", encode(&args.run))).await?;
    let path = format!("/runs/{}", view.short_id);
    let url = match context.client.server() {
        None => login_url(context, Some(&path)).await?,
        // Elsewhere a session may be there, or the login asks for a token.
        Some(server) => {
            let base = server.address().to_string();
            format!("{}{path}", base.trim_end_matches('/'))
        }
    };
    if context.json {
        context.out.json(&json!({ "id": view.id, "short_id": view.short_id, "url": url }))?;
        return Ok(0);
    }
    if args.print || !open_in_browser(&url) {
        context.out.line(url);
    }
    Ok(0)
}

/// An address of the pages that logs a browser in which is not yet, and leads on to a page.
async fn login_url(context: &CommandContext, to: Option<&str>) -> Result<String, Fault> {
    let not_served = || {
        Fault::new(Code::ServerAway, "the folder is not being served, so it has no pages")
            .hint(format!("{} ui", context.program))
    };
    // Known before a token is made for what is refused.
    if node::read_record(&context.place()?.layout.owner()).is_some_and(|owner| owner.url.is_none()) {
        return Err(not_served());
    }
    let token = own_token(context).await?;
    let link: Value = context.client.post("/api/v1/session/links", &LinkBody { token }).await?;
    let (Some(url), Some(path)) = (link["url"].as_str(), link["path"].as_str()) else {
        return Err(not_served());
    };
    let base = url.strip_suffix(path).unwrap_or(url);
    let code = path.split_once("code=").map_or("", |(_, code)| code);
    Ok(format!("{base}/enter{}", query([("code", Some(code.to_owned())), ("to", to.map(str::to_owned))])))
}

/// The token of who sits here, of an admin as on the folder's own socket: made where there is none. Its text is kept
/// nowhere; links alone open it.
async fn own_token(context: &CommandContext) -> Result<String, Fault> {
    let page: Value = context.client.get("/api/v1/tokens").await?;
    let tokens = page["items"].as_array().cloned().unwrap_or_default();
    let name: String =
        own_name()?.chars().filter(|c| c.is_ascii_alphanumeric() || "._-".contains(*c)).collect();
    let name = if name.is_empty() { "ui".to_owned() } else { name };
    let names = (1..=NAMES_MAX).map(|at| match at {
        1 => name.clone(),
        2 => format!("{name}-ui"),
        at => format!("{name}-ui-{}", at - 1),
    });
    for name in names {
        let Some(known) = tokens.iter().find(|token| token["name"] == *name) else {
            let body = TokenBody {
                name: name.clone(),
                role: Some("admin".into()),
                approves: Vec::new(),
                expires_in: None,
            };
            let _text: Value = context.client.post("/api/v1/tokens", &body).await?;
            return Ok(name);
        };
        if known["role"] == "admin" && known["revoked_at"].is_null() && known["expires_at"].is_null() {
            return Ok(name);
        }
    }
    Err(Fault::new(Code::Refused, "no name is left for the token of the pages")
        .hint("everfold token link NAME logs in as an admin's token"))
}

/// Opens an address, where there is a screen; says whether something took it.
fn open_in_browser(url: &str) -> bool {
    let Some(program) = opener(cfg!(target_os = "macos"), |name| {
        std::env::var_os(name).is_some_and(|value| !value.is_empty())
    }) else {
        return false;
    };
    let mut command = Command::new(program);
    command.arg(url).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().is_ok()
}

/// The program that opens addresses; none without a screen, or over ssh, where the user sits at another machine.
fn opener(is_mac: bool, is_set: impl Fn(&str) -> bool) -> Option<&'static str> {
    match is_mac {
        true => (!is_set("SSH_CONNECTION")).then_some("open"),
        false => (is_set("DISPLAY") || is_set("WAYLAND_DISPLAY")).then_some("xdg-open"),
    }
}

#[cfg(test)]
mod tests {
    use super::opener;

    #[test]
    fn a_browser_is_opened_where_there_is_a_screen_alone() {
        let with = |names: &'static [&'static str]| move |name: &str| names.contains(&name);
        assert_eq!(opener(false, with(&[])), None);
        assert_eq!(opener(false, with(&["DISPLAY"])), Some("xdg-open"));
        assert_eq!(opener(false, with(&["WAYLAND_DISPLAY"])), Some("xdg-open"));
        assert_eq!(opener(true, with(&[])), Some("open"));
        assert_eq!(opener(true, with(&["SSH_CONNECTION"])), None);
    }
}
