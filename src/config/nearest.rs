//! "Did you mean": the known name that is nearest to a misspelt one.

/// The longest name that is compared, in bytes: the time of a comparison grows with the product of both
/// lengths.
const LONGEST: usize = 64;

/// The name of `known` with the smallest edit distance to `written` (a transposition is one edit), if it is
/// near enough: at most one edit per three letters of the known name, and at least one edit in names of two
/// letters or more.
#[must_use]
pub(super) fn nearest<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if written.len() > LONGEST {
        return None;
    }
    let written = written.to_lowercase().replace('-', "_");
    known
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(&written, name), name))
        .filter(|(distance, name)| *distance <= (name.len() / 3).max(usize::from(name.len() > 1)))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [&str; 4] = ["workers", "bind", "data_dir", "drain_timeout"];

    #[test]
    fn a_slip_of_the_finger_is_understood() {
        for (written, meant) in [
            ("wrokers", "workers"),
            ("worker", "workers"),
            ("Bind", "bind"),
            ("data-dir", "data_dir"),
        ] {
            assert_eq!(nearest(written, KNOWN), Some(meant));
        }
    }

    #[test]
    fn what_is_near_to_nothing_is_not_guessed_at() {
        for written in ["", "x", "colour", &"workers".repeat(1_000)] {
            assert_eq!(nearest(written, KNOWN), None, "{written:?}");
        }
    }
}
