//! An event as a list of named values, and their forms in JSON, CSV and tables.

use std::fmt;
use std::io::{self, Write};

use comfy_table::{ContentArrangement, Table, presets};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap as _, Serializer};
use serde_json::Value;

use crate::event::text::printable;

/// The fields of one event in stored order.
#[derive(Clone, Debug, PartialEq)]
pub struct Fields(Vec<(String, Value)>);

impl Fields {
    /// Parses a line.
    ///
    /// # Errors
    /// When it is not a JSON object.
    pub fn parse(line: &[u8]) -> serde_json::Result<Self> {
        serde_json::from_slice(line)
    }

    /// The value of a field, if the event has it.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// Name and value of every field.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// These fields in this order; those that the event lacks are left out.
    #[must_use]
    pub fn only(&self, names: &[String]) -> Self {
        Self(names.iter().filter_map(|name| Some((name.clone(), self.get(name)?.clone()))).collect())
    }
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Fields;
            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an event")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

impl Serialize for Fields {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

/// A value as text, unchanged: lists as JSON.
#[must_use]
pub fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// A value as text that is safe on a terminal: lists separated by blanks, `-` for nothing.
#[must_use]
pub fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => printable(text).into_owned(),
        Value::Array(list) if list.is_empty() => "-".to_owned(),
        Value::Array(list) => list.iter().map(cell).collect::<Vec<_>>().join(" "),
        other => printable(&other.to_string()).into_owned(),
    }
}

/// Writes one record of RFC 4180.
///
/// # Errors
/// When the output can't be written.
pub fn write_csv(out: &mut dyn Write, cells: &[&str]) -> io::Result<()> {
    for (index, cell) in cells.iter().enumerate() {
        if index > 0 {
            out.write_all(b",")?;
        }
        if cell.contains([',', '"', '\r', '\n']) {
            write!(out, "\"{}\"", cell.replace('"', "\"\""))?;
        } else {
            out.write_all(cell.as_bytes())?;
        }
    }
    out.write_all(b"\r\n")
}

/// A table without lines, as text. The cells must be safe for a terminal.
#[must_use]
pub fn table_text(header: &[&str], rows: Vec<Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(header.iter().map(|name| printable(name).to_uppercase()));
    table.add_rows(rows);
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.trim_fmt() + "\n"
}

/// Writes stored JSON: byte for byte, but on a terminal with bidi and invisible characters as JSON escapes.
///
/// # Errors
/// When the output can't be written.
pub fn write_json(out: &mut dyn Write, json: &[u8], is_terminal: bool) -> io::Result<()> {
    if !is_terminal || json.is_ascii() {
        return out.write_all(json);
    }
    for character in String::from_utf8_lossy(json).chars() {
        let mut utf8 = [0; 4];
        let text: &str = character.encode_utf8(&mut utf8);
        if character.is_ascii() || *printable(text) == *text {
            out.write_all(text.as_bytes())?;
        } else {
            for unit in character.encode_utf16(&mut [0; 2]) {
                write!(out, "\\u{unit:04x}")?;
            }
        }
    }
    Ok(())
}
