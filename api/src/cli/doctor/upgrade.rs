//! `doctor --upgrade`: whether this version decides what was recorded as the version did that recorded it.

use serde_json::Value;

use super::finding::{Finding, Health};
use crate::cli::context::{CommandContext, items};
use crate::cli::replay_many::{ReplayRequest, ReplayTotals, decide_all, goes_on};
use crate::client::encode;
use crate::fault::Fault;
use crate::http::PipelineView;
use crate::text::{count, plain};

/// Runs that are named.
const NAMED: usize = 5;

/// Decides again all that every run recorded, and reads every saved pipeline.
pub(super) async fn findings(context: &CommandContext) -> Result<Vec<Finding>, Fault> {
    let mut findings = vec![pipelines(context).await?];
    let all = decide_all(context, &ReplayRequest::Known(String::new()), None, None).await?;
    findings.extend(runs(&all, &context.program.to_string()));
    Ok(findings)
}

/// Whether every saved pipeline can be read.
async fn pipelines(context: &CommandContext) -> Result<Finding, Fault> {
    let listed: Vec<PipelineView> = items(&context.client.get::<Value>("/api/v1/pipelines").await?)?;
    let saved: Vec<&PipelineView> = listed.iter().filter(|pipeline| pipeline.version.is_some()).collect();
    let mut unread = Vec::new();
    for pipeline in &saved {
        let read =
            context.client.get::<Value>(&format!("/api/v1/pipelines/{}", encode(&pipeline.name))).await;
        unread.extend(read.err().map(|fault| format!("{}: {}", pipeline.name, fault.message)));
    }
    Ok(match unread.is_empty() {
        true => {
            let found = format!("{} can be read", count(saved.len() as u64, "saved pipeline"));
            Finding::new("upgrade pipelines", Health::Good, found)
        }
        false => Finding::new("upgrade pipelines", Health::Bad, unread.join("; "))
            .hint("save it again: `everfold pipeline save FILE` says what this version wants"),
    })
}

/// What came of the runs: of those that go on a difference is grave, of the others it is worth knowing.
fn runs(all: &ReplayTotals, program: &str) -> Vec<Finding> {
    const WHAT: &str = "upgrade runs";
    let decided = count(all.runs, "run");
    if all.otherwise + all.failed == 0 {
        return vec![Finding::new(WHAT, Health::Good, format!("{decided} decided again, all as recorded"))];
    }
    let named = |runs: &[&Value]| {
        let names = runs.iter().take(NAMED).map(|run| {
            let text = |name: &str| plain(run[name].as_str().unwrap_or_default());
            format!("{} ({})", text("short_id"), text("message"))
        });
        let names = names.collect::<Vec<_>>().join("; ");
        if runs.len() > NAMED { format!("{names}; …") } else { names }
    };
    let (living, ended): (Vec<&Value>, Vec<&Value>) = all.kept.iter().partition(|run| goes_on(run));
    let (living_count, ended_count) = (all.living, all.otherwise + all.failed - all.living);
    let mut findings = Vec::new();
    if living_count > 0 {
        let found = format!(
            "of {decided}, {living_count} that go on would go otherwise, or cannot be decided: {}",
            named(&living)
        );
        findings.push(Finding::new(WHAT, Health::Bad, found).hint(format!(
            "let them end under the version that began them; {program} replay RUN shows what differs"
        )));
    }
    if ended_count > 0 {
        let found = format!(
            "of {decided}, {ended_count} that have ended would go otherwise, or cannot be decided: {}",
            named(&ended)
        );
        findings.push(
            Finding::new(WHAT, Health::Notable, found)
                .hint(format!("what is recorded stands; {program} replay RUN shows what differs")),
        );
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn totals(statuses: &[&str]) -> ReplayTotals {
        let row = |status: &&str| json!({ "short_id": "3b2cabce", "pipeline": "greet", "status": status, "message": "another verdict" });
        ReplayTotals {
            runs: 12,
            otherwise: statuses.len() as u64,
            living: statuses.iter().filter(|status| **status == "running").count() as u64,
            kept: statuses.iter().map(row).collect(),
            ..ReplayTotals::default()
        }
    }

    #[test]
    fn only_a_run_that_goes_on_holds_an_upgrade_up() {
        let found = |statuses: &[&str]| {
            let findings = runs(&totals(statuses), "everfold");
            findings.iter().map(|finding| (finding.health, finding.found.clone())).collect::<Vec<_>>()
        };
        assert_eq!(found(&[]), [(Health::Good, "12 runs decided again, all as recorded".to_owned())]);
        assert_eq!(
            found(&["succeeded", "running"]),
            [
                (
                    Health::Bad,
                    "of 12 runs, 1 that go on would go otherwise, or cannot be decided: 3b2cabce (another verdict)".to_owned()
                ),
                (
                    Health::Notable,
                    "of 12 runs, 1 that have ended would go otherwise, or cannot be decided: 3b2cabce (another verdict)".to_owned()
                ),
            ]
        );
    }
}
