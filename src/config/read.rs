//! From a file's bytes and the flags to settings, or to every problem they have. Defaults < file < flags.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::effective::{Effective, Entry, Origin};
use super::key::{Key, Section};
use super::overrides::{Override, Overrides};
use super::problem::{Place, Problem, Problems};
use super::relations::{self, Conflict};
use super::settings::Settings;
use super::source::{Source, Text, quote};
use super::value::{Refusal, Value};
use super::{keys, unknown};

/// Reads a configuration: the supervisor's sections and the application's. Without a file there are defaults and flags.
pub fn read(app: &[Section], file: Option<Source<'_>>, overrides: &Overrides) -> Result<Effective, Problems> {
    let mut reader = Reader::new(app);
    if let Some(source) = file {
        reader.file(source);
    }
    for one in overrides.list() {
        reader.flag(one);
    }
    reader.finish()
}

struct Reader {
    sections: Vec<Section>,
    entries: Vec<Entry>,
    problems: Vec<Problem>,
    /// Entries whose value was refused and replaced by the default: no conflict is reported about them.
    refused: Vec<usize>,
}

impl Reader {
    fn new(app: &[Section]) -> Reader {
        let sections: Vec<Section> = keys::SECTIONS.iter().chain(app).copied().collect();
        let mut reader = Reader {
            sections,
            entries: Vec::new(),
            problems: Vec::new(),
            refused: Vec::new(),
        };
        for section in reader.sections.clone() {
            for key in section.keys {
                reader.declare(section.name, key);
            }
        }
        reader
    }

    fn declare(&mut self, section: &'static str, key: &'static Key) {
        if self.index(section, key.name).is_some() {
            self.problem(
                Place::Program,
                format!("{} is declared twice in [{section}]", key.name),
            );
        }
        let value = key
            .default
            .map(|text| Value::from_text(key.kind, text))
            .transpose()
            .unwrap_or_else(|_| {
                self.problem(
                    Place::Program,
                    format!("the default of {} in [{section}] is not {}", key.name, key.kind),
                );
                None
            });
        self.entries.push(Entry {
            section,
            key,
            value,
            origin: Origin::Default,
        });
    }

    fn index(&self, section: &str, key: &str) -> Option<usize> {
        self.entries
            .iter()
            .position(|entry| entry.section == section && entry.key.name == key)
    }

    fn problem(&mut self, place: Place, message: String) {
        self.problems.push(Problem { place, message });
    }

    fn file(&mut self, source: Source<'_>) {
        let text = match source.text() {
            Ok(text) => text,
            Err(problem) => return self.problems.push(problem),
        };
        let (table, errors) = DeTable::parse_recoverable(text.text);
        for error in &errors {
            let place = text.place(error.span().map_or(0, |span| span.start));
            self.problem(place, format!("not TOML: {}", quote(error.message())));
        }
        let syntax = self.problems.len();
        for (name, value) in table.get_ref() {
            self.section(text, name, value);
        }
        self.forget_echoes(syntax);
    }

    /// A line that is not TOML may leave half a key or a value of the wrong type behind: what follows from the first error of a
    /// line is not reported.
    fn forget_echoes(&mut self, syntax: usize) {
        let lines: Vec<Option<usize>> = self.problems[..syntax]
            .iter()
            .map(|problem| line(&problem.place))
            .collect();
        let mut index = 0;
        self.problems.retain(|problem| {
            index += 1;
            index <= syntax || !lines.contains(&line(&problem.place))
        });
    }

    fn section(
        &mut self,
        text: Text<'_>,
        name: &Spanned<std::borrow::Cow<'_, str>>,
        value: &Spanned<DeValue<'_>>,
    ) {
        let place = text.place(name.span().start);
        let Some(section) = self
            .sections
            .iter()
            .find(|section| section.name == name.get_ref().as_ref())
            .copied()
        else {
            let message = unknown::section(&self.sections, name.get_ref(), value.get_ref().is_table());
            return self.problem(place, message);
        };
        let Some(table) = value.get_ref().as_table() else {
            let message = format!(
                "{} is {}, expected a section: write its keys below a line [{}]",
                section.name,
                text.quote(value.span()),
                section.name
            );
            return self.problem(place, message);
        };
        for (key, value) in table {
            match self.index(section.name, key.get_ref()) {
                Some(index) => self.assign(text, index, key.span(), value),
                None => {
                    let message = unknown::key(&self.sections, &section, key.get_ref());
                    self.problem(text.place(key.span().start), message);
                }
            }
        }
    }

    fn assign(&mut self, text: Text<'_>, index: usize, key: Range<usize>, value: &Spanned<DeValue<'_>>) {
        match Value::from_toml(self.entries[index].key.kind, value.get_ref()) {
            Ok(good) => self.set(index, good, text.place(key.start)),
            Err(refusal) => {
                let span = refusal.span.clone().unwrap_or_else(|| value.span());
                self.refuse(index, text.place(span.start), &text.quote(span), &refusal);
            }
        }
    }

    fn set(&mut self, index: usize, value: Value, place: Place) {
        let entry = &mut self.entries[index];
        entry.value = Some(value);
        entry.origin = Origin::Set(place);
        self.refused.retain(|&other| other != index);
    }

    fn refuse(&mut self, index: usize, place: Place, read: &str, refusal: &Refusal) {
        let Entry { section, key, .. } = &self.entries[index];
        let hint = refusal
            .hint
            .as_ref()
            .map(|hint| format!("; {hint}"))
            .unwrap_or_default();
        let message = format!(
            "{} in [{section}] is {read}, expected {}{hint}",
            key.name, key.kind
        );
        self.problem(place, message);
        self.refused.push(index);
    }

    fn flag(
        &mut self,
        Override {
            flag,
            key: name,
            text,
        }: &Override,
    ) {
        let place = Place::Flag(flag.clone());
        let Some((section, key)) = name.split_once('.') else {
            return self.problem(
                place,
                format!("{name:?} names no section, expected SECTION.KEY=VALUE"),
            );
        };
        let Some(known) = self.sections.iter().find(|known| known.name == section).copied() else {
            let message = unknown::section(&self.sections, section, true);
            return self.problem(place, message);
        };
        let Some(index) = self.index(section, key) else {
            let message = unknown::key(&self.sections, &known, key);
            return self.problem(place, message);
        };
        match Value::from_text(self.entries[index].key.kind, text) {
            Ok(value) => self.set(index, value, place),
            Err(refusal) => self.refuse(index, place, &format!("\"{}\"", quote(text)), &refusal),
        }
    }

    fn finish(mut self) -> Result<Effective, Problems> {
        let settings = match self.settings() {
            Ok(settings) => settings,
            Err(error) => {
                self.problem(
                    Place::Program,
                    format!("the key table does not fit the settings: {error}"),
                );
                return Err(Problems::of(self.problems));
            }
        };
        for conflict in relations::conflicts(&settings) {
            self.conflict(conflict);
        }
        if self.problems.is_empty() {
            Ok(Effective {
                settings,
                entries: self.entries,
            })
        } else {
            Err(Problems::of(self.problems))
        }
    }

    fn conflict(&mut self, Conflict { keys, message }: Conflict) {
        let involved: Vec<usize> = keys
            .iter()
            .filter_map(|name| name.split_once('.'))
            .filter_map(|(section, key)| self.index(section, key))
            .collect();
        if involved.iter().any(|index| self.refused.contains(index)) {
            return;
        }
        let place = involved
            .iter()
            .find_map(|&index| match &self.entries[index].origin {
                Origin::Set(place) => Some(place.clone()),
                Origin::Default => None,
            });
        self.problem(place.unwrap_or(Place::Program), message);
    }

    /// The values as one table, in which an application's sections lie beside the supervisor's, read by the types' own serde.
    fn settings(&self) -> Result<Settings, toml::de::Error> {
        let mut own = toml::Table::new();
        let mut app = toml::Table::new();
        for section in &self.sections {
            let is_own = keys::SECTIONS.iter().any(|known| known.name == section.name);
            let entries = self.entries.iter().filter(|entry| entry.section == section.name);
            let table: toml::Table = entries
                .filter_map(|entry| Some((entry.key.name.to_owned(), entry.value.as_ref()?.normalised())))
                .collect();
            let home = if is_own { &mut own } else { &mut app };
            home.insert(section.name.to_owned(), table.into());
        }
        own.insert("app".to_owned(), app.into());
        own.try_into()
    }
}

fn line(place: &Place) -> Option<usize> {
    match place {
        Place::File { line, .. } => Some(*line),
        Place::Program | Place::Flag(_) => None,
    }
}
