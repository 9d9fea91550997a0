//! The format of log lines that a configuration asks for, found even when the configuration has mistakes: the
//! refusal of it is logged in that format.

use serde::Deserialize;

use super::{LogFormat, Overrides};

/// The key that sets the format.
const KEY: &str = "log.format";

/// The format that the flags or this file ask for; `auto` when neither names one that there is.
#[must_use]
pub fn log_format(file: Option<&str>, overrides: &Overrides) -> LogFormat {
    let flags = overrides.list().iter().rev();
    let by_flag = flags
        .filter(|flag| flag.key == KEY)
        .find_map(|flag| parsed(&flag.text.as_str().into()));
    by_flag.or_else(|| in_file(file?)).unwrap_or(LogFormat::Auto)
}

fn in_file(text: &str) -> Option<LogFormat> {
    let table: toml::Table = text.parse().ok()?;
    parsed(table.get("log")?.get("format")?)
}

fn parsed(value: &toml::Value) -> Option<LogFormat> {
    LogFormat::deserialize(value.clone()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_found_beside_mistakes_and_a_flag_wins() {
        let mut overrides = Overrides::default();
        let file = "[cluster]\nwrokers = 1\n[log]\nformat = \"text\"\n";
        assert_eq!(log_format(Some(file), &overrides), LogFormat::Text);
        assert_eq!(log_format(Some("[log"), &overrides), LogFormat::Auto);
        assert_eq!(log_format(Some("log = 3"), &overrides), LogFormat::Auto);
        overrides.push("--log-format", KEY, "json");
        overrides.push("--set log.format", KEY, "xml");
        assert_eq!(log_format(Some(file), &overrides), LogFormat::Json);
        assert_eq!(log_format(None, &overrides), LogFormat::Json);
    }
}
