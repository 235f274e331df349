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
mod tests {
    use super::*;

    fn corrections(from: Instant, times: u32, every: Duration) -> (Fighting, Instant) {
        let mut fighting = Fighting::default();
        let mut now = from;
        for _ in 0..times {
            now += every;
            fighting.corrected(now);
        }
        (fighting, now)
    }

    #[test]
    fn single_changes_are_corrected_at_once() {
        let (fighting, now) = corrections(Instant::now(), 4, Duration::from_secs(1));
        assert_eq!((fighting.wait(now), fighting.goes_on(now)), (None, None));
        let (fighting, now) = corrections(Instant::now(), 50, Duration::from_secs(200));
        assert_eq!((fighting.wait(now), fighting.goes_on(now)), (None, None));
    }

    #[test]
    fn fighting_is_answered_less_and_less_often() {
        let (mut fighting, mut now) = corrections(Instant::now(), 5, Duration::from_secs(1));
        for expected in [10, 20, 40, 80, 160, 300, 300] {
            let wait = fighting.wait(now).unwrap();
            assert_eq!(wait, Duration::from_secs(expected));
            now += wait;
            assert_eq!(fighting.wait(now), None);
            fighting.right(now);
            assert!(fighting.goes_on(now).is_some());
            fighting.corrected(now);
        }
    }

    #[test]
    fn fighting_ends_when_nobody_reverts_any_longer() {
        let (mut fighting, now) = corrections(Instant::now(), 5, Duration::from_secs(1));
        let over = now + fighting.goes_on(now).unwrap();
        fighting.right(over);
        assert_eq!((fighting.wait(over), fighting.goes_on(over)), (None, None));
    }
}
