//! JSON as values of CEL, and back.
//!
//! Law: no digit of a whole number is lost; of two errors in one value the same one is reported each time.

use std::collections::{BTreeMap, HashMap};

use cel::common::types::{
    CelBool, CelDouble, CelDuration, CelInt, CelList, CelMap, CelMapKey, CelNull, CelOptional, CelString,
    CelTimestamp, CelType, CelUInt,
};
use cel::common::value::Val;
use serde_json::{Number, Value};

/// JSON as CEL sees it. Its texts and the names of its fields are borrowed: a loop copies each item, and a text that is borrowed
/// costs nothing then.
pub(super) fn from_json<'v>(value: &'v Value) -> Box<dyn Val + 'v> {
    match value {
        Value::Null => Box::new(CelNull),
        Value::Bool(flag) => Box::new(CelBool::from(*flag)),
        Value::Number(number) => from_number(number),
        Value::String(text) => Box::new(CelString::from(text.as_str())),
        Value::Array(items) => list_of(items.iter().map(from_json)),
        Value::Object(fields) => {
            map_of(fields.iter().map(|(name, value)| (CelMapKey::from(name.as_str()), from_json(value))))
        }
    }
}

/// The same of JSON that nothing else has.
pub(super) fn from_owned_json(value: Value) -> Box<dyn Val> {
    match value {
        Value::Null => Box::new(CelNull),
        Value::Bool(flag) => Box::new(CelBool::from(flag)),
        Value::Number(number) => from_number(&number),
        Value::String(text) => Box::new(CelString::from(text)),
        Value::Array(items) => list_of(items.into_iter().map(from_owned_json)),
        Value::Object(fields) => {
            map_of(fields.into_iter().map(|(name, value)| (CelMapKey::from(name), from_owned_json(value))))
        }
    }
}

/// Whole numbers are `int` (CEL's own conversion would make them `uint`), larger ones than that holds are `uint`, so that no
/// digit of them is lost.
fn from_number(number: &Number) -> Box<dyn Val> {
    match (number.as_i64(), number.as_u64(), number.as_f64()) {
        (Some(number), ..) => Box::new(CelInt::from(number)),
        (None, Some(number), _) => Box::new(CelUInt::from(number)),
        (None, None, number) => Box::new(CelDouble::from(number.unwrap_or(f64::NAN))),
    }
}

/// A list of CEL.
pub(super) fn list_of<'v>(items: impl Iterator<Item = Box<dyn Val + 'v>>) -> Box<dyn Val + 'v> {
    Box::new(CelList::from(items.collect::<Vec<Box<dyn Val + 'v>>>()))
}

/// A field of a map of CEL.
pub(super) type MapField<'v> = (CelMapKey<'v>, Box<dyn Val + 'v>);

/// A map of CEL.
pub(super) fn map_of<'v>(fields: impl Iterator<Item = MapField<'v>>) -> Box<dyn Val + 'v> {
    Box::new(CelMap::from(fields.collect::<HashMap<CelMapKey<'v>, Box<dyn Val + 'v>>>()))
}

/// CEL's value as JSON; `depth` lists and maps are open round it.
pub(super) fn to_json(value: &dyn Val, depth: usize, depth_max: usize) -> Result<Value, String> {
    let is_open = || value.downcast_ref::<CelList>().is_some() || value.downcast_ref::<CelMap>().is_some();
    if depth >= depth_max && is_open() {
        return Err(too_deep(depth_max));
    }
    if value.downcast_ref::<CelNull>().is_some() {
        return Ok(Value::Null);
    }
    if let Some(flag) = value.downcast_ref::<CelBool>() {
        return Ok(Value::Bool(*flag.inner()));
    }
    if let Some(number) = value.downcast_ref::<CelInt>() {
        return Ok(Value::from(*number.inner()));
    }
    if let Some(number) = value.downcast_ref::<CelUInt>() {
        return Ok(Value::from(*number.inner()));
    }
    if let Some(number) = value.downcast_ref::<CelDouble>() {
        return serde_json::Number::from_f64(*number.inner())
            .map(Value::Number)
            .ok_or_else(|| format!("{} is no JSON number", number.inner()));
    }
    if let Some(text) = value.downcast_ref::<CelString>() {
        return Ok(Value::String(text.inner().to_owned()));
    }
    if let Some(list) = value.downcast_ref::<CelList>() {
        return list.inner().iter().map(|item| to_json(item.as_ref(), depth + 1, depth_max)).collect();
    }
    if let Some(map) = value.downcast_ref::<CelMap>() {
        // In the order of the keys, so that of two errors the same one is reported each time.
        let mut entries: Vec<_> = map.inner().iter().collect();
        entries.sort_by_cached_key(|(key, _)| key_order(key));
        let mut fields = BTreeMap::new();
        for (key, value) in entries {
            let value = to_json(value.as_ref(), depth + 1, depth_max)?;
            if fields.insert(key_text(key), value).is_some() {
                return Err(format!("a map has the key “{}” as a text and as another value", key_text(key)));
            }
        }
        return Ok(Value::Object(fields.into_iter().collect()));
    }
    if let Some(optional) = value.downcast_ref::<CelOptional>() {
        return optional.option().map_or(Ok(Value::Null), |value| to_json(value, depth, depth_max));
    }
    if let Some(span) = value.downcast_ref::<CelDuration>() {
        return Ok(Value::String(format!("{}ms", span.inner().num_milliseconds())));
    }
    if let Some(time) = value.downcast_ref::<CelTimestamp>() {
        return Ok(Value::String(time.inner().to_rfc3339()));
    }
    if let Some(name) = value.downcast_ref::<CelType>() {
        return Ok(Value::String(name.name().to_owned()));
    }
    Err(format!("a value of type {} has no JSON form", value.get_type().name()))
}

pub(super) fn too_deep(depth_max: usize) -> String {
    format!(
        "the value is nested deeper than {depth_max} levels; keep it in a file, or as text with toJson(…)"
    )
}

fn key_text(key: &CelMapKey<'_>) -> String {
    match key {
        CelMapKey::Bool(flag) => flag.inner().to_string(),
        CelMapKey::Int(number) => number.inner().to_string(),
        CelMapKey::UInt(number) => number.inner().to_string(),
        CelMapKey::String(text) => text.inner().to_owned(),
    }
}

/// The order of the keys of a map: of two evaluations, each goes through it in the same one.
pub(super) fn key_order(key: &CelMapKey<'_>) -> (u8, i128, String) {
    match key {
        CelMapKey::Bool(flag) => (0, i128::from(*flag.inner()), String::new()),
        CelMapKey::Int(number) => (1, i128::from(*number.inner()), String::new()),
        CelMapKey::UInt(number) => (1, i128::from(*number.inner()), String::new()),
        CelMapKey::String(text) => (2, 0, text.inner().to_owned()),
    }
}
