//! Evidence of several probes that one gate judges together.
//!
//! Law: every member is asked, a few at a time, and none depends on the answer of another. A member
//! without evidence has a message in its place; the probe as a whole always has evidence.
//!
//! The shapes of parameters and evidence are the core's (`decide::members`).

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::future::{BoxFuture, join_all};
use futures::{FutureExt as _, StreamExt as _, stream};

use crate::panic::panic_text;
use crate::scheduler::places::Scheduler;
use everfold_base::json::Value;
use everfold_core::decide::plan::take_hidden;
use everfold_ports::{ProbeFailure, ProbeRequest, Prober, Service};

/// Members of one gate that are asked at once.
const AT_ONCE: usize = 8;

/// Asks each member of a gate by the prober of its kind.
pub(crate) struct Members {
    pub(crate) probers: BTreeMap<String, Arc<dyn Prober>>,
    /// Takes the requests of services to be left alone.
    pub(crate) scheduler: Arc<Scheduler>,
}

/// A member that must be asked for.
struct MemberProbe {
    /// Where it stands: indexes from the outermost list on.
    place: Vec<usize>,
    prober: Option<Arc<dyn Prober>>,
    kind: String,
    request: ProbeRequest,
    scheduler: Arc<Scheduler>,
}

impl Members {
    fn asked(&self, request: &ProbeRequest) -> Vec<MemberProbe> {
        let mut asked = Vec::new();
        self.collect(request, &request.spec, &mut Vec::new(), &mut asked);
        asked
    }

    fn collect(
        &self,
        request: &ProbeRequest,
        spec: &Value,
        place: &mut Vec<usize>,
        asked: &mut Vec<MemberProbe>,
    ) {
        for (at, member) in spec["members"].as_array().into_iter().flatten().enumerate() {
            let Some(own) = member.get("spec") else { continue };
            place.push(at);
            if own.get("members").is_some() && self.is_list(member) {
                self.collect(request, own, place, asked);
            } else {
                let kind = member["kind"].as_str().unwrap_or_default().to_owned();
                let mut spec = own.clone();
                let mut secrets = request.secrets.clone();
                secrets.spec = take_hidden(&mut spec);
                let request =
                    ProbeRequest { spec, secrets, folder: folder(&request.folder, place), ..request.clone() };
                let prober = self.probers.get(&kind).cloned();
                let scheduler = Arc::clone(&self.scheduler);
                asked.push(MemberProbe { place: place.clone(), prober, kind, request, scheduler });
            }
            place.pop();
        }
    }

    /// Whether a member is a list of members: no prober has such a kind.
    fn is_list(&self, member: &Value) -> bool {
        matches!(member["kind"].as_str(), Some("all" | "any" | "not" | "at_least"))
    }
}

/// The folder of a member, beside the probe's: its name follows from the place, so it is found again after a crash.
fn folder(of: &Path, place: &[usize]) -> PathBuf {
    let place: Vec<String> = place.iter().map(ToString::to_string).collect();
    let mut name = of.file_name().unwrap_or_default().to_owned();
    name.push(format!("-m{}", place.join(".")));
    of.with_file_name(name)
}

/// Whether a folder is that of a member of the probe with this one.
pub(crate) fn is_member_of(probe: &Path, folder: &Path) -> bool {
    let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
    let (Some(probe), Some(folder)) = (name(probe), name(folder)) else { return false };
    let rest = folder.strip_prefix(&probe).and_then(|rest| rest.strip_prefix("-m"));
    rest.is_some_and(|place| !place.is_empty() && place.chars().all(|c| c.is_ascii_digit() || c == '.'))
}

impl Prober for Members {
    fn probe(&self, request: ProbeRequest) -> BoxFuture<'static, Result<Value, ProbeFailure>> {
        let asked = self.asked(&request);
        let mut evidence = request.spec;
        async move {
            let answers = stream::iter(asked.into_iter().map(ask)).buffer_unordered(AT_ONCE);
            let answers: Vec<(Vec<usize>, Result<Value, ProbeFailure>)> = answers.collect().await;
            for (place, answer) in answers {
                fill(&mut evidence, &place, answer);
            }
            rename_lists(&mut evidence);
            Ok(evidence)
        }
        .boxed()
    }

    fn services(&self, spec: &Value) -> Vec<Service> {
        let members = spec["members"].as_array().into_iter().flatten();
        let of = |member: &Value| match (member.get("spec"), member["kind"].as_str()) {
            (Some(own), _) if own.get("members").is_some() && self.is_list(member) => self.services(own),
            (Some(own), Some(kind)) => {
                self.probers.get(kind).map(|prober| prober.services(own)).unwrap_or_default()
            }
            _known => Vec::new(),
        };
        members.flat_map(of).collect()
    }

    fn cancel(&self, request: ProbeRequest) -> BoxFuture<'static, ()> {
        let asked = self.asked(&request).into_iter();
        // Each is asked here and now: the engine may end before anything of it is polled.
        let stopped: Vec<_> =
            asked.filter_map(|one| one.prober.map(|prober| prober.cancel(one.request))).collect();
        async move { drop(join_all(stopped).await) }.boxed()
    }
}

async fn ask(asked: MemberProbe) -> (Vec<usize>, Result<Value, ProbeFailure>) {
    let Some(prober) = asked.prober else {
        let message = format!("there is no probe of kind {}", asked.kind);
        return (asked.place, Err(ProbeFailure::permanent(message)));
    };
    let request = asked.request;
    let services = catch_unwind(AssertUnwindSafe(|| prober.services(&request.spec))).unwrap_or_default();
    let probe = AssertUnwindSafe(async move { prober.probe(request).await });
    let answer = probe.catch_unwind().await.unwrap_or_else(|panic| {
        let message = format!("the probe {}", panic_text(panic.as_ref()));
        Err(ProbeFailure::passing(message))
    });
    if let Err(ProbeFailure { message, again_after: Some(span), .. }) = &answer {
        asked.scheduler.leave_alone(&services, *span, message);
    }
    (asked.place, answer)
}

/// Puts an answer where the member's parameters were.
fn fill(list: &mut Value, place: &[usize], answer: Result<Value, ProbeFailure>) {
    let Some((at, inner)) = place.split_first() else { return };
    let Some(member) = list["members"].get_mut(*at) else { return };
    if !inner.is_empty() {
        return fill(&mut member["spec"], inner, answer);
    }
    let Some(fields) = member.as_object_mut() else { return };
    fields.remove("spec");
    match answer {
        Ok(evidence) => drop(fields.insert("evidence".to_owned(), evidence)),
        Err(ProbeFailure { message, permanent, .. }) => {
            fields.insert("message".to_owned(), message.into());
            if permanent {
                fields.insert("permanent".to_owned(), true.into());
            }
        }
    }
}

/// The parameters that are left are lists of members, which hold evidence by now: they become `evidence`.
fn rename_lists(list: &mut Value) {
    for member in list["members"].as_array_mut().into_iter().flatten() {
        let Some(fields) = member.as_object_mut() else { continue };
        if let Some(mut inner) = fields.remove("spec") {
            rename_lists(&mut inner);
            fields.insert("evidence".to_owned(), inner);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use everfold_base::id::{AttemptId, EffectId, RunId};

    struct Echo;

    impl Prober for Echo {
        fn probe(&self, request: ProbeRequest) -> BoxFuture<'static, Result<Value, ProbeFailure>> {
            let folder = request.folder.file_name().map(|name| name.to_string_lossy().into_owned());
            std::future::ready(match request.spec["say"].as_str() {
                Some("no") => Err(ProbeFailure::passing("not now")),
                Some("panic") => panic!("a bug in a probe"),
                _ => Ok(json!({"said": request.spec["say"], "in": folder})),
            })
            .boxed()
        }
    }

    #[tokio::test]
    async fn every_member_is_asked_in_its_own_folder_and_says_why_it_has_no_evidence() {
        let probers = BTreeMap::from([("echo".to_owned(), Arc::new(Echo) as Arc<dyn Prober>)]);
        let attempt: AttemptId = "a/1/1".parse().unwrap();
        let echo = |id: &str, say: &str| json!({"id": id, "kind": "echo", "spec": {"say": say}});
        let known = json!({"id": "known", "kind": "expression", "evidence": {"value": true}});
        let passed_over = json!({"id": "skip", "kind": "echo", "skipped": "not here"});
        let inner = json!({"members": [echo("one", "two"), known, echo("no", "no")]});
        let request = ProbeRequest {
            id: EffectId { run: RunId(uuid::Uuid::nil()), attempt },
            gate: "g".into(),
            probe_no: 1,
            spec: json!({"members": [
                echo("a", "hello"),
                {"id": "inner", "kind": "any", "spec": inner},
                passed_over,
                {"id": "strange", "kind": "strange", "spec": {}},
                echo("panic", "panic"),
            ]}),
            env: BTreeMap::new(),
            secrets: everfold_ports::Secrets::default(),
            timeout: std::time::Duration::from_secs(1),
            folder: "/probe".into(),
            workdir: everfold_ports::Workdir { path: "/".into(), git: None },
            fresh: None,
        };
        let config = crate::config::EngineConfig::default();
        let scheduler = Arc::new(Scheduler::new(&config, config.clock.clone()));
        let evidence = Members { probers, scheduler }.probe(request).await.unwrap();
        let said = |at: usize| evidence["members"][at].clone();
        assert_eq!(
            said(0),
            json!({"id": "a", "kind": "echo", "evidence": {"said": "hello", "in": "probe-m0"}})
        );
        assert_eq!(
            said(1)["evidence"]["members"],
            json!([
                {"id": "one", "kind": "echo", "evidence": {"said": "two", "in": "probe-m1.0"}},
                known,
                {"id": "no", "kind": "echo", "message": "not now"},
            ])
        );
        assert_eq!(said(2), passed_over);
        assert_eq!((&said(3)["permanent"], said(3).get("evidence")), (&json!(true), None));
        assert!(is_member_of(Path::new("/probe"), Path::new("/probe-m1.0")));
        assert!(!is_member_of(Path::new("/probe"), Path::new("/probe-more-p1")));
        assert!(said(4)["message"].as_str().unwrap().contains("a bug in a probe"), "{evidence}");
    }
}
