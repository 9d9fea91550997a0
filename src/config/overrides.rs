//! The values that the command line sets. They win over the file, and the file wins over the defaults. A
//! reload applies the same flags again.

/// One value that a flag sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Override {
    /// The flag as the person wrote it, for errors and for `check`: `--workers`, `--set shop.order_wait`.
    pub flag: String,
    /// The key that the flag sets, written `section.key`.
    pub key: String,
    /// The text of the value.
    pub text: String,
}

/// Every value that flags set, in the order of the command line. A later value replaces an earlier one of the
/// same key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides(Vec<Override>);

impl Overrides {
    /// Adds the value of one flag.
    pub fn push(&mut self, flag: impl Into<String>, key: impl Into<String>, text: impl Into<String>) {
        self.0.push(Override {
            flag: flag.into(),
            key: key.into(),
            text: text.into(),
        });
    }

    /// Every value, in the order of the command line.
    #[must_use]
    pub fn list(&self) -> &[Override] {
        &self.0
    }
}
