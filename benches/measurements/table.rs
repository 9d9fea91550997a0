//! Figure, bar, verdict.

use std::fmt;

/// What was measured so far.
#[derive(Default)]
pub(crate) struct Table {
    rows: Vec<Row>,
}

struct Row {
    figure: String,
    value: f64,
    unit: &'static str,
    bar: Bar,
}

enum Bar {
    AtLeast(f64),
    AtMost(f64),
    None,
}

impl Table {
    /// A figure that should be large.
    pub(crate) fn at_least(&mut self, figure: &str, value: f64, bar: f64, unit: &'static str) {
        self.rows.push(Row {
            figure: figure.to_owned(),
            value,
            unit,
            bar: Bar::AtLeast(bar),
        });
    }

    /// A figure that should be small.
    pub(crate) fn at_most(&mut self, figure: &str, value: f64, bar: f64, unit: &'static str) {
        self.rows.push(Row {
            figure: figure.to_owned(),
            value,
            unit,
            bar: Bar::AtMost(bar),
        });
    }

    /// Whether no bar was missed.
    pub(crate) fn is_good(&self) -> bool {
        self.rows.iter().all(|row| match row.bar {
            Bar::AtLeast(least) => row.value >= least,
            Bar::AtMost(most) => row.value <= most,
            Bar::None => true,
        })
    }

    /// A figure without a bar.
    pub(crate) fn fact(&mut self, figure: &str, value: f64, unit: &'static str) {
        self.rows.push(Row {
            figure: figure.to_owned(),
            value,
            unit,
            bar: Bar::None,
        });
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let longest = self.rows.iter().map(|row| row.figure.chars().count()).max();
        let width = longest.unwrap_or_default().max(48);
        writeln!(
            f,
            "\n{:<width$} {:>14}  {:>18}  verdict",
            "figure", "measured", "bar"
        )?;
        for Row {
            figure,
            value,
            unit,
            bar,
        } in &self.rows
        {
            let measured = if value.is_infinite() {
                "never".to_owned()
            } else {
                format!("{} {unit}", short(*value))
            };
            let (bar, verdict) = match bar {
                Bar::AtLeast(least) => (
                    format!("at least {} {unit}", short(*least)),
                    verdict(value >= least),
                ),
                Bar::AtMost(most) => (format!("at most {} {unit}", short(*most)), verdict(value <= most)),
                Bar::None => (String::new(), ""),
            };
            writeln!(
                f,
                "{figure:<width$} {:>14}  {:>18}  {verdict}",
                measured.trim_end(),
                bar.trim_end()
            )?;
        }
        Ok(())
    }
}

fn verdict(good: bool) -> &'static str {
    if good { "ok" } else { "MISSED" }
}

fn short(value: f64) -> String {
    if value.abs() >= 100.0 || value.fract() == 0.0 {
        format!("{value:.0}")
    } else {
        format!("{value:.2}")
    }
}
