//! The outputs of a reconcile: the status, the Events, and the inputs of the nodes' loop.

use k8s_openapi::jiff::Timestamp;
use keylime_attestor_api::KeylimeAttestor;
use kube::ResourceExt as _;
use tracing::info;

use crate::cluster;
use crate::events;
use crate::gather::Gathered;
use crate::model::target::{Owner, Role};
use crate::nodes::Inputs;
use crate::reconcile::{Context, Error};
use crate::status::attempt::Attempt;
use crate::status::{Facts, status, write};

/// Writes the status, and publishes Events of the steps and of its transitions.
pub(super) async fn report(
    context: &Context,
    resource: &KeylimeAttestor,
    attempt: &Attempt,
    now: Timestamp,
) -> Result<(), Error> {
    let previous = resource.status.clone().unwrap_or_default();
    let owner = Owner::of(resource);
    // The status of a resource that is being deleted says nothing new about nodes.
    let view = (!attempt.is_withdrawal()).then(|| context.nodes.view(&owner)).flatten();
    let status = status(&Facts {
        resource,
        previous: &previous,
        attempt,
        keylime_unavailable: attempt.lacks_keylime_client(),
        view: view.as_deref(),
        now,
    });
    context.metrics.reported(&owner, &status);
    let certificate = attempt.gathered().and_then(|gathered| gathered.client_certificate.as_ref());
    context.metrics.certificate(&owner, certificate.map(|certificate| certificate.not_after));
    let written = write::write(&context.cluster, resource, &status).await?;
    let done = attempt.applied().map(|applied| applied.done.as_slice()).unwrap_or_default();
    let mut events = events::of_steps(done);
    if written {
        events.extend(events::of_transitions(&previous, &status));
    }
    for event in &events {
        info!(
            namespace = resource.namespace(),
            name = resource.name_any(),
            reason = event.reason,
            note = event.note,
            "a KeylimeAttestor went on"
        );
    }
    context.events.publish(resource, events).await;
    Ok(())
}

/// Sets the inputs of the nodes' loop. A client of Keylime of the same version stays, with its
/// connections.
pub(super) fn set_inputs(context: &Context, owner: &Owner, gathered: &Gathered, is_valid: bool) {
    let pods = |role: Role| {
        let found = gathered.found.values().filter(move |found| found.role == role);
        found.filter_map(|found| {
            let workload = found.workload.as_ref()?;
            Some((workload.key.namespace.clone(), cluster::selector(&workload.selector).ok()?))
        })
    };
    let before = context.nodes.inputs(owner).and_then(|inputs| inputs.keylime_client);
    let keylime_client = gathered.keylime_client.clone();
    let same =
        before.filter(|before| keylime_client.as_ref().is_some_and(|new| new.version == before.version));
    context.nodes.set_inputs(
        owner,
        Inputs {
            keylime_client: same.or(keylime_client),
            is_valid,
            server: pods(Role::Server).next(),
            agents: pods(Role::Agent).collect(),
        },
    );
}
