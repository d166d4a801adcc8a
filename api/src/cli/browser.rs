//! Opening an address in the browser of who sits at this machine.

use std::process::{Command, Stdio};

/// Opens an address, where there is a screen; says whether something took it.
pub(crate) fn open(url: &str) -> bool {
    let Some(program) = opener(cfg!(target_os = "macos"), |name| {
        std::env::var_os(name).is_some_and(|value| !value.is_empty())
    }) else {
        return false;
    };
    let mut command = Command::new(program);
    command.arg(url).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().is_ok()
}

/// The program that opens addresses; none without a screen, or where somebody came over ssh and sits elsewhere.
fn opener(is_mac: bool, is_set: impl Fn(&str) -> bool) -> Option<&'static str> {
    match is_mac {
        true => (!is_set("SSH_CONNECTION")).then_some("open"),
        false => (is_set("DISPLAY") || is_set("WAYLAND_DISPLAY")).then_some("xdg-open"),
    }
}

#[cfg(test)]
mod tests {
    use super::opener;

    #[test]
    fn a_browser_is_opened_where_there_is_a_screen_alone() {
        let with = |names: &'static [&'static str]| move |name: &str| names.contains(&name);
        assert_eq!(opener(false, with(&[])), None);
        assert_eq!(opener(false, with(&["DISPLAY"])), Some("xdg-open"));
        assert_eq!(opener(false, with(&["WAYLAND_DISPLAY"])), Some("xdg-open"));
        assert_eq!(opener(true, with(&[])), Some("open"));
        assert_eq!(opener(true, with(&["SSH_CONNECTION"])), None);
    }
}
