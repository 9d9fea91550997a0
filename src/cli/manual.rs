//! The manual pages of all commands, made from the same description of the command line as `--help`. Where
//! they are installed is not its business.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::{Program, args, help};

/// The section of the manual for commands.
const SECTION: &str = "1";

/// One manual page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManualPage {
    /// The name of its file, such as `cluster-status.1`.
    pub file: String,
    /// Its text, for `man`.
    pub text: String,
}

/// Why the pages are not written.
#[derive(Debug, thiserror::Error)]
#[error("failed to write the manual pages: {path}: {source}", path = path.display())]
pub struct ManualError {
    path: PathBuf,
    source: io::Error,
}

/// The pages of all commands: that of the program first, and each command before its own subcommands.
#[must_use]
pub fn pages(program: &Program) -> Vec<ManualPage> {
    let mut command = documented(program).disable_help_subcommand(true);
    command.build();
    let mut pages = Vec::new();
    add(&mut pages, &command, program);
    pages
}

/// The page of the command with these words, which are none for the program itself.
#[must_use]
pub fn page(program: &Program, words: &[String]) -> Option<ManualPage> {
    let name: String = words.iter().map(|word| format!("-{word}")).collect();
    let file = format!("{}{name}.{SECTION}", program.name);
    pages(program).into_iter().find(|page| page.file == file)
}

/// Writes the pages of all commands to this directory, which is made if it is missing.
///
/// # Errors
/// When the directory or a file in it cannot be written.
pub fn write(program: &Program, dir: &Path) -> Result<(), ManualError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        |source| ManualError { path, source }
    };
    let mut builder = DirBuilder::new();
    let made = builder.recursive(true).mode(0o755).create(dir);
    made.map_err(failed(dir))?;
    for page in pages(program) {
        let path = dir.join(&page.file);
        write_page(&path, &page.text).map_err(failed(&path))?;
    }
    Ok(())
}

/// Every user may read a manual page.
fn write_page(path: &Path, text: &str) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o644);
    options.open(path)?.write_all(text.as_bytes())
}

/// The command line with the flags of the application's commands, which read their arguments themselves.
fn documented(program: &Program) -> Command {
    program
        .commands
        .iter()
        .fold(args::command(program), |command, own| match own.arguments {
            Some(arguments) => {
                command.mut_subcommand(own.name, |_| arguments().name(own.name).about(own.about))
            }
            None => command,
        })
}

fn add(pages: &mut Vec<ManualPage>, command: &Command, program: &Program) {
    let source = format!("{} {}", program.name, program.version);
    let man = Man::new(command.clone()).section(SECTION).source(source);
    pages.push(ManualPage {
        file: man.get_filename(),
        text: text(&man, command, program).expect("memory takes every byte, and clap's words are UTF-8"),
    });
    for command in command.get_subcommands() {
        add(pages, command, program);
    }
}

fn text(man: &Man, command: &Command, program: &Program) -> io::Result<String> {
    let mut text = Vec::new();
    man.render_title(&mut text)?;
    man.render_name_section(&mut text)?;
    man.render_synopsis_section(&mut text)?;
    man.render_description_section(&mut text)?;
    man.render_options_section(&mut text)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut text)?;
    }
    if command.get_name() == program.name {
        text.extend_from_slice(reference().as_bytes());
    } else {
        text.extend_from_slice(see_also(program, command).as_bytes());
    }
    String::from_utf8(text).map_err(io::Error::other)
}

/// The sections that `--help` prints below the flags.
fn reference() -> String {
    let mut roff = Roff::new();
    for (title, rows) in help::sections() {
        roff.control("SH", [title.to_uppercase().as_str()]);
        for (name, meaning) in rows {
            roff.control("TP", []);
            roff.text([bold(name)]);
            roff.text([roman(meaning)]);
        }
    }
    roff.to_roff()
}

fn see_also(program: &Program, command: &Command) -> String {
    let mut roff = Roff::new();
    if let Some(codes) = command
        .get_after_help()
        .filter(|_| command.get_after_long_help().is_none())
    {
        roff.control("SH", ["EXIT STATUS"]);
        roff.text([roman(codes.to_string())]);
    }
    roff.control("SH", ["SEE ALSO"]);
    roff.text([bold(program.name), roman(format!("({SECTION})"))]);
    roff.to_roff()
}
