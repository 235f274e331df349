//! Kubernetes Events on a resource: its steps, and conditions that changed.

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use keylime_attestor_api::conditions::{ConditionType, bypass_possible, degraded, enforcing};
use keylime_attestor_api::names::{FIELD_MANAGER, event};
use keylime_attestor_api::{KeylimeAttestor, KeylimeAttestorStatus};
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::{Client, Resource as _};
use serde_json::Value;
use tracing::debug;

use crate::model::step::Step;

/// The longest note of an Event at the API, in bytes.
const MAX_NOTE: usize = 1024;

/// Publishes Events.
pub(crate) struct Events(Recorder);

impl Events {
    pub(crate) fn new(client: Client, instance: Option<String>) -> Self {
        Self(Recorder::new(client, Reporter { controller: FIELD_MANAGER.to_owned(), instance }))
    }

    /// Never fails a reconcile: in a namespace that is being deleted, no Event can be made.
    pub(crate) async fn publish(&self, resource: &KeylimeAttestor, events: Vec<Event>) {
        let reference = resource.object_ref(&());
        for event in events {
            self.tell(&reference, &event).await;
        }
    }

    /// One Event on one object.
    pub(crate) async fn tell(&self, object: &ObjectReference, event: &Event) {
        if let Err(error) = self.0.publish(event, object).await {
            debug!(reason = event.reason, %error, "an Event was not published");
        }
    }
}

/// The Events of steps.
pub(crate) fn of_steps(steps: &[Step]) -> Vec<Event> {
    steps.iter().filter_map(of_step).collect()
}

fn of_step(step: &Step) -> Option<Event> {
    let (reason, note, object) = match step {
        Step::Configure { object, correction: false } | Step::Edit { object, correction: false } => (
            event::CONFIGURATION_APPLIED,
            format!("wrote the ConfigMap {}", named(object)),
            reference(object),
        ),
        Step::Configure { object, correction: true } | Step::Edit { object, correction: true } => {
            let note = format!("the ConfigMap {} was changed by somebody else", named(object));
            (event::DRIFT_CORRECTED, note, reference(object))
        }
        Step::Overlay { workload, correction: false, object } => {
            (event::ROLLOUT_STARTED, format!("applied the overlay to the {workload}"), reference(object))
        }
        Step::Overlay { workload, correction: true, object } => (
            event::DRIFT_CORRECTED,
            format!("the {workload} was changed by somebody else"),
            reference(object),
        ),
        Step::Withdraw { workload, object } => {
            (event::WITHDRAWN, format!("took the overlay of the {workload} back"), reference(object))
        }
        Step::Restore { object, .. } => {
            (event::WITHDRAWN, format!("put the ConfigMap {} back", named(object)), reference(object))
        }
        Step::DeletePod { namespace, name, uid } => {
            let pod = ObjectReference {
                api_version: Some("v1".to_owned()),
                kind: Some("Pod".to_owned()),
                namespace: Some(namespace.clone()),
                name: Some(name.clone()),
                uid: Some(uid.clone()),
                ..ObjectReference::default()
            };
            (
                event::POD_REPLACED,
                format!("deleted the pod {namespace}/{name}, which Kubernetes makes anew"),
                pod,
            )
        }
        Step::Hold { .. } | Step::Delete { .. } => return None,
    };
    // Events that differ in nothing but their notes would be counted as one.
    Some(Event { secondary: Some(object), ..event(EventType::Normal, reason, "Apply", note) })
}

/// The conditions whose reason changed.
pub(crate) fn of_transitions(before: &KeylimeAttestorStatus, after: &KeylimeAttestorStatus) -> Vec<Event> {
    let calm = [degraded::AS_EXPECTED.name, enforcing::OBSERVING.name, enforcing::NOT_CONFIGURED.name];
    let last = |type_: &str| before.conditions.iter().find(|condition| condition.type_ == type_);
    let changed = after.conditions.iter().filter(|condition| {
        let last = last(&condition.type_);
        last.is_none_or(|last| last.reason != condition.reason)
            // A first status in which nothing is known or wrong is no news.
            && !(last.is_none() && (condition.status == "Unknown" || calm.contains(&condition.reason.as_str())))
    });
    changed.map(of_condition).collect()
}

fn of_condition(condition: &Condition) -> Event {
    let Condition { type_, status, reason, message, .. } = condition;
    // Or as it is in every migration.
    let passing = [
        "Progressing",
        "RollingOut",
        "WaitingForServer",
        "Withdrawing",
        "Observing",
        "NotConfigured",
        bypass_possible::OTHER_ATTESTORS.name,
    ]
    .contains(&reason.as_str());
    let is_bad = [ConditionType::Degraded, ConditionType::BypassPossible];
    let good = if is_bad.iter().any(|bad| bad.as_str() == type_) { "False" } else { "True" };
    let kind =
        if status == good || passing || status == "Unknown" { EventType::Normal } else { EventType::Warning };
    event(kind, reason, type_, message.clone())
}

/// An Event, its note cut to the API's limit.
pub(crate) fn event(type_: EventType, reason: &str, action: &str, note: String) -> Event {
    let mut note = note;
    if note.len() > MAX_NOTE {
        let end = (0..=MAX_NOTE - 3).rev().find(|at| note.is_char_boundary(*at)).unwrap_or(0);
        note.truncate(end);
        note.push('…');
    }
    Event { type_, reason: reason.to_owned(), note: Some(note), action: action.to_owned(), secondary: None }
}

fn named(object: &Value) -> String {
    let ObjectReference { namespace, name, .. } = reference(object);
    format!("{}/{}", namespace.unwrap_or_default(), name.unwrap_or_default())
}

fn reference(object: &Value) -> ObjectReference {
    let part = |path| object.pointer(path).and_then(Value::as_str).map(str::to_owned);
    ObjectReference {
        api_version: part("/apiVersion"),
        kind: part("/kind"),
        namespace: part("/metadata/namespace"),
        name: part("/metadata/name"),
        ..ObjectReference::default()
    }
}

#[cfg(test)]
mod tests;
