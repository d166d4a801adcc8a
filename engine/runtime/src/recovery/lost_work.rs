//! Ends work of a past that the history does not have.
//!
//! Law: only work in the folders that are named is ended, by the folder that its process names: what another data folder
//! does is never touched.

use std::path::{Path, PathBuf};

use crate::runtime::Runtime;

/// Ends what is at work in these folders of runs and of attempts; gives the folders of attempts in which something was, as
/// `RUN/FOLDER`.
pub(crate) async fn end_work_in(shared: &Runtime, lost: &[PathBuf]) -> Vec<PathBuf> {
    let Some(survivors) = &shared.edge.survivors else { return Vec::new() };
    let all = shared.layout.all_attempts();
    let lost: Vec<&Path> = lost.iter().filter_map(|path| path.strip_prefix(&all).ok()).collect();
    let mut ended = Vec::new();
    let mut ending = Vec::new();
    for folder in survivors.living(all.clone()).await {
        // Its path is the real one, which the data folder may have been reached by another path than.
        let Some(place) = place_of(&folder).filter(|place| lost.iter().any(|lost| place.starts_with(lost)))
        else {
            continue;
        };
        tracing::warn!(folder = %folder.display(), "ending work of a past that this history does not have");
        ending.push(survivors.end(folder));
        ended.push(place);
    }
    futures::future::join_all(ending).await;
    ended.sort();
    ended
}

/// The last two parts of the path of an attempt's folder: its run and its name.
fn place_of(folder: &Path) -> Option<PathBuf> {
    Some(Path::new(folder.parent()?.file_name()?).join(folder.file_name()?))
}
