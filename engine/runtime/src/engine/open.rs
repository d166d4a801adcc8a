//! Opening an engine: builds its parts and starts the tasks of the shards and the actors.

use std::sync::{Arc, Mutex};

use tokio::sync::mpsc;

use crate::config::EngineConfig;
use crate::engine::handle::Engine;
use crate::engine_parts::EngineParts;
use crate::runtime::Runtime;
use crate::shard::core::Shard;
use crate::streams::actor::run_actor;
use crate::streams::budgets::allocator::BudgetAllocator;
use crate::streams::schedules::actor::ScheduleActor;
use crate::streams::service_pauses::record_service_pauses;
use crate::streams::slots::allocator::SlotAllocator;
use crate::streams::webhooks::actor::WebhookActor;
use crate::work::child_run::executor::ChildRuns;
use crate::work::look::Looks;
use crate::work::signal_work::SignalSender;
use everfold_base::blobs::Blobs;
use everfold_base::data_folder::Layout;
use everfold_language::definition::ExecutorTask;
use everfold_ports::{Edge, Executor};
use everfold_store::EventStore;

impl Engine {
    /// An engine over a store. It does nothing by itself until runs are started, given an input, or
    /// [recovered](Engine::recover). Must be called within a tokio runtime.
    #[must_use]
    pub fn open(
        config: EngineConfig,
        store: Arc<dyn EventStore>,
        blobs: Arc<dyn Blobs>,
        layout: Layout,
        edge: Edge,
    ) -> Self {
        let count = config.shards.max(1);
        let inbox = config.inbox.max(1);
        let shared = Arc::new_cyclic(|shared| {
            let mut edge = edge;
            edge.executors.insert(ExecutorTask::RUN.to_owned(), Arc::new(ChildRuns::new(shared.clone())));
            let looks = Looks { inspector: edge.inspector.clone(), now: config.clock.clone() };
            edge.executors.insert(ExecutorTask::LOOK.to_owned(), Arc::new(looks));
            let signals = || Arc::new(SignalSender::new(shared.clone())) as Arc<dyn Executor>;
            edge.executors.entry(ExecutorTask::SIGNAL.to_owned()).or_insert_with(signals);
            Runtime::new(config, store, blobs, layout, edge)
        });
        let (shards, receivers): (Vec<_>, Vec<_>) = (0..count).map(|_| mpsc::channel(inbox)).unzip();
        shared.mailboxes.set_shards(shards.iter().map(mpsc::Sender::downgrade).collect());
        let shard = |(at, receiver)| {
            shared.spawn_essential("a shard", Shard::new(Arc::clone(&shared), at, receiver).run())
        };
        let mut tasks: Vec<_> = receivers.into_iter().enumerate().map(shard).collect();
        if let Some(survivors) = shared.edge.survivors.clone()
            && !shared.config.order.resources.is_empty()
        {
            shared.scheduler.keep_resources(true);
            let ends = shards.iter().map(mpsc::Sender::downgrade).collect();
            let count = crate::recovery::orphan_resources::count(Arc::clone(&shared), ends, survivors);
            tasks.push(shared.spawn_essential("the count of what lives", count));
        }
        let slots = SlotAllocator::new(Arc::clone(&shared));
        tasks.extend(slots.map(|slots| shared.spawn_essential("the slot allocator", run_actor(slots))));
        let webhooks = WebhookActor::new(Arc::clone(&shared));
        tasks.extend(
            webhooks.map(|webhooks| shared.spawn_essential("the webhook actor", run_actor(webhooks))),
        );
        let schedules = ScheduleActor::new(Arc::clone(&shared));
        tasks.extend(
            schedules.map(|schedules| shared.spawn_essential("the schedule actor", run_actor(schedules))),
        );
        let budgets = BudgetAllocator::new(Arc::clone(&shared));
        tasks.extend(
            budgets.map(|budgets| shared.spawn_essential("the budget allocator", run_actor(budgets))),
        );
        let record = record_service_pauses(Arc::clone(&shared));
        tasks.push(shared.spawn_essential("the record of the pauses of services", record));
        Self {
            inner: Arc::new(EngineParts {
                shared,
                shards,
                tasks: Mutex::new(tasks),
                orphan_search: Mutex::default(),
            }),
        }
    }
}
