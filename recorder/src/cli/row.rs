//! The fields of an event line that filters look at, parsed without allocation where the line allows it.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// A line of the store, as filters see it.
#[derive(Debug, Deserialize)]
pub struct Row<'a> {
    /// Wall time, RFC 3339.
    #[serde(borrow)]
    pub t: Text<'a>,
    /// Word of the kind; not an enum, because a newer recorder may know more kinds.
    #[serde(borrow)]
    pub kind: Text<'a>,
    /// `ok` or the name of the error.
    #[serde(borrow)]
    pub result: Text<'a>,
    /// Process.
    #[serde(default)]
    pub pid: Option<u32>,
    /// Real user.
    #[serde(default)]
    pub uid: Option<u32>,
    /// Login user.
    #[serde(default)]
    pub loginuid: Option<u32>,
    /// Audit session.
    #[serde(default)]
    pub session: Option<u32>,
    /// Program.
    #[serde(borrow, default)]
    pub exe: Text<'a>,
    /// Container.
    #[serde(borrow, default)]
    pub container: Text<'a>,
    /// Path.
    #[serde(borrow, default)]
    pub path: Text<'a>,
    /// Second path.
    #[serde(borrow, default)]
    pub path_to: Text<'a>,
    /// User of a login.
    #[serde(borrow, default)]
    pub user: Text<'a>,
    /// Host, where the event names one.
    #[serde(borrow, default)]
    pub host: Text<'a>,
}

/// A text that borrows from the line unless it holds JSON escapes; `None` for null and for anything but a text.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Text<'a>(pub Option<Cow<'a, str>>);

impl Text<'_> {
    /// Whether it is a text, and this one.
    #[must_use]
    pub fn is(&self, text: &str) -> bool {
        self.0.as_deref() == Some(text)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextVisitor)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Text(Some(Cow::Borrowed(text))))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Text(Some(Cow::Owned(text.to_owned()))))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Text(None))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Text(None))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(Text(None))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(Text(None))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Text(None))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Text(None))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Text(None))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Row<'_> {
        serde_json::from_str(line).unwrap()
    }

    #[test]
    fn texts_are_borrowed_and_other_values_are_no_texts() {
        let row = parse(
            r#"{"t":"x","kind":"gap","result":"ok","exe":null,"path":["/a",{"b":[]}],"user":7,"host":"h\n"}"#,
        );
        assert!(matches!(row.kind, Text(Some(Cow::Borrowed("gap")))));
        assert!(row.host.is("h\n"));
        assert_eq!((row.exe, row.path, row.user, row.pid), (Text(None), Text(None), Text(None), None));
    }
}
