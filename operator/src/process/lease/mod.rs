//! The Lease: of several replicas one acts, and it acts only while no other can have the Lease yet.

use std::time::Duration;

use anyhow::{Context as _, Error, Result, anyhow};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::jiff::Timestamp;
use kube::{Api, Client};
use kube_lease_manager::{LeaseManager, LeaseManagerBuilder, LeaseManagerError};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};
use tracing::{debug, info};

use crate::process::cli::Args;

/// Name of the Lease.
const NAME: &str = "keylime-attestor-operator";
/// The time for which a Lease is good when its holder is silent, and the time before its end at
/// which it is renewed. In seconds.
const DURATION: u64 = 15;
const GRACE: u64 = 5;

/// The time after a renewal for which its holder goes on when no other renewal succeeds: less than
/// the others wait, whose clocks may be ahead.
const SAFE: Duration = Duration::from_secs(DURATION - 2);
/// The interval at which the holder checks that the Lease is renewed: several times between a
/// renewal and the end of the one before.
const CHECK: Duration = Duration::from_secs(2);
/// The time of a renewal that is under way.
const RENEWAL: Duration = Duration::from_millis(200);

/// One replica's part in the election.
pub(crate) struct Election {
    leads: watch::Receiver<bool>,
    manager: JoinHandle<Result<LeaseManager, LeaseManagerError>>,
    api: Api<Lease>,
    holder: String,
}

impl Election {
    /// Waits to lead from now on.
    ///
    /// # Errors
    /// When the namespace of the Lease or the name of this pod is not known, or the Lease can
    /// neither be read nor made.
    pub(crate) async fn enter(args: &Args, client: Client) -> Result<Self> {
        let namespace = args.lease_namespace.as_ref().or(args.pod_namespace.as_ref()).ok_or_else(|| {
            anyhow!("expected a namespace for the Lease: give --lease-namespace, or POD_NAMESPACE")
        })?;
        let holder = args.pod_name.clone();
        let holder =
            holder.ok_or_else(|| anyhow!("expected POD_NAME: the Lease is held in the name of the pod"))?;
        let api: Api<Lease> = Api::namespaced(client.clone(), namespace);
        let lease = LeaseManagerBuilder::new(client, NAME).with_namespace(namespace).with_identity(&holder);
        let lease = lease.with_duration(DURATION).with_grace(GRACE).build().await;
        let lease = lease.with_context(|| format!("failed to get or make the Lease {namespace}/{NAME}"))?;
        let (leads, manager) = lease.watch().await;
        info!(lease = NAME, "waits to lead");
        Ok(Self { leads, manager, api, holder })
    }

    /// Waits until this replica leads. The manager says so for every Lease in the name of this pod:
    /// one that ran out, from before a restart of the program, has to be renewed first.
    ///
    /// # Errors
    /// When it never will lead.
    pub(crate) async fn won(&mut self) -> Result<()> {
        loop {
            self.leads.wait_for(|leads| *leads).await.context("failed to hold the Lease")?;
            if timeout(CHECK, self.left()).await.is_ok_and(|left| left.is_some_and(|left| !left.is_zero())) {
                info!(lease = NAME, "leads");
                return Ok(());
            }
            sleep(RENEWAL).await;
        }
    }

    /// Waits, having won, until this replica leads no longer; the reason.
    pub(crate) async fn lost(&self) -> Error {
        let mut leads = self.leads.clone();
        tokio::select! {
            _ = leads.wait_for(|leads| !*leads) => {
                anyhow!("lost the Lease {NAME}: another replica leads now, and this one starts anew")
            }
            () = self.ran_out() => {
                anyhow!("failed to renew the Lease {NAME} in time: another replica may lead soon, and this one starts anew")
            }
        }
    }

    /// Gives the Lease back, so that another replica need not wait for its end.
    ///
    /// # Errors
    /// The apiserver's refusal, or that it is away.
    pub(crate) async fn give_back(self) -> Result<()> {
        drop(self.leads);
        self.manager
            .await
            .context("failed to give the Lease back")?
            .context("failed to give the Lease back")?;
        Ok(())
    }

    /// Ends when the Lease was not renewed for too long. The manager does not tell: when it cannot
    /// renew, it goes on trying, and leads.
    async fn ran_out(&self) {
        let mut good = Instant::now() + SAFE;
        loop {
            if let Ok(Some(left)) = timeout_at(good, self.left()).await {
                good = Instant::now() + left;
            }
            let now = Instant::now();
            if good <= now {
                return;
            }
            sleep_until(good.min(now + CHECK)).await;
        }
    }

    /// The time for which this replica may go on by the Lease of now; [`None`] when that is not
    /// known.
    async fn left(&self) -> Option<Duration> {
        match self.api.get(NAME).await {
            Ok(lease) => Some(left(&lease, &self.holder, Timestamp::now())),
            Err(error) => {
                debug!(%error, lease = NAME, "whether the Lease is renewed is not known");
                None
            }
        }
    }
}

/// The time for which the holder may go on. The time in the Lease is by this replica's own clock;
/// should that have been set back, it counts as now.
fn left(lease: &Lease, holder: &str, now: Timestamp) -> Duration {
    let spec = lease.spec.as_ref().filter(|spec| spec.holder_identity.as_deref() == Some(holder));
    let Some(renewed) = spec.and_then(|spec| spec.renew_time.as_ref()) else { return Duration::ZERO };
    let silent = Duration::try_from(now.duration_since(renewed.0)).unwrap_or_default();
    SAFE.saturating_sub(silent)
}

#[cfg(test)]
mod tests;
