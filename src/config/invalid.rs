//! What is wrong with a text that is no value of a kind.

use std::ops::Range;

/// Why a text is no value of a kind. The kind itself says what was expected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InvalidValue {
    /// What the person should write, when that is more than what was expected.
    pub hint: Option<String>,
    /// Where the wrong item of a list stands in the file.
    pub span: Option<Range<usize>>,
}

impl InvalidValue {
    pub(super) fn hint(hint: impl ToString) -> InvalidValue {
        InvalidValue {
            hint: Some(hint.to_string()),
            span: None,
        }
    }
}
