//! The Events about an object.

use k8s_openapi::api::events::v1::Event;
use k8s_openapi::jiff::Timestamp;

/// The Events about an object that are asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Told<'a> {
    Reason(&'a str),
    Warning,
}

/// The content of an Event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Noted {
    /// The time at which it was last so.
    pub(crate) at: Timestamp,
    pub(crate) reason: String,
    pub(crate) note: String,
}

impl Noted {
    /// The content of an Event in either form: those of Kubernetes' own controllers have no series.
    pub(super) fn of(event: Event) -> Option<Self> {
        let last = event.series.map(|series| series.last_observed_time.0);
        let last = last
            .or(event.deprecated_last_timestamp.map(|time| time.0))
            .or(event.event_time.map(|time| time.0));
        Some(Self {
            at: last?,
            reason: event.reason.unwrap_or_default(),
            note: event.note.unwrap_or_default(),
        })
    }
}
