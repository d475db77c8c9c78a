//! Options as getopt(3C) reads them, for the commands that are to answer as illumos's own: clustered letters, arguments with or without a blank,
//! the end at the first word that is none.

/// The options that were given, in order, and the words behind them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Given {
    /// Letters, and the arguments of those that take one.
    pub options: Vec<(char, Option<String>)>,
    /// The other words.
    pub words: Vec<String>,
}

impl Given {
    /// The argument of an option; that of the last when it was given more than once.
    pub fn argument(&self, letter: char) -> Option<&str> {
        self.options.iter().rev().find(|(l, _)| *l == letter)?.1.as_deref()
    }

    /// Was the option given?
    pub fn has(&self, letter: char) -> bool {
        self.options.iter().any(|(l, _)| *l == letter)
    }
}

/// Reads the words of `command` by `known`: letters, each with a colon behind it when it takes an argument.
///
/// # Errors
/// What getopt(3C) says of an unknown letter or a missing argument.
pub fn parse(command: &str, known: &str, words: &[String]) -> Result<Given, String> {
    let mut given = Given::default();
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        let Some(letters) = word.strip_prefix('-').filter(|letters| !letters.is_empty()) else {
            given.words.push(word.clone());
            break;
        };
        if letters == "-" {
            break;
        }
        for (at, letter) in letters.char_indices() {
            let place = known.find(letter).filter(|_| letter != ':');
            let Some(place) = place else {
                return Err(format!("{command}: illegal option -- {letter}\n"));
            };
            if !known[place + letter.len_utf8()..].starts_with(':') {
                given.options.push((letter, None));
                continue;
            }
            let behind = &word[1 + at + letter.len_utf8()..];
            let argument = match behind {
                "" => rest.next().cloned(),
                glued => Some(glued.to_owned()),
            };
            let Some(argument) = argument else {
                return Err(format!("{command}: option requires an argument -- {letter}\n"));
            };
            given.options.push((letter, Some(argument)));
            break;
        }
    }
    given.words.extend(rest.cloned());
    Ok(given)
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
pub fn take_root(words: &mut Vec<String>) -> Result<Option<String>, String> {
    let mut root = None;
    while let Some(at) = words.iter().position(|w| w == "--root" || w.starts_with("--root=")) {
        let word = words.remove(at);
        root = match word.split_once('=') {
            Some((_, dir)) => Some(dir.to_owned()),
            None if at < words.len() => Some(words.remove(at)),
            None => return Err("option requires an argument -- root\n".to_owned()),
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
        assert_eq!(unknown, "rem_drv: illegal option -- n\n");
        assert_eq!(parse("rem_drv", "b:C", &words("-:")).unwrap_err(), "rem_drv: illegal option -- :\n");
        let missing = parse("add_drv", "m:", &words("-m")).unwrap_err();
        assert_eq!(missing, "add_drv: option requires an argument -- m\n");
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
