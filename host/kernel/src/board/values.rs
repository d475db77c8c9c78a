//! Sizes and properties as files describe them. No locking.

use ddi_system::props::Property;
use serde::Deserialize;

/// A size: a number of bytes, or text such as `64K`, `16M`.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Size {
    /// A number.
    Bytes(u64),
    /// A number and a unit.
    Text(String),
}

impl Size {
    /// The number of bytes; None when the text is no size.
    pub fn bytes(&self) -> Option<u64> {
        let text = match self {
            Size::Bytes(n) => return Some(*n),
            Size::Text(text) => text.trim(),
        };
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let unit = match &text[digits.len()..] {
            "" => 1,
            "K" | "k" | "KiB" => 1 << 10,
            "M" | "m" | "MiB" => 1 << 20,
            "G" | "g" | "GiB" => 1 << 30,
            _ => return None,
        };
        digits.trim().parse::<u64>().ok()?.checked_mul(unit)
    }
}

/// A property of a TOML value.
pub fn property(name: &str, value: &toml::Value) -> Option<Property> {
    let list = match value {
        toml::Value::Array(list) => list.clone(),
        toml::Value::Boolean(true) => Vec::new(),
        other => vec![other.clone()],
    };
    if list.iter().all(|v| v.is_str()) && !list.is_empty() {
        let texts: Vec<&str> = list.iter().filter_map(|v| v.as_str()).collect();
        return Some(Property::strings(name, &texts));
    }
    let ints: Option<Vec<i32>> = list.iter().map(|v| i32::try_from(v.as_integer()?).ok()).collect();
    ints.map(|ints| Property::ints(name, &ints))
}
