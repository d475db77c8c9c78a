//! Options as getopt(3C) reads them, for the commands that are to answer as illumos's own, with its messages.

use ::getopt::{Error, ErrorKind, Opt, Parser};

/// The options that were given, in order, and the words behind them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Given {
    /// Letters, and the arguments of those that take one.
    pub options: Vec<(char, Option<String>)>,
    /// The other words.
    pub words: Vec<String>,
}

impl Given {
    /// Returns the argument of an option; of the last one, if it was given several times.
    pub fn argument(&self, letter: char) -> Option<&str> {
        self.options.iter().rev().find(|(l, _)| *l == letter)?.1.as_deref()
    }

    /// Returns whether the option was given.
    pub fn has(&self, letter: char) -> bool {
        self.options.iter().any(|(l, _)| *l == letter)
    }
}

/// Words that are wrong, as getopt(3C) says it.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    /// A letter that is not known.
    #[error("{command}: illegal option -- {letter}\n")]
    Letter {
        /// The command.
        command: String,
        /// The letter.
        letter: String,
    },
    /// The argument of a letter is missing.
    #[error("{command}: option requires an argument -- {letter}\n")]
    Argument {
        /// The command.
        command: String,
        /// The letter.
        letter: String,
    },
}

/// `--root` without its directory.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("option requires an argument -- root\n")]
pub struct NoRoot;

/// Reads the words of `command` by `known`: letters, each with a colon behind it when it takes an argument.
///
/// # Errors
/// See [`Wrong`].
pub fn parse(command: &str, known: &str, words: &[String]) -> Result<Given, Wrong> {
    let mut parser = Parser::new(words, known);
    // There is no name of the command among the words.
    parser.set_index(0);
    let mut options = Vec::new();
    for option in &mut parser {
        match option {
            Ok(Opt(letter, argument)) => options.push((letter, argument)),
            Err(error) => return Err(wrong(command, &error)),
        }
    }
    Ok(Given { options, words: words[parser.index()..].to_vec() })
}

/// Returns an error of the library. Only the text of its own message has the letter, in quotation marks.
fn wrong(command: &str, error: &Error) -> Wrong {
    let text = error.to_string();
    let letter = text.rsplit("-- ").next().unwrap_or_default().trim_matches('\'').to_owned();
    let command = command.to_owned();
    match error.kind() {
        ErrorKind::UnknownOption => Wrong::Letter { command, letter },
        ErrorKind::MissingArgument => Wrong::Argument { command, letter },
    }
}

/// The number at the start of a word as `%d` and atoi(3C) read it: digits with a sign, whatever is behind them.
pub fn number(text: &str) -> Option<i64> {
    let text = text.trim_start();
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    rest[..end].parse::<i64>().ok().map(|n| sign * n)
}

/// Takes `--root DIR` or `--root=DIR`, which is this host's own, out of a command's words.
///
/// # Errors
/// The directory is missing.
pub fn take_root(words: &mut Vec<String>) -> Result<Option<String>, NoRoot> {
    let mut root = None;
    while let Some(at) = words.iter().position(|w| w == "--root" || w.starts_with("--root=")) {
        let word = words.remove(at);
        root = match word.split_once('=') {
            Some((_, dir)) => Some(dir.to_owned()),
            None if at < words.len() => Some(words.remove(at)),
            None => return Err(NoRoot),
        };
    }
    Ok(root)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn letters_stand_together_and_arguments_with_or_without_a_blank() {
        let given = parse("add_drv", "vfm:ni:", &words("-vn -mx -i y ctxdev more")).unwrap();
        assert!(given.has('v') && given.has('n') && !given.has('f'));
        assert_eq!((given.argument('m'), given.argument('i')), (Some("x"), Some("y")));
        assert_eq!(given.words, ["ctxdev", "more"]);
        let given = parse("add_drv", "v", &words("-- -v")).unwrap();
        assert_eq!((given.options.len(), &given.words[..]), (0, &["-v".to_owned()][..]));
        assert_eq!(parse("add_drv", "v", &words("ctxdev -v")).unwrap().words, ["ctxdev", "-v"]);
    }

    #[test]
    fn what_is_wrong_is_said_as_getopt_says_it() {
        let unknown = parse("rem_drv", "b:C", &words("-n x")).unwrap_err();
        assert_eq!(unknown.to_string(), "rem_drv: illegal option -- n\n");
        assert_eq!(
            parse("rem_drv", "b:C", &words("-:")).unwrap_err().to_string(),
            "rem_drv: illegal option -- :\n"
        );
        let missing = parse("add_drv", "m:", &words("-m")).unwrap_err();
        assert_eq!(missing.to_string(), "add_drv: option requires an argument -- m\n");
    }

    #[test]
    fn numbers_end_where_the_digits_end() {
        assert_eq!(["7", "-1", " 12ab", "+3"].map(number), [Some(7), Some(-1), Some(12), Some(3)]);
        assert_eq!([number("x1"), number("-"), number("")], [None; 3]);
    }

    #[test]
    fn the_root_is_taken_out_wherever_it_stands() {
        let mut given = words("-v --root /r ctxdev");
        assert_eq!(take_root(&mut given).unwrap().as_deref(), Some("/r"));
        assert_eq!(given, words("-v ctxdev"));
        assert_eq!(take_root(&mut words("--root=/x")).unwrap().as_deref(), Some("/x"));
        assert!(take_root(&mut words("--root")).is_err());
    }
}
