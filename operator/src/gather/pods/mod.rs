//! Pods that hold up a rollout, and their diagnosis.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use k8s_openapi::jiff::Timestamp;
use keylime_attestor_api::FailureCause;
use kube::ResourceExt as _;

use super::Gathered;
use crate::cluster::{Cluster, Error, Noted, Told};
use crate::model::pod::{self, is_ready};
use crate::model::workload::{Kind, Workload, WorkloadKey};

/// The longest message in characters; a condition's may have 32768, more than a human reads.
const MAX_MESSAGE: usize = 700;

/// The pods of every StatefulSet that is not complete: one that orders its pods does not replace a
/// pod that never became ready. With `in_batches` also those of DaemonSets that are not complete,
/// or whose update strategy leaves the replacing of pods to us.
pub(super) async fn of_unfinished(
    cluster: &Cluster,
    gathered: &Gathered,
    in_batches: bool,
) -> Result<BTreeMap<WorkloadKey, Vec<Pod>>, Error> {
    let named = gathered.found.values().filter_map(|found| found.workload.as_ref());
    let mut pods = BTreeMap::new();
    for workload in named.chain(&gathered.ours) {
        if pods.contains_key(&workload.key) {
            continue;
        }
        let found = match workload.key.kind {
            Kind::StatefulSet if !workload.pods.complete => cluster.pods(workload).await?,
            Kind::DaemonSet if in_batches && (!workload.pods.complete || workload.held.is_some()) => {
                cluster.many_pods(workload, pod::slim).await?
            }
            Kind::StatefulSet | Kind::DaemonSet | Kind::Deployment => continue,
        };
        pods.insert(workload.key.clone(), found);
    }
    Ok(pods)
}

/// The reason why a workload's pods are not ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PodDiagnosis {
    pub(crate) message: String,
    /// The node of the pod, if it has one.
    pub(crate) node: Option<String>,
    /// The cause, as far as the pod tells it.
    pub(crate) cause: FailureCause,
}

/// The diagnosis of a pod that could not be created.
pub(crate) fn uncreated(why: &str) -> PodDiagnosis {
    let message = format!("a pod cannot be created: {why}");
    PodDiagnosis {
        message: message.chars().take(MAX_MESSAGE).collect(),
        node: None,
        cause: FailureCause::PodNotCreated,
    }
}

/// The diagnosis of a workload's first pod that is not ready, on these nodes if any are given;
/// where all are ready, of the pod that could not be created.
pub(crate) async fn diagnose(
    cluster: &Cluster,
    workload: &Workload,
    nodes: &[String],
    since: Timestamp,
) -> Option<PodDiagnosis> {
    let pods = cluster.pods(workload).await.ok()?;
    let is_on = |pod: &&Pod| {
        let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_ref());
        nodes.is_empty() || node.is_some_and(|node| nodes.contains(node))
    };
    let Some(pod) = pods.iter().filter(is_on).find(|pod| !is_ready(pod)) else {
        return Some(uncreated(&super::uncreated::why(cluster, workload, since).await?));
    };
    let mut state = state(pod);
    let mut cause = cause(pod);
    if containers(pod).find_map(failure_of).is_none()
        && let Some(event) =
            cluster.last_event(&workload.key.namespace, &pod.uid().unwrap_or_default(), Told::Warning).await
    {
        // A pod that waits for a volume has the reason in no status, only in an Event.
        state = format!("{}: {}", event.reason, event.note);
        cause = cause_of_event(&event, cause);
    }
    let mut message = format!("pod {}: {state}", pod.name_any());
    if let Some((container, previous)) = failed(pod)
        && let Some(log) = cluster.log(pod, &container, previous).await
        && let Some(line) = telling_line(&log)
    {
        message += &format!(": {line}");
    }
    let node = pod.spec.as_ref().and_then(|spec| spec.node_name.clone());
    Some(PodDiagnosis { message: message.chars().take(MAX_MESSAGE).collect(), node, cause })
}

/// The cause by a pod's status: the cluster, where there is no node or no image for the pod.
fn cause(pod: &Pod) -> FailureCause {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let unscheduled = conditions.filter(|condition| condition.status == "False");
    let mut unscheduled =
        unscheduled.filter(|condition| condition.reason.as_deref() == Some("Unschedulable"));
    let waiting =
        containers(pod).filter_map(|status| status.state.as_ref()?.waiting.as_ref()?.reason.as_deref());
    let mut no_image = waiting.filter(|reason| NO_IMAGE.contains(reason));
    if unscheduled.next().is_some() || no_image.next().is_some() {
        FailureCause::Cluster
    } else {
        FailureCause::Pods
    }
}

/// A kubelet's reasons for an image that it cannot get.
const NO_IMAGE: [&str; 4] = ["ErrImagePull", "ImagePullBackOff", "RegistryUnavailable", "ErrImageNeverPull"];

/// The cause by an Event. A kubelet that cannot mount a Secret names it in the note.
fn cause_of_event(event: &Noted, otherwise: FailureCause) -> FailureCause {
    match event.reason.as_str() {
        "FailedMount" if event.note.contains("secret") => FailureCause::Secret,
        "FailedMount" | "FailedAttachVolume" | "FailedScheduling" | "FailedCreatePodSandBox" => {
            FailureCause::Cluster
        }
        _ => otherwise,
    }
}

/// The state of a pod in words: that of the first container that waits or failed, or else the first
/// condition that is false.
pub(crate) fn state(pod: &Pod) -> String {
    let Some(status) = &pod.status else { return "it has no status yet".to_owned() };
    if let Some(text) = containers(pod).find_map(failure_of) {
        return text;
    }
    let conditions = status.conditions.iter().flatten();
    let unscheduled = conditions.filter(|condition| condition.status == "False").find_map(|condition| {
        let message = condition.message.as_deref()?;
        Some(format!("{}: {message}", condition.reason.as_deref().unwrap_or(&condition.type_)))
    });
    unscheduled.unwrap_or_else(|| "it is not ready".to_owned())
}

fn containers(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    let status = pod.status.as_ref();
    let init = status.and_then(|status| status.init_container_statuses.as_ref());
    let main = status.and_then(|status| status.container_statuses.as_ref());
    init.into_iter().flatten().chain(main.into_iter().flatten())
}

fn failure_of(status: &ContainerStatus) -> Option<String> {
    let name = &status.name;
    let state = status.state.as_ref()?;
    if let Some(waiting) = &state.waiting
        && waiting.reason.as_deref() != Some("PodInitializing")
    {
        let reason = waiting.reason.as_deref().unwrap_or("waiting");
        let message = waiting.message.as_deref().map(|message| format!(": {message}")).unwrap_or_default();
        return Some(format!("container {name}: {reason}{message}"));
    }
    let ended = state.terminated.as_ref().filter(|ended| ended.exit_code != 0)?;
    let message = ended.message.as_deref().map(|message| format!(": {message}")).unwrap_or_default();
    Some(format!("container {name} ended with {}{message}", ended.exit_code))
}

/// The container with the log to read, and true for the log of its previous run: one that failed,
/// or else one that runs and does not become ready.
fn failed(pod: &Pod) -> Option<(String, bool)> {
    let failed = containers(pod).find_map(|status| {
        let ended = status.state.as_ref().and_then(|state| state.terminated.as_ref());
        let ended_now = ended.is_some_and(|ended| ended.exit_code != 0);
        let unready = !status.ready && status.restart_count > 0;
        (ended_now || unready).then(|| (status.name.clone(), !ended_now))
    });
    let runs = |status: &&ContainerStatus| status.state.as_ref().is_some_and(|state| state.running.is_some());
    failed.or_else(|| {
        let unready = containers(pod).filter(runs).find(|status| !status.ready)?;
        Some((unready.name.clone(), false))
    })
}

/// The last line in which SPIRE reports an error, or else the last one at all.
fn telling_line(log: &str) -> Option<&str> {
    let mut lines = log.lines().map(str::trim).filter(|line| !line.is_empty()).rev();
    lines.clone().find(|line| ERRORS.iter().any(|level| line.contains(level))).or_else(|| lines.next())
}

/// The marks of an error in SPIRE's log, as text and as JSON.
const ERRORS: [&str; 4] = ["level=error", "level=fatal", "\"level\":\"error\"", "\"level\":\"fatal\""];

#[cfg(test)]
mod tests;
