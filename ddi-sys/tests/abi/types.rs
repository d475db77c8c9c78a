//! C and Rust types in one vocabulary, so that they can be compared: names of scalars go, widths and signs stay.

use std::collections::BTreeMap;
use std::fmt;

/// A type without its names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Type {
    Void,
    /// An integer: signed, bytes.
    Int(bool, u64),
    Float(u64),
    /// A pointer: whether what it points to is const.
    Pointer(bool, Box<Type>),
    Array(u64, Box<Type>),
    Function(Vec<Type>, Box<Type>),
    /// A structure, union or unknown name.
    Named(String),
    /// The compiler's variable arguments.
    VaList,
}

impl fmt::Display for Type {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Type::Void => out.write_str("void"),
            Type::Int(signed, bytes) => write!(out, "{}{}", if *signed { "i" } else { "u" }, bytes * 8),
            Type::Float(bytes) => write!(out, "f{}", bytes * 8),
            Type::Pointer(constant, to) => write!(out, "*{} {to}", if *constant { "const" } else { "mut" }),
            Type::Array(length, of) => write!(out, "[{of}; {length}]"),
            Type::Function(params, result) => {
                out.write_str("fn(")?;
                for (index, param) in params.iter().enumerate() {
                    write!(out, "{}{param}", if index == 0 { "" } else { ", " })?;
                }
                write!(out, ") -> {result}")
            }
            Type::Named(name) => out.write_str(name),
            Type::VaList => out.write_str("va_list"),
        }
    }
}

impl Type {
    /// Bytes, when that is known without a structure's layout.
    pub fn size(&self, structs: &BTreeMap<String, u64>) -> Option<u64> {
        match self {
            Type::Int(_, bytes) | Type::Float(bytes) => Some(*bytes),
            Type::Pointer(..) | Type::VaList => Some(8),
            Type::Array(length, of) => Some(length * of.size(structs)?),
            Type::Named(name) => structs.get(name).copied(),
            Type::Void | Type::Function(..) => None,
        }
    }
}

/// Names of function types, not of pointers to functions: with its `*` such a name is what bindgen calls by the name.
const FUNCTION_TYPES: [&str; 3] = ["task_func_t", "vmem_alloc_t", "vmem_free_t"];

/// Replaces names by what they stand for, as far as `aliases` goes.
pub fn resolve(ty: &Type, aliases: &BTreeMap<String, Type>) -> Type {
    let inner = |ty: &Type| Box::new(resolve(ty, aliases));
    match ty {
        Type::Named(name) => aliases.get(name).map_or_else(|| ty.clone(), |to| resolve(to, aliases)),
        Type::Pointer(_, to) if matches!(&**to, Type::Named(name) if FUNCTION_TYPES.contains(&name.as_str())) => {
            resolve(to, aliases)
        }
        Type::Pointer(constant, to) => Type::Pointer(*constant, inner(to)),
        Type::Array(length, of) => Type::Array(*length, inner(of)),
        Type::Function(params, result) => {
            Type::Function(params.iter().map(|param| resolve(param, aliases)).collect(), inner(result))
        }
        other => other.clone(),
    }
}

/// Parses a C type without a name in it ("int (*)(dev_t, char *)").
pub fn parse_c(text: &str) -> Type {
    let mut parser = Parser { tokens: tokens(text), at: 0 };
    let ty = parser.ty();
    assert_eq!(parser.at, parser.tokens.len(), "cannot read the C type {text:?}");
    ty
}

fn tokens(text: &str) -> Vec<String> {
    let mut tokens: Vec<String> = Vec::new();
    let mut word = false;
    for c in text.chars() {
        let in_word = c.is_alphanumeric() || c == '_' || c == '.';
        match (in_word, word) {
            (true, true) => tokens.last_mut().expect("a word began").push(c),
            _ if c.is_whitespace() => {}
            _ => tokens.push(c.to_string()),
        }
        word = in_word;
    }
    tokens
}

struct Parser {
    tokens: Vec<String>,
    at: usize,
}

impl Parser {
    fn peek(&self) -> &str {
        self.tokens.get(self.at).map_or("", String::as_str)
    }

    fn eat(&mut self, token: &str) -> bool {
        let found = self.peek() == token;
        self.at += usize::from(found);
        found
    }

    /// Specifiers, then an abstract declarator.
    fn ty(&mut self) -> Type {
        let (mut words, mut constant) = (Vec::new(), false);
        while self.peek().starts_with(|c: char| c.is_alphabetic() || c == '_') {
            match self.peek() {
                "const" => constant = true,
                "volatile" | "restrict" | "struct" | "enum" | "union" => {}
                word => words.push(word.to_owned()),
            }
            self.at += 1;
        }
        self.declarator(specifier(&words), constant)
    }

    /// `base` is what is declared so far; pointers bind first, then what a parenthesis holds goes around the rest.
    fn declarator(&mut self, mut base: Type, mut constant: bool) -> Type {
        while self.eat("*") {
            base = Type::Pointer(constant, Box::new(base));
            constant = false;
            while ["const", "volatile", "restrict"].contains(&self.peek()) {
                constant |= self.peek() == "const";
                self.at += 1;
            }
        }
        let nested =
            self.peek() == "(" && matches!(self.tokens.get(self.at + 1).map(String::as_str), Some("*" | "("));
        let mut inner = None;
        if nested {
            let from = self.at;
            self.skip_parenthesis();
            inner = Some((from + 1, self.at - 1));
        }
        if self.peek() == "(" {
            self.at += 1;
            let mut params = Vec::new();
            while !self.eat(")") {
                params.push(self.ty());
                self.eat(",");
            }
            if params == [Type::Void] {
                params.clear();
            }
            base = Type::Function(params, Box::new(base));
        } else if self.eat("[") {
            let length = self.peek().parse().unwrap_or(0);
            self.at += usize::from(self.peek() != "]");
            assert!(self.eat("]"), "an array's length ends with ]");
            base = Type::Array(length, Box::new(base));
        }
        match inner {
            None => base,
            Some((from, to)) => {
                let mut parser = Parser { tokens: self.tokens[from..to].to_vec(), at: 0 };
                parser.declarator(base, false)
            }
        }
    }

    fn skip_parenthesis(&mut self) {
        let mut depth = 0;
        loop {
            match self.peek() {
                "(" => depth += 1,
                ")" => depth -= 1,
                "" => panic!("a parenthesis is not closed"),
                _ => {}
            }
            self.at += 1;
            if depth == 0 {
                return;
            }
        }
    }
}

fn specifier(words: &[String]) -> Type {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let signed = !words.contains(&"unsigned");
    let rest: Vec<&str> =
        words.iter().copied().filter(|word| !["signed", "unsigned"].contains(word)).collect();
    match rest[..] {
        ["void"] => Type::Void,
        ["char"] => Type::Int(signed, 1),
        ["short"] | ["short", "int"] => Type::Int(signed, 2),
        [] | ["int"] => Type::Int(signed, 4),
        ["long"] | ["long", "int"] | ["long", "long"] | ["long", "long", "int"] => Type::Int(signed, 8),
        ["float"] => Type::Float(4),
        ["double"] => Type::Float(8),
        ["int8_t"] => Type::Int(true, 1),
        ["int16_t"] => Type::Int(true, 2),
        ["int32_t"] => Type::Int(true, 4),
        ["int64_t" | "ssize_t" | "intptr_t"] => Type::Int(true, 8),
        ["uint8_t"] => Type::Int(false, 1),
        ["uint16_t"] => Type::Int(false, 2),
        ["uint32_t"] => Type::Int(false, 4),
        ["uint64_t" | "size_t" | "uintptr_t"] => Type::Int(false, 8),
        ["__va_list" | "va_list"] => Type::VaList,
        [name] => Type::Named(name.to_owned()),
        _ => panic!("cannot read the C type {words:?}"),
    }
}
