use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::*;

#[test]
fn devices_of_the_resource_manager_and_software_tpms_are_addresses() {
    for text in ["device:/dev/tpmrm0", "device:/dev/tpmrm1", "swtpm:host=127.0.0.1,port=2321"] {
        let address: Address = text.parse().unwrap();
        assert_eq!(address.to_string(), text);
    }
}

#[test]
fn what_is_no_address_is_refused_by_its_reason() {
    for text in
        ["", "/dev/tpmrm0", "device:", "device:tpmrm0", "tabrmd:bus_name=a", "device:/a\0b", "swtpm:x"]
    {
        let error = text.parse::<Address>().unwrap_err();
        assert!(error.to_string().starts_with("expected device:/dev/tpmrm0"), "{text:?}: {error}");
    }
    let unmanaged = "device:/dev/tpm0".parse::<Address>().unwrap_err();
    assert_eq!(unmanaged, InvalidAddress::NotManaged("device:/dev/tpm0".to_owned()));
}

#[test]
fn a_device_that_is_missing_is_told_from_one_that_is_none() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tpmrm0");
    let address: Address = format!("device:{}", path.display()).parse().unwrap();
    let error = address.check().unwrap_err();
    assert_eq!(error, Error::NoDevice { path: path.clone() });
    assert!(error.to_string().contains("TPM 2.0"), "{error}");

    fs::write(&path, "").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(address.check(), Ok(()));
}

/// The kernel's word for each, which tests without such a device or without root cannot provoke.
#[test]
fn each_failure_to_open_the_device_has_its_own_text() {
    for (code, expected) in [
        (2, "it does not exist; check that this machine has a TPM 2.0 that is turned on"),
        (19, "it does not exist"),
        (13, "this user may not; run as a user of its group, which is tss"),
        (
            1,
            "the device rules of this container refuse it; run it privileged, or give it the device by a device plugin",
        ),
        (16, "another program holds it; use the device of the kernel's resource manager, /dev/tpmrm0"),
        (5, "see the kernel's log"),
    ] {
        let error = of_open("/dev/tpmrm0".into(), &io::Error::from_raw_os_error(code));
        assert!(error.to_string().contains(expected), "{code}: {error}");
    }
}
