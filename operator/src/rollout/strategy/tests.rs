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
    let default = || json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}});
    let other = || json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 3}});
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
