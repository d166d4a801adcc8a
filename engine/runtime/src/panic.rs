//! The text of a caught panic.

/// `panicked: MESSAGE`, or `panicked` where the payload is no text.
pub(crate) fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let said = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let said = said.or_else(|| panic.downcast_ref::<String>().cloned());
    said.map_or_else(|| "panicked".to_owned(), |said| format!("panicked: {said}"))
}
