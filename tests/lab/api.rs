//! An apiserver's API as this process asks it. Tests ask many times a second while they wait, and a
//! kubectl takes a tenth of a second of a core to start.

use std::fmt;
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use k8s_openapi::api::admissionregistration::v1::ValidatingAdmissionPolicy;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use k8s_openapi::api::core::v1::{ConfigMap, Node, Pod, Secret};
use keylime_attestor_api::{AttestedNode, KeylimeAttestor};
use kube::api::{GetParams, Patch, PatchParams, Request};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config, Resource};
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};

/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// An administrator's client. Its functions block; they may be called from everywhere.
pub struct Api {
    client: Client,
    // None only while it is dropped.
    runtime: Option<Runtime>,
}

impl Api {
    /// A client by a kubeconfig; nothing is asked yet.
    ///
    /// # Errors
    /// When the kubeconfig cannot be used.
    pub(crate) fn of(kubeconfig: &Path) -> Result<Self> {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let kubeconfig = Kubeconfig::read_from(kubeconfig).context("failed to read the kubeconfig")?;
        let client = run(&runtime, async {
            let mut config =
                Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
            config.read_timeout = Some(TIMEOUT);
            anyhow::Ok(Client::try_from(config)?)
        })??;
        Ok(Self { client, runtime: Some(runtime) })
    }

    /// Fails until the apiserver is ready.
    pub(crate) fn ready(&self) -> Result<()> {
        let client = self.client.clone();
        let ready = Request::new("").get("readyz", &GetParams::default())?;
        self.run(async move { client.request_text(ready).await })?.map(drop).context("it is not ready")
    }

    /// An object by what kubectl calls it, such as `daemonset/spire-agent`, with all of its fields.
    /// The namespace counts for kinds that have one. None when there is no such object.
    ///
    /// # Errors
    /// When the apiserver does not say.
    pub fn get(&self, namespace: &str, object: &str) -> Result<Option<Value>> {
        let (requests, name) = requests(namespace, object)?;
        let request = requests.get(name, &GetParams::default())?;
        let client = self.client.clone();
        match self.run(async move { client.request::<Value>(request).await })? {
            Ok(object) => Ok(Some(object)),
            Err(kube::Error::Api(status)) if status.is_not_found() => Ok(None),
            Err(error) => Err(error).with_context(|| format!("failed to get {object}")),
        }
    }

    /// Writes an object's status, as a controller does, by a merge patch.
    ///
    /// # Errors
    /// When the apiserver refuses it, or there is no such object.
    pub fn patch_status(&self, namespace: &str, object: &str, status: &Value) -> Result<()> {
        let (requests, name) = requests(namespace, object)?;
        let patch = Patch::Merge(serde_json::json!({ "status": status }));
        let request = requests.patch_subresource("status", name, &PatchParams::default(), &patch)?;
        let client = self.client.clone();
        let answer = self.run(async move { client.request::<Value>(request).await })?;
        answer.map(drop).with_context(|| format!("failed to write the status of {object}"))
    }

    fn run<T: Send + 'static>(&self, question: impl Future<Output = T> + Send + 'static) -> Result<T> {
        run(self.runtime.as_ref().context("the client is gone")?, question)
    }
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api").finish_non_exhaustive()
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        // The other way waits, which a thread of another runtime must not.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Also for threads of another runtime, where `block_on` panics.
fn run<T: Send + 'static>(
    runtime: &Runtime,
    question: impl Future<Output = T> + Send + 'static,
) -> Result<T> {
    let (sender, receiver) = mpsc::sync_channel(1);
    runtime.spawn(async move { sender.send(question.await) });
    receiver.recv().context("the question was given up")
}

/// Where requests about an object go, and its name.
fn requests<'a>(namespace: &str, object: &'a str) -> Result<(Request, &'a str)> {
    let (kind, name) = object.split_once('/').with_context(|| format!("{object} is no kind/name"))?;
    let within = Some(namespace);
    let path = match kind {
        "attestednode" => AttestedNode::url_path(&(), None),
        "configmap" => ConfigMap::url_path(&(), within),
        "daemonset" => DaemonSet::url_path(&(), within),
        "deployment" => Deployment::url_path(&(), within),
        "kla" => KeylimeAttestor::url_path(&(), within),
        "node" => Node::url_path(&(), None),
        "pod" => Pod::url_path(&(), within),
        "secret" => Secret::url_path(&(), within),
        "statefulset" => StatefulSet::url_path(&(), within),
        "validatingadmissionpolicy" => ValidatingAdmissionPolicy::url_path(&(), None),
        _ => bail!("{kind} is not among the kinds that tests ask for: add it"),
    };
    Ok((Request::new(path), name))
}
