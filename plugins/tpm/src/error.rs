//! The reasons why there is no quote.

use std::io;
use std::path::PathBuf;

use evidence::{HashAlg, InvalidQuote};

use crate::DataError;

/// The reason why there is no quote, each with what to do. No text holds a nonce, a quote or a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// There is no such device.
    #[error(
        "failed to open the TPM {path:?}: it does not exist; check that this machine has a TPM 2.0 that is turned on, and, in a container, that the device is mounted"
    )]
    NoDevice {
        /// The device.
        path: PathBuf,
    },
    /// The file's permissions.
    #[error(
        "failed to open the TPM {path:?}: this user may not; run as a user of its group, which is tss on most systems"
    )]
    DevicePermission {
        /// The device.
        path: PathBuf,
    },
    /// The rules of a container's cgroup.
    #[error(
        "failed to open the TPM {path:?}: the device rules of this container refuse it; run it privileged, or give it the device by a device plugin"
    )]
    DeviceRules {
        /// The device.
        path: PathBuf,
    },
    /// Another program has it.
    #[error(
        "failed to open the TPM {path:?}: another program holds it; use the device of the kernel's resource manager, /dev/tpmrm0"
    )]
    DeviceBusy {
        /// The device.
        path: PathBuf,
    },
    /// Any other failure to open it.
    #[error("failed to open the TPM {path:?}: {cause}; see the kernel's log")]
    Device {
        /// The device.
        path: PathBuf,
        /// The cause.
        cause: io::ErrorKind,
    },
    /// The TPM stack does not reach it.
    #[error("failed to reach the TPM {address}: {code}; check that it runs, and see the kernel's log")]
    Unreachable {
        /// The address.
        address: String,
        /// The stack's code.
        code: String,
    },
    /// Keylime's file holds no AK.
    #[error("failed to read the key of Keylime's agent from {path:?}: {cause}")]
    Data {
        /// The file.
        path: PathBuf,
        /// The cause.
        cause: DataError,
    },
    /// The AK is no child of this TPM's EK.
    #[error(
        "failed to load the key of Keylime's agent: it is of another TPM, or damaged; move agent_data.json away and start Keylime's agent again, which makes a new key and registers it"
    )]
    AnotherTpm,
    /// The endorsement hierarchy has a password.
    #[error(
        "failed to use the TPM's endorsement hierarchy: it has a password, which is not supported; clear it (tpm2_changeauth -c endorsement)"
    )]
    EndorsementPassword,
    /// The bank is not allocated.
    #[error(
        "failed to quote the PCR bank {bank}: it is not active in this TPM; turn it on in the firmware (tpm2_pcrallocate), or set another tpm_hash_alg of Keylime's agent"
    )]
    BankNotActive {
        /// The bank.
        bank: HashAlg,
    },
    /// The TPM has failed its self test.
    #[error(
        "the TPM is in failure mode (at {command}): restart the machine; if that does not help, it is broken"
    )]
    Failure {
        /// The command that told.
        command: &'static str,
    },
    /// The TPM is locked for too many wrong passwords.
    #[error(
        "the TPM is in lockout (at {command}), after too many wrong passwords; wait until it is over, or end it (tpm2_dictionarylockout -c)"
    )]
    Lockout {
        /// The command that told.
        command: &'static str,
    },
    /// The TPM asked to send the command again, too often.
    #[error("the TPM stayed busy (at {command}); see which other programs use it, and try again")]
    Busy {
        /// The command that told.
        command: &'static str,
    },
    /// No room for another key or session.
    #[error(
        "the TPM has no room for another key (at {command}); use the device of the kernel's resource manager, /dev/tpmrm0, and see which other programs use it"
    )]
    NoRoom {
        /// The command that told.
        command: &'static str,
    },
    /// Any other answer.
    #[error("the TPM refused {command}: {code}; see the kernel's log, and what else uses the TPM")]
    Refused {
        /// The command.
        command: &'static str,
        /// The stack's code, with its meaning.
        code: String,
    },
    /// The PCR changed between each reading of it and each quote.
    #[error("PCR 0 changed while it was quoted, time after time; find out what extends it")]
    Restless,
    /// What came is no quote by the AK.
    #[error("the TPM's quote does not verify: {0}; see what else uses the TPM without a resource manager")]
    Wrong(InvalidQuote),
}
