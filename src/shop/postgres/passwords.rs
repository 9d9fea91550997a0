//! Where a password comes from: a file of its own, the environment, or a file of passwords as `psql` has it.
//! It stands in no configuration and no log.

use std::path::{Path, PathBuf};

use crate::postgres::PostgresTarget;

/// The password for that database, if there is one.
///
/// # Errors
/// Why a file that is named cannot be used.
pub(in crate::shop) fn password(
    target: &PostgresTarget,
    file: Option<&Path>,
) -> Result<Option<String>, String> {
    if let Some(file) = file {
        return of_file(file).map(Some);
    }
    if let Ok(password) = std::env::var("PGPASSWORD") {
        return Ok(Some(password));
    }
    let named = std::env::var_os("PGPASSFILE").map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| Path::new(&home).join(".pgpass"));
    let Some(file) = named.clone().or_else(home) else {
        return Ok(None);
    };
    match std::fs::read_to_string(&file) {
        Ok(text) => {
            guarded(&file)?;
            Ok(of_passfile(&text, &target.password_owner()))
        }
        Err(error) if named.is_some() => Err(format!("PGPASSFILE names {}: {error}", file.display())),
        Err(_) => Ok(None),
    }
}

fn of_file(file: &Path) -> Result<String, String> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    guarded(file)?;
    let password = text.lines().next().unwrap_or_default().to_owned();
    match password.is_empty() {
        true => Err(format!(
            "{} holds no password, expected one in its first line",
            file.display()
        )),
        false => Ok(password),
    }
}

/// A file that others may read holds no secret.
fn guarded(file: &Path) -> Result<(), String> {
    use std::os::unix::fs::PermissionsExt;
    let mode = file
        .metadata()
        .map_or(0, |metadata| metadata.permissions().mode());
    match mode & 0o077 {
        0 => Ok(()),
        _ => Err(format!(
            "{} can be read by others (mode {:o}), expected 600",
            file.display(),
            mode & 0o777
        )),
    }
}

/// The password of the first line that fits: `host:port:database:user:password`, where `*` fits everything
/// and
/// `\` takes a colon for itself.
fn of_passfile(text: &str, (host, port, database, user): &(String, u16, String, String)) -> Option<String> {
    let port = port.to_string();
    let wanted = [host.as_str(), &port, database, user];
    let fields = |line: &str| {
        let mut fields = vec![String::new()];
        let mut letters = line.chars();
        while let Some(letter) = letters.next() {
            match letter {
                '\\' => fields.last_mut()?.push(letters.next()?),
                ':' if fields.len() < 5 => fields.push(String::new()),
                letter => fields.last_mut()?.push(letter),
            }
        }
        (fields.len() == 5).then_some(fields)
    };
    let fits = |fields: &Vec<String>| {
        fields
            .iter()
            .zip(wanted)
            .all(|(field, wanted)| field == "*" || field == wanted)
    };
    let mut lines = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(fields);
    lines.find(fits).and_then(|mut fields| fields.pop())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_that_fits_has_the_password() {
        let owner = ("db".to_owned(), 5432, "shop_orders".to_owned(), "shop".to_owned());
        let text = "# a comment\nother:5432:*:shop:no\ndb:*:shop_orders:shop:a\\:b:c\n*:*:*:*:last\n";
        assert_eq!(of_passfile(text, &owner).as_deref(), Some("a:b:c"));
        let other = ("x".to_owned(), 1, "y".to_owned(), "z".to_owned());
        assert_eq!(of_passfile(text, &other).as_deref(), Some("last"));
        assert_eq!(of_passfile("db:5432:shop_orders:shop", &owner), None);
    }

    #[test]
    fn a_file_that_others_may_read_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("password");
        std::fs::write(&file, "secret\n").unwrap();
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o644)).unwrap();
        let refused = of_file(&file).expect_err("refused");
        assert!(
            refused.contains("mode 644") && !refused.contains("secret"),
            "{refused}"
        );
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
        assert_eq!(of_file(&file).unwrap(), "secret");
    }
}
