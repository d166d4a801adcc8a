//! Money, and what counts it.

use serde::Serialize;
use utoipa::ToSchema;

/// Money in US dollars: a text with at most six decimal places, or a number, which is rounded to the nearest millionth, and what is more than nothing to one at least; or a text in a currency that has a rate.
#[derive(ToSchema, Serialize)]
#[serde(untagged)]
#[schema(example = "2.00")]
#[schema(as = Amount)]
pub(crate) enum AmountSchema {
    Text(String),
    Number(f64),
}

/// Over which time a budget counts.
#[derive(ToSchema, Serialize)]
#[serde(rename_all = "snake_case")]
#[schema(as = Period)]
pub(crate) enum PeriodSchema {
    Total,
    Day,
    Week,
    Month,
}

/// What follows when a budget is used up.
#[derive(ToSchema, Serialize)]
#[serde(rename_all = "snake_case")]
#[schema(as = OnOver)]
pub(crate) enum OnOverSchema {
    Pause,
    Fail,
    Stop,
}

/// What of a budget is used up.
#[derive(ToSchema, Serialize)]
#[serde(rename_all = "snake_case")]
#[schema(as = Measure)]
pub(crate) enum MeasureSchema {
    Cost,
    Tokens,
    Wall,
}
