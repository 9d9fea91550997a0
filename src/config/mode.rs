//! A file mode, as `chmod` takes it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The nine permission bits of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FileMode(u16);

impl FileMode {
    /// The bits, as system calls take them.
    #[must_use]
    pub fn bits(self) -> u32 {
        u32::from(self.0)
    }
}

/// The text is no file mode.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a file mode (expected three or four octal digits, from 0000 to 0777)")]
pub struct NotAMode(String);

impl FromStr for FileMode {
    type Err = NotAMode;

    fn from_str(text: &str) -> Result<Self, NotAMode> {
        let refused = || NotAMode(text.to_owned());
        let digits = matches!(text.len(), 3 | 4) && text.bytes().all(|byte| byte.is_ascii_digit());
        let bits = digits.then(|| u16::from_str_radix(text, 8).ok()).flatten();
        bits.filter(|bits| *bits <= 0o777)
            .map(FileMode)
            .ok_or_else(refused)
    }
}

impl fmt::Display for FileMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

impl From<FileMode> for String {
    fn from(mode: FileMode) -> String {
        mode.to_string()
    }
}

impl TryFrom<String> for FileMode {
    type Error = NotAMode;

    fn try_from(text: String) -> Result<Self, NotAMode> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_or_four_octal_digits_are_a_mode_and_nothing_else_is() {
        assert_eq!("0660".parse(), Ok(FileMode(0o660)));
        assert_eq!("777".parse(), Ok(FileMode(0o777)));
        for wrong in ["", "66", "0668", "1777", "00660", "0o660", "-660", "+66", "rw-"] {
            assert!(wrong.parse::<FileMode>().is_err(), "{wrong:?}");
        }
        assert_eq!(FileMode(0o60).to_string(), "0060");
    }
}
