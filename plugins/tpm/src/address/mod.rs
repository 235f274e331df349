//! The way to a TPM.

use std::fmt;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::str::FromStr;

use tss_esapi::TctiNameConf;

use crate::Error;

/// A TPM: a device of the kernel's resource manager, or a software TPM for trying things out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    tcti: TctiNameConf,
    device: Option<PathBuf>,
    text: Box<str>,
}

/// The reason why a text is no [`Address`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAddress {
    /// Neither of the two kinds.
    #[error("expected device:/dev/tpmrm0, or swtpm:host=HOST,port=PORT for a software TPM, got {0:?}")]
    Kind(String),
    /// The device beside the resource manager.
    #[error(
        "expected the device of the kernel's resource manager, such as device:/dev/tpmrm0, got {0:?}, which only one program at a time can use: Keylime's agent would fail"
    )]
    NotManaged(String),
}

/// Longest text, and longest part of it in an error.
const MAX_LEN: usize = 4096;
const SHOWN: usize = 200;

impl Address {
    /// Opens the device once and closes it: the TPM stack hides the reason of a failure.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let Some(path) = &self.device else { return Ok(()) };
        match File::options().read(true).write(true).open(path) {
            Ok(_) => Ok(()),
            Err(error) => Err(of_open(path.clone(), &error)),
        }
    }

    pub(crate) fn tcti(&self) -> TctiNameConf {
        self.tcti.clone()
    }
}

fn of_open(path: PathBuf, error: &io::Error) -> Error {
    // EPERM is the word of a cgroup's device rules; missing file permissions are EACCES.
    match error.raw_os_error() {
        Some(libc_codes::EPERM) => Error::DeviceRules { path },
        Some(libc_codes::EBUSY) => Error::DeviceBusy { path },
        Some(libc_codes::ENXIO | libc_codes::ENODEV) => Error::NoDevice { path },
        _ if error.kind() == io::ErrorKind::NotFound => Error::NoDevice { path },
        _ if error.kind() == io::ErrorKind::PermissionDenied => Error::DevicePermission { path },
        _ => Error::Device { path, cause: error.kind() },
    }
}

/// Linux's numbers, the same on all of its architectures. `io::ErrorKind` does not tell `EPERM`
/// from `EACCES`.
mod libc_codes {
    pub(super) const EPERM: i32 = 1;
    pub(super) const ENXIO: i32 = 6;
    pub(super) const EBUSY: i32 = 16;
    pub(super) const ENODEV: i32 = 19;
}

impl FromStr for Address {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, InvalidAddress> {
        let shown = || text.chars().take(SHOWN).collect();
        let device = text.strip_prefix("device:").map(PathBuf::from);
        match &device {
            Some(path) if !path.is_absolute() => return Err(InvalidAddress::Kind(shown())),
            Some(path) if is_unmanaged(&path.to_string_lossy()) => {
                return Err(InvalidAddress::NotManaged(shown()));
            }
            None if !(text.starts_with("swtpm:") && text.contains("host=") && text.contains("port=")) => {
                return Err(InvalidAddress::Kind(shown()));
            }
            _ if text.len() > MAX_LEN || text.contains('\0') => return Err(InvalidAddress::Kind(shown())),
            _ => {}
        }
        let tcti = text.parse().map_err(|_| InvalidAddress::Kind(shown()))?;
        Ok(Self { tcti, device, text: text.into() })
    }
}

/// True for `/dev/tpm0` and its like.
fn is_unmanaged(path: &str) -> bool {
    let number = path.strip_prefix("/dev/tpm");
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests;
