//! The ends of the logs of pods, of those first that are not well.

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::api::LogParams;
use kube::{Api, ResourceExt as _};

use super::archive::Archive;
use super::redact::redact;

/// Most pods of one workload, and of each container's log the last lines and most bytes.
const PODS: usize = 20;
const LINES: i64 = 2000;
const BYTES: i64 = 512 << 10;

pub(super) async fn add(archive: &mut Archive, api: &Api<Pod>, namespace: &str, pods: &[Pod]) {
    let mut ordered: Vec<&Pod> = pods.iter().collect();
    ordered.sort_by_key(|pod| is_well(pod));
    for pod in ordered.iter().take(PODS) {
        for (container, restarted) in containers(pod) {
            log(archive, api, (namespace, pod), (&container, false)).await;
            if restarted {
                log(archive, api, (namespace, pod), (&container, true)).await;
            }
        }
    }
    if ordered.len() > PODS {
        let more = ordered.len() - PODS;
        archive.left_out(&format!("logs of {more} pods in {namespace}"), "those that are less well are here");
    }
}

async fn log(
    archive: &mut Archive,
    api: &Api<Pod>,
    (namespace, pod): (&str, &Pod),
    (container, previous): (&str, bool),
) {
    let params = LogParams {
        container: Some(container.to_owned()),
        previous,
        timestamps: true,
        tail_lines: Some(LINES),
        limit_bytes: Some(BYTES),
        ..LogParams::default()
    };
    let run = if previous { ".previous" } else { "" };
    let path = format!("logs/{namespace}/{}/{container}{run}.log", pod.name_any());
    match api.logs(&pod.name_any(), &params).await {
        Ok(text) => archive.add(&path, redact(&text)),
        Err(error) => archive.left_out(&path, &error.to_string()),
    }
}

fn statuses(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    let all = pod.status.iter().map(|status| (&status.init_container_statuses, &status.container_statuses));
    all.flat_map(|(init, others)| init.iter().flatten().chain(others.iter().flatten()))
}

fn is_well(pod: &Pod) -> bool {
    statuses(pod).all(|status| status.ready && status.restart_count == 0)
}

/// The containers, each with whether it had an earlier run.
fn containers(pod: &Pod) -> Vec<(String, bool)> {
    let specs =
        pod.spec.iter().flat_map(|spec| spec.init_containers.iter().flatten().chain(&spec.containers));
    let restarted = |name: &str| statuses(pod).any(|status| status.name == name && status.restart_count > 0);
    specs.map(|container| (container.name.clone(), restarted(&container.name))).collect()
}
