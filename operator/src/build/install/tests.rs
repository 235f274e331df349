use super::*;

#[test]
fn the_user_is_that_of_spires_container_and_its_rights_are_not() {
    let context = |spire: Value| {
        let mut context = json!(security_context(Some(&serde_json::from_value(spire).unwrap())));
        let always = json!({"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
            "capabilities": {"drop": ["ALL"]}, "seccompProfile": {"type": "RuntimeDefault"}});
        for (key, value) in always.as_object().unwrap() {
            assert_eq!(context.as_object_mut().unwrap().remove(key).as_ref(), Some(value));
        }
        context
    };
    for user in [
        json!({}),
        json!({"runAsNonRoot": true}),
        json!({"runAsNonRoot": true, "runAsUser": 1000, "runAsGroup": 1000}),
        json!({"runAsNonRoot": false, "runAsUser": 0, "runAsGroup": 0}),
    ] {
        assert_eq!(context(user.clone()), user);
    }
    let rights = json!({"privileged": true, "allowPrivilegeEscalation": true, "capabilities": {"add": ["SYS_PTRACE"]},
        "readOnlyRootFilesystem": false, "seccompProfile": {"type": "Unconfined"}});
    assert_eq!(context(rights), json!({}));
}
