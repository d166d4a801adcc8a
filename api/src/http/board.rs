//! The board.

use axum::extract::State;
use axum::response::Response;
use everfold_projections::{Board, Column, GroupBy};
use serde::{Deserialize, Serialize};

use everfold_engine::id::Position;

use super::answer::read;
use super::app::App;
use super::extract::Params;
use super::parameters::{min_position, moment};
use super::runs::ListedRun;
use crate::fault::{Code, Fault};
use crate::schema;

/// Cards of a column without `limit`, and the largest `limit`.
const CARDS: usize = 50;
const CARDS_MAX: usize = 500;

#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct BoardParams {
    /// A time or a position.
    at: Option<String>,
    /// `status` or `stage`.
    group_by: Option<String>,
    /// Cards of a column.
    #[param(minimum = 0, maximum = 500)]
    limit: Option<usize>,
    min_position: Option<u64>,
}

/// The board, and the position that it is of.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Board)]
struct BoardAnswer {
    #[schema(value_type = u64)]
    position: Position,
    #[schema(value_type = schema::GroupBySchema)]
    group_by: GroupBy,
    columns: Vec<ColumnAnswer>,
}

/// A column of the board.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Column)]
struct ColumnAnswer {
    name: String,
    /// Steps are in progress in it: its name is a stage or a step, not a status.
    is_step: bool,
    /// How many runs are in it.
    count: u64,
    /// The newest of them, as lists show them.
    #[schema(value_type = Vec<schema::RunRowSchema>)]
    cards: Vec<ListedRun>,
}

/// `GET /board`: runs in columns, now or at any moment.
#[utoipa::path(
    get,
    path = "/board",
    tag = "runs",
    params(BoardParams),
    responses((status = 200, description = "The columns with their cards.", body = BoardAnswer))
)]
pub(crate) async fn board(
    State(app): State<App>,
    Params(params): Params<BoardParams>,
) -> Result<Response, Fault> {
    let group_by = match params.group_by.as_deref() {
        None | Some("status") => GroupBy::Status,
        Some("stage") => GroupBy::Stage,
        Some(word) => {
            return Err(Fault::new(Code::Invalid, format!("“{word}” is no grouping: status or stage")));
        }
    };
    let cards = match params.limit.unwrap_or(CARDS) {
        cards @ 0..=CARDS_MAX => cards,
        _ => return Err(Fault::new(Code::Invalid, format!("limit is a number from 0 to {CARDS_MAX}"))),
    };
    let at = moment(&app, params.at.as_deref()).await?;
    let min = min_position(&app, params.min_position)?;
    let answer = app.views().runs(min, move |runs| runs.board(group_by, at, cards)).await?;
    let position = at.map_or(answer.position, |at| at.min(answer.position));
    let Board { group_by, columns } = answer.value;
    let listed = ListedRun::of(&app);
    let columns = columns.into_iter().map(|Column { name, is_step, count, cards }| ColumnAnswer {
        name,
        is_step,
        count,
        cards: cards.into_iter().map(&listed).collect(),
    });
    Ok(read(answer.position, BoardAnswer { position, group_by, columns: columns.collect() }))
}
