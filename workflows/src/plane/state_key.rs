//! The names of states as keys: “In Progress” is `in_progress`.

/// The key of a state: the words of its name in lower case, joined by `_`. A key is its own key.
pub(super) fn state_key(name: &str) -> String {
    let words = name.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_lowercase).collect::<Vec<_>>().join("_")
}

/// Whether a state is for people to lift: what shows the progress of work does not override it.
pub(super) fn is_held(key: &str) -> bool {
    matches!(key, "needs_input" | "in_review" | "blocked")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_state_and_its_key_are_one() {
        for (name, key) in [
            ("In Progress", "in_progress"),
            ("in_progress", "in_progress"),
            (" Needs-input ", "needs_input"),
            ("QA / Staging", "qa_staging"),
            ("В работе", "в_работе"),
            ("…", ""),
        ] {
            assert_eq!(state_key(name), key, "{name}");
        }
    }
}
