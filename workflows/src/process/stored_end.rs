//! The report of an attempt as its folder keeps it.

use std::collections::BTreeMap;
use std::path::Path;

use everfold_base::failure::Failure;
use everfold_base::json::{JsonText, Value};
use everfold_base::time::Timestamp;
use everfold_ports::{Artefact, AttemptEnd, AttemptNotes, AttemptResult, Usage};
use serde::{Deserialize, Serialize};

use crate::private_file::{if_there, write_private};
use crate::shim::protocol::PROTOCOL;
use everfold_system::regular;

/// The first report.
const REPORT: &str = "report.json";

/// A report as it is kept.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct StoredEnd {
    protocol: u32,
    result: StoredResult,
    commit: Option<String>,
    artefacts: Vec<Artefact>,
    usage: Vec<Usage>,
    ended_at: i64,
    #[serde(default, rename = "told")]
    notes: AttemptNotes,
    #[serde(default)]
    search: BTreeMap<String, Value>,
    #[serde(default)]
    ask: Option<JsonText>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StoredResult {
    Succeeded(JsonText),
    Failed(Failure),
    Lost(String),
}

impl StoredEnd {
    /// The report that was given before, if one was.
    pub(crate) fn load(folder: &Path) -> std::io::Result<Option<Self>> {
        let text = if_there(regular::read(&folder.join(REPORT)))?;
        let end = text.and_then(|text| serde_json::from_slice::<Self>(&text).ok());
        Ok(end.filter(|end| end.protocol <= PROTOCOL))
    }

    /// Keeps a report in the attempt's folder; nothing where nothing has ended yet.
    pub(crate) fn keep(end: &AttemptEnd, folder: &Path) -> std::io::Result<()> {
        let Some(stored) = Self::of(end) else { return Ok(()) };
        write_private(&folder.join(REPORT), &serde_json::to_vec(&stored)?)
    }

    /// `None` where nothing has ended yet.
    fn of(end: &AttemptEnd) -> Option<Self> {
        Some(Self {
            protocol: PROTOCOL,
            result: match &end.result {
                AttemptResult::Succeeded(output) => StoredResult::Succeeded(JsonText::new(output)),
                AttemptResult::Failed(failure) => StoredResult::Failed(failure.clone()),
                AttemptResult::Lost { reason } => StoredResult::Lost(reason.clone()),
                AttemptResult::NoRoom { .. } | AttemptResult::Unreadable { .. } => return None,
            },
            commit: end.commit.clone(),
            artefacts: end.artefacts.clone(),
            usage: end.usage.clone(),
            ended_at: end.ended_at.0,
            notes: end.notes.clone(),
            search: end.search.clone(),
            ask: end.ask.as_ref().map(JsonText::new),
        })
    }
}

impl From<StoredEnd> for AttemptEnd {
    fn from(stored: StoredEnd) -> Self {
        Self {
            result: match stored.result {
                StoredResult::Succeeded(output) => AttemptResult::Succeeded(output.value()),
                StoredResult::Failed(failure) => AttemptResult::Failed(failure),
                StoredResult::Lost(reason) => AttemptResult::Lost { reason },
            },
            commit: stored.commit,
            artefacts: stored.artefacts,
            usage: stored.usage,
            ended_at: Timestamp(stored.ended_at),
            notes: stored.notes,
            search: stored.search,
            ask: stored.ask.map(|ask| ask.value()),
            again_after: None,
            receipt: None,
        }
    }
}
