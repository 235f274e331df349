//! What would change: each step of the operator's plan, tried by the apiserver's dry run and
//! compared with what is there.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use kube::api::DynamicObject;
use serde::Serialize;
use serde_json::Value;
use similar::TextDiff;

use super::finding::{Finding, Subject};
use crate::apply::dry_run;
use crate::cluster::Cluster;
use crate::model::problem::Problem;
use crate::model::step::Step;
use crate::model::workload::{Kind, WorkloadKey};

/// The metadata that every write changes.
const CHANGING: [&str; 5] = ["managedFields", "resourceVersion", "generation", "uid", "creationTimestamp"];

/// An object that would change.
#[derive(Debug, Serialize)]
pub(super) struct Change {
    /// Kind, namespace and name.
    pub(super) object: String,
    /// A unified diff, as YAML.
    pub(super) diff: String,
}

/// A step that was tried.
pub(super) struct Tried {
    object: String,
    before: Option<Value>,
    /// The object afterwards; [`None`] where it is deleted.
    after: Result<Option<Value>, Problem>,
    workload: Option<WorkloadKey>,
}

impl Tried {
    /// The operator's own problem with the step.
    pub(super) fn finding(&self) -> Option<Finding> {
        Some(Finding::problem(Subject::Changes, self.after.as_ref().err()?))
    }

    /// The workload that the step makes of one.
    pub(super) fn workload(&self) -> Option<(&WorkloadKey, &Value)> {
        Some((self.workload.as_ref()?, self.after.as_ref().ok()?.as_ref()?))
    }

    /// What it changes of the object, of which `shown` is told.
    pub(super) fn change(&self, shown: impl Fn(&Value) -> Value) -> Option<Change> {
        let text = |object: Option<&Value>| text(object.map(&shown));
        let (before, after) = (text(self.before.as_ref()), text(self.after.as_ref().ok()?.as_ref()));
        let diff = TextDiff::from_lines(&before, &after).unified_diff().context_radius(3).to_string();
        (!diff.is_empty()).then(|| Change { object: self.object.clone(), diff })
    }
}

/// Tries all of them, none of which sees what another did.
///
/// # Errors
/// An apiserver that gives no answer.
pub(super) async fn tried(cluster: &Cluster, all: Vec<Step>) -> Result<Vec<Tried>> {
    // Several steps for one object make it whole together: the last one is what it comes to.
    let mut last = BTreeMap::new();
    for (at, step) in all.into_iter().enumerate() {
        last.insert(place(&step), (at, step));
    }
    let mut ordered: Vec<_> = last.into_iter().collect();
    ordered.sort_by_key(|(_, (at, _))| *at);
    let mut tried = Vec::new();
    for (place, (_, step)) in ordered {
        let about = || format!("failed to try a change of the {place}");
        let before = place.live(cluster).await.with_context(about)?;
        let after = dry_run(cluster, &step).await.with_context(about)?;
        let workload = match step {
            Step::Overlay { workload, .. } => Some(workload),
            _ => None,
        };
        tried.push(Tried { object: place.to_string(), before, after, workload });
    }
    Ok(tried)
}

/// The object of a step.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    /// [`None`] for a ConfigMap or a pod.
    kind: Option<Kind>,
    is_pod: bool,
    namespace: String,
    name: String,
}

impl Place {
    async fn live(&self, cluster: &Cluster) -> Result<Option<Value>> {
        let Self { kind, is_pod, namespace, name } = self;
        if *is_pod {
            return Ok(None);
        }
        Ok(match kind {
            Some(kind) => {
                let found: Option<DynamicObject> = cluster.workloads(*kind, namespace).get_opt(name).await?;
                found.map(serde_json::to_value).transpose()?
            }
            None => cluster.config_map(namespace, name).await?.map(serde_json::to_value).transpose()?,
        })
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = match self.kind {
            Some(kind) => kind.as_str(),
            None if self.is_pod => "Pod",
            None => "ConfigMap",
        };
        write!(f, "{kind} {}/{}", self.namespace, self.name)
    }
}

fn place(step: &Step) -> Place {
    let of = |kind, is_pod, namespace: &str, name: &str| Place {
        kind,
        is_pod,
        namespace: namespace.to_owned(),
        name: name.to_owned(),
    };
    match step {
        Step::Configure { object, .. } | Step::Edit { object, .. } | Step::Restore { object, .. } => {
            let text = |path| object.pointer(path).and_then(Value::as_str).unwrap_or_default();
            of(None, false, text("/metadata/namespace"), text("/metadata/name"))
        }
        Step::Overlay { workload, .. } | Step::Hold { workload, .. } | Step::Withdraw { workload, .. } => {
            of(Some(workload.kind), false, &workload.namespace, &workload.name)
        }
        Step::Delete { namespace, name, .. } => of(None, false, namespace, name),
        Step::DeletePod { namespace, name, .. } => of(None, true, namespace, name),
    }
}

/// An object as YAML, without what every write changes.
fn text(object: Option<Value>) -> String {
    let Some(mut object) = object else { return String::new() };
    if let Some(whole) = object.as_object_mut() {
        whole.remove("status");
    }
    if let Some(metadata) = object.pointer_mut("/metadata").and_then(Value::as_object_mut) {
        for key in CHANGING {
            metadata.remove(key);
        }
    }
    serde_yaml::to_string(&object).unwrap_or_default()
}
