//! The log, the metrics and the report of a poll.

use report::Mode;
use tracing::{debug, error, info, warn};

use super::{PollError, Watch};
use crate::enforcement::assess::Assessment;

const POLLS: &[&str] = &["keylime_attestor", "enforcement", "poll"];
const LISTED: &[&str] = &["keylime_attestor", "enforcement", "listed"];
const FAILING: &[&str] = &["keylime_attestor", "enforcement", "failing"];
const UNKNOWN: &[&str] = &["keylime_attestor", "enforcement", "unknown"];
const HELD: &[&str] = &["keylime_attestor", "enforcement", "held"];

impl Watch {
    /// Logs and reports the numbers of a poll, and whether too many agents are at fault.
    pub(super) fn tell(&mut self, assessment: &Assessment) {
        let &Assessment { listed, failing, unknown, .. } = assessment;
        let held = assessment.held && self.settings.action != Mode::Observe;
        let limit = self.settings.max_unhealthy.percent();
        let text = format!(
            "Keylime fails {failing} and does not know {unknown} of {listed} agents, more than max_unhealthy ({limit}%): nobody is \
             acted on; check Keylime, and repair the nodes or raise max_unhealthy"
        );
        match (held, self.held) {
            (true, false) => error!(listed, failing, unknown, "{text}"),
            (false, true) => {
                info!(listed, failing, unknown, "no longer too many agents at fault: enforcement goes on")
            }
            _ => {}
        }
        self.held = held;
        self.report.update(|told| {
            (told.listed, told.failing, told.unknown) = (number(listed), number(failing), number(unknown));
            told.held = held.then_some(text);
        });
        for (key, value) in
            [(LISTED, listed), (FAILING, failing), (UNKNOWN, unknown), (HELD, usize::from(held))]
        {
            self.host.set_gauge(key, f32::from(u16::try_from(value).unwrap_or(u16::MAX)));
        }
    }

    /// Notes a poll that succeeded.
    pub(super) fn succeeded(&mut self) {
        self.host.incr_counter(POLLS, &[("result", "done")]);
        self.report.update(|told| told.last_error = None);
        if !self.well {
            info!("enforcement sees SPIRE and Keylime again");
        }
        self.well = true;
    }

    /// Notes a poll that failed. Each grace begins anew.
    pub(super) fn failed(&mut self, error: &PollError) {
        self.host.incr_counter(POLLS, &[("result", "failed")]);
        self.memory.forget();
        self.report.update(|told| told.last_error = Some(error.to_string()));
        if self.well {
            warn!(%error, "enforcement cannot poll: nobody is acted on");
        } else {
            debug!(%error, "enforcement still cannot poll");
        }
        self.well = false;
    }
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
