use serde_json::json;

use super::*;
use crate::fixture::{merge, object, read as read_object, workload};

#[test]
fn a_workload_is_complete_when_all_its_pods_are_new_and_available() {
    for kind in Kind::ALL {
        for (updated, available, ready, complete) in [
            (0, 3, 0, false),
            (1, 2, 0, false),
            (1, 3, 1, false),
            (3, 2, 2, false),
            (3, 3, 3, true),
            (2, 0, 0, false),
        ] {
            let pods = workload(kind, updated, available).pods;
            let expected = PodCounts { desired: 3, updated, ready, available, missing: 0, complete };
            assert_eq!(pods, expected, "{kind:?} {updated} {available}");
        }
    }
}

#[test]
fn pods_that_do_not_exist_are_counted() {
    for (kind, all) in [
        (Kind::DaemonSet, "currentNumberScheduled"),
        (Kind::Deployment, "replicas"),
        (Kind::StatefulSet, "replicas"),
    ] {
        let mut object = object(kind, 1, 1);
        merge(&mut object, &json!({"status": {all: 1}}));
        assert_eq!(read_object(kind, object).pods.missing, 2, "{kind:?}");
    }
}

#[test]
fn counts_of_an_older_generation_say_nothing() {
    for kind in Kind::ALL {
        let mut object = object(kind, 3, 3);
        merge(&mut object, &json!({"metadata": {"generation": 5}}));
        let pods = read_object(kind, object).pods;
        assert_eq!((pods.updated, pods.ready, pods.complete), (0, 0, false));
    }
}

#[test]
fn what_holds_a_rollout_is_named() {
    for (kind, spec, held) in [
        (Kind::Deployment, json!({"paused": true}), Some("it is paused")),
        (Kind::Deployment, json!({"paused": false}), None),
        (
            Kind::StatefulSet,
            json!({"updateStrategy": {"type": "OnDelete"}}),
            Some("its update strategy is OnDelete"),
        ),
        (
            Kind::StatefulSet,
            json!({"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 1}}}),
            Some("its rolling update has a partition"),
        ),
        (
            Kind::StatefulSet,
            json!({"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}}}),
            None,
        ),
        (
            Kind::DaemonSet,
            json!({"updateStrategy": {"type": "OnDelete"}}),
            Some("its update strategy is OnDelete"),
        ),
        (Kind::DaemonSet, json!({}), None),
    ] {
        let mut object = object(kind, 3, 3);
        merge(&mut object, &json!({"spec": spec}));
        assert_eq!(read_object(kind, object).held, held, "{kind:?} {spec}");
    }
}

#[test]
fn who_wrote_last_is_found_among_the_others() {
    let entry = |manager: &str, operation: &str, time: &str| json!({"manager": manager, "operation": operation, "time": time, "apiVersion": "apps/v1", "fieldsType": "FieldsV1", "fieldsV1": {}});
    let mut object = object(Kind::DaemonSet, 3, 3);
    let mut controller = entry("kube-controller-manager", "Update", "2026-01-01T00:00:09Z");
    merge(&mut controller, &json!({"subresource": "status"}));
    let fields = json!([
        entry("helm", "Apply", "2026-01-01T00:00:01Z"),
        entry("somebody", "Update", "2026-01-01T00:00:03Z"),
        entry(names::FIELD_MANAGER, "Apply", "2026-01-01T00:00:05Z"),
        controller,
    ]);
    merge(&mut object, &json!({"metadata": {"managedFields": fields}}));
    let workload = read_object(Kind::DaemonSet, object);
    assert_eq!((workload.last_writer.as_deref(), workload.managed), (Some("somebody"), true));
}
