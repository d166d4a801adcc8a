//! The CI of the demo: each new commit of a branch is tested, and Gitea's fake has the status and tells it by a webhook.
//! What the fake was asked to merge comes to main of the repository.
//!
//! Law: a status is what `sh tests/run.sh` says of the checked-out commit.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::time::Duration;

use everfold_system::clock::draw_u128;
use hmac::{Hmac, KeyInit as _, Mac as _};
use hyper::Method;
use serde_json::json;
use sha2::Sha256;

use super::orch_scratch::{OWNER, OrchScratch, REPOSITORY};
use crate::fakes::{FakeGitea, FakeServer};
use crate::http::{HttpClient, HttpRequest};

/// One delivery.
const TIME_LIMIT: Duration = Duration::from_secs(10);

/// A branch with another commit, and what CI says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CiNews {
    /// The branch.
    pub branch: String,
    /// The commit.
    pub commit: String,
    /// Whether its tests pass, and the first line that they say; `None`: it has none.
    pub tested: Option<(bool, String)>,
}

/// Looks at the repository, tests, and tells.
#[derive(Default)]
pub struct DemoCi {
    seen: BTreeMap<String, String>,
    /// The requests whose branches were brought to main.
    merged: BTreeSet<u64>,
    client: HttpClient,
}

impl DemoCi {
    /// Takes up what was pushed since; `hook` is where deliveries go, `secret` signs them.
    ///
    /// # Errors
    /// Git fails.
    pub async fn look(
        &mut self,
        scratch: &OrchScratch,
        gitea: &FakeServer<FakeGitea>,
        hook: &str,
        secret: &str,
    ) -> io::Result<Vec<CiNews>> {
        let mut news = Vec::new();
        let merged = gitea.service(|gitea| {
            let merged = gitea.pulls.iter().filter(|pull| pull.state == "merged");
            merged.map(|pull| (pull.number, pull.head.clone())).collect::<Vec<_>>()
        });
        for (number, branch) in merged {
            if self.merged.insert(number) {
                scratch.bring_to_main(&branch)?;
            }
        }
        for (branch, commit) in scratch.heads()? {
            if self.seen.get(&branch) == Some(&commit) {
                continue;
            }
            self.seen.insert(branch.clone(), commit.clone());
            gitea.service(|gitea| gitea.push(&branch, &commit));
            if branch == "main" {
                continue;
            }
            let tested = scratch.test(&commit)?;
            if let Some((passes, _)) = &tested {
                let status = if *passes { "success" } else { "failure" };
                let context = "ci/tests".to_owned();
                gitea.service(|gitea| gitea.statuses.push((commit.clone(), context, status.to_owned())));
                self.tell(hook, secret, &commit, status).await;
            }
            news.push(CiNews { branch, commit, tested });
        }
        Ok(news)
    }

    /// A delivery that is not taken is lost, as Gitea loses it: the gate asks by itself, too.
    async fn tell(&self, hook: &str, secret: &str, commit: &str, status: &str) {
        let body = json!({
            "sha": commit, "state": status, "context": "ci/tests", "description": "",
            "commit": {"id": commit},
            "repository": {"name": REPOSITORY, "full_name": format!("{OWNER}/{REPOSITORY}")},
            "sender": {"login": "ci"},
        });
        let raw = body.to_string().into_bytes();
        let mut request = HttpRequest::get(hook);
        (request.method, request.timeout) = (Method::POST, TIME_LIMIT);
        request.headers = [
            ("content-type", "application/json".to_owned()),
            ("x-gitea-event", "status".to_owned()),
            ("x-gitea-delivery", format!("{:032x}", draw_u128())),
            ("x-gitea-signature", signature(secret, &raw)),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        request.body = Some(raw);
        let _lost_or_taken = self.client.send(request).await;
    }
}

/// The HMAC-SHA256 of the body in hexadecimal digits.
fn signature(secret: &str, raw: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(raw);
    mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}
