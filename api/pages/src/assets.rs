//! Scripts and style sheets, held in the program.
//!
//! Law: an address names the bytes: `/assets/HASH/NAME`, where the hash is one of all assets. So browsers keep them
//! for ever, scripts import each other by relative names, and a new program is never mixed with former parts.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};

/// The parts of the one style sheet, in their order. Those of an area hold on its pages alone: the root element names
/// the areas of a page ([`crate::frame::Frame::areas`]).
const STYLES: &[(Option<&str>, &str)] = &[
    (None, include_str!("../assets/styles/tokens.css")),
    (None, include_str!("../assets/styles/frame.css")),
    (None, include_str!("../assets/styles/components.css")),
    (None, include_str!("../assets/styles/login.css")),
    (None, include_str!("../assets/styles/find.css")),
    (None, include_str!("../assets/styles/actions.css")),
    (Some("board"), include_str!("../assets/styles/board.css")),
    (Some("board"), include_str!("../assets/styles/orch.css")),
    (Some("run"), include_str!("../assets/styles/run.css")),
    (Some("tabs"), include_str!("../assets/styles/run_tabs.css")),
    (Some("debugger"), include_str!("../assets/styles/debugger.css")),
    (Some("inbox"), include_str!("../assets/styles/inbox.css")),
    (Some("audit"), include_str!("../assets/styles/audit.css")),
    (Some("pipelines"), include_str!("../assets/styles/pipelines.css")),
    (Some("system"), include_str!("../assets/styles/system.css")),
];

/// The whole style sheet.
fn style() -> String {
    let scoped = |(area, text): &(Option<&str>, &str)| match area {
        Some(area) => format!("@scope (:root[data-areas~=\"{area}\"]) {{\n{text}}}\n"),
        None => (*text).to_owned(),
    };
    STYLES.iter().map(scoped).collect()
}

/// Other files, by name: scripts are ES modules, but for htmx.
const FILES: &[(&str, &str)] = &[
    ("htmx.js", include_str!("../assets/htmx.js")),
    ("page.js", include_str!("../assets/page.js")),
    ("live.js", include_str!("../assets/live.js")),
    ("times.js", include_str!("../assets/times.js")),
    ("dialogs.js", include_str!("../assets/dialogs.js")),
    ("login.js", include_str!("../assets/login.js")),
    ("send.js", include_str!("../assets/send.js")),
    ("keys.js", include_str!("../assets/keys.js")),
    ("palette.js", include_str!("../assets/palette.js")),
    ("board.js", include_str!("../assets/board.js")),
    ("time_bar.js", include_str!("../assets/time_bar.js")),
    ("views.js", include_str!("../assets/views.js")),
    ("run.js", include_str!("../assets/run.js")),
    ("tail.js", include_str!("../assets/tail.js")),
    ("log.js", include_str!("../assets/log.js")),
    ("debugger.js", include_str!("../assets/debugger.js")),
    ("inbox.js", include_str!("../assets/inbox.js")),
    ("start.js", include_str!("../assets/start.js")),
    ("stages.js", include_str!("../assets/stages.js")),
    ("icon.svg", include_str!("../assets/icon.svg")),
    ("icon-bad.svg", include_str!("../assets/icon-bad.svg")),
    ("icon-waiting.svg", include_str!("../assets/icon-waiting.svg")),
    ("icon-running.svg", include_str!("../assets/icon-running.svg")),
    ("icon-good.svg", include_str!("../assets/icon-good.svg")),
    ("icon-still.svg", include_str!("../assets/icon-still.svg")),
];

/// All assets.
struct Assets {
    style: String,
    /// The first 12 hexadecimal digits of a hash over all names and bytes.
    hash: String,
}

static ASSETS: LazyLock<Assets> = LazyLock::new(|| {
    let style = style();
    let mut hasher = blake3::Hasher::new();
    for (name, text) in FILES.iter().copied().chain([("style.css", style.as_str())]) {
        hasher.update(name.as_bytes()).update(&[0]).update(text.as_bytes()).update(&[0]);
    }
    let hash = hasher.finalize().to_hex()[..12].to_owned();
    Assets { style, hash }
});

/// The hash in the addresses of assets.
pub(crate) fn hash() -> &'static str {
    &ASSETS.hash
}

/// `GET /assets/{hash}/{name}`.
pub(crate) async fn asset(Path((hash, name)): Path<(String, String)>) -> Response {
    let text = match name.as_str() {
        "style.css" => Some(ASSETS.style.as_str()),
        name => FILES.iter().find(|(known, _)| *known == name).map(|(_, text)| *text),
    };
    let Some(text) = text.filter(|_| hash == ASSETS.hash) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let kind = match name.rsplit_once('.') {
        Some((_, "css")) => "text/css; charset=utf-8",
        Some((_, "svg")) => "image/svg+xml",
        _script => "text/javascript; charset=utf-8",
    };
    let head = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable")),
    ];
    (head, text).into_response()
}
