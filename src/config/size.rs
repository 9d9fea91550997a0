//! Sizes as texts that carry their unit: `512B`, `16KiB`, `1MiB`, `2GiB`. The units are powers of 1024 alone,
//! so that no unit has two meanings.

/// The units, the largest first.
const UNITS: [(&str, u64); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// Why a text is no size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotASize {
    /// The text is a number alone, such as `1048576`.
    #[error("a number alone has no unit: write \"{number}B\" or \"{number}KiB\"")]
    NoUnit {
        /// The number that was read.
        number: String,
    },
    /// The unit is none of the known ones, as in `1MB` and `1k`.
    #[error("{unit:?} is not a unit of size: write B, KiB, MiB or GiB")]
    UnknownUnit {
        /// The unit that was read.
        unit: String,
    },
    /// The text is no number with a unit, or the size is 2^64 bytes or more.
    #[error("it is not a size: write a whole number and its unit")]
    Malformed,
}

/// Reads `16KiB` (a space before the unit is fine) as a number of bytes.
pub fn parse(text: &str) -> Result<u64, NotASize> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = (&text[..end], text[end..].trim_start());
    let count: u64 = number.parse().map_err(|_| NotASize::Malformed)?;
    if unit.is_empty() {
        return Err(NotASize::NoUnit {
            number: number.to_owned(),
        });
    }
    let Some(&(_, bytes)) = UNITS.iter().find(|(name, _)| *name == unit) else {
        return Err(NotASize::UnknownUnit {
            unit: unit.to_owned(),
        });
    };
    count.checked_mul(bytes).ok_or(NotASize::Malformed)
}

/// Writes a text that [`parse`] reads as the same size, in the largest unit that gives a whole number.
#[must_use]
pub fn format(bytes: u64) -> String {
    let fits = |&&(_, unit): &&(&str, u64)| bytes.is_multiple_of(unit) && bytes >= unit;
    let (name, unit) = UNITS.iter().find(fits).copied().unwrap_or(("B", 1));
    format!("{}{name}", bytes / unit)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn people_write_sizes_with_a_unit() {
        assert_eq!(parse("16KiB"), Ok(16_384));
        assert_eq!(parse(" 1 MiB "), Ok(1_048_576));
        assert_eq!(format(16_384), "16KiB");
        assert_eq!(format(1_000), "1000B");
        assert_eq!(format(0), "0B");
    }

    #[test]
    fn what_is_no_size_is_refused_with_what_to_write() {
        assert_eq!(
            parse("100"),
            Err(NotASize::NoUnit {
                number: "100".to_owned()
            })
        );
        assert_eq!(
            parse("1MB"),
            Err(NotASize::UnknownUnit {
                unit: "MB".to_owned()
            })
        );
        for text in [
            "",
            "KiB",
            "-1B",
            "1.5MiB",
            "99999999999999999999B",
            "18014398509481984KiB",
        ] {
            assert!(parse(text).is_err(), "{text:?} was taken for a size");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_written_is_read_back(bytes in any::<u64>()) {
            prop_assert_eq!(parse(&format(bytes)), Ok(bytes));
        }

        #[test]
        fn no_text_panics(text in any::<String>()) {
            let _ = parse(&text);
        }
    }
}
