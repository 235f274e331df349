//! The admission policies as Helm renders them: for which clusters, and for whom.

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::helm::{HELMS, NAMESPACE, RELEASE, at, chart, helm as run, objects, template, text, value_set};

/// A kind that a cluster does not know would keep the whole release out.
#[test]
fn without_the_kind_there_are_no_admission_policies() -> Result<()> {
    let (chart, values) = (chart(), value_set("default"));
    let command = ["template", RELEASE, text(&chart)?, "--values", text(&values)?];
    let served = ["--api-versions", "admissionregistration.k8s.io/v1/ValidatingAdmissionPolicy"];
    let older = ["--api-versions", "admissionregistration.k8s.io/v1beta1/ValidatingAdmissionPolicy"];
    for helm in HELMS {
        for (flags, expected) in [(&[][..], 0), (&["--kube-version", "1.30.0"], 0), (&older, 0), (&served, 8)]
        {
            let rendered = objects(&run(helm, &[&command, flags].concat())?)?;
            let is_policy = |object: &&Value| at(object, "/kind").starts_with("ValidatingAdmissionPolicy");
            assert_eq!(rendered.iter().filter(is_policy).count(), expected, "{helm:?} {flags:?}");
        }
    }
    Ok(())
}

/// Whatever the release is called: with another account they would bind nobody. With a parameter
/// they would bind everybody, as long as it is not found.
#[test]
fn the_policies_bind_the_account_of_the_release() -> Result<()> {
    for (values, account) in [("default", "keylime-attestor"), ("namespaces", "attestor")] {
        let objects = objects(&template(HELMS[0], &["--values", text(&value_set(values))?])?)?;
        let of = |kind| objects.iter().filter(move |object| at(object, "/kind") == kind);
        for policy in of("ValidatingAdmissionPolicy") {
            let condition =
                format!("request.userInfo.username == 'system:serviceaccount:{NAMESPACE}:{account}'");
            assert_eq!(at(policy, "/spec/matchConditions/0/expression"), condition);
            assert_eq!(at(policy, "/spec/failurePolicy"), "Fail");
            assert_eq!(policy.pointer("/spec/paramKind"), None);
        }
        for binding in of("ValidatingAdmissionPolicyBinding") {
            assert_eq!(binding.pointer("/spec/validationActions"), Some(&json!(["Deny"])));
            assert_eq!(binding.pointer("/spec/paramRef"), None);
        }
        let mut containers =
            of("Deployment").filter_map(|object| object.pointer("/spec/template/spec/containers/0"));
        let container = containers.next().context("no container")?;
        let args = container.pointer("/args").and_then(Value::as_array).into_iter().flatten();
        let mut given = args.filter_map(|arg| arg.as_str()?.strip_prefix("--plugin-image="));
        let image = given.next().unwrap_or(at(container, "/image"));
        let policies = of("ValidatingAdmissionPolicy").map(ToString::to_string).collect::<String>();
        assert!(policies.contains(&format!("\"'{image}'\"")), "{image} is not in {policies}");
    }
    Ok(())
}
