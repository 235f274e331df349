//! A command to the TPM: sent again while the TPM asks for it, and its failure by its meaning.

use std::thread::sleep;
use std::time::Duration;

use tss_esapi::constants::response_code::Tss2ResponseCode;

use crate::Error;

/// The times that a command is sent, and the pause between them: five seconds in all, for a TPM
/// that tests itself, or whose slots another program has filled for a moment.
const TRIES: usize = 50;
const PAUSE: Duration = Duration::from_millis(100);

/// The failure of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The object named is not loaded any more: the TPM was reset, or its slots are shared.
    Gone,
    /// Anything else.
    Error(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

/// Sends a command, named for errors.
pub(crate) fn send<T>(
    command: &'static str,
    mut send: impl FnMut() -> tss_esapi::Result<T>,
) -> Result<T, Failure> {
    let mut tries = 1;
    loop {
        match send() {
            Ok(answer) => return Ok(answer),
            Err(error) if tries < TRIES && is_passing(error) => {
                tries += 1;
                sleep(PAUSE);
            }
            Err(error) => return Err(meaning(command, error)),
        }
    }
}

/// The number of an error of the TPM stack, which tss-esapi shows only in a text.
pub(crate) fn number(error: tss_esapi::Error) -> Option<u32> {
    let text = match error {
        tss_esapi::Error::Tss2Error(Tss2ResponseCode::FormatZero(code)) => code.to_string(),
        tss_esapi::Error::Tss2Error(Tss2ResponseCode::FormatOne(code)) => code.to_string(),
        _ => return None,
    };
    u32::from_str_radix(text.rsplit_once("0x")?.1, 16).ok()
}

/// The TPM's own code in the number (TPM 2.0 Library, Part 2, 6.6): without the parameter, session
/// or handle that it speaks of. [`None`] for a code of the stack's other layers, some of which look
/// alike.
fn tpm_code(error: tss_esapi::Error) -> Option<u32> {
    /// The kernel's resource manager, which answers with codes of a TPM.
    const RESOURCE_MANAGER: u32 = 11;
    const FORMAT_ONE: u32 = 0x80;
    let number = number(error)?;
    let code = number & 0xffff;
    let is_format_one = code & FORMAT_ONE != 0;
    matches!(number >> 16, 0 | RESOURCE_MANAGER).then_some(if is_format_one { code & 0xbf } else { code })
}

fn is_passing(error: tss_esapi::Error) -> bool {
    is_busy(error) || is_full(error)
}

/// `TPM_RC_YIELDED`, `_CANCELED`, `_TESTING`, `_RETRY`.
fn is_busy(error: tss_esapi::Error) -> bool {
    matches!(tpm_code(error), Some(0x908 | 0x909 | 0x90a | 0x922))
}

/// `TPM_RC_OBJECT_MEMORY`, `_SESSION_MEMORY`, `_MEMORY`, `_SESSION_HANDLES`, `_OBJECT_HANDLES`.
fn is_full(error: tss_esapi::Error) -> bool {
    matches!(tpm_code(error), Some(0x902..=0x906))
}

fn meaning(command: &'static str, error: tss_esapi::Error) -> Failure {
    Failure::Error(match tpm_code(error) {
        // TPM_RC_REFERENCE_H0, _H1, TPM_RC_HANDLE.
        Some(0x910 | 0x911 | 0x8b) => return Failure::Gone,
        // TPM_RC_FAILURE.
        Some(0x101) => Error::Failure { command },
        // TPM_RC_LOCKOUT.
        Some(0x921) => Error::Lockout { command },
        // TPM_RC_BAD_AUTH, _AUTH_FAIL. Only a hierarchy has another password here than the empty
        // one.
        Some(0xa2 | 0x8e) => Error::EndorsementPassword,
        // TPM_RC_INTEGRITY.
        Some(0x9f) => Error::AnotherTpm,
        _ if is_busy(error) => Error::Busy { command },
        _ if is_full(error) => Error::NoRoom { command },
        _ => Error::Refused { command, code: shown(error) },
    })
}

/// The number with its meaning, for people.
pub(crate) fn shown(error: tss_esapi::Error) -> String {
    number(error).map_or_else(|| error.to_string(), |number| format!("{number:#x}, {error}"))
}

#[cfg(test)]
mod tests;
