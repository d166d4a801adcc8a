//! Evidence of test reports: JUnit XML, found by globs.

use everfold_base::json::Value;
use everfold_ports::{ProbeFailure, ProbeRequest, Prober};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use roxmltree::Node;
use serde::Deserialize;
use serde_json::json;

use super::failures::{never, not_now};
use super::file::walk;
use super::fresh::unchanged;
use crate::workspace_path::{ResolvedPath, resolve};
use crate::xml;
use everfold_system::regular::read_bounded;

/// The largest report that is read.
const REPORT_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Failed tests that are named, and what is kept of what each says.
const FAILURES_MAX: usize = 50;
const MESSAGE_CHARS_MAX: usize = 600;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Spec {
    files: Globs,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Globs {
    One(String),
    Several(Vec<String>),
}

/// Counts the tests in reports.
#[derive(Debug, Clone, Copy, Default)]
pub struct TestsProber;

impl Prober for TestsProber {
    fn probe(&self, request: ProbeRequest) -> BoxFuture<'static, Result<Value, ProbeFailure>> {
        probe(request).boxed()
    }
}

async fn probe(request: ProbeRequest) -> Result<Value, ProbeFailure> {
    let spec: Spec =
        serde_json::from_value(request.spec.clone()).map_err(|error| never(format!("`tests`: {error}")))?;
    let globs = match spec.files {
        Globs::One(glob) => vec![glob],
        Globs::Several(globs) if !globs.is_empty() => globs,
        Globs::Several(_) => return Err(never("`tests` needs a glob of the reports")),
    };
    let base = match resolve(&request.workdir.path, ".") {
        ResolvedPath::Inside(base) => base,
        ResolvedPath::Missing => request.workdir.path.clone(),
        ResolvedPath::Outside(reason) => return Err(never(reason)),
    };
    let looked = {
        let (base, globs) = (base.clone(), globs.clone());
        tokio::task::spawn_blocking(move || {
            let mut found = Vec::new();
            for glob in &globs {
                found.extend(walk(&base, glob)?);
            }
            found.sort_unstable();
            found.dedup();
            Ok(found)
        })
    };
    let mut found: Vec<String> = looked.await.map_err(|error| not_now(error.to_string()))??;
    let mut stale = Vec::new();
    if let Some(fresh) = &request.fresh {
        // A report of a former round says nothing of this one.
        stale = unchanged(&request.workdir, fresh, &found).await?;
        found.retain(|path| !stale.contains(path));
    }
    let read = tokio::task::spawn_blocking(move || {
        let mut sum = Sum::default();
        for path in found {
            sum.add(&base, path)?;
        }
        Ok(sum)
    });
    let sum: Sum = read.await.map_err(|error| not_now(error.to_string()))??;
    Ok(sum.evidence(&globs, &stale))
}

#[derive(Debug, Default)]
struct Sum {
    tests: u64,
    failed: u64,
    skipped: u64,
    failures: Vec<Value>,
    files: Vec<Value>,
    problem: Option<String>,
}

/// What one report says.
#[derive(Debug, Default, PartialEq)]
struct JunitReport {
    tests: u64,
    failed: u64,
    skipped: u64,
    /// Name and message of those that failed.
    failures: Vec<(String, String)>,
}

impl Sum {
    fn add(&mut self, base: &std::path::Path, path: String) -> Result<(), ProbeFailure> {
        let bytes = read_bounded(&base.join(&path), REPORT_BYTES_MAX)
            .map_err(|error| not_now(format!("{path} could not be read: {error}")))?;
        let report = match &bytes {
            None => Err(format!("is larger than {} MiB", REPORT_BYTES_MAX / 1024 / 1024)),
            Some(bytes) => report(bytes),
        };
        let hash = bytes.map(|bytes| everfold_base::json::Hash::of(&bytes).to_string());
        match report {
            Ok(report) => {
                self.tests += report.tests;
                self.failed += report.failed;
                self.skipped += report.skipped;
                for (name, message) in report.failures {
                    if self.failures.len() < FAILURES_MAX {
                        self.failures.push(json!({"name": name, "message": message, "file": path}));
                    }
                }
                let (tests, failed) = (report.tests, report.failed);
                self.files.push(json!({"path": path, "blob": hash, "tests": tests, "failed": failed}));
            }
            Err(problem) => {
                self.problem.get_or_insert(format!("{path} {problem}"));
                self.files.push(json!({"path": path, "blob": hash, "problem": problem}));
            }
        }
        Ok(())
    }

    fn evidence(self, globs: &[String], stale: &[String]) -> Value {
        let mut evidence = json!({
            "tests": self.tests,
            "failed": self.failed,
            "skipped": self.skipped,
            "failures": self.failures,
            "files": self.files,
            "source": {"globs": globs},
        });
        if !stale.is_empty() {
            evidence["stale"] = json!(stale);
        }
        if let Some(problem) = self.problem {
            evidence["problem"] = problem.into();
        }
        evidence
    }
}

fn report(bytes: &[u8]) -> Result<JunitReport, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "is no UTF-8 text".to_owned())?;
    let text = text.trim_start_matches('\u{feff}');
    let document = xml::read(text)?;
    let root = document.root_element();
    if !matches!(root.tag_name().name(), "testsuites" | "testsuite") {
        return Err(format!("is no JUnit report: it begins with <{}>", root.tag_name().name()));
    }
    let mut report = JunitReport::default();
    for case in root.descendants().filter(|node| node.has_tag_name("testcase")) {
        report.tests += 1;
        let part = |names: &[&str]| {
            case.children().find(|child| child.is_element() && names.contains(&child.tag_name().name()))
        };
        if let Some(failure) = part(&["failure", "error"]) {
            report.failed += 1;
            if report.failures.len() < FAILURES_MAX {
                report.failures.push((name_of(case), message_of(failure)));
            }
        } else if part(&["skipped"]).is_some() {
            report.skipped += 1;
        }
    }
    // Some failures belong to no test: a suite that could not be set up. The sums count them.
    let suites = root.descendants().filter(|node| {
        node.has_tag_name("testsuite") && !node.children().any(|child| child.has_tag_name("testsuite"))
    });
    let (mut tests, mut failed) = (0, 0);
    for suite in suites {
        let number =
            |name: &str| suite.attribute(name).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
        tests += number("tests");
        failed += number("failures") + number("errors");
    }
    report.tests = report.tests.max(tests);
    report.failed = report.failed.max(failed);
    Ok(report)
}

fn name_of(case: Node<'_, '_>) -> String {
    let name = case.attribute("name").unwrap_or("a test without a name");
    match case.attribute("classname").filter(|class| !class.is_empty()) {
        Some(class) => format!("{class}::{name}"),
        None => name.to_owned(),
    }
}

fn message_of(failure: Node<'_, '_>) -> String {
    let parts = [failure.attribute("message"), failure.text()];
    let parts = parts.into_iter().flatten().map(str::trim).filter(|part| !part.is_empty());
    parts.collect::<Vec<_>>().join("\n").chars().take(MESSAGE_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_suites_failures_errors_and_skipped_tests_are_counted() {
        let text = r#"<?xml version="1.0"?><testsuites><testsuite name="a" tests="3" failures="1">
            <testcase classname="a" name="ok"/>
            <testcase classname="a" name="bad"><failure message="1 != 2">at line 3</failure></testcase>
            <testcase name="later"><skipped/></testcase></testsuite>
            <testsuite><testsuite tests="1" errors="1"><testcase name="boom"><error>x</error></testcase></testsuite></testsuite>
            </testsuites>"#;
        let failures = vec![("a::bad".into(), "1 != 2\nat line 3".into()), ("boom".into(), "x".into())];
        assert_eq!(
            report(text.as_bytes()).unwrap(),
            JunitReport { tests: 4, failed: 2, skipped: 1, failures }
        );
        let sums = r#"<testsuite tests="2" failures="0" errors="1"><testcase name="ok"/></testsuite>"#;
        assert_eq!(report(sums.as_bytes()).unwrap().failed, 1, "a suite that could not be set up");
        for (text, part) in [("<html/>", "no JUnit"), ("<testsuite>", "no XML"), ("", "no XML")] {
            assert!(report(text.as_bytes()).unwrap_err().contains(part), "{text}");
        }
        let bomb = "<!DOCTYPE x [<!ENTITY a \"aaaa\">]><testsuite>&a;</testsuite>";
        assert!(report(bomb.as_bytes()).unwrap_err().contains("no XML"));
    }
}
