//! SPIRE as it was found: its workloads, containers, versions and configurations.

use super::finding::{Finding, Subject};
use crate::discover::Discovered;
use crate::gather::{Found, Gathered};
use crate::model::workload::Workload;

/// The minor version of SPIRE that is the oldest one tested.
const OLDEST: u32 = 13;

/// A line for each workload that was found; what is missing, validation tells.
pub(super) fn findings(gathered: &Gathered) -> Vec<Finding> {
    let found = gathered.found.values().filter_map(|found| {
        let Found { workload: Some(workload), discovered: Some(Ok(discovered)), .. } = found else {
            return None;
        };
        Some(of(workload, discovered))
    });
    let managers = gathered.managers.iter().map(|manager| {
        let manager = &manager.discovered;
        let message = format!(
            "spire-controller-manager is the container {}, its configuration in the ConfigMap {}",
            manager.container, manager.config_map
        );
        Finding::ok(Subject::Spire, message)
    });
    found.chain(managers).collect()
}

fn of(workload: &Workload, discovered: &Discovered) -> Finding {
    let Discovered { container, config_map, config_path, .. } = discovered;
    let image = workload.containers().iter().find(|one| one.name == *container);
    let image = image.and_then(|one| one.image.as_deref()).unwrap_or_default();
    let what = format!(
        "{}: container {container}, {config_path} from the ConfigMap {config_map}, image {image}",
        workload.key
    );
    match minor(image) {
        Some(minor) if minor < OLDEST => Finding::warning(
            Subject::Spire,
            format!("{what}, an older SPIRE than is tested"),
            format!("Upgrade SPIRE to 1.{OLDEST} or later; tests/README.md says what is tested with which."),
        ),
        _ => Finding::ok(Subject::Spire, what),
    }
}

/// The minor version of SPIRE 1 that an image's tag tells, if it does.
fn minor(image: &str) -> Option<u32> {
    let name = image.split('@').next()?.rsplit('/').next()?;
    let (_, tag) = name.split_once(':')?;
    let mut numbers = tag.trim_start_matches('v').split('.');
    (numbers.next()? == "1").then(|| numbers.next()?.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::minor;

    #[test]
    fn a_tag_tells_the_version() {
        for (image, told) in [
            ("ghcr.io/spiffe/spire-server:1.15.3", Some(15)),
            ("registry.example:5000/spire-agent:v1.9.0@sha256:aa", Some(9)),
            ("registry.example:5000/spire-agent", None),
            ("spire-agent@sha256:aa", None),
            ("spire-agent:nightly", None),
        ] {
            assert_eq!(minor(image), told, "{image}");
        }
    }
}
