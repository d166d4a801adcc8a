//! What is said on `/system` and `/spend` when something was done there, by the fixed word in the address.

/// The address that a done act leads to: its page, which says what was done.
pub(crate) fn said_at(page: &str, word: &str) -> String {
    let (path, part) = page.split_once('#').unwrap_or((page, ""));
    let path = crate::frame::with_query(path, "done", word);
    if part.is_empty() { path } else { format!("{path}#{part}") }
}

/// The sentence of a word.
pub(crate) fn done_sentence(word: &str) -> Option<&'static str> {
    Some(match word {
        "system-pause" => "Paused: no further step begins there until it is resumed.",
        "system-resume" => "Resumed: steps begin again.",
        "system-reset-breaker" => "The breaker is closed: what waited for it starts.",
        "system-send-again" => "The notice is being sent again.",
        "system-superseded-notice" => "The notice was dropped: a newer one of its channel took its place.",
        "system-drop-notice" => "The notice was dropped.",
        "system-rebuild" => "The read model is being built anew; the former one answers meanwhile.",
        "system-revoke-token" => "The token is revoked: it lets no caller in any more.",
        "spend-set-budget" => "The limits are set.",
        "spend-unset-budget" => "The limits were taken away.",
        _unknown => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_act_leads_back_to_its_part_and_says_what_was_done() {
        assert_eq!(said_at("/system#engine", "system-pause"), "/system?done=system-pause#engine");
        assert_eq!(said_at("/spend", "spend-set-budget"), "/spend?done=spend-set-budget");
        assert!(done_sentence("system-pause").is_some() && done_sentence("<b>").is_none());
    }
}
