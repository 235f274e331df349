//! SPIRE's configuration, with and without our node attestor.

use hcl::edit::{self, Placement};
use k8s_openapi::api::core::v1::ConfigMap;
use keylime::KeyHash;
use keylime_attestor_api::conditions::configuration_applied as reason;
use keylime_attestor_api::{KeylimeAttestorSpec, Mode};

use super::located::Located;
use crate::configuration::plugin_data::{FoundOut, plugin_data};
use crate::configuration::{derived, original};
use crate::gather::Found;
use crate::model::binding::Tokens;
use crate::model::builds::Builds;
use crate::model::problem::Problem;
use crate::model::target::{Asked, Plugin, Role, Source, only_key, text};

/// The largest ConfigMap in bytes, as the apiserver counts.
pub(super) const MAX_CONFIG_MAP: usize = 1 << 20;

/// An upper bound of our node attestor's size in any spelling: the schema limits every text in it.
const OUR_PART: usize = 16 << 10;

/// SPIRE's configuration, and the same with our node attestor in it: in the agents alone, in the
/// server where `server` places it, from the text that was applied last.
pub(super) fn configuration(
    asked: &Asked,
    located: &Located,
    found: &Found,
    plugin: &Plugin,
    spec: &KeylimeAttestorSpec,
    server: impl Fn(&str) -> Placement,
    (report_client, tokens): (Option<KeyHash>, Option<&Tokens>),
) -> Result<(Source, Placement, Builds<String>), Problem> {
    let (namespace, name) = (&asked.key.namespace, &located.config_map);
    let (live, key, current) = entry(namespace, located, found)?;
    fits(name, live, plugin.checksums.count())?;
    let invalid = |error: String| {
        let at = format!("{key} in the ConfigMap {namespace}/{name}");
        Problem::new(reason::CONFIGURATION_INVALID, format!("{at}: {error}. The pods keep the last good one"))
    };
    let refused = |error: edit::Error| invalid(error.to_string());
    let original = original::original_of(asked.role, (live, found.beside.as_ref()), &key, current)
        .ok_or_else(|| {
            // A text that SPIRE would not read either is reported before our own part is looked
            // for.
            if let Err(error) = edit::node_attestors(current) {
                return refused(error);
            }
            let advice =
                "put back what SPIRE had before, as by applying its manifests or its chart once more";
            invalid(format!(
                "our node attestor in it cannot be told from the rest, or what was kept is lost: {advice}"
            ))
        })?;
    let found_out = FoundOut { flags: &located.flags, report_client, tokens };
    let data = plugin_data(asked, spec, &found_out, (original.as_str(), located.variables))
        .map_err(|error| invalid(error.to_string()))?;
    let placement = match asked.role {
        Role::Server => {
            let beside = found.beside.as_ref().and_then(|beside| derived::applied(beside, &key));
            let applied = beside.as_deref().unwrap_or_default();
            server(if spec.spire.mode == Mode::InPlace { current } else { applied })
        }
        Role::Agent => Placement::Sole,
    };
    let derive = |checksum: &String| {
        let element = (plugin.name.as_str(), checksum.as_str());
        derived::derive((asked.role, placement), &original, element, &data, located.variables)
    };
    let derived = plugin.checksums.try_map(derive).map_err(refused)?;
    let source =
        Source { config_map: name.clone(), key, original, live: live.clone(), beside: found.beside.clone() };
    Ok((source, placement, derived))
}

/// SPIRE's ConfigMap, with the key of its configuration there, and the text of now.
fn entry<'f>(
    namespace: &str,
    located: &Located,
    found: &'f Found,
) -> Result<(&'f ConfigMap, String, &'f str), Problem> {
    let name = &located.config_map;
    let missing = |what: String| {
        let advice = "create it, or set configMap or configPath of the workload in spec.spire";
        Problem::new(reason::CONFIGURATION_NOT_FOUND, format!("expected {what}, it is not there: {advice}"))
    };
    let live = found.source.as_ref().ok_or_else(|| missing(format!("the ConfigMap {namespace}/{name}")))?;
    let key = match &located.key {
        Some(key) => key.clone(),
        None => only_key(live)
            .cloned()
            .ok_or_else(|| missing(format!("one key in the ConfigMap {namespace}/{name}")))?,
    };
    let current = text(live, &key)
        .ok_or_else(|| missing(format!("the key {key} in the ConfigMap {namespace}/{name}")))?;
    Ok((live, key, current))
}

/// Checks the size of both ConfigMaps, SPIRE's edited in place and ours beside it: each holds at
/// most SPIRE's content of now and our part, as often as there are builds.
fn fits(name: &str, live: &ConfigMap, builds: usize) -> Result<(), Problem> {
    let now: usize = live.data.iter().flatten().map(|(key, text)| key.len() + text.len()).sum();
    let most = (MAX_CONFIG_MAP / builds.max(1)).saturating_sub(OUR_PART);
    if now <= most {
        return Ok(());
    }
    let expected = format!("expected at most {most} bytes, so that our node attestor has room, got {now}");
    let message = format!("the ConfigMap {name}: {expected}: make SPIRE's configuration smaller");
    Err(Problem::new(reason::CONFIGURATION_TOO_LARGE, message))
}
