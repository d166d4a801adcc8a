//! Addresses of pages.

/// A path with one pair more in its query.
#[must_use]
pub fn with_query(path: &str, name: &str, value: &str) -> String {
    let (path, fragment) = path.split_once('#').map_or((path, None), |(path, at)| (path, Some(at)));
    let mark = if path.contains('?') { '&' } else { '?' };
    let pair = form_urlencoded::Serializer::new(String::new()).append_pair(name, value).finish();
    let fragment = fragment.map(|at| format!("#{at}")).unwrap_or_default();
    format!("{path}{mark}{pair}{fragment}")
}

/// Whether a moment is a position of the log.
pub(crate) fn is_position(at: &str) -> bool {
    at.parse::<u64>().is_ok()
}
