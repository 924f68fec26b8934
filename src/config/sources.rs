//! Where the configuration comes from: a file, and the environment over it.

use std::ffi::OsString;
use std::fmt::Display;
use std::io;
use std::path::Path;

use toml::{Table, Value};

use super::{Config, ConfigError, DEFAULT_FILE};

/// What a variable begins with that is meant for us.
const PREFIX: &str = "OTC_IM__";
/// The same with one underscore: a mistake if what follows is a key, and somebody else's if not (Kubernetes sets
/// `OTC_IM_SERVICE_HOST` where a service is called `otc-im`).
const SHORT_PREFIX: &str = "OTC_IM_";

fn fail<T>(sentence: String) -> Result<T, ConfigError> {
    Err(ConfigError(sentence))
}

/// The text of the file that is named, or of [`DEFAULT_FILE`] if there is one. Pipes are read as well.
pub(super) fn file(named: Option<&Path>) -> Result<Table, ConfigError> {
    let path = named.unwrap_or(Path::new(DEFAULT_FILE));
    // A name that is there and cannot be read is a mistake: to go on without would drop what it says of security.
    if named.is_none() && std::fs::symlink_metadata(path).is_err_and(|e| e.kind() == io::ErrorKind::NotFound)
    {
        return Ok(Table::new());
    }
    let shown = path.display();
    let text = std::fs::read_to_string(path).or_else(|error| {
        fail(format!(
            "the configuration file {shown} cannot be read ({error}): make it a text file that this user may read"
        ))
    })?;
    tables(&shown, &text)
}

/// The tables that `text` holds, for the name of its file see `shown`.
pub(super) fn tables(shown: impl Display, text: &str) -> Result<Table, ConfigError> {
    text.parse::<Table>().or_else(|error| {
        let before = error.span().map_or("", |span| text.get(..span.start).unwrap_or_default());
        let line = before.matches('\n').count() + 1;
        // The parser's own words may quote the line, and that may be a secret.
        fail(format!(
            "the configuration file {shown} is not TOML at line {line}: write text in quotes, and each key once"
        ))
    })
}

/// Lays the variables of ours over `tables`.
pub(super) fn lay_over(
    tables: &mut Table,
    variables: impl Iterator<Item = (OsString, OsString)>,
) -> Result<(), ConfigError> {
    for (name, value) in variables {
        let name = name.to_string_lossy().to_ascii_uppercase();
        let Some(rest) = name.strip_prefix(PREFIX) else {
            refuse_misspelt(&name)?;
            continue;
        };
        let Some((section, key)) = rest.split_once("__") else {
            refuse_misspelt(&name)?;
            return fail(format!(
                "{name} names no key: write {PREFIX}SECTION__KEY, with two underscores at each joint"
            ));
        };
        let Ok(value) = value.into_string() else {
            return fail(format!("the variable {name} is not UTF-8 text: set it anew"));
        };
        let (section, key) = (section.to_ascii_lowercase(), key.to_ascii_lowercase());
        // A section that is no table is refused when it is read.
        if let Value::Table(table) = tables.entry(section).or_insert_with(|| Table::new().into()) {
            table.insert(key, Value::String(value));
        }
    }
    Ok(())
}

/// One underscore too few would pass for somebody else's variable.
fn refuse_misspelt(name: &str) -> Result<(), ConfigError> {
    let Some(rest) = name.strip_prefix(SHORT_PREFIX) else { return Ok(()) };
    let joined = |text: &str| text.split('_').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("_");
    let keys =
        Config::keys().into_iter().map(|(section, key, _)| (section.to_uppercase(), key.to_uppercase()));
    for (section, key) in keys {
        if joined(&format!("{section}_{key}")) == joined(rest) {
            return fail(format!(
                "the variable {name} is not read: write {PREFIX}{section}__{key}, with two underscores at each joint"
            ));
        }
        if rest.starts_with(&format!("{section}__")) {
            return fail(format!(
                "the variable {name} is not read: write {PREFIX}{rest}, with two underscores at each joint"
            ));
        }
    }
    Ok(())
}
