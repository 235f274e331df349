//! The search for the container that runs SPIRE in a workload. Pure.

use k8s_openapi::api::core::v1::Container;
use keylime_attestor_api::conditions::configuration_applied as reason;

use super::Arguments;
use crate::model::problem::Problem;
use crate::model::target::Asked;
use crate::model::workload::Workload;

/// The container that the resource names, or else the one that runs SPIRE.
///
/// Other programs of SPIRE's pods have a `-config`, too, and SPIRE itself need not have one. So the
/// program or image decides, and the flag only among equals.
pub(super) fn find<'w>(asked: &Asked, workload: &'w Workload) -> Result<&'w Container, Problem> {
    let all = workload.containers();
    if let Some(name) = &asked.container {
        return all.iter().find(|container| container.name == *name).ok_or_else(|| {
            problem(workload, &format!("the container {name}"), &format!("it has {}", names(all)))
        });
    }
    if let [only] = all {
        return Ok(only);
    }
    let program = file_name(asked.role.spire());
    let of_spire = || all.iter().filter(|container| runs(container, program));
    let configured = |container: &&Container| Arguments::of(container).names_configuration();
    let choices: [Vec<&Container>; 3] = [
        of_spire().filter(configured).collect(),
        of_spire().collect(),
        all.iter().filter(configured).collect(),
    ];
    match choices.iter().find(|choice| !choice.is_empty()).map(Vec::as_slice) {
        Some([only]) => Ok(only),
        Some(several) => {
            let expected = format!("one container that runs {program}");
            let several = names(several.iter().copied());
            Err(problem(workload, &expected, &format!("{several} could each be it")))
        }
        None => {
            let expected = format!(
                "a container whose command or image is {program}, or which has -config among its arguments"
            );
            Err(problem(workload, &expected, &format!("none of {} is one", names(all))))
        }
    }
}

/// True for a container whose command or image is a program of SPIRE. Vendors' images have words
/// before and behind its name.
pub(crate) fn runs(container: &Container, program: &str) -> bool {
    let command = container.command.iter().flatten().chain(container.args.iter().flatten().take(1));
    let image = container.image.as_deref().map(repository).unwrap_or_default();
    image.contains(program) || command.map(|word| file_name(word)).any(|word| word == program)
}

/// The last part of an image's name, without tag and digest.
fn repository(image: &str) -> &str {
    let name = image.split('@').next().unwrap_or_default();
    file_name(name).split(':').next().unwrap_or_default()
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or_default()
}

fn names<'c>(containers: impl IntoIterator<Item = &'c Container>) -> String {
    containers.into_iter().map(|container| container.name.as_str()).collect::<Vec<_>>().join(", ")
}

fn problem(workload: &Workload, expected: &str, came: &str) -> Problem {
    let advice = "set container of the workload in spec.spire";
    let message = format!("expected {expected} in the {}, {came}: {advice}", workload.key);
    Problem::new(reason::CONTAINER_NOT_FOUND, message)
}

#[cfg(test)]
mod tests;
