//! Slots, rates and breakers.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use everfold_engine::driver::LineView;
use everfold_engine::execution::Service;

use super::answer::written;
use super::{App, Caller};
use crate::fault::{Code, Fault};

/// `GET /engine/limits`: what is in use, who waits, what stands open.
pub(crate) async fn limits(State(app): State<App>) -> Json<LineView> {
    Json(app.engine().line())
}

/// `POST /engine/breakers/{name}/reset`: attempts start again at once. Nothing is recorded, and saying it
/// twice changes nothing, so this write needs no key.
pub(crate) async fn reset(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Response, Fault> {
    let service: Service = name.parse().map_err(|error: String| Fault::new(Code::Invalid, error))?;
    if !app.engine().reset_breaker(&service) {
        let fault = Fault::new(Code::NoBreaker, format!("there is no breaker {service}"));
        return Err(fault.hint("`everfold limits` lists those that there are"));
    }
    tracing::info!(%service, by = %caller.actor, "breaker closed");
    Ok(written(StatusCode::OK, app.store().last_position(), app.engine().line()))
}
