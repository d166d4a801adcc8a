//! `store`: info, verify, repair, adopt.

use serde_json::{Value, json};

use super::args::{StoreArgs, StoreVerb};
use super::context::Context;
use crate::fault::{Code, Fault};

pub(crate) async fn run(context: &Context, args: StoreArgs) -> Result<u8, Fault> {
    match args.verb {
        StoreVerb::Info => info(context).await,
        StoreVerb::Adopt => adopt(context).await,
        StoreVerb::Verify | StoreVerb::Repair { .. } => {
            Err(Fault::new(Code::NotBuilt, "this build does not verify or repair yet"))
        }
    }
}

async fn info(context: &Context) -> Result<u8, Fault> {
    let info: Value = context.client.get("/api/v1/store").await?;
    if context.json {
        context.out.json(&info)?;
        return Ok(0);
    }
    let text = |name: &str| info[name].as_str().map_or_else(|| info[name].to_string(), str::to_owned);
    for (label, name) in [
        ("folder", "folder"),
        ("store", "store"),
        ("epoch", "epoch"),
        ("adopted", "adopted"),
        ("events", "position"),
        ("runs", "runs"),
        ("takes writes", "writability"),
    ] {
        context.out.line(format!("{label:<14}{}", text(name)));
    }
    for warning in info["warnings"].as_array().into_iter().flatten() {
        context.out.line(format!("warning       {}", warning.as_str().unwrap_or_default()));
    }
    for aside in info["set_aside"].as_array().into_iter().flatten() {
        context.out.line(format!("set aside     {}: {}", aside[0], aside[1]));
    }
    Ok(0)
}

async fn adopt(context: &Context) -> Result<u8, Fault> {
    let answer: Value = context.client.post("/api/v1/store/adopt", &json!({})).await?;
    if context.json {
        context.out.json(&answer)?;
    } else {
        context.out.line("this folder acts from now on");
    }
    Ok(0)
}
