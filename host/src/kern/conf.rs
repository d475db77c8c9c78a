//! driver.conf(5): the nodes and properties that a driver's configuration file gives.
//!
//! A file is a list of entries that end with `;`. An entry with `name` (or `class`) and `parent` makes a node, one
//! without sets properties of every node of the driver. `#` starts a comment. Values are decimal, `0x` or `0`
//! (octal) integers of 32 bits, strings in double quotes (with `\"`, `\\`, `\n`, `\t` and `\ooo`), or lists of one of
//! them separated by commas; a name without `=` is a boolean property.

use super::props::Property;

/// A node that an entry asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfNode {
    /// `name`: the node's name.
    pub name: String,
    /// `parent`, or `class`.
    pub parent: String,
    /// `instance`, when given.
    pub instance: Option<i32>,
    /// Everything else (and `instance` too, as the kernel does).
    pub properties: Vec<Property>,
}

/// What a file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conf {
    /// Nodes, in file order.
    pub nodes: Vec<ConfNode>,
    /// Properties of all of the driver's nodes.
    pub global: Vec<Property>,
}

/// What is wrong with a file, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct ConfError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong there.
    pub problem: String,
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Word(String),
    Text(String),
    Number(i64),
    Equals,
    Comma,
    Semicolon,
}

/// Reads the text of a driver.conf file.
///
/// # Errors
/// The first thing in it that is not driver.conf(5) syntax.
pub fn parse(text: &str) -> Result<Conf, ConfError> {
    let tokens = tokens(text)?;
    let mut conf = Conf::default();
    let mut entry = Entry::default();
    let mut at = 0;
    let next = |at: usize| tokens.get(at).map(|(token, _)| token);
    while at < tokens.len() {
        let (token, line) = &tokens[at];
        let fail = |problem: String| Err(ConfError { line: *line, problem });
        match token {
            Token::Semicolon => {
                entry.finish(&mut conf, *line)?;
                entry = Entry::default();
                at += 1;
            }
            Token::Word(name) | Token::Text(name) => {
                at += 1;
                if next(at) != Some(&Token::Equals) {
                    entry.properties.push(Property::ints(name, &[]));
                    entry.first_line.get_or_insert(*line);
                    continue;
                }
                at += 1;
                let mut values = Vec::new();
                loop {
                    match next(at) {
                        Some(Token::Number(n)) => values.push(Value::Int(*n)),
                        Some(Token::Text(s)) => values.push(Value::Text(s.clone())),
                        // Values without blanks are sometimes written without quotes.
                        Some(Token::Word(s)) => values.push(Value::Text(s.clone())),
                        _ => {
                            return fail(format!(
                                "{name} has no value: expected a number or a string after '='"
                            ));
                        }
                    }
                    at += 1;
                    if next(at) != Some(&Token::Comma) {
                        break;
                    }
                    at += 1;
                }
                entry.set(name, &values, *line)?;
            }
            Token::Number(n) => return fail(format!("expected a property name, found {n}")),
            Token::Equals => return fail("expected a property name, found '='".into()),
            Token::Comma => return fail("expected a property name, found ','".into()),
        }
    }
    match entry.first_line {
        Some(line) => {
            Err(ConfError { line, problem: "the entry that starts here does not end with ';'".into() })
        }
        None => Ok(conf),
    }
}

enum Value {
    Int(i64),
    Text(String),
}

#[derive(Default)]
struct Entry {
    name: Option<String>,
    parent: Option<String>,
    properties: Vec<Property>,
    instance: Option<i32>,
    first_line: Option<usize>,
}

impl Entry {
    fn set(&mut self, name: &str, values: &[Value], line: usize) -> Result<(), ConfError> {
        self.first_line.get_or_insert(line);
        let fail = |problem: String| Err(ConfError { line, problem });
        let mut ints = Vec::new();
        let mut texts = Vec::new();
        for value in values {
            match value {
                Value::Int(n) if i64::from(i32::MIN) <= *n && *n <= i64::from(u32::MAX) => {
                    ints.push(*n as i32)
                }
                Value::Int(n) => return fail(format!("{name}: {n} does not fit 32 bits")),
                Value::Text(s) => texts.push(s.as_str()),
            }
        }
        if !ints.is_empty() && !texts.is_empty() {
            return fail(format!("{name}: numbers and strings cannot be mixed in one property"));
        }
        match (name, texts.as_slice(), ints.as_slice()) {
            ("name", [text], []) => self.name = Some((*text).into()),
            ("parent" | "class", [text], []) => self.parent = Some((*text).into()),
            ("name" | "parent" | "class", ..) => return fail(format!("{name} must be one string")),
            ("instance", _, [n]) if *n >= 0 => {
                self.instance = Some(*n);
                self.properties.push(Property::ints(name, &ints));
            }
            ("instance", ..) => return fail("instance must be one number, not negative".into()),
            (_, [], _) => self.properties.push(Property::ints(name, &ints)),
            _ => self.properties.push(Property::strings(name, &texts)),
        }
        Ok(())
    }

    fn finish(self, conf: &mut Conf, line: usize) -> Result<(), ConfError> {
        let line = self.first_line.unwrap_or(line);
        match (self.name, self.parent) {
            (Some(name), Some(parent)) => conf.nodes.push(ConfNode {
                name,
                parent,
                instance: self.instance,
                properties: self.properties,
            }),
            (None, None) => conf.global.extend(self.properties),
            (Some(name), None) => {
                return Err(ConfError {
                    line,
                    problem: format!("node {name} has no parent (parent=\"pseudo\"?)"),
                });
            }
            (None, Some(_)) => return Err(ConfError { line, problem: "a node needs a name".into() }),
        }
        Ok(())
    }
}

fn tokens(text: &str) -> Result<Vec<(Token, usize)>, ConfError> {
    let mut tokens = Vec::new();
    for (number, full) in text.lines().enumerate() {
        let line = number + 1;
        let bytes = full.as_bytes();
        let mut i = 0;
        while i < bytes.len() {
            let fail = |problem: String| Err(ConfError { line, problem });
            match bytes[i] {
                b'#' => break,
                b if b.is_ascii_whitespace() => i += 1,
                b'=' | b',' | b';' => {
                    let token = match bytes[i] {
                        b'=' => Token::Equals,
                        b',' => Token::Comma,
                        _ => Token::Semicolon,
                    };
                    tokens.push((token, line));
                    i += 1;
                }
                b'"' => {
                    let Some((string, used)) = quoted(&bytes[i + 1..]) else {
                        return fail("the string that starts here has no closing quote".into());
                    };
                    tokens.push((Token::Text(string), line));
                    i += 1 + used;
                }
                _ => {
                    let end = bytes[i..]
                        .iter()
                        .position(|b| b"=,;\"#".contains(b) || b.is_ascii_whitespace())
                        .map_or(bytes.len(), |n| i + n);
                    let word = &full[i..end];
                    i = end;
                    if word.starts_with(|c: char| c.is_ascii_digit() || c == '-') {
                        match integer(word) {
                            Some(n) => tokens.push((Token::Number(n), line)),
                            None => return fail(format!("{word} is not a number")),
                        }
                    } else if word.bytes().all(|b| b.is_ascii_graphic()) {
                        tokens.push((Token::Word(word.into()), line));
                    } else {
                        return fail(format!("unexpected characters: {word}"));
                    }
                }
            }
        }
    }
    Ok(tokens)
}

/// The string up to its closing quote and how many bytes that took.
fn quoted(bytes: &[u8]) -> Option<(String, usize)> {
    let mut out = Vec::new();
    let mut i = 0;
    loop {
        match *bytes.get(i)? {
            b'"' => return Some((String::from_utf8_lossy(&out).into_owned(), i + 1)),
            b'\\' => {
                i += 1;
                let octal = bytes[i..].iter().take(3).take_while(|b| (b'0'..=b'7').contains(*b)).count();
                if octal > 0 {
                    out.push(bytes[i..i + octal].iter().fold(0u32, |n, b| n * 8 + u32::from(b - b'0')) as u8);
                    i += octal;
                } else {
                    out.push(match *bytes.get(i)? {
                        b'n' => b'\n',
                        b't' => b'\t',
                        other => other,
                    });
                    i += 1;
                }
            }
            byte => {
                out.push(byte);
                i += 1;
            }
        }
    }
}

fn integer(word: &str) -> Option<i64> {
    let (negative, digits) = word.strip_prefix('-').map_or((false, word), |rest| (true, rest));
    let value = if let Some(hex) = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        i64::from_str_radix(hex, 16).ok()?
    } else if digits.len() > 1 && digits.starts_with('0') {
        i64::from_str_radix(digits, 8).ok()?
    } else {
        digits.parse().ok()?
    };
    Some(if negative { -value } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_and_global_properties() {
        let conf = parse(concat!(
            "# a comment\n",
            "name=\"ctxdev\" parent=\"pseudo\" instance=0\n  fb-size=0x10000 label=\"a \\\"b\\\"\",\"c\";\n",
            "name=\"ctxdev\" parent=\"pseudo\" instance=1;\n",
            "hysteresis-ms=010; flag;\n",
        ))
        .unwrap();
        assert_eq!(conf.nodes.len(), 2);
        assert_eq!((conf.nodes[0].name.as_str(), conf.nodes[0].parent.as_str()), ("ctxdev", "pseudo"));
        assert_eq!(conf.nodes[0].instance, Some(0));
        assert_eq!(conf.nodes[0].properties[1], Property::ints("fb-size", &[0x10000]));
        assert_eq!(conf.nodes[0].properties[2], Property::strings("label", &["a \"b\"", "c"]));
        assert_eq!(conf.global, [Property::ints("hysteresis-ms", &[8]), Property::ints("flag", &[])]);
    }

    #[test]
    fn errors_say_where_and_what() {
        let error = |text| parse(text).unwrap_err().to_string();
        assert_eq!(error("a=1;\nb=;"), "line 2: b has no value: expected a number or a string after '='");
        assert_eq!(
            error("\nname=\"x\" parent=\"pseudo\""),
            "line 2: the entry that starts here does not end with ';'"
        );
        assert_eq!(error("name=\"x;"), "line 1: the string that starts here has no closing quote");
        assert_eq!(error("name=\"x\";"), "line 1: node x has no parent (parent=\"pseudo\"?)");
        assert_eq!(error("parent=\"pseudo\";"), "line 1: a node needs a name");
        assert_eq!(error("a=1,\"b\";"), "line 1: a: numbers and strings cannot be mixed in one property");
        assert_eq!(error("a=0x1ffffffff;"), "line 1: a: 8589934591 does not fit 32 bits");
        assert_eq!(error("a=12x;"), "line 1: 12x is not a number");
        assert_eq!(error("=1;"), "line 1: expected a property name, found '='");
        assert_eq!(error("name=1 parent=\"p\";"), "line 1: name must be one string");
    }
}
