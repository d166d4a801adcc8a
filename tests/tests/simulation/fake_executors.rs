//! Executors of the fake machine: processes that outlive engines, functions that end with theirs.

use std::sync::Arc;
use std::time::Duration;

use everfold_engine::definition::OnLost;
use everfold_engine::execution::{
    AttemptEnd, AttemptHolder, AttemptObserver, AttemptRequest, AttemptResult, Executor, LossTraits,
    RecordReceipt, Service, Traits, WorkerReservation,
};
use everfold_engine::failure::{Failure, FailureKind};
use everfold_engine::id::EffectId;
use everfold_engine::json::{Hash, Value};
use everfold_engine::progress::WorkProgress;
use futures::future::BoxFuture;
use tokio::sync::watch;

use super::fake_machine::{Exit, FakeMachine, Process};
use super::luck::Luck;
use super::side_effects::Place;

/// Lives on without an engine, is begun at most once, leaves a record; whether it costs money. What costs nothing is in part
/// taken by workers that wait, and in some plans is offered to workers that come later.
pub struct Processes(pub Arc<FakeMachine>, pub bool);

fn killed(machine: &FakeMachine) -> AttemptEnd {
    let killed = AttemptResult::Failed(Failure::new(FailureKind::Cancelled, "killed"));
    AttemptEnd::new(killed, (machine.clock)())
}

/// A worker takes an attempt, and it is not durable yet.
struct Lending(Arc<FakeMachine>, EffectId);

impl Lending {
    fn of(machine: &Arc<FakeMachine>, id: &EffectId) -> Option<Self> {
        let mut offers = machine.offers();
        let is_open = !offers.cancelled.contains(id);
        is_open.then(|| {
            offers.lending.insert(id.clone());
            Self(Arc::clone(machine), id.clone())
        })
    }
}

impl Drop for Lending {
    fn drop(&mut self) {
        self.0.offers().lending.remove(&self.1);
    }
}

impl Processes {
    fn is_offered(&self) -> bool {
        !self.1 && self.0.luck("offered").is_one_of(3)
    }

    fn holder(id: &EffectId) -> AttemptHolder {
        let lease = Hash::of(id.to_string().as_bytes());
        AttemptHolder { worker: "token:simulated".to_owned(), instance: None, lease }
    }

    /// A process begins, and goes on whatever becomes of engines.
    fn begin(&self, request: &AttemptRequest, mut luck: Luck) {
        let (machine, id) = (&self.0, request.id.clone());
        let living = Process::Living(watch::Sender::new(None), request.folder.clone());
        machine.processes().insert(id.clone(), living);
        let place = if self.is_offered() { Place::Elsewhere } else { Place::Supervised };
        machine.side_effects.began(place, &id, true);
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

    /// Waits for a worker, which begins when it is durable that it takes it.
    fn offer(
        &self,
        request: AttemptRequest,
        observer: Arc<dyn AttemptObserver>,
        mut luck: Luck,
    ) -> BoxFuture<'static, AttemptEnd> {
        let own = Self(Arc::clone(&self.0), self.1);
        Box::pin(async move {
            if !own.0.is_calm() {
                tokio::time::sleep(luck.span() / 4).await;
            }
            let (receipt, recorded) = RecordReceipt::new();
            let Some(lending) = Lending::of(&own.0, &request.id) else {
                return killed(&own.0);
            };
            observer.taken(Self::holder(&request.id), receipt);
            if !recorded.await {
                drop(lending);
                // The worker got nothing; whether another one comes does not matter.
                return std::future::pending().await;
            }
            own.0.side_effects.given_to_worker(&request.id);
            own.begin(&request, luck);
            drop(lending);
            own.wait(&request, observer).await
        })
    }

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

    fn is_elsewhere(&self, _spec: &Value) -> bool {
        self.is_offered()
    }

    fn has_waiting_workers(&self, _spec: Option<&Value>) -> bool {
        !self.1
    }

    fn reserve(&self, request: &AttemptRequest) -> Option<WorkerReservation> {
        let id = &request.id;
        if self.1 || !self.0.luck(&format!("worker {} {}", id.run, id.attempt)).is_one_of(3) {
            return None;
        }
        Some(WorkerReservation { holder: Self::holder(id), release: Box::new(()) })
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
        if known.is_none() && self.is_offered() && request.held.is_none() {
            return self.offer(request, observer, luck);
        }
        if matches!(known, None | Some(Process::Unbegun)) {
            if known.is_none() && luck.is_one_of(24) && !machine.is_calm() {
                machine.processes().insert(id, Process::Unbegun);
                let full = AttemptResult::NoRoom { reason: "input.json".into() };
                let at = (machine.clock)();
                return Box::pin(async move { AttemptEnd::new(full, at) });
            }
            self.begin(&request, luck);
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
        machine.offers().cancelled.insert(request.id.clone());
        Box::pin(async move {
            let id = request.id;
            let mut luck = machine.luck(&format!("stop {} {}", id.run, id.attempt));
            if !machine.is_calm() {
                tokio::time::sleep(Duration::from_millis(luck.below(3) * 700)).await;
            }
            while machine.offers().lending.contains(&id) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            machine.exit(&id, killed(&machine));
        })
    }
}

/// Ends with its engine; some may be sent again.
pub struct Functions(pub Arc<FakeMachine>);

/// A function at work; gone when it ends, however that comes.
struct AtWork(Arc<FakeMachine>, EffectId);

impl Drop for AtWork {
    fn drop(&mut self) {
        self.0.side_effects.left(&self.1);
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
