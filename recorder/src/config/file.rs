//! Reading configuration files: each is checked on its own, so that an error has its line, then laid over the others.
use super::error::ConfigError;
use super::origin::{Origin, Origins};
use super::{Config, DEFAULT_FILE};
use serde::Deserialize as _;
use std::fs::{self, File};
use std::io::{ErrorKind, Read as _};
use std::ops::Range;
use std::path::{Path, PathBuf};
use toml::de::{DeTable, DeValue};

/// Longest file that is read.
const LIMIT: u64 = 1 << 20;

/// A file's text with what is needed to name a place in it.
struct Text<'a> {
    path: &'a Path,
    text: String,
}

/// One `section.key = value` of a file.
struct Entry {
    key: String,
    line: usize,
    value: Range<usize>,
}

/// Defaults, then the file, then its drop-ins.
pub(super) fn load(path: Option<&Path>) -> Result<(Config, Origins), ConfigError> {
    let main = path.unwrap_or(Path::new(DEFAULT_FILE));
    let mut merged = toml::Table::try_from(Config::default()).unwrap_or_default();
    let known = keys_of(&merged);
    let mut origins = Origins::default();
    for (path, required) in files(main, path.is_some())? {
        let Some(text) = read(&path, required)? else { continue };
        let file = Text { path: &path, text };
        for entry in file.check(&known)? {
            origins.set(entry.key, Origin::File { path: path.clone(), line: entry.line });
        }
        lay_over(&mut merged, toml::from_str(&file.text).map_err(|error| file.syntax(&error))?);
        origins.read(path);
    }
    let config =
        Config::deserialize(merged).map_err(|error| origins.blame("", error.message().to_owned()))?;
    Ok((config, origins))
}

/// The file itself (which only a named one must be), and what is in its `.d` folder.
fn files(main: &Path, required: bool) -> Result<Vec<(PathBuf, bool)>, ConfigError> {
    let mut folder = main.as_os_str().to_owned();
    folder.push(".d");
    let folder = PathBuf::from(folder);
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(vec![(main.to_owned(), required)]),
        Err(source) => return Err(ConfigError::Read { path: folder, source }),
    };
    let mut drop_ins = Vec::new();
    for entry in entries {
        let path = entry.map_err(|source| ConfigError::Read { path: folder.clone(), source })?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            drop_ins.push((path, true));
        }
    }
    drop_ins.sort();
    drop_ins.insert(0, (main.to_owned(), required));
    Ok(drop_ins)
}

fn read(path: &Path, required: bool) -> Result<Option<String>, ConfigError> {
    let failed = |source| ConfigError::Read { path: path.to_owned(), source };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound && !required => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mut text = String::new();
    let length = file.take(LIMIT + 1).read_to_string(&mut text).map_err(failed)?;
    if length as u64 > LIMIT {
        return Err(ConfigError::TooLong { path: path.to_owned(), limit: LIMIT });
    }
    Ok(Some(text))
}

/// `section` and `section.key` of every known setting: the defaults name them all.
fn keys_of(defaults: &toml::Table) -> Vec<String> {
    let mut keys = Vec::new();
    for (section, values) in defaults {
        keys.push(section.clone());
        keys.extend(values.as_table().into_iter().flatten().map(|(name, _)| format!("{section}.{name}")));
    }
    keys
}

fn lay_over(merged: &mut toml::Table, file: toml::Table) {
    for (section, values) in file {
        match (merged.get_mut(&section), values) {
            (Some(toml::Value::Table(base)), toml::Value::Table(values)) => base.extend(values),
            (_, values) => drop(merged.insert(section, values)),
        }
    }
}

impl Text<'_> {
    /// Checks the file by itself: TOML, known keys, values of the right form. Gives what it sets.
    fn check(&self, known: &[String]) -> Result<Vec<Entry>, ConfigError> {
        let table = DeTable::parse(&self.text).map_err(|error| self.syntax(&error))?;
        let mut entries = Vec::new();
        self.collect(table.get_ref(), "", known, &mut entries)?;
        if let Err(error) = toml::from_str::<Config>(&self.text) {
            return Err(self.wrong_value(&error, &entries));
        }
        Ok(entries)
    }

    fn collect(
        &self,
        table: &DeTable<'_>,
        section: &str,
        known: &[String],
        entries: &mut Vec<Entry>,
    ) -> Result<(), ConfigError> {
        for (name, value) in table {
            let key = if section.is_empty() {
                name.get_ref().to_string()
            } else {
                format!("{section}.{}", name.get_ref())
            };
            let line = self.line(name.span().start);
            if !known.contains(&key) {
                let nearest = nearest(&key, known);
                return Err(ConfigError::UnknownKey { path: self.path.to_owned(), line, key, nearest });
            }
            match value.get_ref() {
                DeValue::Table(inner) if section.is_empty() => self.collect(inner, &key, known, entries)?,
                _ => entries.push(Entry { key, line, value: value.span() }),
            }
        }
        Ok(())
    }

    fn syntax(&self, error: &toml::de::Error) -> ConfigError {
        let line = self.line(error.span().map_or(0, |span| span.start));
        ConfigError::Syntax { path: self.path.to_owned(), line, message: error.message().to_owned() }
    }

    fn wrong_value(&self, error: &toml::de::Error, entries: &[Entry]) -> ConfigError {
        let start = error.span().map_or(0, |span| span.start);
        match entries.iter().find(|entry| entry.value.contains(&start)) {
            Some(entry) => ConfigError::Value {
                path: self.path.to_owned(),
                line: self.line(start),
                key: entry.key.clone(),
                message: error.message().to_owned(),
            },
            None => self.syntax(error),
        }
    }

    /// The line, from 1, of a byte offset.
    fn line(&self, offset: usize) -> usize {
        self.text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
    }
}

/// The known key with the fewest edits to this one, if few.
fn nearest(key: &str, known: &[String]) -> Option<String> {
    let best = known.iter().map(|candidate| (edits(key, candidate), candidate)).min()?;
    (best.0 <= key.len().div_ceil(3)).then(|| best.1.clone())
}

/// Levenshtein distance, one row at a time.
fn edits(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.chars().count()).collect();
    for (index, left) in from.chars().enumerate() {
        let mut diagonal = index;
        let mut before = index + 1;
        for (cell, right) in row.iter_mut().skip(1).zip(to.chars()) {
            let changed = diagonal + usize::from(left != right);
            diagonal = *cell;
            before = changed.min(*cell + 1).min(before + 1);
            *cell = before;
        }
        if let Some(first) = row.first_mut() {
            *first = index + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}
