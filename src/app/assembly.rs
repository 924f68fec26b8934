//! Puts the parts of the service together.

use std::slice::from_ref;
use std::sync::Arc;

use prometheus_client::registry::Registry;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::listener::{Silence, make_room};
use super::reconciling::Reconciling;
use super::retention::Retention;
use super::settings::{authenticator, bounds, counting_rules, millis, netease, reserved, system_account};
use super::{App, Phases, ServeLimits, StartError, Stores};
use crate::commands::bind_account::Binder;
use crate::commands::caller_limits::CallerLimits;
use crate::commands::copy_flow::{ActiveUsers, CopyFlow, NotingLoader};
use crate::commands::deliver::{DeliveryPorts, DeliveryWorker};
use crate::commands::mark_read::ReadMarker;
use crate::commands::projector::{LoadBounds, Projector};
use crate::commands::receive_copy::CopyReceiver;
use crate::commands::register_account::Registrar;
use crate::commands::send_notification::Notifier;
use crate::config::{Config, Limits};
use crate::http::bind::BindState;
use crate::http::connection::ConnectionCounters;
use crate::http::edge::Edge;
use crate::http::health::OperationState;
use crate::http::metrics::Metrics;
use crate::http::notifications::NoticeState;
use crate::http::read::ReadState;
use crate::http::router::{Surfaces, router};
use crate::http::shared_looks::SharedLooks;
use crate::http::streams::StreamLimiter;
use crate::http::unread::PollState;
use crate::http::unread_stream::StreamState;
use crate::http::webhook::WebhookState;
use crate::infra::clock::System;
use crate::infra::group_commit::GroupedLog;
use crate::infra::netease::Netease;
use crate::ports::clock::{Clock, Ids};
use crate::ports::gateway::Gateway;
use crate::queries::store_health::StoreHealth;
use crate::queries::unread_counts::UnreadCounts;
use crate::telemetry;

/// What nearly every part needs.
struct Parts<'a> {
    config: &'a Config,
    stores: &'a Stores,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
}

/// The service over these stores.
pub(super) fn assemble(config: &Config, mut stores: Stores) -> Result<App, StartError> {
    let background = std::mem::take(&mut stores.background);
    let stores = &stores;
    let parts = Parts { config, stores, clock: Arc::new(System), ids: Arc::new(System) };
    let clock = Arc::clone(&parts.clock);
    let phases = Phases { draining: CancellationToken::new(), winding_down: CancellationToken::new() };
    let netease = netease(config, &clock, &parts.ids)?;
    let ports = parts.delivery_ports(&netease);
    let worker = Arc::new(DeliveryWorker::new(ports, bounds(config), phases.winding_down.clone()));
    let projector = parts.projector();
    let (health, connections) = (parts.health(), ConnectionCounters::default());
    let tasks = TaskTracker::new();
    let streams = StreamLimiter::new(config.limits.streams, config.limits.streams_per_reader);
    let mut registry = Registry::with_prefix("otc_im");
    netease.register_metrics(&mut registry);
    stores.register_metrics(&mut registry);
    health.register_metrics(&mut registry);
    streams.register_metrics(&mut registry);
    projector.counters().register(&mut registry);
    worker.counters().register(&mut registry);
    connections.register(&mut registry);
    telemetry::register_metrics(&mut registry);
    let edge = Arc::new(Edge {
        authenticator: authenticator(config, &clock)?,
        case: config.accounts.case,
        limits: config.limits.clone(),
        tasks: tasks.clone(),
    });
    let reconciling = Reconciling::new(config, stores, &netease, &mut registry)?;
    let loader = NotingLoader { inner: Arc::new(projector), active: reconciling.noted().1 };
    let (metrics, counts) = (Metrics::new(registry), Arc::new(parts.counts(loader)));
    let webhook = parts.webhook(Arc::clone(&edge), Arc::clone(&metrics), reconciling.noted())?;
    let changes = Arc::clone(&stores.changes);
    let looks =
        SharedLooks::new(Arc::clone(&counts), changes, Arc::clone(&streams), config.limits.poll_timeout);
    let surfaces = Surfaces {
        bind: BindState {
            edge: Arc::clone(&edge),
            binder: Arc::new(parts.binder(&netease)),
            reserved: reserved(config)?,
        },
        notices: NoticeState {
            edge: Arc::clone(&edge),
            notifier: Arc::new(parts.notifier(Arc::clone(&worker), tasks.clone())?),
            notifications: Arc::clone(&stores.notifications),
        },
        reads: parts.reads(&edge, &counts, &webhook.receiver),
        polls: PollState { edge: Arc::clone(&edge), counts: Arc::clone(&counts) },
        streams: StreamState {
            edge: Arc::clone(&edge),
            looks,
            counts,
            streams,
            winding_down: phases.winding_down.clone(),
            clock: Arc::clone(&clock),
        },
        webhook,
        operation: OperationState { health: Arc::clone(&health), draining: phases.draining.clone(), metrics },
    };
    Ok(App {
        router: router(surfaces, &config.http.cors_origins),
        worker,
        retention: Retention::new(config, stores, clock),
        reconciling,
        health,
        background,
        connections,
        phases,
        tasks,
        bounds: serve_limits(&config.limits),
    })
}

fn serve_limits(limits: &Limits) -> ServeLimits {
    ServeLimits {
        connections: make_room(limits.connections),
        silence: Silence { head: limits.head_timeout, idle: limits.idle_timeout },
        drain: limits.drain,
        shutdown: limits.shutdown,
    }
}

/// Where copies go, for the webhook and for dead letters that are taken in again. Wants a runtime around it.
pub fn receiver(
    config: &Config,
    stores: &Stores,
    active: Arc<ActiveUsers>,
) -> Result<CopyReceiver, StartError> {
    Ok(CopyReceiver {
        log: Arc::new(GroupedLog::new(Arc::clone(&stores.log), config.messages.group)),
        view: Arc::clone(&stores.view),
        dead_letters: Arc::clone(&stores.dead_letters),
        clock: Arc::new(System),
        active,
        rules: counting_rules(config)?,
        receipt_allowance_ms: millis(config.unread.receipt_allowance),
    })
}

impl Parts<'_> {
    fn registrar(&self, gateway: Arc<dyn Gateway>) -> Arc<Registrar> {
        Arc::new(Registrar::new(Arc::clone(&self.stores.accounts), gateway, Arc::clone(&self.ids)))
    }

    fn delivery_ports(&self, netease: &Netease) -> DeliveryPorts {
        let gateway = netease.background();
        DeliveryPorts {
            outbox: Arc::clone(&self.stores.outbox),
            accounts: Arc::clone(&self.stores.accounts),
            gateway: Arc::clone(&gateway),
            registrar: self.registrar(gateway),
            clock: Arc::clone(&self.clock),
            ids: Arc::clone(&self.ids),
        }
    }

    fn binder(&self, netease: &Netease) -> Binder {
        let gateway = netease.for_persons();
        Binder {
            accounts: Arc::clone(&self.stores.accounts),
            gateway: Arc::clone(&gateway),
            registrar: self.registrar(gateway),
            outbox: Arc::clone(&self.stores.outbox),
            clock: Arc::clone(&self.clock),
            limits: CallerLimits::new(self.config.limits.new_accounts_per_caller),
        }
    }

    fn notifier(&self, worker: Arc<DeliveryWorker>, tasks: TaskTracker) -> Result<Notifier, StartError> {
        Ok(Notifier {
            notifications: Arc::clone(&self.stores.notifications),
            worker,
            tasks,
            patience: self.config.notifications.patience,
            clock: Arc::clone(&self.clock),
            ids: Arc::clone(&self.ids),
            system_account: system_account(self.config)?,
            resend_unknown: self.config.notifications.resend_unknown,
            max_queued: self.config.notifications.max_queued,
        })
    }

    fn webhook(
        &self,
        edge: Arc<Edge>,
        metrics: Arc<Metrics>,
        (flow, active): (Arc<CopyFlow>, Arc<ActiveUsers>),
    ) -> Result<WebhookState, StartError> {
        let netease = &self.config.netease;
        Ok(WebhookState {
            receiver: Arc::new(receiver(self.config, self.stores, active)?),
            app_secrets: [from_ref(&netease.app_secret), &*netease.previous_app_secrets].concat(),
            max_age: netease.max_age,
            slots: Arc::new(Semaphore::new(edge.limits.webhooks_at_once)),
            clock: Arc::clone(&self.clock),
            edge,
            metrics,
            flow,
        })
    }

    /// Marks go into the log with the copies, one group for both.
    fn reads(&self, edge: &Arc<Edge>, counts: &Arc<UnreadCounts>, receiver: &CopyReceiver) -> ReadState {
        let marker = ReadMarker {
            log: Arc::clone(&receiver.log),
            view: Arc::clone(&receiver.view),
            told: self.config.netease.tell_reads.then(|| Arc::clone(&self.stores.outbox)),
            clock: Arc::clone(&self.clock),
            allowance_ms: receiver.receipt_allowance_ms,
        };
        ReadState { edge: Arc::clone(edge), marker: Arc::new(marker), counts: Arc::clone(counts) }
    }

    fn health(&self) -> Arc<StoreHealth> {
        let Stores { accounts, log, view, .. } = self.stores;
        Arc::new(StoreHealth::new(Arc::clone(accounts), Arc::clone(log), Arc::clone(view)))
    }

    fn projector(&self) -> Projector {
        let (Stores { log, view, .. }, settings) = (self.stores, &self.config.unread);
        let bounds =
            LoadBounds { at_once: settings.loads_at_once, remove_unknown: Some(settings.remove_unknown) };
        let (clock, ids) = (Arc::clone(&self.clock), Arc::clone(&self.ids));
        Projector::new(Arc::clone(log), Arc::clone(view), clock, ids, bounds)
    }

    fn counts(&self, loader: NotingLoader) -> UnreadCounts {
        let (Stores { log, view, .. }, settings) = (self.stores, &self.config.unread);
        UnreadCounts {
            view: Arc::clone(view),
            log: Arc::clone(log),
            view_loader: Arc::new(loader),
            clock: Arc::clone(&self.clock),
            recheck_after_ms: millis(settings.recheck_after),
            started_at: self.clock.now(),
            fallbacks: Semaphore::new(settings.fallback_at_once),
        }
    }
}
