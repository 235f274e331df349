//! Fighting, told from single changes: somebody keeps reverting the operator's applies. Kept in
//! memory, per object; pure, the time is an argument.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The number of corrections within [`WINDOW`] that is fighting.
const MANY: usize = 5;
const WINDOW: Duration = Duration::from_secs(10 * 60);
const FIRST_WAIT: Duration = Duration::from_secs(10);
const LONGEST_WAIT: Duration = Duration::from_secs(5 * 60);

/// The corrections of one object.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fighting {
    corrections: VecDeque<Instant>,
    /// The wait after the last correction, while fighting goes on.
    wait: Option<Duration>,
}

impl Fighting {
    /// The wait before a correction of the object, if any.
    pub(crate) fn wait(&self, now: Instant) -> Option<Duration> {
        let left = (*self.corrections.back()? + self.wait?).saturating_duration_since(now);
        (!left.is_zero()).then_some(left)
    }

    /// Notes a correction.
    pub(crate) fn corrected(&mut self, now: Instant) {
        self.corrections.push_back(now);
        while self.corrections.len() > MANY
            || self.corrections.front().is_some_and(|first| now.duration_since(*first) > WINDOW)
        {
            self.corrections.pop_front();
        }
        self.wait = match self.wait {
            Some(wait) => Some((wait * 2).min(LONGEST_WAIT)),
            None => (self.corrections.len() >= MANY).then_some(FIRST_WAIT),
        };
    }

    /// Notes that the object is as it should be. Fighting is over when it has been so for longer
    /// than the last wait, twice over.
    pub(crate) fn right(&mut self, now: Instant) {
        let Some((last, wait)) = self.corrections.back().zip(self.wait) else { return };
        if now.duration_since(*last) > wait * 2 {
            *self = Self::default();
        }
    }

    /// [`Some`] while fighting goes on: the time until it may be over.
    pub(crate) fn goes_on(&self, now: Instant) -> Option<Duration> {
        let end = *self.corrections.back()? + self.wait? * 2;
        Some(end.saturating_duration_since(now) + Duration::from_secs(1))
    }
}

#[cfg(test)]
mod tests;
