//! driver.conf(5): the nodes and properties that a driver's configuration file gives, read as the kernel reads it.
//!
//! A file is a list of entries that end with `;`. An entry with `name` makes a node below the nexus that `parent` names, or below those of a
//! `class`; one without sets properties of every node of the driver. `#` starts a comment. Values are strings in double quotes (a backslash quotes
//! the next character, `\ooo` is an octal one), decimal, `0x` or `0` (octal) integers of 32 bits, with `-` or `~` before them, or lists of one of
//! them separated by commas; a name without `=` is the number 0. Names are letters, digits, `_` and `-`.
//!
//! Nothing here fails: what cannot be read is warned of and left out, and reading goes on behind it. No locking.

use std::iter::{Copied, Peekable};
use std::slice::Iter;

use crate::props::Property;

/// A node that an entry asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfNode {
    /// `name`: the node's name.
    pub name: String,
    /// `parent`, when given.
    pub parent: Option<String>,
    /// `class`, when given.
    pub class: Option<String>,
    /// `instance`, when it is one number.
    pub instance: Option<i32>,
    /// Everything but `name` and `parent`.
    pub properties: Vec<Property>,
    /// The line on which the entry ends.
    pub line: usize,
}

/// What is wrong in a file, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// What is wrong, in the kernel's words.
    pub problem: String,
    /// The line, from 1.
    pub line: usize,
}

impl Warning {
    /// The kernel's message about a line of `file`.
    pub fn of(&self, file: &str) -> String {
        format!("WARNING: {} on line {} of {file}", self.problem, self.line)
    }
}

/// What a file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conf {
    /// Nodes, in file order.
    pub nodes: Vec<ConfNode>,
    /// Properties of all of the driver's nodes.
    pub global: Vec<Property>,
    /// The file's name, for warnings; empty when it was text.
    pub file: String,
    /// What could not be read.
    pub warnings: Vec<Warning>,
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Name(String),
    Text(Vec<u8>),
    /// The number as it is written.
    Number(String),
    Equals,
    Comma,
    Semicolon,
    Newline,
    Pound,
    End,
    Other(String),
}

impl Token {
    /// The token's text, as warnings quote it.
    fn text(&self) -> String {
        match self {
            Token::Name(text) | Token::Number(text) | Token::Other(text) => text.clone(),
            Token::Text(text) => lossy(text),
            Token::Equals => "=".into(),
            Token::Comma => ",".into(),
            Token::Semicolon => ";".into(),
            Token::Newline => "\n".into(),
            Token::Pound => "#".into(),
            Token::End => String::new(),
        }
    }
}

/// Reads a driver.conf file. A string has the bytes that the file has, whatever they mean.
pub fn parse(text: impl AsRef<[u8]>) -> Conf {
    let bytes = text.as_ref().iter().copied().peekable();
    let mut reader = Reader { bytes, line: 1, warnings: Vec::new() };
    let mut conf = Conf::default();
    loop {
        match reader.token() {
            Token::End => break,
            Token::Newline => reader.line += 1,
            Token::Pound => reader.skip_line(),
            Token::Name(name) => {
                let Some(entry) = reader.entry(name) else { continue };
                let line = reader.line;
                match (entry.name, entry.parent.is_some() || entry.class.is_some()) {
                    (Some(name), true) => conf.nodes.push(ConfNode {
                        name,
                        parent: entry.parent,
                        class: entry.class,
                        instance: entry.properties.iter().find_map(instance),
                        properties: entry.properties,
                        line,
                    }),
                    (Some(_), false) => reader.warn("missing parent or class attribute".into()),
                    (None, true) => reader.warn("missing name attribute".into()),
                    (None, false) => conf.global.extend(entry.properties),
                }
            }
            other => reader.unexpected(&other),
        }
    }
    conf.warnings = reader.warnings;
    conf
}

/// The text as C has it: a NUL ends it.
fn ended(mut text: Vec<u8>) -> Vec<u8> {
    text.truncate(text.iter().position(|byte| *byte == 0).unwrap_or(text.len()));
    text
}

/// The text as this host shows it.
fn lossy(text: &[u8]) -> String {
    String::from_utf8_lossy(text).into_owned()
}

/// The number that an `instance` property gives.
fn instance(property: &Property) -> Option<i32> {
    match property.as_ints().as_deref() {
        Some([number]) if property.name == "instance" => Some(*number),
        _ => None,
    }
}

/// Where an entry stands: what came last.
enum State {
    /// Nothing, or a complete `name=` or `parent=`.
    Begin,
    /// A word that may be a property's name.
    Word(Key),
    /// A word and `=`.
    Equals(Key),
    /// A property's value, or a comma behind one.
    Value { name: String, values: Vec<Value>, comma: bool },
}

/// What a word in front of `=` is.
#[derive(Clone, PartialEq)]
enum Key {
    Parent,
    Name,
    /// `class` is a property, too.
    Class(String),
    Property(String),
}

#[derive(Clone, PartialEq)]
enum Value {
    Int(i32),
    Text(Vec<u8>),
}

#[derive(Default)]
struct Entry {
    name: Option<String>,
    parent: Option<String>,
    class: Option<String>,
    properties: Vec<Property>,
}

struct Reader<'a> {
    bytes: Peekable<Copied<Iter<'a, u8>>>,
    line: usize,
    warnings: Vec<Warning>,
}

impl Reader<'_> {
    fn warn(&mut self, problem: String) {
        self.warnings.push(Warning { problem, line: self.line });
    }

    fn unexpected(&mut self, token: &Token) {
        self.warn(format!("Unexpected token '{}'", token.text()));
    }

    /// Leaves the newline.
    fn skip_line(&mut self) {
        while self.bytes.next_if(|b| !matches!(b, b'\n' | b'\r' | 0x0c)).is_some() {}
    }

    /// An entry that begins with a name, to its semicolon; None: it was warned of, and is left out as far as it was read.
    fn entry(&mut self, first: String) -> Option<Entry> {
        const OMITTED: &str = "(the ';' may have been omitted on previous spec!)";
        let mut entry = Entry::default();
        let mut state = State::Begin;
        let mut token = Token::Name(first);
        loop {
            state = match (token, state) {
                (Token::Name(word), state @ (State::Begin | State::Word(_) | State::Value { .. })) => {
                    match state {
                        State::Word(Key::Parent | Key::Name | Key::Class(_))
                        | State::Value { comma: true, .. } => {
                            self.unexpected(&Token::Name(word));
                            state
                        }
                        complete => {
                            self.finish(complete, &mut entry);
                            State::Word(match word.as_str() {
                                "parent" | "PARENT" => Key::Parent,
                                "name" | "NAME" => Key::Name,
                                "class" | "CLASS" => Key::Class(word),
                                _ => Key::Property(word),
                            })
                        }
                    }
                }
                (Token::Equals, State::Word(key)) => State::Equals(key),
                (Token::Text(text), State::Equals(key)) => match key {
                    Key::Name if entry.name.is_some() => {
                        self.warn(format!("'name' property already specified {OMITTED}"));
                        return None;
                    }
                    Key::Parent if entry.parent.is_some() => {
                        self.warn(format!("'parent' property already specified {OMITTED}"));
                        return None;
                    }
                    Key::Class(_) if entry.class.is_some() => {
                        self.warn("'class' property already specified".into());
                        return None;
                    }
                    Key::Name => {
                        entry.name = Some(lossy(&text));
                        State::Begin
                    }
                    Key::Parent => {
                        entry.parent = Some(lossy(&text));
                        State::Begin
                    }
                    Key::Class(name) => {
                        entry.class = Some(lossy(&text));
                        State::Value { name, values: vec![Value::Text(text)], comma: false }
                    }
                    Key::Property(name) => {
                        State::Value { name, values: vec![Value::Text(text)], comma: false }
                    }
                },
                (Token::Number(number), State::Equals(Key::Property(name))) => {
                    State::Value { name, values: vec![Value::Int(integer(&number))], comma: false }
                }
                (Token::Comma, State::Value { name, values, comma: false }) => {
                    State::Value { name, values, comma: true }
                }
                (Token::Text(text), State::Value { name, mut values, comma: true })
                    if matches!(values.last(), Some(Value::Text(_))) =>
                {
                    values.push(Value::Text(text));
                    State::Value { name, values, comma: false }
                }
                (Token::Number(number), State::Value { name, mut values, comma: true })
                    if matches!(values.last(), Some(Value::Int(_))) =>
                {
                    values.push(Value::Int(integer(&number)));
                    State::Value { name, values, comma: false }
                }
                (Token::Newline, state) => {
                    self.line += 1;
                    state
                }
                (Token::Pound, state) => {
                    self.skip_line();
                    state
                }
                (Token::End, _) => {
                    self.warn("Unexpected EOF".into());
                    return None;
                }
                (Token::Semicolon, state) => {
                    match state {
                        State::Begin | State::Word(Key::Property(_)) | State::Value { comma: false, .. } => {
                            self.finish(state, &mut entry);
                        }
                        _ => self.warn("Unexpected end of line".into()),
                    }
                    return Some(entry);
                }
                (other @ Token::Other(_), _) => {
                    self.unexpected(&other);
                    return None;
                }
                (other, state) => {
                    self.unexpected(&other);
                    state
                }
            };
            token = self.token();
        }
    }

    /// Makes a property of what stands before the next word.
    fn finish(&mut self, state: State, entry: &mut Entry) {
        let (name, values) = match state {
            State::Word(Key::Property(name)) => (name, vec![Value::Int(0)]),
            State::Value { name, values, .. } => (name, values),
            _ => return,
        };
        let ints = values.iter().filter_map(|v| if let Value::Int(n) = v { Some(*n) } else { None });
        let ints: Vec<i32> = ints.collect();
        let texts =
            values.iter().filter_map(|v| if let Value::Text(s) = v { Some(s.as_slice()) } else { None });
        let texts: Vec<&[u8]> = texts.collect();
        entry.properties.push(if texts.is_empty() {
            Property::ints(&name, &ints)
        } else {
            Property::strings(&name, &texts)
        });
    }

    fn token(&mut self) -> Token {
        while self.bytes.next_if(|b| matches!(b, b' ' | b'\t')).is_some() {}
        let Some(first) = self.bytes.next() else { return Token::End };
        match first {
            b'=' => Token::Equals,
            b',' => Token::Comma,
            b';' => Token::Semicolon,
            b'#' => Token::Pound,
            b'\n' | b'\r' => Token::Newline,
            b'"' => self.quoted(),
            b'-' | b'~' => match self.bytes.peek().copied() {
                Some(digit) if digit.is_ascii_digit() => {
                    self.bytes.next();
                    self.number(vec![first, digit])
                }
                None | Some(b' ' | b'\t' | b'\n') if first == b'-' => Token::Name("-".into()),
                _ => Token::Other(char::from(first).into()),
            },
            digit if digit.is_ascii_digit() => self.number(vec![digit]),
            letter if letter.is_ascii_alphabetic() || matches!(letter, b'_' | b'\\') => self.name(letter),
            other => Token::Other(String::from_utf8_lossy(&[other]).into_owned()),
        }
    }

    fn number(&mut self, mut text: Vec<u8>) -> Token {
        let hexadecimal = text.last() == Some(&b'0') && self.bytes.next_if_eq(&b'x').is_some();
        if hexadecimal {
            text.push(b'x');
        }
        let fits = |b: &u8| if hexadecimal { b.is_ascii_hexdigit() } else { b.is_ascii_digit() };
        while let Some(digit) = self.bytes.next_if(fits) {
            text.push(digit);
        }
        Token::Number(String::from_utf8_lossy(&text).into_owned())
    }

    fn name(&mut self, first: u8) -> Token {
        let mut text = Vec::new();
        let mut next = Some(first);
        while let Some(byte) = next {
            // A backslash makes any character one of the name's.
            text.extend(if byte == b'\\' { self.bytes.next() } else { Some(byte) });
            next = self.bytes.next_if(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'\\'));
        }
        match lossy(&ended(text)) {
            // A backslash before a NUL, or before the end.
            none if none.is_empty() => Token::Other("\\".into()),
            name => Token::Name(name),
        }
    }

    /// A string behind its first quote.
    fn quoted(&mut self) -> Token {
        let mut text = Vec::new();
        loop {
            match self.bytes.peek().copied() {
                None | Some(b'\n') => {
                    self.warn("Missing \"".into());
                    return Token::Text(b"\n".into());
                }
                Some(b'"') => {
                    self.bytes.next();
                    return Token::Text(ended(text));
                }
                Some(b'\\') => {
                    self.bytes.next();
                    let mut code: Option<u32> = None;
                    while let Some(digit) = self.bytes.next_if(|b| (b'0'..=b'7').contains(b)) {
                        code = Some(code.unwrap_or(0).wrapping_mul(8) + u32::from(digit - b'0'));
                    }
                    match code {
                        Some(code) => {
                            if code > 127 {
                                self.warn("Character overflow detected.".into());
                            }
                            text.push(code as u8);
                        }
                        None => text.extend(self.bytes.next()),
                    }
                }
                Some(other) => {
                    self.bytes.next();
                    text.push(other);
                }
            }
        }
    }
}

/// The value of a number, cut to 32 bits as the kernel cuts it; 0 for one with digits that its base has not.
fn integer(word: &str) -> i32 {
    let (sign, digits) = match word.as_bytes() {
        [sign @ (b'-' | b'~'), ..] => (Some(*sign), &word[1..]),
        _ => (None, word),
    };
    let (base, digits) = match digits.as_bytes() {
        [b'0', b'x', ..] => (16, &digits[2..]),
        [b'0', _, ..] => (8, &digits[1..]),
        _ => (10, digits),
    };
    let value = digits.bytes().try_fold(0u64, |value, byte| {
        let digit = char::from(byte).to_digit(base)?;
        Some(value.wrapping_mul(base.into()).wrapping_add(digit.into()))
    });
    let value = value.unwrap_or(0);
    (match sign {
        Some(b'-') => value.wrapping_neg(),
        Some(_) => !value,
        None => value,
    }) as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_and_global_properties() {
        let conf = parse(concat!(
            "# a comment\n",
            "name=\"ctxdev\" parent=\"pseudo\" instance=0\n  fb-size=0x10000 label=\"a \\\"b\\\"\",\"c\";\n",
            "name=\"ctxdev\" class=\"root\" instance=1;\n",
            "hysteresis-ms=010; flag; low=-1 mask=~0; wide=0x1ffffffff; octal=\"\\101\";\n",
        ));
        assert_eq!(conf.warnings, []);
        assert_eq!(conf.nodes.len(), 2);
        let [first, second] = &conf.nodes[..] else { panic!("two nodes") };
        assert_eq!((first.name.as_str(), first.parent.as_deref()), ("ctxdev", Some("pseudo")));
        assert_eq!((first.instance, first.line), (Some(0), 3));
        assert_eq!(first.properties[1], Property::ints("fb-size", &[0x10000]));
        assert_eq!(first.properties[2], Property::strings("label", &["a \"b\"", "c"]));
        assert_eq!((second.parent.as_deref(), second.class.as_deref()), (None, Some("root")));
        assert_eq!(second.properties[0], Property::strings("class", &["root"]));
        let ints = |name, value| Property::ints(name, &[value]);
        let global = [ints("hysteresis-ms", 8), ints("flag", 0), ints("low", -1), ints("mask", -1)];
        assert_eq!(conf.global[..4], global);
        assert_eq!(conf.global[4..], [ints("wide", -1), Property::strings("octal", &["A"])]);
    }

    #[test]
    fn a_string_has_the_bytes_of_the_file_up_to_a_nul() {
        let conf = parse(b"\\o\\k=\"caf\xe9 \\351\",\"a\\0b\",\"c\0d\";");
        assert_eq!(conf.global, [Property::strings("ok", &[&b"caf\xe9 \xe9"[..], b"a", b"c"])]);
    }

    #[test]
    fn what_cannot_be_read_is_warned_of_in_the_kernel_s_words_and_the_rest_is_read() {
        let node = "name=\"x\" parent=\"pseudo\" instance=3;\n";
        for (text, problems) in [
            ("a=1;\nb=;\n", &["Unexpected end of line on line 2"][..]),
            ("/etc;\n", &["Unexpected token '/' on line 1"]),
            ("5;\n", &["Unexpected token '5' on line 1", "Unexpected token ';' on line 1"]),
            ("name=\"x\";\n", &["missing parent or class attribute on line 1"]),
            ("parent=\"pseudo\";\n", &["missing name attribute on line 1"]),
            ("a=1,\"b\";\n", &["Unexpected token 'b' on line 1", "Unexpected end of line on line 1"]),
            ("a=x;\n", &["Unexpected token 'x' on line 1", "Unexpected end of line on line 1"]),
            ("a=\"x;\nb;\n", &["Missing \" on line 1"]),
            (
                "name=\"x\" parent=\"pseudo\"\nname=\"y\" parent=\"pseudo\";\n",
                &[
                    "'name' property already specified (the ';' may have been omitted on previous spec!) on line 2",
                    "missing name attribute on line 2",
                ],
            ),
        ] {
            let conf = parse(format!("{text}{node}"));
            let said: Vec<String> = conf.warnings.iter().map(|w| w.of("f.conf")).collect();
            let want: Vec<String> = problems.iter().map(|p| format!("WARNING: {p} of f.conf")).collect();
            assert_eq!(said, want, "{text}");
            assert_eq!(conf.nodes.last().map(|n| n.instance), Some(Some(3)), "{text}");
        }
        let words = parse("these are words\n");
        assert_eq!(words.warnings[0].of("f"), "WARNING: Unexpected EOF on line 2 of f");
        assert!(words.nodes.is_empty() && words.global.is_empty());
        let open = parse("name=\"x\" parent=\"pseudo\"");
        assert_eq!((open.warnings[0].problem.as_str(), open.nodes.len()), ("Unexpected EOF", 0));
    }
}
