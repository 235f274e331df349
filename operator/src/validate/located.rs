//! A discovered workload, as far as the mode needs it.

use hcl::edit::Variables;
use keylime_attestor_api::Mode;
use keylime_attestor_api::conditions::configuration_applied as reason;

use super::variables;
use crate::discover::Discovered;
use crate::gather::Found;
use crate::model::problem::Problem;
use crate::model::target::Asked;

/// A discovered workload, with all that the mode needs of it.
pub(super) fn discovered<'f>(
    mode: Mode,
    asked: &Asked,
    found: Option<&'f Found>,
) -> Result<(&'f Found, Located), Problem> {
    let absent = || {
        Problem::new(
            reason::WORKLOAD_NOT_FOUND,
            format!(
                "expected the {}, it is not there: install SPIRE, or correct its name or namespace in spec.spire",
                asked.key
            ),
        )
    };
    let found = found.ok_or_else(absent)?;
    let workload = found.workload.as_ref().filter(|workload| !workload.deleting);
    match (&found.discovered, workload) {
        (Some(Ok(discovered)), Some(workload)) => {
            if let Some(command) = &discovered.command
                && mode == Mode::Overlay
                && !workload.managed
            {
                return Err(Problem::new(
                    reason::COMMAND_SET,
                    format!(
                        "expected no command in container {} of the {}, it has {}: give SPIRE's flags as args, or choose mode InPlace",
                        discovered.container,
                        asked.key,
                        command.join(" ")
                    ),
                ));
            }
            Ok((found, Located::from(discovered)))
        }
        (Some(Err(problem)), Some(_)) => Err(problem.clone()),
        _ => match &asked.config_map {
            // Enough for this mode, which only writes configurations.
            Some(config_map) if mode == Mode::ConfigOnly => Ok((
                found,
                Located {
                    container: asked.container.clone(),
                    config_path: asked.config_path.clone(),
                    flags: Vec::new(),
                    config_map: config_map.name.clone(),
                    key: config_map.key.clone(),
                    // The flags of SPIRE are not known; variables stay as they are either way.
                    variables: Variables::Expanded,
                },
            )),
            _ => Err(absent()),
        },
    }
}

/// The parts of a workload, some of which the mode may not need.
pub(super) struct Located {
    pub(super) container: Option<String>,
    pub(super) config_path: Option<String>,
    pub(super) flags: Vec<String>,
    pub(super) config_map: String,
    pub(super) key: Option<String>,
    pub(super) variables: Variables,
}

impl From<&Discovered> for Located {
    fn from(discovered: &Discovered) -> Self {
        let Discovered { container, flags, config_path, config_map, key, command } = discovered.clone();
        let words = command.iter().flatten().chain(&flags).map(String::as_str);
        let variables = variables::of_arguments(words);
        Self { container: Some(container), config_path: Some(config_path), flags, config_map, key, variables }
    }
}
