use super::*;

#[test]
fn each_failure_waits_longer_up_to_a_minute() {
    let mut one = OfOne::default();
    let waits: Vec<u64> = (0..8).map(|_| one.failed().as_secs()).collect();
    assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
    one.succeeded();
    assert_eq!(one.failed(), FIRST_WAIT);
}
