use std::fs;
use std::os::unix::fs::symlink;

use tempfile::TempDir;

use super::*;

const TOKEN: &str = "aaaa.bbbb.cccc";

fn file(folder: &TempDir, content: impl AsRef<[u8]>) -> TokenFile {
    let path = folder.path().join("token");
    fs::write(&path, content).unwrap();
    TokenFile::at(path)
}

#[tokio::test]
async fn it_is_read_anew_each_time_also_through_a_link_that_is_swapped() {
    let folder = TempDir::new().unwrap();
    for (name, token) in [("first", TOKEN), ("second", "aaaa.bbbb.dddd\n")] {
        fs::write(folder.path().join(name), token).unwrap();
    }
    let link = folder.path().join("token");
    let tokens = TokenFile::at(&link);
    for (name, token) in [("first", TOKEN), ("second", "aaaa.bbbb.dddd")] {
        let _absent_at_first = fs::remove_file(&link);
        symlink(folder.path().join(name), &link).unwrap();
        assert_eq!(tokens.token().await.unwrap().as_str(), token);
    }
}

#[test]
fn what_is_no_token_is_an_error_that_says_why_and_shows_nothing_of_it() {
    let folder = TempDir::new().unwrap();
    let large = format!("aaaa.bbbb.{}", "SECRET".repeat(1000));
    for (content, said) in [
        ("", "is empty"),
        (" \n", "is empty"),
        ("SECRET", "not of the expected form"),
        (large.as_str(), "expected at most 2560 bytes, got more"),
    ] {
        let error = file(&folder, content).read().unwrap_err().to_string();
        assert!(error.contains(said) && error.contains("/token"), "{error}");
        assert!(!error.contains("SECRET"), "{error}");
    }
    assert!(file(&folder, b"aaaa.bbbb.\xff").read().is_err());
}

#[test]
fn a_file_that_is_none_is_told() {
    let folder = TempDir::new().unwrap();
    let missing = TokenFile::at(folder.path().join("missing")).read().unwrap_err().to_string();
    assert!(missing.contains("No such file") && missing.contains("mounted"), "{missing}");
    let token = TokenFile::at(TOKEN).read().unwrap_err().to_string();
    assert!(token.contains("expected an absolute path") && !token.contains(TOKEN), "{token}");
    let directory = TokenFile::at(folder.path()).read().unwrap_err().to_string();
    assert!(directory.contains("expected a regular file"), "{directory}");
    let endless = TokenFile::at("/dev/zero").read().unwrap_err().to_string();
    assert!(endless.contains("expected a regular file"), "{endless}");
}
