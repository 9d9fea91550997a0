//! The command line, and how much is done for it.

use std::time::Duration;

use crate::arms::{self, ARMS};

/// What the command line asks for.
#[derive(Default)]
pub(crate) struct Options {
    /// This arm alone.
    pub(crate) only: Option<String>,
    row: Option<Row>,
    pub(crate) extent: Extent,
}

/// How much is done.
pub(crate) struct Extent {
    /// Of each arm in the row of costs.
    pub(crate) seconds: u64,
    pub(crate) quick: bool,
    /// Requests per second.
    pub(crate) rate: u32,
    /// The load runs so long before and after the deeds.
    pub(crate) steady: Duration,
    pub(crate) reloads: usize,
    pub(crate) kills: usize,
    /// Of which the median counts.
    pub(crate) kill_runs: usize,
    pub(crate) restarts: usize,
    pub(crate) rounds: usize,
}

/// A part of the bars.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Row {
    Reload,
    Kill,
    Hang,
    Restart,
    Cost,
    Websockets,
}

impl Row {
    /// In the order in which they are measured.
    pub(crate) const ALL: [Row; 6] = [
        Row::Reload,
        Row::Kill,
        Row::Hang,
        Row::Restart,
        Row::Cost,
        Row::Websockets,
    ];

    fn name(self) -> &'static str {
        match self {
            Row::Reload => "reload",
            Row::Kill => "kill",
            Row::Hang => "hang",
            Row::Restart => "restart",
            Row::Cost => "cost",
            Row::Websockets => "websockets",
        }
    }

    /// What is measured.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Row::Reload => "reloads under load",
            Row::Kill => "kill -9 of programs, new connections",
            Row::Hang => "a blocked event loop (results in the table)",
            Row::Restart => "start, and kill -9 of the only program (results in the table)",
            Row::Cost => "requests per second and CPU per request (results in the table)",
            Row::Websockets => "1,000 WebSockets (cargo bench --bench websockets)",
        }
    }
}

impl Options {
    /// Whether that row is to be measured. With one arm alone, what is no arm's is left out.
    pub(crate) fn wants(&self, row: Row) -> bool {
        match self.row {
            Some(wanted) => wanted == row,
            None => self.only.is_none() || row != Row::Websockets,
        }
    }
}

impl Default for Extent {
    fn default() -> Extent {
        Extent {
            seconds: 8,
            quick: false,
            rate: 3_000,
            steady: Duration::from_secs(2),
            reloads: 3,
            kills: 10,
            kill_runs: 3,
            restarts: 10,
            rounds: 4,
        }
    }
}

impl Extent {
    /// Enough to see that a row works.
    fn quick() -> Extent {
        Extent {
            seconds: 4,
            quick: true,
            rate: 300,
            steady: Duration::from_millis(500),
            reloads: 1,
            kills: 2,
            kill_runs: 1,
            restarts: 3,
            rounds: 1,
        }
    }
}

/// Reads it. Cargo's own `--bench` is ignored.
pub(crate) fn read(words: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options = Options::default();
    let (mut seconds, mut rate) = (None, None);
    let mut words = words.filter(|word| word != "--bench");
    while let Some(word) = words.next() {
        let mut value = || words.next().unwrap_or_default();
        match word.as_str() {
            "--quick" => options.extent = Extent::quick(),
            "--seconds" => seconds = Some(number(&word, &value())?),
            "--rate" => rate = Some(number(&word, &value())?),
            "--only" => options.only = Some(one_of(&value(), ARMS.iter().map(|arm| arm.name))?.to_owned()),
            "--program" => {
                let path = value();
                let found = std::path::absolute(&path).ok().filter(|path| path.is_file());
                arms::measure_program(found.ok_or_else(|| format!("--program {path:?} is no file"))?);
            }
            "--row" => {
                let name = value();
                one_of(&name, Row::ALL.into_iter().map(Row::name))?;
                options.row = Row::ALL.into_iter().find(|row| row.name() == name);
            }
            _ => {
                return Err(format!(
                    "{word:?} was not understood; expected --only ARM, --row ROW, --seconds N, --rate N, --quick, \
                     --program PATH"
                ));
            }
        }
    }
    if let Some(seconds) = seconds {
        options.extent.seconds = seconds.into();
        options.extent.steady = Duration::from_secs(seconds.into()) / 4;
    }
    options.extent.rate = rate.unwrap_or(options.extent.rate);
    Ok(options)
}

fn number(flag: &str, word: &str) -> Result<u32, String> {
    let number = word.parse().ok().filter(|number| *number > 0);
    number.ok_or_else(|| format!("{flag} {word:?} is not a number above 0"))
}

fn one_of(word: &str, mut of: impl Iterator<Item = &'static str> + Clone) -> Result<&str, String> {
    let names: Vec<_> = of.clone().collect();
    if of.any(|name| name == word) {
        return Ok(word);
    }
    Err(format!("{word:?} is none of {}", names.join(", ")))
}
