//! The measured facts, as far as the tests need them, and those that were read instead (`more.json`).

use std::collections::BTreeMap;
use std::io::Read;

use serde_json::Value;

/// One function or one entry of a structure.
pub struct Prototype {
    /// C spelling of the result.
    pub returns: String,
    /// C spellings of the parameters; `None` for an old-style declaration.
    pub params: Option<Vec<String>>,
    /// Whether more arguments may follow.
    pub variadic: bool,
}

/// One member of a structure.
pub struct Member {
    /// The member's name.
    pub name: String,
    /// C spelling of its type.
    pub ty: String,
    /// Bytes from the structure's start.
    pub offset: u64,
    /// Bytes.
    pub size: u64,
}

/// One structure or union.
pub struct Layout {
    /// Bytes.
    pub size: u64,
    /// Bytes.
    pub align: u64,
    /// The members that were measured.
    pub members: Vec<Member>,
}

/// Everything that was measured.
pub struct Facts {
    /// Scalar types: bytes and C spelling.
    pub scalars: BTreeMap<String, (u64, String)>,
    /// Structures and unions.
    pub structs: BTreeMap<String, Layout>,
    /// Integer constants and enumerators, modulo 2^64.
    pub numbers: BTreeMap<String, u64>,
    /// String constants.
    pub strings: BTreeMap<String, String>,
    /// Functions.
    pub functions: BTreeMap<String, Prototype>,
    /// Data symbols and their C types.
    pub data: BTreeMap<String, String>,
}

impl Facts {
    /// Reads the copy beside this file.
    pub fn load() -> Facts {
        let mut text = String::new();
        let packed: &[u8] = include_bytes!("illumos-amd64.json.gz");
        flate2::read::GzDecoder::new(packed).read_to_string(&mut text).expect("the facts are a gzip file");
        let json: Value = serde_json::from_str(&text).expect("the facts are JSON");
        let more: Value = serde_json::from_str(include_str!("more.json")).expect("more facts are JSON");
        let object = |key: &str| json[key].as_object().expect("a section of the facts").clone();
        let list = |key: &str| json[key].as_array().expect("a section of the facts").clone();
        let mut numbers: BTreeMap<String, u64> =
            object("constants").iter().map(|(name, value)| (name.clone(), number(value))).collect();
        for (name, value) in more["constants"].as_object().expect("constants") {
            numbers.insert(name.clone(), number(value));
        }
        for values in object("enums").values() {
            for (name, value) in values["values"].as_object().expect("enumerators") {
                numbers.insert(name.clone(), number(value));
            }
        }
        Facts {
            scalars: object("scalars")
                .iter()
                .map(|(name, scalar)| (name.clone(), (number(&scalar["size"]), string(&scalar["c"]))))
                .collect(),
            structs: object("structs")
                .iter()
                .chain(object("opaque_or_private").iter())
                .chain(more["structs"].as_object().expect("structs"))
                .filter(|(_, layout)| layout["members"].as_array().is_some_and(|members| !members.is_empty()))
                .map(|(name, layout)| (name.clone(), self::layout(layout)))
                .collect(),
            numbers,
            strings: object("strings")
                .iter()
                .chain(more["strings"].as_object().expect("strings"))
                .map(|(name, value)| (name.clone(), string(value)))
                .collect(),
            functions: list("functions")
                .iter()
                .chain(more["functions"].as_array().expect("functions"))
                .map(|function| (string(&function["name"]), prototype(function)))
                .collect(),
            data: list("data")
                .iter()
                .chain(more["data"].as_array().expect("data"))
                .map(|data| (string(&data["name"]), string(&data["type"])))
                .collect(),
        }
    }
}

fn string(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn number(value: &Value) -> u64 {
    value
        .as_u64()
        .or_else(|| value.as_i64().map(|value| value as u64))
        .unwrap_or_else(|| panic!("no number: {value}"))
}

fn layout(value: &Value) -> Layout {
    let member = |member: &Value| Member {
        name: string(&member["name"]),
        ty: string(&member["type"]),
        offset: number(&member["offset"]),
        size: number(&member["size"]),
    };
    let members = value["members"].as_array().expect("members").iter().map(member).collect();
    Layout { size: number(&value["size"]), align: number(&value["align"]), members }
}

/// Where the vintages differ the newer prototype is taken.
fn prototype(value: &Value) -> Prototype {
    let newest = if value["v2019"].is_object() { &value["v2019"] } else { value };
    Prototype {
        returns: string(&newest["returns"]),
        params: newest["params"].as_array().map(|params| params.iter().map(string).collect()),
        variadic: value["variadic"].as_bool().unwrap_or(false),
    }
}
