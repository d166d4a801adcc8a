//! Money, and what counts it.

use serde::Serialize;
use utoipa::ToSchema;

/// Money in US dollars, with at most six decimal places: a text, or a number.
#[derive(ToSchema, Serialize)]
#[serde(untagged)]
#[schema(example = "2.00")]
pub(crate) enum Amount {
    Text(String),
    Number(f64),
}

/// Over which time a budget counts.
#[derive(ToSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Period {
    Total,
    Day,
    Week,
    Month,
}

/// What follows when a budget is used up.
#[derive(ToSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum OnOver {
    Pause,
    Fail,
    Stop,
}

/// What of a budget is used up.
#[derive(ToSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Measure {
    Cost,
    Tokens,
    Wall,
}

/// By what spending is grouped.
#[derive(ToSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SpendBy {
    Run,
    Step,
    Role,
    Model,
    Day,
    Pipeline,
}
