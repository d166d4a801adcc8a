//! What a moment of the log is: its position and its time.

use axum::Json;
use axum::extract::State;
use everfold_engine::id::Position;
use everfold_engine::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::app::App;
use super::extract::Params;
use super::parameters::moment;
use crate::fault::Fault;
use crate::schema;

#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct MomentParams {
    /// A time or a position; the end of the log where it is left out.
    at: Option<String>,
}

/// A moment of the log.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = LogMoment)]
pub(crate) struct MomentAnswer {
    /// The last position that was durable then.
    #[schema(value_type = u64)]
    position: Position,
    /// When that position became durable. Null: nothing was in the log.
    #[schema(value_type = Option<schema::TimeSchema>)]
    time: Option<Timestamp>,
}

/// `GET /moment`: the position of a time, and the time of a position.
#[utoipa::path(
    get,
    path = "/moment",
    tag = "history",
    params(MomentParams),
    responses((status = 200, description = "The position with its time.", body = MomentAnswer))
)]
pub(crate) async fn get(
    State(app): State<App>,
    Params(params): Params<MomentParams>,
) -> Result<Json<MomentAnswer>, Fault> {
    let asked = moment(&app, params.at.as_deref()).await?;
    let position = asked.unwrap_or_else(|| app.store().last_position());
    let time = app.committed_at(position).await?;
    Ok(Json(MomentAnswer { position, time }))
}
