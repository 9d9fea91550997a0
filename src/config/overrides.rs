//! What the command line says over the file: defaults < file < flags. A reload applies the same flags again.

/// One value from a flag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Override {
    /// How the person wrote it, for errors and for `check`: `--workers`, `--set shop.order_wait`.
    pub flag: String,
    /// `section.key`.
    pub key: String,
    /// The value's text.
    pub text: String,
}

/// Every value from flags, in the order they were given; a later one replaces an earlier one of the same key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides(Vec<Override>);

impl Overrides {
    /// Adds one.
    pub fn push(&mut self, flag: impl Into<String>, key: impl Into<String>, text: impl Into<String>) {
        self.0.push(Override {
            flag: flag.into(),
            key: key.into(),
            text: text.into(),
        });
    }

    /// All of them.
    #[must_use]
    pub fn list(&self) -> &[Override] {
        &self.0
    }
}
