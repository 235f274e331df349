use super::*;

#[test]
fn order_of_directories() {
    let both = |name: &str| Some(format!("/{name}"));
    assert_eq!(directories(both), ["/PLUGIN_UNIX_SOCKET_DIR", "/TMPDIR", "/tmp"].map(PathBuf::from));
    let empty = |_: &str| Some(String::new());
    assert_eq!(directories(empty), [PathBuf::from("/tmp")]);
    assert_eq!(directories(|_| Some("/tmp".to_owned())), [PathBuf::from("/tmp")]);
    assert_eq!(directories(|_| None), [PathBuf::from("/tmp")]);
}

#[tokio::test]
async fn falls_back_and_removes_what_it_made() {
    let parent = tempfile::tempdir().unwrap();
    let missing = parent.path().join("missing");
    let long = parent.path().join("n".repeat(120));
    let odd = parent.path().join("a|b");
    fs::create_dir(&long).unwrap();
    fs::create_dir(&odd).unwrap();
    let unusable = [missing.clone(), long.clone(), odd.clone()];

    let refused = Socket::listen(&unusable).unwrap_err().to_string();
    for directory in &unusable {
        assert!(refused.contains(directory.to_str().unwrap()), "{refused}");
    }

    let (socket, _listener) = Socket::listen(&[missing, long.clone(), parent.path().to_owned()]).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(socket.path()), 0o600);
    assert_eq!(mode(socket.path().parent().unwrap()), 0o700);
    let path = socket.path().to_owned();
    assert!(path.starts_with(parent.path()));
    drop(socket);
    assert!(!path.exists());
    for directory in [long, odd] {
        assert_eq!(fs::read_dir(directory).unwrap().count(), 0);
    }
}
