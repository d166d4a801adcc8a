//! Paths that mean the same in another working folder.

use std::path::PathBuf;

use everfold_ports::AttemptRequest;

/// The request with paths that mean the same in the process's own working folder.
pub(crate) fn absolute(mut request: AttemptRequest) -> AttemptRequest {
    for path in [&mut request.folder, &mut request.workdir.path] {
        make_absolute(path);
    }
    request
}

/// A path that means the same in another working folder.
pub(crate) fn make_absolute(path: &mut PathBuf) {
    if let Ok(absolute) = std::path::absolute(&*path) {
        *path = absolute;
    }
}
