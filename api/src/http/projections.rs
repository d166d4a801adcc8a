//! The read models: how far each has folded the log, and the rebuild of one.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use everfold_engine::id::Position;
use everfold_projections::ModelStatus;
use serde::Serialize;

use super::app::App;
use super::extract::Path;
use crate::fault::Fault;
use crate::schema;

/// The read models.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Projections {
    /// The end of the log.
    #[schema(value_type = u64)]
    head: Position,
    /// Whether they have reached it since they were opened.
    ready: bool,
    /// Their files, in bytes; null in memory.
    size_bytes: Option<u64>,
    #[schema(value_type = Vec<schema::ModelStatusSchema>)]
    items: Vec<ModelStatus>,
}

/// `GET /projections`: position, lag, and what stopped or is being built.
#[utoipa::path(
    get,
    path = "/projections",
    tag = "store",
    responses((status = 200, description = "Each read model.", body = Projections))
)]
pub(crate) async fn list(State(app): State<App>) -> Json<Projections> {
    let views = app.views();
    Json(Projections {
        head: app.store().last_position(),
        ready: views.is_ready(),
        size_bytes: views.size_bytes(),
        items: views.status(),
    })
}

/// `POST /projections/{name}/rebuild`: builds one anew, beside the one that answers until then.
#[utoipa::path(
    post,
    path = "/projections/{name}/rebuild",
    tag = "store",
    responses((status = 202, description = "It is being built.", body = Projections))
)]
pub(crate) async fn rebuild(
    State(app): State<App>,
    Path(name): Path<String>,
) -> Result<(StatusCode, Json<Projections>), Fault> {
    app.views().rebuild(&name).await?;
    Ok((StatusCode::ACCEPTED, list(State(app)).await))
}
