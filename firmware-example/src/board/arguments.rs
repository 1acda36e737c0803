//! What the device is told when it starts, by the semihosting command line: `cut=N tear=SEED fail=N dry=N stuck=1
//! flash=PATH`, each of which may be missing. The path comes last and may have blanks in it.

use core::ffi::CStr;
use core::mem::MaybeUninit;

use semihosting::sys::arm_compat::sys_get_cmdline_uninit;

/// The command line, with what it is written into.
pub(super) struct Arguments {
    bytes: [u8; MAX_LEN],
    len: usize,
}

impl Arguments {
    /// Asks the host. Without an answer, and when the line is longer than 1,023 bytes, there is none.
    pub(super) fn read() -> Self {
        let mut line = [MaybeUninit::uninit(); MAX_LEN];
        let mut bytes = [0; MAX_LEN];
        let line = sys_get_cmdline_uninit(&mut line).unwrap_or_default();
        // The last byte is left to end the path.
        let line = line.get(..MAX_LEN - 1).unwrap_or(line);
        for (place, byte) in bytes.iter_mut().zip(line) {
            *place = *byte;
        }
        Self {
            bytes,
            len: line.len(),
        }
    }

    /// Returns the number that is given as `key`, which ends in an equals sign.
    pub(super) fn number(&self, key: &str) -> Option<u32> {
        let words = self.bytes.get(..self.len)?.split(|byte| *byte == b' ');
        let path_at = self.path_at().unwrap_or(self.len);
        let mut at = 0;
        for word in words {
            if at >= path_at {
                break;
            }
            if let Some(digits) = word.strip_prefix(key.as_bytes()) {
                return core::str::from_utf8(digits).ok()?.parse().ok();
            }
            at += word.len() + 1;
        }
        None
    }

    /// Returns the path of the file that is the flash.
    pub(super) fn flash(&self) -> Option<&CStr> {
        let path = self.bytes.get(self.path_at()?..)?;
        CStr::from_bytes_until_nul(path)
            .ok()
            .filter(|path| !path.is_empty())
    }

    fn path_at(&self) -> Option<usize> {
        let line = self.bytes.get(..self.len)?;
        let mut begins = line.windows(FLASH.len()).enumerate();
        let (at, _) = begins.find(|(at, word)| {
            let is_word = *at == 0 || line.get(at - 1) == Some(&b' ');
            *word == FLASH && is_word
        })?;
        Some(at + FLASH.len())
    }
}

const FLASH: &[u8] = b"flash=";
const MAX_LEN: usize = 1024;
