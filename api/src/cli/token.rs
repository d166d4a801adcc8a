//! `token`: who may call from afar.

use serde_json::Value;

use super::args::{TokenArgs, TokenVerb};
use super::context::CommandContext;
use super::output::note;
use crate::body::token::{LinkBody, TokenBody};
use crate::client::{encode, query};
use crate::fault::Fault;
use crate::text::table;

pub(crate) async fn run(context: &CommandContext, args: TokenArgs) -> Result<u8, Fault> {
    match args.verb {
        TokenVerb::Create { name, role, approves, expires } => {
            let body = TokenBody { name: name.clone(), role, approves, expires_in: expires };
            let made: Value = context.client.post("/api/v1/tokens", &body).await?;
            if context.json {
                context.out.json(&made)?;
                return Ok(0);
            }
            context.out.line(text(&made["token"]));
            let decides = words(&made["approves"]);
            let decides = if decides.is_empty() { String::new() } else { format!(", decides as {decides}") };
            let until = made["expires_at"].as_str().map(|at| format!(", until {at}")).unwrap_or_default();
            note(format!("token “{name}”: {}{decides}{until}; it is shown this once", text(&made["role"])));
            note("  send it as `Authorization: Bearer TOKEN`");
        }
        TokenVerb::List => {
            let page: Value = context.client.get("/api/v1/tokens").await?;
            if context.json {
                context.out.json(&page)?;
                return Ok(0);
            }
            let tokens = page["items"].as_array().map(Vec::as_slice).unwrap_or_default();
            if tokens.is_empty() {
                note("no tokens");
                note(format!("  {} token create NAME --role viewer", context.program));
                return Ok(0);
            }
            let rows = tokens.iter().map(|token| {
                let state = match (token["revoked_at"].as_str(), token["expires_at"].as_str()) {
                    (Some(at), _) => format!("revoked {at}"),
                    (None, Some(at)) => format!("until {at}"),
                    (None, None) => "good".to_owned(),
                };
                let made = format!("{} by {}", text(&token["created_at"]), text(&token["created_by"]));
                [text(&token["name"]), text(&token["role"]), words(&token["approves"]), state, made]
            });
            context.out.line(table(["NAME", "ROLE", "DECIDES AS", "STATE", "MADE"], rows));
        }
        TokenVerb::Revoke { name, message } => {
            let path = format!("/api/v1/tokens/{}{}", encode(&name), query([("reason", message)]));
            let answer: Value = context.client.delete(&path).await?;
            if context.json {
                context.out.json(&answer)?;
                return Ok(0);
            }
            context.out.line(format!("the token “{name}” and its sessions are refused from now on"));
        }
        TokenVerb::Link { name } => {
            let link: Value =
                context.client.post("/api/v1/session/links", &LinkBody { token: name.clone() }).await?;
            if context.json {
                context.out.json(&link)?;
                return Ok(0);
            }
            let url = link["url"].as_str().or(link["path"].as_str()).unwrap_or_default();
            context.out.line(url);
            note(format!("logs one browser in as “{name}”, once, until {}", text(&link["expires_at"])));
            if link["url"].is_null() {
                note("the folder is not being served: links are forgotten when its owner ends");
            }
        }
    }
    Ok(0)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn words(value: &Value) -> String {
    let words: Vec<&str> = value.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    words.join(", ")
}
