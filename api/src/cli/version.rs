//! `version`.

use serde_json::json;

use super::output::Out;
use crate::fault::Fault;

pub(crate) fn run(as_json: bool) -> Result<u8, Fault> {
    let (out, version) = (Out::new(), env!("CARGO_PKG_VERSION"));
    if as_json {
        out.json(&json!({
            "version": version,
            "store_format": everfold_engine::store::STORE_FORMAT,
            "fold": everfold_engine::state::FOLD_VERSION,
        }))?;
    } else {
        out.line(format!("everfold {version}"));
    }
    Ok(0)
}
