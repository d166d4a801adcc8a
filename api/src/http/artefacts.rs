//! The files that the steps of a run gave, and the values that are too large for its events.
//!
//! Law: bytes are given out only by the hash that an event of this run names, and only where they still have that hash; no
//! part of a path is taken from a request. They are data: no browser shows or runs them as something of this server.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use everfold_engine::artefact::Artefact;
use everfold_engine::envelope::{Envelope, StreamId};
use everfold_engine::event::{self, RunEvent};
use everfold_engine::id::{AttemptId, Position, RunId, Version};
use everfold_engine::json::Hash;
use everfold_engine::store::{BlobError, BlobStore};
use everfold_engine::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::answer::Page;
use super::app::App;
use super::extract::{Params, Path};
use super::parameters::{limit, moment};
use super::state::begun_by;
use crate::fault::{Code, Fault, chain};
use crate::node::CursorOf;
use crate::schema;

/// The largest file that is given out, in bytes.
const BYTES_MAX: u64 = 32 * 1024 * 1024;
/// Events that are looked through at once.
const CHUNK: usize = 256;
/// Events that are looked through for one part of the list, which then may hold fewer than were asked for.
const EVENTS_MAX: usize = 20_000;

/// A file that an attempt gave.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = ArtefactRow)]
pub(crate) struct ArtefactRow {
    /// The version of the event that names it.
    version: u64,
    #[schema(value_type = schema::TimeSchema)]
    at: Timestamp,
    /// The step, or an item of it.
    step: String,
    round: u32,
    attempt: u32,
    /// Its name in `outputs`; `everfold.…` is what the engine keeps of its own.
    name: String,
    /// Where it was, relative to the folder in which the step worked.
    path: String,
    #[schema(value_type = schema::HashSchema)]
    hash: Hash,
    size_bytes: u64,
}

impl ArtefactRow {
    fn new(envelope: &Envelope, id: &AttemptId, artefact: &Artefact) -> Self {
        Self {
            version: envelope.header.version.get(),
            at: envelope.header.recorded_at,
            step: id.path.to_string(),
            round: id.round.0,
            attempt: id.attempt.0,
            name: artefact.name.clone(),
            path: artefact.path.clone(),
            hash: artefact.blob.hash,
            size_bytes: artefact.blob.size_bytes,
        }
    }
}

#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ArtefactParams {
    /// A time or a position.
    at: Option<String>,
    limit: Option<usize>,
    cursor: Option<String>,
}

/// Where an artefact stands: the version of its event, and its place in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct ArtefactPlace {
    version: Version,
    index: usize,
}

impl ArtefactPlace {
    /// The bits of a cursor's number that are the place in the event.
    const INDEX_BITS: u32 = 16;

    fn number(self) -> u64 {
        // An event of at most 2 MiB names fewer than there is room for.
        (self.version.get() << Self::INDEX_BITS) | self.index as u64
    }

    fn read(number: u64) -> Self {
        let index = number & ((1 << Self::INDEX_BITS) - 1);
        Self { version: Version((number >> Self::INDEX_BITS).max(1)), index: index as usize }
    }
}

/// `GET /runs/{id}/artefacts`: the files that the steps gave, in the order in which they came.
#[utoipa::path(
    get,
    path = "/runs/{run}/artefacts",
    tag = "history",
    params(ArtefactParams),
    responses((status = 200, description = "Part of the list, in the order in which they came, those of the history that a fork copied included.", body = Page<ArtefactRow>))
)]
pub(crate) async fn list(
    State(app): State<App>,
    Path(run): Path<String>,
    Params(params): Params<ArtefactParams>,
) -> Result<Json<Page<ArtefactRow>>, Fault> {
    let run = app.resolve(&run).await?;
    let paged = CursorOf::Artefacts.with(&[Some(&run.to_string())]);
    let cursor = app.in_list(paged, params.cursor.as_deref())?.map(ArtefactPlace::read);
    let limit = limit(params.limit)?;
    let until = moment(&app, params.at.as_deref()).await?;
    begun_by(&app, run, until).await?;
    let from = cursor.unwrap_or(ArtefactPlace { version: Version::FIRST, index: 0 });
    let (mut items, mut next, mut looked_through) = (Vec::new(), None, 0);
    each_event(&app, run, from.version, |envelope, event| {
        if until.is_some_and(|until: Position| envelope.position > until) {
            return true;
        }
        let version = envelope.header.version;
        if looked_through == EVENTS_MAX {
            next = Some(ArtefactPlace { version, index: 0 });
            return true;
        }
        looked_through += 1;
        let (id, artefacts) = match event {
            RunEvent::AttemptSucceeded(event) => (&event.id, &event.artefacts),
            RunEvent::AttemptFailed(event) => (&event.id, &event.artefacts),
            _other => return false,
        };
        let before = if version == from.version { from.index } else { 0 };
        for (index, artefact) in artefacts.iter().enumerate().skip(before) {
            if items.len() == limit {
                next = Some(ArtefactPlace { version, index });
                return true;
            }
            items.push(ArtefactRow::new(envelope, id, artefact));
        }
        false
    })
    .await?;
    Ok(Json(Page { items, next_cursor: app.list_cursor(paged, next.map(ArtefactPlace::number)) }))
}

/// `GET /runs/{id}/artefacts/{hash}`: the bytes of a file that a step gave, or of a value that an event names.
#[utoipa::path(
    get,
    path = "/runs/{run}/artefacts/{hash}",
    tag = "history",
    params(("hash" = String, Path, description = "The BLAKE3 hash of the bytes, as the list or an event says it.")),
    responses((status = 200, description = "The bytes. They never change, so they may be kept for ever.", content_type = "application/octet-stream", body = Vec<u8>))
)]
pub(crate) async fn bytes(
    State(app): State<App>,
    Path((run, hash)): Path<(String, String)>,
) -> Result<Response, Fault> {
    let run = app.resolve(&run).await?;
    let unknown = || {
        Fault::new(
            Code::NoArtefact,
            format!("run {} has no artefact “{}”", run.short(), crate::text::cut(&hash, 70)),
        )
        .hint(format!("GET /runs/{}/artefacts lists them with their hashes", run.short()))
    };
    let asked: Hash = hash.parse().map_err(|_| unknown())?;
    let mut size = None;
    each_event(&app, run, Version::FIRST, |_envelope, event| {
        size = event.blobs().into_iter().find(|blob| blob.hash == asked).map(|blob| blob.size_bytes);
        size.is_some()
    })
    .await?;
    let size = size.ok_or_else(unknown)?;
    if size > BYTES_MAX {
        let message = format!("{size} bytes are over the limit of {} MiB", BYTES_MAX / 1024 / 1024);
        return Err(Fault::new(Code::ArtefactTooLarge, message)
            .hint(format!("it is the file blobs/{run}/{asked} of the data folder")));
    }
    let blobs = BlobStore::new(app.layout().root());
    let bytes = blobs.get(run, asked).await.map_err(|error| unreadable(&error))?;
    let head = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream")),
        (header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment")),
        (header::CACHE_CONTROL, HeaderValue::from_static("private, max-age=31536000, immutable")),
    ];
    Ok((StatusCode::OK, head, bytes).into_response())
}

fn unreadable(error: &BlobError) -> Fault {
    match error {
        BlobError::Missing { .. } => Fault::new(Code::NoArtefact, chain(error)),
        BlobError::Damaged { .. } => {
            Fault::new(Code::Damaged, chain(error)).hint("`everfold store verify` looks at all of them")
        }
        _unreadable => Fault::new(Code::StoreIo, chain(error)),
    }
}

/// Hands out the events of a run from one on, one by one, until one says that it is enough. Those that this version cannot read are passed
/// over: they name nothing that could be given out.
async fn each_event(
    app: &App,
    run: RunId,
    from: Version,
    mut is_enough: impl FnMut(&Envelope, &RunEvent) -> bool + Send,
) -> Result<(), Fault> {
    let (stream, mut next) = (StreamId::run(run), from);
    loop {
        let events = app.store().read(&stream, next, CHUNK).await?;
        let Some(last) = events.last() else { return Ok(()) };
        next = last.header.version.next();
        for envelope in &events {
            let header = &envelope.header;
            let Ok(event) = event::decode(header.kind, header.schema, &envelope.payload) else { continue };
            if is_enough(envelope, &event) {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_back_from_its_number() {
        for (version, index) in [(1, 0), (7, 65_535), (14_000_000, 3)] {
            let place = ArtefactPlace { version: Version(version), index };
            assert_eq!(ArtefactPlace::read(place.number()), place);
        }
    }
}
