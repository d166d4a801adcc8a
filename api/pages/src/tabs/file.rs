//! Bytes of an artefact, as a browser may have them.
//!
//! Law: what a browser would run or lay out as a page never leaves here as such. Pictures are known by their first bytes,
//! not by their names; everything else is a download. A document that is opened by itself stands in a sandbox.

use axum::body::Body;
use axum::body::Bytes;
use axum::extract::{Path, Query};
use axum::http::{HeaderName, HeaderValue, Method, header};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;

use crate::frame::Visit;
use crate::problem::Problem;
use crate::words::encoded;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct FileQuery {
    /// What a download is called.
    name: String,
    /// Anything: kept as a file, also what could be shown.
    download: String,
}

/// What a file is, by its first bytes, where a browser may show it as a picture.
pub(crate) fn picture(bytes: &[u8]) -> Option<&'static str> {
    let begins = |mark: &[u8]| bytes.starts_with(mark);
    match bytes {
        _ if begins(b"\x89PNG\r\n\x1a\n") => Some("image/png"),
        _ if begins(b"\xff\xd8\xff") => Some("image/jpeg"),
        _ if begins(b"GIF87a") || begins(b"GIF89a") => Some("image/gif"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some("image/webp"),
        [_, _, _, _, b'f', b't', b'y', b'p', b'a', b'v', b'i', b'f', ..] => Some("image/avif"),
        _ => None,
    }
}

/// Reads the bytes of an artefact.
pub(crate) async fn read(visit: &Visit, run: &str, hash: &str) -> Result<Bytes, Problem> {
    let path = format!("/runs/{}/artefacts/{}", encoded(run), encoded(hash));
    let request = visit.rest.request(Method::GET, &path, Body::empty())?;
    crate::rest::taken_in(visit.rest.send(request).await).await
}

/// `GET /runs/{run}/artefacts/{hash}`: a picture, or a download.
pub(crate) async fn file(
    visit: Visit,
    Path((run, hash)): Path<(String, String)>,
    Query(query): Query<FileQuery>,
) -> Result<Response, Problem> {
    let bytes = read(&visit, &run, &hash).await?;
    let shown = picture(&bytes).filter(|_| query.download.is_empty());
    let disposition = if shown.is_some() { "inline" } else { "attachment" };
    let head = [
        (header::CONTENT_TYPE, HeaderValue::from_static(shown.unwrap_or("application/octet-stream"))),
        (header::CONTENT_DISPOSITION, named(disposition, &query.name)),
        (
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::from_static("sandbox; default-src 'none'; frame-ancestors 'none'"),
        ),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::CACHE_CONTROL, HeaderValue::from_static("private, max-age=31536000, immutable")),
        (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
    ];
    Ok((head, bytes).into_response())
}

/// The name of a download: the last part of a path, in characters that every system takes.
fn named(disposition: &'static str, path: &str) -> HeaderValue {
    let last = path.rsplit(['/', '\\']).next().unwrap_or_default();
    let plain: String = last
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_') { c } else { '_' })
        .collect();
    let name = plain.trim_start_matches('.');
    let text =
        if name.is_empty() { disposition.to_owned() } else { format!("{disposition}; filename=\"{name}\"") };
    HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static(disposition))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_known_by_their_bytes_and_drawings_with_scripts_are_none() {
        assert_eq!(picture(b"\x89PNG\r\n\x1a\n...."), Some("image/png"));
        assert_eq!(picture(b"RIFF\0\0\0\0WEBPVP8 "), Some("image/webp"));
        assert_eq!(picture(b"<svg onload=alert(1)>"), None);
        assert_eq!(picture(b"<html>"), None);
        assert_eq!(picture(b""), None);
    }

    #[test]
    fn a_name_breaks_out_of_no_header() {
        assert_eq!(named("attachment", "a/b\"\r\nx: y.md"), "attachment; filename=\"b___x__y.md\"");
        assert_eq!(named("inline", "../.."), "inline");
    }
}
