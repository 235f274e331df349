use std::path::PathBuf;

use super::*;

/// Errors with numbers of choice cannot be made by hand: a stack that cannot open a file gives one
/// of its own layers.
#[test]
fn a_code_of_the_stack_is_none_of_the_tpm() {
    let nowhere = tss_esapi::TctiNameConf::Device("/nowhere".parse().unwrap());
    let error = tss_esapi::Context::new(nowhere).unwrap_err();
    assert!(number(error).unwrap() > 0xffff, "{error:?}");
    assert_eq!(tpm_code(error), None);
    let Failure::Error(Error::Refused { command, code }) = meaning("TPM2_Load", error) else {
        panic!("{error:?}")
    };
    assert_eq!(command, "TPM2_Load");
    assert!(code.starts_with("0x"), "{code}");
}

#[test]
fn every_error_says_what_to_do() {
    let path = PathBuf::from("/dev/tpmrm0");
    for error in [
        Error::NoDevice { path: path.clone() },
        Error::DevicePermission { path: path.clone() },
        Error::DeviceRules { path: path.clone() },
        Error::DeviceBusy { path: path.clone() },
        Error::Device { path, cause: std::io::ErrorKind::Other },
    ] {
        let text = error.to_string();
        assert!(text.starts_with("failed to open the TPM \"/dev/tpmrm0\": "), "{text}");
        assert!(text.contains("; "), "{text}");
    }
}
