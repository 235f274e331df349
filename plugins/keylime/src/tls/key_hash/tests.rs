use super::*;

/// As `openssl x509 -pubkey | openssl pkey -pubin -outform DER | sha256sum` has it: over the key
/// with its algorithm.
#[test]
fn the_hash_is_that_of_the_whole_public_key_and_of_nothing_else() {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = |name: &str| {
        let params = rcgen::CertificateParams::new([name.to_owned()]).unwrap();
        params.self_signed(&key).unwrap().der().clone()
    };
    let hash = KeyHash::of(&certificate("a")).unwrap();
    let expected = digest(&SHA256, &rcgen::PublicKeyData::subject_public_key_info(&key));
    assert_eq!(hash.to_string(), hex::encode(expected));
    assert_eq!(KeyHash::of(&certificate("b")).unwrap(), hash);

    let other = rcgen::generate_simple_self_signed(["a".to_owned()]).unwrap();
    assert_ne!(KeyHash::of(other.cert.der()).unwrap(), hash);
    assert!(KeyHash::of(&CertificateDer::from(vec![0x30, 0])).is_err());
}

#[test]
fn a_hash_is_sixty_four_hexadecimal_digits() {
    let text = "0123456789abcdef".repeat(4);
    assert_eq!(text.parse::<KeyHash>().unwrap().to_string(), text);
    assert_eq!(text.to_uppercase().parse::<KeyHash>().unwrap().to_string(), text);
    let colons = "01:23:45:67:".repeat(6);
    for wrong in ["", &text[1..], &format!("{text}0"), &format!("{text}00"), &text.replace('0', "g"), &colons]
    {
        assert_eq!(wrong.parse::<KeyHash>(), Err(InvalidKeyHash), "{wrong}");
    }
}
