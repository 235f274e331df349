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
mod tests {
    use super::*;
    use crate::fixture::{merge, object, read};
    use crate::model::workload::Kind;

    fn of(strategy: Value, owner: Option<(&str, &str)>, last_applied: Option<Value>) -> Strategy {
        let mut object = object(Kind::DaemonSet, 3, 3);
        let fields = owner.map(|(manager, operation)| {
            json!([{"manager": manager, "operation": operation, "fieldsType": "FieldsV1",
                "fieldsV1": {"f:spec": {"f:updateStrategy": {"f:type": {}}}}}])
        });
        let annotations = last_applied
            .map(|last| json!({"kubectl.kubernetes.io/last-applied-configuration": last.to_string()}));
        merge(
            &mut object,
            &json!({"spec": {"updateStrategy": strategy}, "metadata": {"managedFields": fields, "annotations": annotations}}),
        );
        Strategy::of(&read(Kind::DaemonSet, object))
    }

    #[test]
    fn the_strategy_is_his_who_set_it() {
        let default =
            || json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}});
        let other =
            || json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 3}});
        let on_delete = || json!({"type": "OnDelete", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}});
        let rolling = |manager: &str| Strategy::Rolling(manager.to_owned());
        let said = || json!({"spec": {"updateStrategy": {"type": "RollingUpdate"}}});
        for (strategy, owner, last_applied, expected) in [
            (default(), None, None, Strategy::Free),
            (default(), Some(("helm", "Update")), None, Strategy::Free),
            (default(), Some(("kubectl", "Update")), Some(json!({"spec": {}})), Strategy::Free),
            (default(), Some(("kubectl", "Update")), Some(said()), rolling("kubectl")),
            (default(), Some(("helm", "Apply")), None, rolling("helm")),
            (default(), Some((FIELD_MANAGER, "Apply")), None, Strategy::Free),
            (other(), Some(("helm", "Update")), None, rolling("helm")),
            (on_delete(), Some(("helm", "Apply")), None, Strategy::Theirs),
            (on_delete(), Some(("helm", "Update")), None, Strategy::Theirs),
            (on_delete(), None, None, Strategy::Theirs),
            (on_delete(), Some((FIELD_MANAGER, "Apply")), None, Strategy::Ours),
        ] {
            assert_eq!(of(strategy.clone(), owner, last_applied), expected, "{strategy} {owner:?}");
        }
    }

    #[test]
    fn an_object_keeps_what_else_it_has() {
        assert_eq!(
            on_delete(json!({"kind": "DaemonSet", "spec": {"template": 1}})),
            json!({"kind": "DaemonSet", "spec": {"template": 1, "updateStrategy": {"type": "OnDelete"}}})
        );
        assert_eq!(on_delete(json!({})), json!({"spec": {"updateStrategy": {"type": "OnDelete"}}}));
    }
}
