use super::*;

#[test]
fn names_are_those_of_keylime() {
    for (name, length) in [("sha256", 32), ("sha384", 48), ("sha512", 64)] {
        let hash_alg: HashAlg = name.parse().unwrap();
        assert_eq!((hash_alg.to_string().as_str(), hash_alg.digest_len()), (name, length));
    }
}

#[test]
fn weak_and_unknown_algorithms_are_refused_apart() {
    assert_eq!("sha1".parse::<HashAlg>(), Err(InvalidHashAlg::Sha1));
    for name in ["", "SHA256", "sha-256", "md5", "sm3_256", "sha256 "] {
        assert!(matches!(name.parse::<HashAlg>(), Err(InvalidHashAlg::Unsupported { .. })), "{name:?}");
    }
}
