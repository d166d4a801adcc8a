//! Small XML documents.
//!
//! Law: how deep a document is nested is counted before it is parsed. The parser calls itself for every
//! level, so a report of some 70 KB that holds nothing but beginnings would take the whole process with it.

use roxmltree::Document;

/// Levels of one document: reports of tests have five or six.
const DEPTH_MAX: usize = 128;

/// Reads a document.
///
/// # Errors
/// A phrase that says what is wrong.
pub(crate) fn read(text: &str) -> Result<Document<'_>, String> {
    if is_too_deep(text) {
        return Err(format!("is nested deeper than {DEPTH_MAX} levels"));
    }
    Document::parse(text).map_err(|error| format!("is no XML: {error}"))
}

/// Whether more elements are open at once than are allowed, as far as the text is well-formed: behind its
/// first fault the parser does not look either.
fn is_too_deep(text: &str) -> bool {
    let mut depth: usize = 0;
    let mut rest = text;
    while let Some(at) = rest.find('<') {
        rest = &rest[at..];
        let skipped = [("<!--", "-->"), ("<![CDATA[", "]]>"), ("<?", "?>")]
            .into_iter()
            .find_map(|(begin, end)| Some((rest.strip_prefix(begin)?, end)));
        if let Some((inner, end)) = skipped {
            let Some(at) = inner.find(end) else { return false };
            rest = &inner[at + end.len()..];
            continue;
        }
        let Some(tag) = tag(rest) else { return false };
        rest = &rest[tag.len()..];
        if tag.starts_with("</") {
            depth = depth.saturating_sub(1);
        } else if !tag.ends_with("/>") && !tag.starts_with("<!") {
            depth += 1;
        }
        if depth > DEPTH_MAX {
            return true;
        }
    }
    false
}

/// A tag with its brackets; values in quotes may hold brackets, too. `None`: it does not end.
fn tag(text: &str) -> Option<&str> {
    let mut quote = None;
    for (at, byte) in text.bytes().enumerate() {
        match (quote, byte) {
            (None, b'>') => return Some(&text[..=at]),
            (None, b'"' | b'\'') => quote = Some(byte),
            (Some(open), byte) if open == byte => quote = None,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_38_a_deep_document_is_refused_before_the_parser_calls_itself() {
        for begin in
            ["<a>", "<a x='>'>", "<a x=\"/>\">", "<a><!-- </a> -->", "<a><![CDATA[</a>]]>", "<a><?b </a>?>"]
        {
            let deep = begin.repeat(200_000);
            assert!(read(&deep).unwrap_err().contains("128 levels"), "{begin}");
            let closed = format!("{}{}", "<a>".repeat(200_000), "</a>".repeat(200_000));
            assert!(read(&closed).unwrap_err().contains("128 levels"));
        }
    }

    #[test]
    fn what_is_wide_or_as_deep_as_allowed_is_read() {
        let wide =
            format!("<?xml version='1.0'?><a>{}{}</a>", "<b c='>'/>".repeat(2_000), "<b>x</b>".repeat(2_000));
        assert_eq!(read(&wide).unwrap().descendants().count(), 1 + 1 + 4_000 + 2_000);
        let deep = format!("{}{}", "<a>".repeat(DEPTH_MAX), "</a>".repeat(DEPTH_MAX));
        assert!(read(&deep).is_ok());
        for broken in ["<a><b", "<a '><a '><a '>", "<a></a></a>", "", "<!-- ", "<a><![CDATA["] {
            assert!(read(broken).unwrap_err().starts_with("is no XML"), "{broken}");
        }
    }
}
