//! The declarations of the functions `gitea.*`.

use std::time::Duration;

use super::{pull_of, reviews};
use crate::function::{Function, Functions};
use crate::http::HttpClient;
use crate::provider::Providers;
use crate::settings::WorkflowSettings;

/// One request.
const TIME_LIMIT: Duration = Duration::from_secs(5);

/// Adds the functions `gitea.*`.
pub(crate) fn declare(functions: &mut Functions, settings: &WorkflowSettings, client: &HttpClient) {
    let providers = Providers::within(&settings.providers, client, TIME_LIMIT);
    let (finder, reader) = (providers.clone(), providers);
    let declared = [
        Function::built_in("gitea.pr_of", move |call, wanted| pull_of::pull_of(finder.clone(), call, wanted))
            .summary("Finds the pull request of a branch; one that cannot be found out is none.")
            .read_only(),
        Function::built_in("gitea.pr_reviews", move |call, wanted| {
            reviews::reviews(reader.clone(), call, wanted)
        })
        .summary("Reads what people decided of a commit of a pull request.")
        .read_only(),
    ];
    declared.into_iter().for_each(|function| functions.offer(function));
}
