//! The failure of a folder of worktrees that cannot be written to.

use std::path::Path;

use everfold_base::failure::{Failure, FailureKind, NO_ROOM_CODE};

use everfold_system::os_error::is_shortage;

pub(super) fn unwritable(folder: &Path, error: &std::io::Error) -> Failure {
    let mut failure =
        Failure::new(FailureKind::Spawn, format!("could not write to {}: {error}", folder.display()))
            .with_hint("look at the space and the permissions of the data folder");
    if is_shortage(error) {
        failure.code = Some(NO_ROOM_CODE.to_owned());
    }
    failure
}
