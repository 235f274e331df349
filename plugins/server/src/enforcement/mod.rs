//! Enforcement: agents that have their identity are watched, and lose it when Keylime fails their
//! node.
//!
//! A loop beside the attestations, which it neither delays nor fails. It acts only on the answers
//! of SPIRE's server and of every verifier: while one is missing, no agent loses its identity.

mod assess;
mod poll;
mod report_server;
mod report_state;
mod settings;
mod spire;
mod stop;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use evidence::AgentId;
use report::Act;
use spire_plugin::Host;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing::{debug, error};

pub(crate) use settings::{KEYS, Settings};
pub(crate) use spire::{Error as SpireError, Spire, SpireAgent};
use stop::Stop;

use crate::config::Config;
use poll::Watch;
use report_server::ReportServer;
use report_state::{Done, ReportState};

/// The wait before work begins again that a fault of our own ended.
const AFTER_A_FAULT: Duration = Duration::from_secs(10);

/// The work for the configuration in force, and the state that outlives it.
pub(crate) struct Enforcement {
    report: Arc<ReportState>,
    running: Mutex<Option<Running>>,
}

struct Running {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Enforcement {
    pub(crate) fn new() -> Self {
        Self { report: Arc::new(ReportState::new()), running: Mutex::new(None) }
    }

    /// Tells the operator of an attestation that was refused because it is against a proven pair of
    /// node and agent; the same one once in a while.
    pub(crate) fn refused(
        &self,
        agent_id: &AgentId,
        spiffe_id: &str,
        node_uid: Option<String>,
        reason: String,
    ) {
        self.report.refused(Done {
            agent_id: Some(agent_id),
            spiffe_id,
            node_uid,
            act: Act::Refuse,
            reason,
            error: None,
        });
    }

    /// Ends the work for the previous configuration, then begins that for this one, so that two
    /// never act at once. Does not wait for either.
    pub(crate) fn replace(&self, config: &Arc<Config>, host: &Host) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let before = running.take();
        let (asker, stop) = stop::pair();
        let (config, host, report) = (Arc::clone(config), host.clone(), Arc::clone(&self.report));
        let task = tokio::spawn(async move {
            if let Some(Running { stop, task }) = before {
                stop.send_replace(true);
                let _ended_or_panicked = task.await;
            }
            keep_working(&config, &host, &report, stop).await;
        });
        *running = Some(Running { stop: asker, task });
    }
}

/// Repeats the work after a fault of our own: nobody restarts a plugin, and enforcement must not
/// end for ever.
async fn keep_working(config: &Arc<Config>, host: &Host, report: &Arc<ReportState>, mut stop: Stop) {
    loop {
        let work = work(Arc::clone(config), host.clone(), Arc::clone(report), stop.clone());
        if tokio::spawn(work).await.is_ok() {
            return;
        }
        error!("enforcement failed by a fault of its own and begins anew");
        if !stop.sleep(AFTER_A_FAULT).await {
            return;
        }
    }
}

async fn work(config: Arc<Config>, host: Host, report: Arc<ReportState>, stop: Stop) {
    let Some(settings) = config.enforcement.clone() else { return };
    let Some(spire) = config.spire().cloned() else { return };
    let server = ReportServer {
        config: Arc::clone(&config),
        spire: spire.clone(),
        report: Arc::clone(&report),
        host: host.clone(),
    };
    let serving = stop.clone();
    let serve = async {
        if let (Some(address), Some(_)) = (settings.report_address, &config.report_tls) {
            report_server::serve(server, address, serving).await;
        }
    };
    let watch = Watch::new(Arc::clone(&config), settings.clone(), spire, report, host);
    tokio::join!(watch.run(stop), serve);
    debug!("enforcement ended");
}
