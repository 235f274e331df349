use super::*;
use crate::fixture::SERVER_HCL;

#[test]
fn each_entry_is_its_former_owners_again() {
    let entry = |manager: &str, operation: &str, fields: Value| -> ManagedFieldsEntry {
        serde_json::from_value(json!({"manager": manager, "operation": operation, "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": fields}))
            .unwrap()
    };
    let mut live = crate::fixture::config_map("n", "spire", "server.conf", SERVER_HCL);
    let before = vec![
        entry("helm", "Apply", json!({"f:data": {"f:server.conf": {}}})),
        entry(
            "kubectl",
            "Update",
            json!({"f:data": {".": {}, "f:server.conf": {}}, "f:metadata": {"f:labels": {}}}),
        ),
        entry("other", "Update", json!({"f:metadata": {"f:annotations": {}}})),
    ];
    live.metadata.managed_fields = Some(before.clone());
    let owners = FieldOwners::from([("server.conf".to_owned(), owners_of(&live, "server.conf"))]);
    // After a forced apply: an owner with nothing left goes.
    let after = [
        entry("kubectl", "Update", json!({"f:data": {".": {}}, "f:metadata": {"f:labels": {}}})),
        entry("other", "Update", json!({"f:metadata": {"f:annotations": {}}})),
        entry(keylime_attestor_api::names::FIELD_MANAGER, "Apply", json!({"f:data": {"f:server.conf": {}}})),
    ];
    let mut released = released(&after, &owners);
    released.sort_by(|a, b| a.manager.cmp(&b.manager));
    assert_eq!(released, before);
}
