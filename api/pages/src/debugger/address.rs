//! What addresses of these pages name: runs and versions.

/// A number of an address, where there is one; else what is the matter.
pub(super) fn number(name: &str, text: Option<&str>) -> Result<Option<u64>, String> {
    let text = text.map(str::trim).filter(|text| !text.is_empty());
    let read = text.map(str::parse::<u64>).transpose();
    read.map_err(|_| format!("{name} is a version, a whole number: “{}”", text.unwrap_or_default()))
}

/// The name of a run, where it can be one: it becomes part of a path. Else what is the matter.
pub(super) fn run_name(run: &str) -> Result<&str, String> {
    let run = run.trim();
    let is_plain = run.chars().all(|c| c.is_ascii_alphanumeric() || "-@".contains(c));
    if is_plain && (1..=64).contains(&run.len()) {
        Ok(run)
    } else {
        Err(format!("there is no run “{}”", crate::tabs::excerpt::clamped(run, 80)))
    }
}
