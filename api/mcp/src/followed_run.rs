//! Waits for a run: until it has ended or asks people, for a bounded time, with progress for a client that wants it.

use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use crate::call::ToolCall;
use crate::problem::RestProblem;
use crate::rest::{encoded, with_query};
use crate::run_outline::{awaited, is_ended, line, steps_done};

/// The longest wait of a call.
pub(crate) const WAIT_SECONDS_MAX: u64 = 50;

/// What a call waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum WaitFor {
    /// The run has ended, or people are asked something.
    Attention,
    /// The run has ended.
    End,
}

/// The run when what is waited for has happened, or the time is over.
pub(crate) async fn followed(
    call: &ToolCall,
    run: &str,
    wait_for: WaitFor,
    seconds: u64,
) -> Result<Value, RestProblem> {
    let until = Instant::now() + Duration::from_secs(seconds.min(WAIT_SECONDS_MAX));
    let path = format!("/runs/{}", encoded(run));
    let mut view = call.rest.get(&path).await?;
    let mut said = String::new();
    loop {
        let now = line(&view);
        if now != said {
            let (done, of) = steps_done(&view);
            // The protocol wants a number that only grows: a rework takes steps back, versions go on.
            let version = view["version"].as_f64().unwrap_or_default();
            call.progress(version, format!("{now} ({done} of {of} steps have ended)")).await;
            said = now;
        }
        let is_asked = wait_for == WaitFor::Attention && !awaited(&view).is_empty();
        if is_ended(&view) || is_asked || Instant::now() >= until {
            return Ok(view);
        }
        // The route answers at the end of the run, else after this second: by then it may ask people.
        let next = with_query(&path, &[("wait", Some("1s".to_owned()))]);
        view = tokio::select! {
            view = call.rest.get(&next) => view?,
            () = call.given_up() => return Ok(view),
        };
    }
}
