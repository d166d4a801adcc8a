//! Executors of the fake machine: processes that outlive engines, functions that end with theirs.

use std::sync::Arc;
use std::time::Duration;

use everfold_engine::definition::OnLost;
use everfold_engine::execution::{
    AttemptEnd, AttemptHolder, AttemptObserver, AttemptRequest, AttemptResult, Executor, LossTraits, Service,
    Traits, WorkerReservation,
};
use everfold_engine::failure::{Failure, FailureKind};
use everfold_engine::id::EffectId;
use everfold_engine::json::{Hash, Value};
use everfold_engine::progress::WorkProgress;
use futures::future::BoxFuture;
use tokio::sync::watch;

use super::fake_machine::{Exit, FakeMachine, Process};
use super::side_effects::Place;

/// Lives on without an engine, is begun at most once, leaves a record; whether it costs money. What costs nothing is in part
/// taken by workers that wait.
pub struct Processes(pub Arc<FakeMachine>, pub bool);

impl Processes {
    fn wait(
        &self,
        request: &AttemptRequest,
        observer: Arc<dyn AttemptObserver>,
    ) -> BoxFuture<'static, AttemptEnd> {
        let machine = Arc::clone(&self.0);
        let id = request.id.clone();
        let process = machine.processes().get(&id).cloned();
        let Some(Process::Living(exit, _)) = process else {
            let lost = AttemptResult::Lost { reason: "no record".into() };
            return Box::pin(async move { AttemptEnd::new(lost, (machine.clock)()) });
        };
        if let Some(end) = machine.cannot_look(&id) {
            let at = (machine.clock)();
            return Box::pin(async move {
                tokio::time::sleep(Duration::from_millis(20)).await;
                AttemptEnd::new(end, at)
            });
        }
        let mut exit = exit.subscribe();
        Box::pin(async move {
            let mut luck = machine.luck(&format!("said {} {}", id.run, id.attempt));
            tokio::time::sleep(Duration::from_millis(luck.below(3) * 20)).await;
            for _ in 0..luck.below(3) {
                observer.started();
                observer.line("working");
            }
            if machine.luck(&format!("progress {} {}", id.run, id.attempt)).is_one_of(3) {
                // The same again, also by the next engine, says nothing new.
                for done in [0, 0, 2, 2] {
                    let note = Some("halves".to_owned());
                    observer.progress(WorkProgress { done, of: 2, items: Vec::new(), note });
                }
            }
            match exit.wait_for(Option::is_some).await.ok().and_then(|exit| exit.clone()) {
                Some(Exit { end }) => end,
                None => {
                    AttemptEnd::new(AttemptResult::Lost { reason: "no record".into() }, (machine.clock)())
                }
            }
        })
    }
}

impl Executor for Processes {
    fn traits(&self, _spec: &Value) -> Traits {
        Traits {
            supervised: true,
            loss: LossTraits { idempotent: false, on_lost: OnLost::Block },
            paid: self.1,
            reads_input: true,
        }
    }

    fn has_waiting_workers(&self) -> bool {
        !self.1
    }

    fn reserve(&self, request: &AttemptRequest) -> Option<WorkerReservation> {
        let id = &request.id;
        if self.1 || !self.0.luck(&format!("worker {} {}", id.run, id.attempt)).is_one_of(3) {
            return None;
        }
        let lease = Hash::of(id.to_string().as_bytes());
        let holder = AttemptHolder { worker: "token:simulated".to_owned(), instance: None, lease };
        Some(WorkerReservation { holder, release: Box::new(()) })
    }

    fn start(
        &self,
        request: AttemptRequest,
        observer: Arc<dyn AttemptObserver>,
    ) -> BoxFuture<'static, AttemptEnd> {
        let machine = &self.0;
        let id = request.id.clone();
        if request.held.is_some() {
            machine.side_effects.given_to_worker(&id);
        }
        let mut luck = machine.luck(&format!("process {} {}", id.run, id.attempt));
        let known = machine.processes().get(&id).cloned();
        if matches!(known, None | Some(Process::Unbegun)) {
            if known.is_none() && luck.is_one_of(24) && !machine.is_calm() {
                machine.processes().insert(id, Process::Unbegun);
                let full = AttemptResult::NoRoom { reason: "input.json".into() };
                let at = (machine.clock)();
                return Box::pin(async move { AttemptEnd::new(full, at) });
            }
            let living = Process::Living(watch::Sender::new(None), request.folder.clone());
            machine.processes().insert(id.clone(), living);
            machine.side_effects.began(Place::Supervised, &id, true);
            let span = if machine.is_calm() { Duration::from_millis(5) } else { luck.span() };
            let span = request.timeout.map_or(span, |limit| span.min(limit));
            let machine = Arc::clone(machine);
            // The task belongs to no engine: engines come and go.
            tokio::spawn(async move {
                tokio::time::sleep(span).await;
                let end = machine.end(&id, &mut luck, true);
                machine.exit(&id, end);
            });
        }
        self.wait(&request, observer)
    }

    fn reattach(
        &self,
        request: AttemptRequest,
        observer: Arc<dyn AttemptObserver>,
    ) -> BoxFuture<'static, AttemptEnd> {
        self.wait(&request, observer)
    }

    fn cancel(&self, request: AttemptRequest) -> BoxFuture<'static, ()> {
        let machine = Arc::clone(&self.0);
        // At once: the next holder of its slot may begin before this is polled.
        machine.side_effects.asked_to_end(&request.id);
        Box::pin(async move {
            let id = request.id;
            let mut luck = machine.luck(&format!("stop {} {}", id.run, id.attempt));
            if !machine.is_calm() {
                tokio::time::sleep(Duration::from_millis(luck.below(3) * 700)).await;
            }
            let killed = AttemptResult::Failed(Failure::new(FailureKind::Cancelled, "killed"));
            machine.exit(&id, AttemptEnd::new(killed, (machine.clock)()));
        })
    }
}

/// Ends with its engine; some may be sent again.
pub struct Functions(pub Arc<FakeMachine>);

/// A function at work; gone when it ends, however that comes.
struct AtWork(Arc<FakeMachine>, EffectId);

impl Drop for AtWork {
    fn drop(&mut self) {
        self.0.side_effects.left(Place::InProcess, &self.1);
    }
}

impl Executor for Functions {
    fn traits(&self, spec: &Value) -> Traits {
        let idempotent = self.0.luck(&spec["name"].to_string()).is_one_of(2);
        let on_lost = if idempotent { OnLost::Retry } else { OnLost::Block };
        Traits { supervised: false, loss: LossTraits { idempotent, on_lost }, paid: false, reads_input: true }
    }

    fn services(&self, spec: &Value) -> Vec<Service> {
        spec["name"].as_str().map(|name| Service::new("function", name)).into_iter().collect()
    }

    fn start(
        &self,
        request: AttemptRequest,
        observer: Arc<dyn AttemptObserver>,
    ) -> BoxFuture<'static, AttemptEnd> {
        let machine = Arc::clone(&self.0);
        let once = !request.idempotent.unwrap_or(self.traits(&request.spec).loss.idempotent);
        Box::pin(async move {
            let id = request.id;
            machine.side_effects.began(Place::InProcess, &id, once);
            let _at_work = AtWork(Arc::clone(&machine), id.clone());
            let mut luck = machine.luck(&format!("function {} {}", id.run, id.attempt));
            observer.line("working");
            if !machine.is_calm() {
                match luck.below(12) {
                    0 => tokio::time::sleep(Duration::from_secs(3_600)).await,
                    1 => panic!("a bug in a function"),
                    2..6 => tokio::time::sleep(luck.span()).await,
                    _at_once => {}
                }
            }
            machine.end(&id, &mut luck, false)
        })
    }

    fn reattach(
        &self,
        request: AttemptRequest,
        observer: Arc<dyn AttemptObserver>,
    ) -> BoxFuture<'static, AttemptEnd> {
        if request.idempotent.unwrap_or(self.traits(&request.spec).loss.idempotent) {
            return self.start(request, observer);
        }
        let at = (self.0.clock)();
        Box::pin(
            async move { AttemptEnd::new(AttemptResult::Lost { reason: "the engine ended".into() }, at) },
        )
    }

    fn cancel(&self, request: AttemptRequest) -> BoxFuture<'static, ()> {
        self.0.side_effects.asked_to_end(&request.id);
        Box::pin(async {})
    }
}
