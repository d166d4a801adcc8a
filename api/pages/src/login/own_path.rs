//! Paths of this server: nobody is led anywhere else.

/// A path of this server; an address elsewhere is not gone to.
pub(crate) fn own_path(to: Option<&str>) -> &str {
    let is_own = |to: &&str| {
        to.starts_with('/') && !to.starts_with("//") && !to.contains('\\') && !to.contains(char::is_control)
    };
    to.filter(is_own).unwrap_or("/")
}

/// The path and query of an address.
pub(super) fn path_of(address: &str) -> &str {
    let behind = address.split_once("://").map_or(address, |(_scheme, behind)| behind);
    behind.find('/').and_then(|at| behind.get(at..)).unwrap_or("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_path_of_this_server_is_gone_to() {
        for own in ["/", "/runs/1a2b?at=-5m", "/runs/1#step-build", "/a//b"] {
            assert_eq!(own_path(Some(own)), own);
        }
        for other in [
            "",
            "runs",
            "//evil.example",
            "https://evil.example",
            "/\\evil.example",
            "/\t/evil.example",
            "/a\r\nb",
        ] {
            assert_eq!(own_path(Some(other)), "/", "{other:?}");
        }
    }

    #[test]
    fn the_page_of_a_form_is_a_path_here() {
        assert_eq!(path_of("http://127.0.0.1:7878/runs/1?a=b"), "/runs/1?a=b");
        assert_eq!(path_of("http://127.0.0.1:7878"), "/");
    }
}
