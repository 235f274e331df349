//! `uninstall`: what `helm uninstall` runs before it deletes the operator. Without the operator
//! nobody would withdraw the plugins from SPIRE, and a resource that is deleted would wait for
//! ever.

use std::io::{self, Write as _};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use keylime_attestor_api::KeylimeAttestor;
use keylime_attestor_api::names::FINALIZER;
use kube::api::{DeleteParams, ListParams};
use kube::{Api, Client, Error, ResourceExt as _};

use crate::process::cli::{Args, Attestors};

const PAUSE: Duration = Duration::from_secs(2);

/// A resource of which something is in SPIRE.
#[derive(PartialEq, Eq)]
struct Left {
    namespace: String,
    name: String,
    is_deleted: bool,
}

/// Returns when no resource of the operator's namespaces has anything in SPIRE.
///
/// # Errors
/// With [`Attestors::Refuse`], one that has; the apiserver's refusal.
pub(crate) async fn uninstall(args: &Args, attestors: Attestors) -> Result<()> {
    let client = Client::try_default().await.context("failed to make a client of the cluster")?;
    let mut told = Vec::new();
    loop {
        let left = left(&client, &args.namespaces).await?;
        if left.is_empty() {
            return Ok(());
        }
        if attestors == Attestors::Refuse {
            bail!(refusal(&left));
        }
        for Left { namespace, name, .. } in left.iter().filter(|left| !left.is_deleted) {
            let api = Api::<KeylimeAttestor>::namespaced(client.clone(), namespace);
            let about = || format!("failed to delete the KeylimeAttestor {namespace}/{name}");
            api.delete(name, &DeleteParams::default()).await.map(drop).or_else(gone).with_context(about)?;
        }
        if told != left {
            let waiting = format!("waits until the operator has withdrawn {}", names(&left));
            writeln!(io::stderr(), "{waiting}")?;
            told = left;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Those that the operator has taken up: without its finalizer nothing of one is in SPIRE.
async fn left(client: &Client, namespaces: &[String]) -> Result<Vec<Left>> {
    let mut left = Vec::new();
    for namespace in namespaces {
        let api = Api::<KeylimeAttestor>::namespaced(client.clone(), namespace);
        let found = match api.list_metadata(&ListParams::default()).await {
            Ok(found) => found.items,
            // The kind, or the namespace, is gone already.
            Err(Error::Api(status)) if status.code == 404 => Vec::new(),
            Err(error) => {
                return Err(error).with_context(|| format!("failed to list KeylimeAttestors in {namespace}"));
            }
        };
        let carried = found.iter().filter(|one| one.finalizers().iter().any(|name| name == FINALIZER));
        left.extend(carried.map(|one| Left {
            namespace: namespace.clone(),
            name: one.name_any(),
            is_deleted: one.metadata.deletion_timestamp.is_some(),
        }));
    }
    Ok(left)
}

fn gone(error: Error) -> Result<(), Error> {
    match error {
        Error::Api(status) if status.code == 404 => Ok(()),
        error => Err(error),
    }
}

fn names(left: &[Left]) -> String {
    let names = left.iter().map(|Left { namespace, name, .. }| format!("{namespace}/{name}"));
    names.collect::<Vec<_>>().join(", ")
}

fn refusal(left: &[Left]) -> String {
    let delete =
        left.iter().map(|Left { namespace, name, .. }| format!("kubectl delete kla {name} -n {namespace}"));
    format!(
        "expected no KeylimeAttestor that is still in SPIRE, found {}: without the operator nobody withdraws the \
         plugins, and no deletion of a KeylimeAttestor ends. Do: {}; then uninstall again. To have `helm uninstall` \
         do it, go back by `helm rollback` first, since Helm upgrades no release that is being uninstalled, and upgrade with \
         uninstall.attestors=Withdraw. To leave SPIRE as it is: helm uninstall --no-hooks",
        names(left),
        delete.collect::<Vec<_>>().join("; ")
    )
}
