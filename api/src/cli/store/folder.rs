//! The data folder as verbs of `store` work on it that need no owner.

use everfold_engine::data_folder::Layout;
use everfold_engine::store::SledOptions;

use crate::cli::context::CommandContext;
use crate::cli::store_progress::store_progress;
use crate::fault::{Code, Fault};

/// The data folder, which has to be there: of one that is gone nothing is as it was written.
pub(super) fn existing_folder(context: &CommandContext) -> Result<&Layout, Fault> {
    let layout = &context.place()?.layout;
    let folder = layout.root().display();
    match layout.root().is_dir() {
        true => Ok(layout),
        false if layout.root().exists() => Err(Fault::new(Code::File, format!("{folder} is no folder"))),
        false => Err(Fault::new(Code::File, format!("there is no folder {folder}"))),
    }
}

/// Works on the folder itself, off the runtime's threads.
pub(super) async fn on_folder<T: Send + 'static>(
    body: impl FnOnce(&SledOptions) -> Result<T, Fault> + Send + 'static,
) -> Result<T, Fault> {
    let options = SledOptions { progress: store_progress(), ..SledOptions::default() };
    let done = tokio::task::spawn_blocking(move || body(&options)).await;
    done.map_err(|error| Fault::new(Code::Internal, error.to_string()))?
}
