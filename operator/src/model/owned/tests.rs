use keylime_attestor_api::names::FIELD_MANAGER;
use serde_json::json;

use super::*;
use crate::fixture;
use crate::model::workload::Kind;

fn map(name: &str, uid: Option<&str>) -> OwnedObject {
    OwnedObject {
        kind: CONFIG_MAP.to_owned(),
        namespace: "n".to_owned(),
        name: name.to_owned(),
        uid: uid.map(str::to_owned),
    }
}

fn found(name: &str, uid: &str, managers: &[&str]) -> ObjectMeta {
    let entry = |manager: &&str| json!({"manager": manager, "operation": "Apply"});
    let fields: Vec<Value> = managers.iter().map(entry).collect();
    let metadata = json!({"namespace": "n", "name": name, "uid": uid, "managedFields": fields});
    serde_json::from_value(metadata).unwrap()
}

#[test]
fn an_object_is_known_by_its_uid_and_one_that_was_about_to_be_made_by_its_only_writer() {
    for (written, managers, ours) in [
        (Some("u"), &["somebody"][..], true),
        (Some("another"), &[FIELD_MANAGER], false),
        (None, &[FIELD_MANAGER], true),
        (None, &[FIELD_MANAGER, "somebody"], false),
        (None, &["somebody"], false),
    ] {
        assert_eq!(is(&map("m", written), &found("m", "u", managers)), ours, "{written:?} {managers:?}");
    }
}

#[test]
fn what_steps_are_about_to_change_is_written_down_and_no_uid_is_lost() {
    let configure = |name: &str| Step::Configure {
        object: json!({"metadata": {"namespace": "n", "name": name}}),
        correction: false,
    };
    let agent = fixture::workload(Kind::DaemonSet, 3, 3);
    let overlay = Step::Overlay {
        workload: agent.key.clone(),
        object: crate::build::overlay::identity(&agent),
        correction: false,
    };
    let mut objects =
        with(&[map("b", Some("u"))], &[configure("b"), overlay, configure("a"), configure("c")]);
    assert_eq!(objects, [map("a", None), map("b", Some("u")), map("c", None), workload(&agent)]);
    made(&mut objects, &found("a", "v", &[FIELD_MANAGER]));
    made(&mut objects, &found("c", "w", &[FIELD_MANAGER, "somebody"]));
    assert_eq!(objects[..3], [map("a", Some("v")), map("b", Some("u")), map("c", None)]);
}
