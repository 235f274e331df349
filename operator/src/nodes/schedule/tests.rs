use super::*;

#[test]
fn a_pod_that_changes_is_polled_soon_and_not_at_once() {
    let begun = Instant::now();
    let version = (Some("uid".to_owned()), Some(1), None);
    let at = begun + Duration::from_secs(30);
    let due = Due { begun, pods: 7, version: version.clone(), at, running: false };
    let (soon, later) = (begun + Duration::from_secs(1), begun + PODS_CHANGE);
    assert!(!due.is_over(&version, 7, later));
    assert!(!due.is_over(&version, 8, soon));
    assert!(due.is_over(&version, 8, later));
    assert!(due.is_over(&version, 7, at));
    assert!(due.is_over(&(Some("uid".to_owned()), Some(2), None), 7, soon));
    assert!(!Due { running: true, ..due }.is_over(&version, 8, at));
}
