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
