//! The update strategy of a DaemonSet, which decides when its pods are replaced, and its owner.
//! Pure.

use keylime_attestor_api::names::FIELD_MANAGER;
use serde_json::{Value, json};

use crate::model::workload::{Workload, is_ours};

/// The strategy's type in the managed fields.
const TYPE: &str = "/f:spec/f:updateStrategy/f:type";

/// The strategy of a DaemonSet, with its owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Strategy {
    /// OnDelete, applied by us.
    Ours,
    /// OnDelete, owned by somebody else.
    Theirs,
    /// Owned by nobody.
    Free,
    /// RollingUpdate, set by this field manager.
    Rolling(String),
}

impl Strategy {
    pub(crate) fn of(workload: &Workload) -> Self {
        let strategy = workload.live.pointer("/spec/updateStrategy");
        let is_on_delete = strategy.and_then(|strategy| strategy.get("type")) == Some(&json!("OnDelete"));
        let owners = || {
            let fields = workload.fields.iter().filter(|entry| entry.subresource.is_none());
            fields.filter(|entry| {
                entry.fields_v1.as_ref().is_some_and(|fields| fields.0.pointer(TYPE).is_some())
            })
        };
        if is_on_delete {
            return if owners().any(is_ours) { Self::Ours } else { Self::Theirs };
        }
        let defaulted = is_default(strategy) && !mentions_strategy(workload);
        // A client that writes without server-side apply seems to own the apiserver's defaults,
        // too.
        let said = owners().find(|entry| {
            entry.manager.as_deref() != Some(FIELD_MANAGER)
                && (entry.operation.as_deref() == Some("Apply") || !defaulted)
        });
        said.map_or(Self::Free, |entry| Self::Rolling(entry.manager.clone().unwrap_or_default()))
    }
}

/// An object with the strategy that leaves the replacing of pods to us. The member of the other
/// strategy may stay beside it.
pub(crate) fn on_delete(mut object: Value) -> Value {
    if let Some(object) = object.as_object_mut()
        && let Some(spec) = object.entry("spec").or_insert_with(|| json!({})).as_object_mut()
    {
        spec.insert("updateStrategy".to_owned(), json!({"type": "OnDelete"}));
    }
    object
}

/// True for the apiserver's default.
fn is_default(strategy: Option<&Value>) -> bool {
    strategy.is_none_or(|strategy| {
        *strategy == json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}})
            || *strategy == json!({"type": "RollingUpdate"})
    })
}

/// True where kubectl's annotation of the last applied object sets the strategy.
fn mentions_strategy(workload: &Workload) -> bool {
    let last =
        workload.live.pointer("/metadata/annotations/kubectl.kubernetes.io~1last-applied-configuration");
    let last: Option<Value> = last.and_then(Value::as_str).and_then(|text| serde_json::from_str(text).ok());
    last.is_some_and(|last| last.pointer("/spec/updateStrategy/type").is_some())
}

#[cfg(test)]
mod tests;
