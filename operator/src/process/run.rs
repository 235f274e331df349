//! The operator's life: it starts the tasks, leads when it may, and ends in order.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use futures_util::StreamExt as _;
use futures_util::stream::SelectAll;
use kube::Client;
use kube::runtime::controller::{Config as ControllerConfig, Error as ControllerError};
use kube::runtime::{Controller, watcher};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tracing::{debug, info};

use crate::cluster::{Cluster, Guarded, OwnSecret};
use crate::events::Events;
use crate::metrics::Metrics;
use crate::nodes::{self, Nodes};
use crate::plugins::Checksums;
use crate::process::apiserver;
use crate::process::cli::Args;
use crate::process::http::{self, Answer};
use crate::process::lease::Election;
use crate::process::node_restriction;
use crate::process::own_plugins::{plugin_image, plugins_dir};
use crate::reconcile::backoff::Memory;
use crate::reconcile::elsewhere;
use crate::reconcile::watches::with_watches;
use crate::reconcile::{Context, error_policy, reconcile};

/// Changes that come in a burst are reconciled once.
const DEBOUNCE: Duration = Duration::from_millis(200);

/// Resources that are reconciled side by side.
const CONCURRENCY: u16 = 4;

/// Runs until SIGTERM or SIGINT, or until something breaks that the operator cannot do without.
///
/// # Errors
/// When it cannot start, a port is taken, or the Lease is lost.
pub(crate) async fn run(args: Args) -> Result<()> {
    let stop = stop_signal()?;
    let metrics = Arc::new(Metrics::new());
    let ready = Arc::new(AtomicBool::new(false));
    let health = http::listen(args.health_address).await?;
    let for_metrics = http::listen(args.metrics_address).await?;
    let health = http::serve(health, health_answers(Arc::clone(&ready)));
    let for_metrics = http::serve(for_metrics, metrics_answers(Arc::clone(&metrics)));
    tokio::select! {
        ended = operate(args, metrics, ready, stop) => ended,
        never = health => match never {},
        never = for_metrics => match never {},
    }
}

/// Leads, if it has to be elected, and reconciles while it does.
async fn operate(
    args: Args,
    metrics: Arc<Metrics>,
    ready: Arc<AtomicBool>,
    mut stop: watch::Receiver<bool>,
) -> Result<()> {
    let client =
        Client::try_default().await.context("failed to find the cluster: expected a pod or KUBECONFIG")?;
    let checksums = Checksums::read(&plugins_dir(&args)?)?;
    let events = Events::new(client.clone(), args.pod_name.clone());
    let name = args.report_secret.clone();
    let report_secret = args.pod_namespace.clone().map(|namespace| OwnSecret { namespace, name });
    let cluster = Cluster {
        client: client.clone(),
        namespaces: args.namespaces.clone(),
        report_secret,
        dry_run: false,
    };
    let (image, election) = tokio::select! {
        begun = begin(&args, &client) => begun?,
        _ = stop.wait_for(|stop| *stop) => return Ok(()),
    };
    // Ready while it waits to lead, too: only then does a rollout of the operator go on.
    ready.store(true, Ordering::Relaxed);
    let lead = |stop| control(cluster, checksums, image, events, metrics, stop);
    let Some(mut election) = election else { return lead(stop).await };
    tokio::select! {
        elected = election.won() => elected?,
        _ = stop.wait_for(|stop| *stop) => return Ok(()),
    }
    tokio::select! {
        ended = lead(stop) => ended?,
        lost = election.lost() => return Err(lost),
    }
    election.give_back().await
}

/// The requests before all others.
async fn begin(args: &Args, client: &Client) -> Result<(Option<String>, Option<Election>)> {
    apiserver::ready(client).await;
    let image = plugin_image(args, client).await?;
    let election = if args.leader_elect { Some(Election::enter(args, client.clone()).await?) } else { None };
    Ok((image, election))
}

/// Reconciles until the signal, and until the reconciles under way have ended.
async fn control(
    cluster: Cluster,
    checksums: Checksums,
    image: Option<String>,
    events: Events,
    metrics: Arc<Metrics>,
    stop: watch::Receiver<bool>,
) -> Result<()> {
    let (nodes, events) = (Arc::new(Nodes::start(cluster.clone())), Arc::new(events));
    let mut controllers = Vec::new();
    for api in cluster.apis::<Guarded>() {
        let config = ControllerConfig::default().debounce(DEBOUNCE).concurrency(CONCURRENCY);
        let controller = Controller::new(api, watcher::Config::default()).with_config(config);
        controllers.push(with_watches(&cluster, controller).reconcile_all_on(changes(&nodes)));
    }
    let resources: Vec<_> = controllers.iter().map(Controller::store).collect();
    let for_polls = nodes::Context {
        cluster: cluster.clone(),
        events: Arc::clone(&events),
        metrics: Arc::clone(&metrics),
        resources: resources.clone(),
        nodes: Arc::clone(&nodes),
    };
    let polls = nodes::run(Arc::new(for_polls), stop.clone());
    let elsewhere = elsewhere::tell(cluster.clone(), stop.clone());
    let restriction =
        node_restriction::tell(cluster.client.clone(), Arc::clone(&events), resources.clone(), stop.clone());
    let memory = Memory::default();
    let context = Arc::new(Context { cluster, events, metrics, checksums, image, resources, memory, nodes });
    let reconciles = reconcile_until(context, controllers, stop);
    tokio::join!(polls, reconciles, elsewhere, restriction);
    info!("the operator ends");
    Ok(())
}

/// Reconciles until it is asked to end.
async fn reconcile_until(
    context: Arc<Context>,
    controllers: Vec<Controller<Guarded>>,
    stop: watch::Receiver<bool>,
) {
    let mut reconciled = SelectAll::new();
    for controller in controllers {
        let mut stop = stop.clone();
        let stopped = async move { drop(stop.wait_for(|stop| *stop).await) };
        let controller = controller.graceful_shutdown_on(stopped);
        reconciled.push(controller.run(reconcile, error_policy, Arc::clone(&context)).boxed());
    }
    while let Some(result) = reconciled.next().await {
        match result {
            // Reported where it happened.
            Ok(_) | Err(ControllerError::ReconcilerFailed(..)) => {}
            Err(error) => debug!(%error, "a watch began anew"),
        }
    }
}

/// An item for each time that polls of nodes bring something new for a status.
fn changes(nodes: &Nodes) -> impl futures_util::Stream<Item = ()> + Send + 'static {
    futures_util::stream::unfold(nodes.changes(), async |mut changes| {
        changes.changed().await.ok()?;
        Some(((), changes))
    })
}

/// True from SIGTERM or SIGINT on.
fn stop_signal() -> Result<watch::Receiver<bool>> {
    let (send, receive) = watch::channel(false);
    let mut terminate = signal(SignalKind::terminate()).context("failed to listen to SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("failed to listen to SIGINT")?;
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        info!("asked to end");
        let _ = send.send(true);
        // Kept: receivers are to see the value, not a sender that is gone.
        send.closed().await;
    });
    Ok(receive)
}

fn health_answers(ready: Arc<AtomicBool>) -> impl Fn(&str) -> Answer {
    move |path| match path {
        "/healthz" => Answer::Fine,
        "/readyz" if ready.load(Ordering::Relaxed) => Answer::Fine,
        "/readyz" => Answer::NotYet("the apiserver has not been reached\n"),
        _ => Answer::NoSuchPath,
    }
}

fn metrics_answers(metrics: Arc<Metrics>) -> impl Fn(&str) -> Answer {
    move |path| match path {
        "/metrics" => {
            metrics.text().map_or(Answer::NotYet("the metrics cannot be written\n"), Answer::Metrics)
        }
        _ => Answer::NoSuchPath,
    }
}
