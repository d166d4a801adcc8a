//! `gitea.pr_reviews`: what people decided of a commit of a pull request.
//!
//! Law: a decision counts for the commit that it was made of, and only until it is taken back; of each person the newest
//! counts.

use std::collections::BTreeMap;

use everfold_base::failure::{Failure, FailureKind};
use everfold_base::json::Value;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::function::{Call, StepError};
use crate::provider::{ProviderError, Providers, Review, ReviewState, pull_number};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(description = "")]
pub(super) struct ReviewParameters {
    /// number or address
    // A list of types is not derived from alternatives.
    #[schemars(extend("type" = ["integer", "string"]))]
    pr: Value,
    /// the commit that is judged; default: the newest one of the request
    #[serde(default)]
    #[schemars(length(min = 7))]
    sha: Option<String>,
    /// default: the one that `origin` lies at
    #[serde(default)]
    provider: Option<String>,
    /// OWNER/NAME; default: the provider's, else of `origin`
    #[serde(default)]
    repository: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(description = "")]
pub(super) struct ReviewOutput {
    /// somebody approved, and nobody requests changes
    ok: bool,
    reason: String,
    approved: bool,
    changes_requested: bool,
    sha: String,
    /// the newest decision of each person
    reviews: Vec<PersonsReview>,
}

#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(description = "")]
struct PersonsReview {
    by: String,
    #[schemars(description = "")]
    state: ReviewState,
    /// it is of this commit, and was not taken back
    counts: bool,
    sha: Option<String>,
    stale: bool,
    dismissed: bool,
    at: Option<String>,
    url: Option<String>,
}

/// Reads the reviews of a request, and says what they come to for one commit.
pub(super) async fn reviews(
    providers: Providers,
    call: Call,
    wanted: ReviewParameters,
) -> Result<ReviewOutput, Failure> {
    let Some(number) = pull_number(&wanted.pr) else {
        let message = "`with.pr` is the number of a pull request, or its address";
        return Err(StepError::validation(message).hint("`gitea.pr_of` finds it by its branch").into());
    };
    let limited = |error: ProviderError| {
        if let ProviderError::Limited { after: Some(pause), .. } = &error {
            call.ask_later(*pause);
        }
        Failure::from(error)
    };
    let (provider, repository) = (wanted.provider.as_deref(), wanted.repository.as_deref());
    let target = providers.target(provider, repository, call.workdir()).await?;
    let sha = match wanted.sha.filter(|sha| !sha.is_empty()) {
        Some(sha) => sha,
        None => target.provider.pull(&target.repository, number).await.map_err(limited)?.sha,
    };
    if sha.is_empty() {
        let message = format!("{} does not say which commit pull request {number} stands at", target.name);
        return Err(Failure::new(FailureKind::Error, message).with_hint("name the commit in `with.sha`"));
    }
    let found = target.provider.reviews(&target.repository, number).await.map_err(limited)?;
    Ok(judged(newest_of_each(found, &sha), sha))
}

/// The newest decision of each person; the service tells the oldest first.
fn newest_of_each(found: Vec<Review>, sha: &str) -> Vec<PersonsReview> {
    let mut newest: BTreeMap<String, PersonsReview> = BTreeMap::new();
    for review in found {
        if review.state == ReviewState::Comment {
            continue;
        }
        let is_of_commit = review.sha.as_deref().is_some_and(|own| own.starts_with(sha));
        let one = PersonsReview {
            counts: is_of_commit && !review.stale && !review.dismissed,
            by: review.by,
            state: review.state,
            sha: review.sha,
            stale: review.stale,
            dismissed: review.dismissed,
            at: review.at,
            url: review.url,
        };
        newest.insert(one.by.clone(), one);
    }
    newest.into_values().collect()
}

fn judged(reviews: Vec<PersonsReview>, sha: String) -> ReviewOutput {
    let of = |state| -> Vec<&str> {
        let those = reviews.iter().filter(|review| review.counts && review.state == state);
        those.map(|review| review.by.as_str()).collect()
    };
    let (for_it, against) = (of(ReviewState::Approved), of(ReviewState::ChangesRequested));
    let reason = match (for_it.as_slice(), against.as_slice()) {
        (_, [_, ..]) => format!("{} requested changes", against.join(", ")),
        ([], []) => format!("nobody has decided on {}", sha.get(..7).unwrap_or(&sha)),
        ([_, ..], []) => format!("approved by {}", for_it.join(", ")),
    };
    let (approved, changes_requested) = (!for_it.is_empty(), !against.is_empty());
    ReviewOutput { ok: approved && !changes_requested, reason, approved, changes_requested, sha, reviews }
}
