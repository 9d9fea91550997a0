//! Mistakes on a command line that was to start a master: a terminal gets clap's words, a log gets log lines.

use std::ffi::OsString;
use std::io::{self, IsTerminal};

use crate::config::{self, LogFormat, Overrides};

/// The flag that sets the format of log lines.
const FLAG: &str = "--log-format";

/// The format in which a mistake in these arguments is logged; `None` when it is printed as clap prints it,
/// because no master was to be started, or because a person reads it on a terminal.
pub(super) fn log_format(args: &[OsString]) -> Option<LogFormat> {
    if args
        .get(1)
        .is_none_or(|command| command != "serve" && command != "run")
    {
        return None;
    }
    let format = wanted(args);
    (format == LogFormat::Json || !io::stderr().is_terminal()).then_some(format)
}

fn wanted(args: &[OsString]) -> LogFormat {
    let mut overrides = Overrides::default();
    // What follows is a program's own.
    let ours = args.iter().take_while(|word| *word != "--");
    let mut words = ours.filter_map(|word| word.to_str());
    while let Some(word) = words.next() {
        let value = match word.strip_prefix(FLAG) {
            Some("") => words.next(),
            Some(rest) => rest.strip_prefix('='),
            None => None,
        };
        overrides.push(FLAG, "log.format", value.unwrap_or_default());
    }
    config::log_format(None, &overrides)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_is_found_in_arguments_with_mistakes() {
        let wanted = |line: &str| wanted(&line.split(' ').map(OsString::from).collect::<Vec<_>>());
        assert_eq!(wanted("c serve --log-format json --wrokers 2"), LogFormat::Json);
        assert_eq!(wanted("c serve --log-format=text --wrokers 2"), LogFormat::Text);
        assert_eq!(wanted("c serve --log-format"), LogFormat::Auto);
        assert_eq!(wanted("c serve --wrokers 2"), LogFormat::Auto);
        assert_eq!(wanted("c run -- x --log-format json"), LogFormat::Auto);
        assert_eq!(log_format(&["c".into(), "status".into(), "-x".into()]), None);
    }
}
