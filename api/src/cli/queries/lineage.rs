//! `lineage`: the runs that went on from one another's histories, as a tree.

use everfold_engine::event::OriginKind;
use everfold_engine::id::RunId;
use owo_colors::OwoColorize as _;
use serde_json::Value;

use crate::cli::args::LineageArgs;
use crate::cli::context::CommandContext;
use crate::cli::moments::moment_param;
use crate::cli::output::{columns, note};
use crate::client::{encode, query};
use crate::fault::Fault;
use crate::node::{Lineage, LineageRun};
use crate::text::{cut_styled, instant, plain, run_style};

pub(crate) async fn run(context: &CommandContext, args: LineageArgs) -> Result<u8, Fault> {
    let at = moment_param("--at", args.at.as_ref())?;
    let path = format!("/api/v1/runs/{}/lineage{}", encode(&args.run), query([("at", at)]));
    if context.json {
        let lineage: Value = context.client.get(&path).await?;
        context.out.json(&lineage)?;
        return Ok(0);
    }
    let lineage: Lineage = context.client.get(&path).await?;
    lines(&lineage, columns()).into_iter().for_each(|line| context.out.line(line));
    if lineage.more {
        note("there are more runs than an answer holds");
    } else if lineage.items.len() == 1 {
        note("no run went on from it, and it began by itself");
    }
    Ok(0)
}

/// The tree, a line for each run.
fn lines(lineage: &Lineage, within: Option<usize>) -> Vec<String> {
    let mut lines = Vec::new();
    // Whether the last run was met at each depth: no bar leads further down from it.
    let mut ended: Vec<bool> = Vec::new();
    for (at, run) in lineage.items.iter().enumerate() {
        let depth = run.depth as usize;
        let behind = lineage.items[at + 1..].iter().map(|other| other.depth as usize);
        let is_last = behind.take_while(|other| *other >= depth).all(|other| other > depth);
        ended.truncate(depth);
        let mut branch: String =
            ended.iter().skip(1).map(|ended| if *ended { "   " } else { "│  " }).collect();
        if depth > 0 {
            branch.push_str(if is_last { "└─ " } else { "├─ " });
        }
        ended.push(is_last);
        let line = format!("{branch}{}", run_line(run, lineage.run));
        lines.push(within.map_or(line.clone(), |within| cut_styled(&line, within)));
    }
    lines
}

fn run_line(run: &LineageRun, asked: RunId) -> String {
    let short = if run.id == asked { run.short_id.bold().to_string() } else { run.short_id.clone() };
    let status = run.status.style(run_style(run.status)).to_string();
    let origin = run.origin.as_ref().map(|origin| {
        let how = match origin.how {
            OriginKind::Fork => "fork",
            OriginKind::Retry => "retry",
            OriginKind::Restart => "restart",
            OriginKind::Handover => "handover",
        };
        // That of the first one is a run which is not here.
        let of = if run.depth == 0 { format!(" of {}", origin.run.short()) } else { String::new() };
        format!("{how}{of} at {}", origin.version)
    });
    let title = run.title.as_deref().map_or_else(|| run.pipeline.clone(), plain);
    let mark = if run.id == asked { Some("← this run".to_owned()) } else { None };
    let parts = [Some(short), origin, Some(status), Some(instant(run.started_at)), Some(title), mark];
    parts.into_iter().flatten().collect::<Vec<_>>().join("  ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_branch_leads_from_each_run_to_those_that_went_on_from_it() {
        let run = |last: &str, depth: u32, how: Option<&str>| {
            let id = format!("01939000-0000-7000-8000-0000{last}");
            let origin = how.map(|how| {
                let origin = "01939000-0000-7000-8000-0000000000a1";
                json!({ "run": origin, "version": 12, "how": how })
            });
            json!({
                "id": id, "short_id": last, "depth": depth, "origin": origin, "pipeline": "greet", "title": null,
                "status": "succeeded", "started_at": "2026-11-20T11:04:00Z", "ended_at": null,
            })
        };
        let items = [
            run("000000a1", 0, None),
            run("000000a2", 1, Some("fork")),
            run("000000a3", 2, Some("retry")),
            run("000000a4", 2, Some("restart")),
            run("000000a5", 1, Some("fork")),
        ];
        let lineage = json!({ "run": "01939000-0000-7000-8000-0000000000a3", "items": items, "more": false });
        let lineage: Lineage = serde_json::from_value(lineage).unwrap();
        let shown: Vec<String> =
            lines(&lineage, None).iter().map(|line| anstream::adapter::strip_str(line).to_string()).collect();
        assert_eq!(
            shown,
            [
                "000000a1  succeeded  2026-11-20 11:04:00Z  greet",
                "├─ 000000a2  fork at 12  succeeded  2026-11-20 11:04:00Z  greet",
                "│  ├─ 000000a3  retry at 12  succeeded  2026-11-20 11:04:00Z  greet  ← this run",
                "│  └─ 000000a4  restart at 12  succeeded  2026-11-20 11:04:00Z  greet",
                "└─ 000000a5  fork at 12  succeeded  2026-11-20 11:04:00Z  greet",
            ]
        );
    }
}
