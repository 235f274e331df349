use std::os::unix::fs::MetadataExt as _;

use super::*;

#[tokio::test]
async fn a_socket_replaces_one_that_nobody_serves_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("quoter.sock");
    let first = open(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o660);
    assert!(matches!(open(&path), Err(SocketError::InUse { .. })));
    drop(first);
    let second = open(&path).unwrap();
    drop(second);
    remove(&path);
    assert!(!path.exists());

    fs::write(&path, "a file").unwrap();
    assert!(matches!(open(&path), Err(SocketError::NoSocket { .. })));
    assert!(matches!(open(&path.join("below")), Err(SocketError::Io { .. })));
}

#[tokio::test]
async fn the_user_at_the_other_end_is_known_by_the_kernels_word() {
    let own = fs::metadata("/proc/self").unwrap().uid();
    let (ours, _theirs) = UnixStream::pair().unwrap();
    assert_eq!(Allowed::new(vec![]).check(&ours).unwrap(), Ok(own));
    let refused = Allowed(vec![own + 1]).check(&ours).unwrap().unwrap_err();
    assert_eq!(refused, NotAllowed(own));
    assert!(refused.to_string().contains("--allow-uid"), "{refused}");
}
