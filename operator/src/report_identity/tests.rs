use lab::damage::{forms, trace_of};

use super::*;

fn secret(data: BTreeMap<String, ByteString>) -> Secret {
    Secret { data: Some(data), ..Secret::default() }
}

#[test]
fn what_was_made_is_read_again_and_each_is_another() {
    let made = ReportIdentity::new().unwrap();
    let read = ReportIdentity::read(&secret(made.data())).unwrap();
    assert_eq!(read.key_hash(), made.key_hash());
    assert_ne!(ReportIdentity::new().unwrap().key_hash(), made.key_hash());
}

#[test]
fn a_secret_that_is_empty_or_mixed_has_none() {
    assert!(ReportIdentity::read(&Secret::default()).is_none());
    let (one, other) = (ReportIdentity::new().unwrap(), ReportIdentity::new().unwrap());
    for (missing, _) in one.data() {
        let mut data = one.data();
        data.remove(&missing);
        assert!(ReportIdentity::read(&secret(data)).is_none(), "without {missing}");
    }
    let mut mixed = one.data();
    mixed.extend(other.data().into_iter().filter(|(key, _)| key == secret_key::PRIVATE_KEY));
    assert!(ReportIdentity::read(&secret(mixed)).is_none(), "the key of another certificate");
}

/// Whatever is still read is still the same key: a damaged one is never another.
#[test]
fn a_damaged_key_is_none_or_the_same_and_is_never_shown() {
    let good = ReportIdentity::new().unwrap();
    let key = String::from_utf8(good.key().to_vec()).unwrap();
    let mut refused = 0;
    for form in forms(&key) {
        for entry in [secret_key::PRIVATE_KEY, secret_key::CERTIFICATE] {
            let mut data = good.data();
            data.insert(entry.to_owned(), ByteString(form.content.clone()));
            match ReportIdentity::read(&secret(data)) {
                Some(read) => assert_eq!(read.key_hash(), good.key_hash(), "{entry}, {}", form.how),
                None => refused += 1,
            }
        }
    }
    assert!(refused > 30, "only {refused} were refused");
    assert_eq!(trace_of(&key, &format!("{good:?}")), None);
}
