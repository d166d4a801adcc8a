//! Values of requests. Law: every value that the OpenAPI document allows is accepted, however it is written.

use super::app::App;
pub(super) use crate::body::whole_number::whole;
use crate::fault::{Code, Fault};
use everfold_engine::time::Timestamp;

/// The last millisecond that can be written down.
const LAST: Timestamp = Timestamp(253_402_207_200_000);
/// Digits of a second's fraction that are read; further ones are cut off.
const FRACTION_DIGITS: usize = 9;

/// A time in RFC 3339. `what` names the field.
pub(super) fn time(what: &str, text: &str) -> Result<Timestamp, Fault> {
    if !has_offset_of_a_day(text) {
        return Err(Fault::new(
            Code::Invalid,
            format!("{what} is no time in RFC 3339: its offset is no time of a day"),
        ));
    }
    text.parse().or_else(|error| {
        far(text)
            .or_else(|| last(text))
            .ok_or_else(|| Fault::new(Code::Invalid, format!("{what} is no time in RFC 3339: {error}")))
    })
}

/// Refuses a name that looks like a credential: `what` says of what it is the name.
pub(super) fn refuse_credential(app: &App, what: &str, name: &str) -> Result<(), Fault> {
    let Some((pattern, _)) = app.engine().credential_in(name) else { return Ok(()) };
    let message = format!("{what} holds what looks like a credential ({pattern})");
    Err(Fault::new(Code::Invalid, message).hint("it would be recorded, and stand on screens"))
}

/// Whether the offset, where there is one in numbers, has at most 23 hours: jiff reads up to 25.
pub(crate) fn has_offset_of_a_day(text: &str) -> bool {
    let Some((_, time)) = text.split_once(['T', 't', ' ']) else { return true };
    let Some((_, offset)) = time.rsplit_once(['+', '-']) else { return true };
    offset.get(..2).and_then(|hours| hours.parse::<u8>().ok()).is_none_or(|hours| hours < 24)
}

/// Reads a time whose fraction is longer than [`FRACTION_DIGITS`], without the rest of it.
fn far(text: &str) -> Option<Timestamp> {
    let dot = text.find('.')?;
    let digits = text[dot + 1..].bytes().take_while(u8::is_ascii_digit).count();
    let cut =
        format!("{}{}", text.get(..dot + 1 + digits.min(FRACTION_DIGITS))?, text.get(dot + 1 + digits..)?);
    cut.parse().ok()
}

/// Reads a time between [`LAST`] and the end of the year 9999, which RFC 3339 can write and a timestamp cannot: as
/// [`LAST`].
fn last(text: &str) -> Option<Timestamp> {
    let year = text.strip_prefix("9999-12-3")?;
    let earlier = format!("9998-12-3{year}");
    (earlier.parse::<Timestamp>().is_ok() || far(&earlier).is_some()).then_some(LAST)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::body::whole_number::whole_if;

    #[derive(serde::Deserialize)]
    struct WholeNumbers {
        #[serde(deserialize_with = "whole")]
        count: u32,
        #[serde(default, deserialize_with = "whole_if")]
        limit: Option<u64>,
    }

    #[test]
    fn row_59_every_way_to_write_a_whole_number_is_taken() {
        let read = |body: serde_json::Value| serde_json::from_value::<WholeNumbers>(body);
        for (count, limit) in [(json!(7), json!(null)), (json!(7.0), json!(7.0)), (json!(7e0), json!(7))] {
            let body = read(json!({ "count": count, "limit": limit })).unwrap();
            assert_eq!((body.count, body.limit.unwrap_or(7)), (7, 7));
        }
        assert_eq!(read(json!({ "count": 0 })).unwrap().limit, None);
        assert_eq!(read(json!({ "count": 0, "limit": u64::MAX })).unwrap().limit, Some(u64::MAX));
        for bad in [json!(7.5), json!(-1), json!("7"), json!(4_294_967_296_u64), json!(1e40), json!(null)] {
            assert!(read(json!({ "count": bad })).is_err(), "{bad}");
        }
    }

    #[test]
    fn row_59_every_time_of_rfc_3339_is_taken() {
        for text in [
            "2026-11-20T10:00:00Z",
            "2026-11-20t10:00:00z",
            "2026-11-20T10:00:00.123456789012345+01:00",
            "0000-01-01T00:00:00-23:59",
            "0001-01-01T00:00:00+23:59",
            "9999-12-31T23:59:59Z",
            "9999-12-31T23:59:59.99999999999-23:59",
            "2016-12-31T23:59:60Z",
        ] {
            assert!(time("at", text).is_ok(), "{text}");
        }
        assert_eq!(LAST.to_string(), "9999-12-30T22:00:00.000Z");
        for text in [
            "",
            "2026-11-22T07:50:00+25:00",
            "2026-11-22T07:50:00-24:00",
            "noon",
            "2026-13-01T00:00:00Z",
            "2026-11-20",
            "9999-12-32T00:00:00Z",
            "9999-12-3",
        ] {
            assert!(time("at", text).is_err(), "{text}");
        }
    }
}
