use serde_json::{Value, json};

use super::*;
use crate::fixture::{checksums_for, gathered, merge, object, read, resource};
use crate::model::target::{Desired, Role};
use crate::model::workload::Kind;
use crate::validate::validate;

const BOTH: &[&str] = &["amd64", "arm64"];

/// The resource with this architecture of its workloads, whose pods ask for a node like this.
fn desired(
    mode: &str,
    told: Option<&str>,
    selected: Value,
    image: &[&str],
) -> Result<Desired, (&'static str, String)> {
    let mut resource = resource(json!({"spire": {"mode": mode}}));
    resource.spec.spire.server.architecture = told.map(str::to_owned);
    resource.spec.spire.agents[0].workload.architecture = told.map(str::to_owned);
    let mut gathered = gathered(&resource);
    for (key, found) in &mut gathered.found {
        let mut object = object(key.kind, 3, 3);
        merge(&mut object, &json!({"spec": {"template": {"spec": {"nodeSelector": selected}}}}));
        found.workload = Some(read(key.kind, object));
    }
    validate(&resource, &gathered, &checksums_for(image)).map_err(|problems| {
        let first = problems.into_iter().next().unwrap();
        (first.reason.name, first.message)
    })
}

fn architectures(desired: &Desired) -> Vec<String> {
    let all = desired.targets().map(|target| {
        let configurations = target.derived.count();
        format!("{} {configurations}", target.plugin.checksums.architectures().join(","))
    });
    all.collect()
}

#[test]
fn pods_get_the_build_of_their_architecture() {
    let arm64 = json!({"kubernetes.io/arch": "arm64"});
    for (told, selected, image, expected) in [
        (None, json!({}), BOTH, "amd64,arm64 2"),
        (None, arm64.clone(), BOTH, "arm64 1"),
        (Some("amd64"), json!({}), BOTH, "amd64 1"),
        // What the resource says goes before what is found, as everywhere.
        (Some("amd64"), arm64.clone(), BOTH, "amd64 1"),
        (None, json!({"kubernetes.io/os": "linux"}), BOTH, "amd64,arm64 2"),
        (None, json!({}), &["arm64"], "arm64 1"),
        (None, arm64.clone(), &[], " 1"),
    ] {
        let desired = desired("Overlay", told, selected.clone(), image).unwrap();
        assert_eq!(architectures(&desired), [expected, expected], "{told:?} {selected} {image:?}");
    }
}

#[test]
fn each_configuration_names_the_checksum_of_its_build_and_differs_in_nothing_else() {
    let desired = desired("Overlay", None, json!({}), BOTH).unwrap();
    for target in desired.targets() {
        let (Builds::Each(texts), Builds::Each(sums)) = (&target.derived, &target.plugin.checksums) else {
            panic!("{target:?}")
        };
        let plain: std::collections::BTreeSet<String> = texts
            .iter()
            .map(|(architecture, text)| {
                assert_eq!(text.matches(&sums[architecture]).count(), 1, "{text}");
                text.replace(&sums[architecture], "")
            })
            .collect();
        assert_eq!(plain.len(), 1, "{plain:?}");
        assert_ne!(sums["amd64"], sums["arm64"]);
    }
}

#[test]
fn an_architecture_that_the_image_lacks_is_refused() {
    for mode in ["Overlay", "InPlace", "ConfigOnly"] {
        for (told, selected) in
            [(Some("riscv64"), json!({})), (None, json!({"kubernetes.io/arch": "riscv64"}))]
        {
            for image in [BOTH, &["amd64"]] {
                let (reason, message) = desired(mode, told, selected.clone(), image).unwrap_err();
                assert_eq!(reason, "ArchitectureUnknown");
                let expected = format!(
                    "are to run on riscv64, and the operator's image has plugins of {} alone",
                    image.join(", ")
                );
                assert!(message.contains(&expected), "{message}");
            }
        }
    }
}

#[test]
fn one_configuration_for_all_pods_needs_to_know_which() {
    for mode in ["InPlace", "ConfigOnly"] {
        let (reason, message) = desired(mode, None, json!({}), BOTH).unwrap_err();
        assert_eq!(reason, "ArchitectureUnknown");
        assert!(message.contains(mode) && message.contains("amd64, arm64: set architecture"), "{message}");
        let told = desired(mode, Some("arm64"), json!({}), BOTH).unwrap();
        assert_eq!(architectures(&told), ["arm64 1", "arm64 1"]);
        assert_eq!(
            architectures(&desired(mode, None, json!({}), &["amd64"]).unwrap()),
            ["amd64 1", "amd64 1"]
        );
    }
}

/// Once our attestor is alone in what was applied, it stays so, in configurations for each
/// architecture as in one for all.
#[test]
fn a_server_that_is_exclusive_stays_so() {
    use hcl::edit::Placement;
    let resource = resource(json!({"spire": {"attestors": "Exclusive"}, "enforcement": {}}));
    let mut gathered = gathered(&resource);
    gathered.needs = Some(Vec::new());
    let checksums = checksums_for(BOTH);
    let desired = validate(&resource, &gathered, &checksums).unwrap();
    assert_eq!(desired.server.placement, Placement::Sole);
    let map = crate::configuration::derived::config_map(&desired.owner, &desired.server, Default::default());
    gathered.needs = Some(vec!["a node".to_owned()]);
    let placed = |gathered: &crate::gather::Gathered| {
        validate(&resource, gathered, &checksums).unwrap().server.placement
    };
    assert_eq!(placed(&gathered), Placement::Beside);
    crate::fixture::beside(&mut gathered, Role::Server, &map);
    assert_eq!(placed(&gathered), Placement::Sole);
    assert!(desired.server.key.kind == Kind::StatefulSet);
}
