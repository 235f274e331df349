//! The pods of a workload, and their logs.

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::ResourceExt as _;
use kube::api::{ListParams, LogParams};
use kube::core::Selector;

use super::lists::in_pages;
use super::{Cluster, Error};
use crate::model::workload::Workload;

/// The last lines of a log that are read, and their length in bytes: enough for SPIRE's own reason
/// to end.
const LOG_LINES: i64 = 20;
const LOG_BYTES: i64 = 16 * 1024;

impl Cluster {
    /// The pods of a workload.
    pub(crate) async fn pods(&self, workload: &Workload) -> Result<Vec<Pod>, Error> {
        let key = &workload.key;
        let selector = selector(&workload.selector).map_err(|error| Error::Selector(key.clone(), error))?;
        let list =
            self.namespaced::<Pod>(&key.namespace).list(&ListParams::default().labels(&selector)).await;
        Ok(list.map_err(Error::api("list", format!("the pods of the {key}")))?.items)
    }

    /// The pods of a workload that may have thousands, as `keep` reduces them.
    pub(crate) async fn many_pods<T>(
        &self,
        workload: &Workload,
        keep: impl Fn(Pod) -> T,
    ) -> Result<Vec<T>, Error> {
        let key = &workload.key;
        let selector = selector(&workload.selector).map_err(|error| Error::Selector(key.clone(), error))?;
        let api = self.namespaced::<Pod>(&key.namespace);
        in_pages(&api, &selector, &format!("the pods of the {key}"), keep).await
    }

    /// The last lines that a container wrote, of its previous run when it has one.
    pub(crate) async fn log(&self, pod: &Pod, container: &str, previous: bool) -> Option<String> {
        let params = LogParams {
            container: Some(container.to_owned()),
            previous,
            tail_lines: Some(LOG_LINES),
            limit_bytes: Some(LOG_BYTES),
            ..LogParams::default()
        };
        let pods = self.namespaced::<Pod>(&pod.namespace().unwrap_or_default());
        pods.logs(&pod.name_any(), &params).await.ok()
    }
}

/// A label selector as a query has it.
pub(crate) fn selector(labels: &LabelSelector) -> Result<String, String> {
    Selector::try_from(labels.clone()).map(|selector| selector.to_string()).map_err(|error| error.to_string())
}
