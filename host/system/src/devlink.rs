//! devlink.tab(5): which names in /dev a minor node gets, as devfsadm(8) reads it.
//!
//! A line is a specification of minor nodes, a tab, a name below /dev, and perhaps a tab and the name of a second link, to the first. The
//! specification's fields are `type` (the minor's node type), `name` (the node's name), `addr` (its unit address) and `minor` (the minor's name), each
//! `KEY=VALUE`, with semicolons between; values are compared whole. `addr2` and `minor2` are the second of the parts between commas. In a name `\D`
//! stands for the node's name, `\A0` for its address, `\M0` for the minor's name, `\A1` and `\M1` for the first of their parts, and `\N0` for a
//! number that counts from 0. Blanks are part of a field. A line that cannot be read is warned of and left out. No locking.

use std::collections::BTreeMap;

/// A minor node, as rules look at it.
#[derive(Clone, Copy, Debug)]
pub struct Minor<'a> {
    /// The node type given to ddi_create_minor_node(9F) ("ddi_pseudo").
    pub kind: &'a str,
    /// The device node's name.
    pub name: &'a str,
    /// The device node's unit address.
    pub addr: &'a str,
    /// The minor's name.
    pub minor: &'a str,
    /// Its path below /devices ("/pseudo/ctxdev@0:ctxdev0").
    pub path: &'a str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key {
    Kind,
    Name,
    /// Which of the parts; 0: the whole.
    Addr(usize),
    Minor(usize),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Name,
    Addr(usize),
    Minor(usize),
    Counter(usize),
}

/// What a link is named like.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Pattern {
    pieces: Vec<Piece>,
    text: String,
}

/// One line of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    fields: Vec<(Key, String)>,
    link: Pattern,
    second: Option<Pattern>,
}

/// All lines of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    rules: Vec<Rule>,
}

/// A name without its number: what stands before and behind it, and the least that it may be.
struct Numbered<'a> {
    before: &'a str,
    behind: &'a str,
    least: usize,
}

/// Where links are made.
pub trait Directory {
    /// The links that there are, by name, and where they lead.
    fn links(&self) -> &BTreeMap<String, String>;
    /// Makes a link: to a minor node's path below /devices, which begins with a slash, or to another link's name.
    fn link(&mut self, name: &str, target: &str);
    /// Something is wrong.
    fn warn(&mut self, text: String);
}

/// The links that devfsadm(8)'s own modules make, whatever devlink.tab says: of those that are about a node, the first.
const OWN: &str = "\
type=ddi_pseudo;name=ramdisk;minor=ctl\tramdiskctl
type=ddi_pseudo;name=ramdisk;minor2=raw\trramdisk/\\M1
type=ddi_pseudo;name=ramdisk\tramdisk/\\M0
type=ddi_agp:pseudo\tagpgart
type=ddi_agp:target\tagp/agptarget\\N0
type=ddi_agp:cpugart\tagp/cpugart\\N0
type=ddi_agp:master\tagp/agpmaster\\N0
type=ddi_display\tfbs/\\M0\tfb\\N0
";

impl Rules {
    /// Reads the text of a devlink.tab; what devfsadm says of lines that it cannot read. `file` is the file's name.
    pub fn parse(text: &str, file: &str) -> (Rules, Vec<String>) {
        let mut rules = Vec::new();
        let mut warnings = Vec::new();
        for (number, line) in text.lines().enumerate() {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            match Rule::parse(line) {
                Ok(rule) => rules.extend(rule),
                Err(why) => warnings.push(why.text(number + 1, file)),
            }
        }
        (Rules { rules }, warnings)
    }

    /// The links of devfsadm's own modules.
    fn own() -> Rules {
        Rules::parse(OWN, "").0
    }

    /// Makes the links of a minor node; false when neither a line nor devfsadm itself has any for it.
    pub fn make(&self, minor: Minor<'_>, links: &mut dyn Directory) -> bool {
        let own = Rules::own();
        let mut about: Vec<&Rule> = self.rules.iter().filter(|rule| rule.is_about(minor)).collect();
        if about.is_empty() {
            about.extend(own.rules.iter().find(|rule| rule.is_about(minor)));
        }
        for rule in &about {
            let Some(name) = rule.link.name(minor, minor.path, links) else { continue };
            links.link(&name, minor.path);
            if let Some(second) = rule.second.as_ref().and_then(|second| second.name(minor, &name, links)) {
                links.link(&second, &name);
            }
        }
        !about.is_empty()
    }
}

/// What is wrong with a line.
enum WrongLine {
    NoTab,
    NoName,
    TooManyFields,
    NoValue,
    Keyword(String),
    Part(String),
    Pattern(&'static str),
}

impl WrongLine {
    /// Returns devfsadm's words for it.
    fn text(&self, number: usize, file: &str) -> String {
        match self {
            WrongLine::NoTab => {
                format!("line {number}: configuration file {file} has a missing tab -- ignoring")
            }
            WrongLine::NoName => {
                format!("line {number}: configuration file {file} has a missing dev name field -- ignoring")
            }
            WrongLine::TooManyFields => {
                format!("line {number}:  configuration file {file} has too many fields -- ignoring")
            }
            WrongLine::NoValue => format!("missing '=' in devfs_spec field line {number} from file {file}"),
            WrongLine::Keyword(key) => {
                format!("unrecognized keyword '{key}' -- ignoring line {number} of file {file}")
            }
            WrongLine::Part(key) => format!("bad keyword '{key}' on line {number} of file {file}"),
            WrongLine::Pattern(why) => {
                format!("line {number}: configuration file {file} incorrect: {why} -- ignoring")
            }
        }
    }
}

impl Rule {
    /// Reads a line. One without a specification is about nothing: None.
    fn parse(line: &str) -> Result<Option<Rule>, WrongLine> {
        let (spec, rest) = line.split_once('\t').ok_or(WrongLine::NoTab)?;
        if rest.is_empty() {
            return Err(WrongLine::NoName);
        }
        let (link, second) =
            rest.split_once('\t').map_or((rest, None), |(link, second)| (link, Some(second)));
        if second.is_some_and(|second| second.contains('\t')) {
            return Err(WrongLine::TooManyFields);
        }
        let mut fields = Vec::new();
        let mut rest = spec;
        while !rest.is_empty() {
            let (key, behind) = rest.split_once('=').ok_or(WrongLine::NoValue)?;
            let (value, next) = behind.split_once(';').unwrap_or((behind, ""));
            fields.push((Key::parse(key)?, value.to_owned()));
            rest = next;
        }
        let link = Pattern::parse(link).map_err(WrongLine::Pattern)?;
        let second = second.map(Pattern::parse).transpose().map_err(WrongLine::Pattern)?;
        Ok((!fields.is_empty()).then_some(Rule { fields, link, second }))
    }

    fn is_about(&self, minor: Minor<'_>) -> bool {
        let part = |whole: &str, n: usize, value: &str| match n {
            0 => whole == value,
            n => whole.split(',').nth(n - 1) == Some(value),
        };
        self.fields.iter().all(|(key, value)| match key {
            Key::Kind => minor.kind == value,
            Key::Name => minor.name == value,
            Key::Addr(n) => part(minor.addr, *n, value),
            Key::Minor(n) => part(minor.minor, *n, value),
        })
    }
}

impl Key {
    fn parse(key: &str) -> Result<Key, WrongLine> {
        let part = |digits: &str| match digits {
            "" => Ok(0),
            digits if digits.starts_with(|c: char| c.is_ascii_digit()) => Ok(leading_number(digits).0),
            _ => Err(WrongLine::Part(key.to_owned())),
        };
        match key {
            "type" => Ok(Key::Kind),
            "name" => Ok(Key::Name),
            _ => match (key.strip_prefix("addr"), key.strip_prefix("minor")) {
                (Some(digits), _) => part(digits).map(Key::Addr),
                (_, Some(digits)) => part(digits).map(Key::Minor),
                _ => Err(WrongLine::Keyword(key.to_owned())),
            },
        }
    }
}

/// The number that a text starts with, an `int` as in C, and what is behind it. A larger one is the largest.
fn leading_number(text: &str) -> (usize, &str) {
    const MOST: usize = i32::MAX as usize;
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    (text[..end].parse().unwrap_or(MOST).min(MOST), &text[end..])
}

impl Pattern {
    fn parse(text: &str) -> Result<Pattern, &'static str> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let (plain, escape) = rest.split_once('\\').map_or((rest, None), |(plain, at)| (plain, Some(at)));
            if !plain.is_empty() {
                pieces.push(Piece::Text(plain.to_owned()));
            }
            let Some(escape) = escape else { break };
            let mut letters = escape.chars();
            let make: fn(usize) -> Piece = match letters.next() {
                Some('D') => |_| Piece::Name,
                Some('A') => Piece::Addr,
                Some('M') => Piece::Minor,
                Some('N') if pieces.iter().any(|p| matches!(p, Piece::Counter(_))) => {
                    return Err("multiple counters not permitted");
                }
                Some('N') => Piece::Counter,
                _ => return Err("unrecognized escape sequence"),
            };
            rest = letters.as_str();
            let mut number = 0;
            if make(0) != Piece::Name {
                if !rest.starts_with(|c: char| c.is_ascii_digit()) {
                    return Err("escape sequence must be followed by a digit\n");
                }
                (number, rest) = leading_number(rest);
            }
            pieces.push(make(number));
        }
        Ok(Pattern { pieces, text: text.to_owned() })
    }

    /// The name for a minor node; None, and a warning, when it has no such part. `target` is what the link is to lead to.
    fn name(&self, minor: Minor<'_>, target: &str, links: &mut dyn Directory) -> Option<String> {
        let mut name = String::new();
        let mut counter = None;
        for piece in &self.pieces {
            let part = |whole: &str, n: usize| match n {
                0 => Some(whole.to_owned()),
                n => whole.split(',').nth(n - 1).map(str::to_owned),
            };
            let text = match piece {
                Piece::Text(text) => Some(text.clone()),
                Piece::Name => Some(minor.name.to_owned()),
                Piece::Addr(n) => part(minor.addr, *n),
                Piece::Minor(n) => part(minor.minor, *n),
                Piece::Counter(least) => {
                    counter = Some((name.len(), *least));
                    continue;
                }
            };
            let Some(text) = text else {
                let (node, minor) = minor.path.rsplit_once(':').unwrap_or((minor.path, minor.minor));
                links.warn(format!("Pattern '{}' cannot be used with device '{node}:{minor}'", self.text));
                return None;
            };
            name.push_str(&text);
        }
        let (at, least) = match counter {
            _ if !is_below_dev(&name, counter.map(|(at, _)| at)) => {
                let (node, minor) = minor.path.rsplit_once(':').unwrap_or((minor.path, minor.minor));
                let what =
                    format!("Pattern '{}' has no name below /dev for device '{node}:{minor}'", self.text);
                links.warn(format!("{what}: {name:?}"));
                return None;
            }
            None => return Some(name),
            Some(counter) => counter,
        };
        let (before, behind) = name.split_at(at);
        let number = Numbered { before, behind, least }.choose(links.links(), target);
        Some(format!("{before}{number}{behind}"))
    }
}

/// Returns whether this can be the name of a link below /dev, when a number is put `at` a place.
fn is_below_dev(name: &str, at: Option<usize>) -> bool {
    let mut start = 0;
    name.split('/').all(|part| {
        let numbered = at.is_some_and(|at| (start..=start + part.len()).contains(&at));
        start += part.len() + 1;
        !part.contains('\0') && (numbered || !matches!(part, "" | "." | ".."))
    })
}

impl Numbered<'_> {
    /// The number in a name of this kind, as it would be written there: a name with more zeros is another one.
    fn of(&self, name: &str) -> Option<usize> {
        let digits = name.strip_prefix(self.before)?.strip_suffix(self.behind)?;
        digits.parse().ok().filter(|number: &usize| number.to_string() == digits)
    }

    /// Returns the number of the link to `target` that there is, or the first free one. If another pattern's links look like this one's, there may be several: the
    /// least number that this pattern makes is taken, then the least of all.
    fn choose(&self, links: &BTreeMap<String, String>, target: &str) -> usize {
        let there: Vec<(usize, &String)> =
            links.iter().filter_map(|(link, to)| Some((self.of(link)?, to))).collect();
        let own = there.iter().filter(|(_, to)| *to == target).map(|(number, _)| *number);
        let own = own.min_by_key(|number| (*number < self.least, *number));
        own.or_else(|| (self.least..).find(|number| !there.iter().any(|(taken, _)| taken == number)))
            .unwrap_or(self.least)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINOR: Minor<'_> = Minor {
        kind: "ddi_pseudo",
        name: "ctxdev",
        addr: "1",
        minor: "ctxdev1,a",
        path: "/pseudo/ctxdev@1:ctxdev1,a",
    };

    #[derive(Default)]
    struct Made {
        links: BTreeMap<String, String>,
        warnings: Vec<String>,
    }

    impl Directory for Made {
        fn links(&self) -> &BTreeMap<String, String> {
            &self.links
        }
        fn link(&mut self, name: &str, target: &str) {
            self.links.insert(name.into(), target.into());
        }
        fn warn(&mut self, text: String) {
            self.warnings.push(text);
        }
    }

    fn made(tab: &str, minors: &[Minor<'_>]) -> Made {
        let (rules, warnings) = Rules::parse(tab, "/etc/devlink.tab");
        let mut made = Made { warnings, ..Made::default() };
        for minor in minors {
            rules.make(*minor, &mut made);
        }
        made
    }

    fn names(tab: &str, minor: Minor<'_>) -> Vec<String> {
        made(tab, &[minor]).links.into_keys().collect()
    }

    #[test]
    fn a_rule_names_its_minor_nodes_and_no_others() {
        let tab = "# comment\n\ntype=ddi_pseudo;name=ctxdev\t\\M1\ntype=ddi_pseudo;name=winlock;minor=ctxdev0\twin\n\
                   name=ctxdev;addr=1;\tctx/\\D@\\A0\n";
        assert_eq!(names(tab, MINOR), ["ctx/ctxdev@1", "ctxdev1"]);
        let other = Minor { name: "winlock", minor: "ctxdev0", addr: "0", ..MINOR };
        assert_eq!(names(tab, other), ["win"]);
    }

    #[test]
    fn values_are_whole_and_numbered_fields_are_parts() {
        assert!(names("minor=ctxdev*\tx\n", MINOR).is_empty());
        assert!(names("minor=ctxdev1\tx\n", MINOR).is_empty());
        assert_eq!(names("minor1=ctxdev1\tx\nminor2=a\ty\nminor3=\tz\n", MINOR), ["x", "y"]);
        let wide = Minor { addr: "1,3bc", ..MINOR };
        assert_eq!(names("addr=1,3bc\ta\naddr2=3bc\tb\naddr=1\tc\n", wide), ["a", "b"]);
        // Blanks are part of a field.
        assert!(names("name=ctxdev \tx\n", MINOR).is_empty());
        assert_eq!(names("name=ctxdev\t x\n", MINOR), [" x"]);
    }

    #[test]
    fn a_counter_keeps_its_number_and_takes_the_first_free_one() {
        let minors = ["/pseudo/ctxdev@1:a", "/pseudo/ctxdev@7:a", "/pseudo/ctxdev@1:a"];
        let minors = minors.map(|path| Minor { path, ..MINOR });
        let made = made("type=ddi_pseudo\tctx\\N2.x\tsecond\\N0\n", &minors);
        let want = [
            ("ctx2.x", "/pseudo/ctxdev@1:a"),
            ("ctx3.x", "/pseudo/ctxdev@7:a"),
            ("second0", "ctx2.x"),
            ("second1", "ctx3.x"),
        ];
        assert_eq!(made.links, want.map(|(a, b)| (a.to_owned(), b.to_owned())).into());
    }

    #[test]
    fn devfsadm_has_links_of_its_own_that_count_from_0() {
        let ramdisk = |minor| names("", Minor { name: "ramdisk", minor, ..MINOR });
        assert_eq!(ramdisk("ctl"), ["ramdiskctl"]);
        assert_eq!(ramdisk("a"), ["ramdisk/a"]);
        assert_eq!(ramdisk("a,raw"), ["rramdisk/a"]);
        assert!(names("", MINOR).is_empty());
        let target = Minor { kind: "ddi_agp:target", addr: "1,7", ..MINOR };
        assert_eq!(names("", target), ["agp/agptarget0"]);
        let display = Minor { kind: "ddi_display", minor: "text-0", ..MINOR };
        let display = made("", &[display]).links;
        assert_eq!(display["fb0"], "fbs/text-0");
        // A line of the file comes before them.
        assert_eq!(names("type=ddi_agp:target\tmine\n", target), ["mine"]);
    }

    #[test]
    fn lines_that_cannot_be_read_are_said_and_left_out() {
        let tab = "type=a\tb\nnonsense\ncolour=red\tb\nminorx=1\tb\ntype\tb\ntype=a\t\ntype=a\tb\tc\td\n\
                   type=a\t\\M\ntype=a\t\\Q1\ntype=a\t\\N0\\N1\ntype=ddi_pseudo\tlast\n";
        let file = "/etc/devlink.tab";
        let made = made(tab, &[MINOR]);
        assert_eq!(made.links.keys().collect::<Vec<_>>(), ["last"]);
        let incorrect =
            |line, why| format!("line {line}: configuration file {file} incorrect: {why} -- ignoring");
        assert_eq!(
            made.warnings,
            [
                format!("line 2: configuration file {file} has a missing tab -- ignoring"),
                format!("unrecognized keyword 'colour' -- ignoring line 3 of file {file}"),
                format!("bad keyword 'minorx' on line 4 of file {file}"),
                format!("missing '=' in devfs_spec field line 5 from file {file}"),
                format!("line 6: configuration file {file} has a missing dev name field -- ignoring"),
                format!("line 7:  configuration file {file} has too many fields -- ignoring"),
                incorrect(8, "escape sequence must be followed by a digit\n"),
                incorrect(9, "unrecognized escape sequence"),
                incorrect(10, "multiple counters not permitted"),
            ]
        );
        let part = self::made("name=ctxdev\t\\M3\n", &[MINOR]);
        assert_eq!(part.warnings, ["Pattern '\\M3' cannot be used with device '/pseudo/ctxdev@1:ctxdev1,a'"]);
        assert!(part.links.is_empty());
    }

    #[test]
    fn a_link_is_below_dev_whatever_a_line_or_a_driver_calls_it() {
        let tab = "name=ctxdev\t/etc/passwd\nname=ctxdev\tx/../../y\nname=ctxdev\tdir/\nname=ctxdev\t\\M0\n";
        let made = self::made(tab, &[Minor { minor: "../up", ..MINOR }]);
        assert!(made.links.is_empty());
        assert_eq!(made.warnings.len(), 4);
        let said = "Pattern '\\M0' has no name below /dev for device '/pseudo/ctxdev@1:ctxdev1,a': \"../up\"";
        assert_eq!(made.warnings[3], said);
        // A number makes a name.
        assert_eq!(names("name=ctxdev\tdir/\\N0\n", MINOR), ["dir/0"]);
    }

    #[test]
    fn a_counter_that_starts_beyond_all_numbers_starts_at_the_largest() {
        let minors = [MINOR, Minor { path: "/pseudo/ctxdev@2:ctxdev1,a", ..MINOR }];
        let made = made("name=ctxdev\tx\\N66666666666666666666666\n", &minors);
        assert_eq!(made.links.keys().collect::<Vec<_>>(), ["x2147483647", "x2147483648"]);
    }

    #[test]
    fn names_of_another_pattern_do_not_take_a_link_away() {
        let tab = "name=ctxdev\t\\N9x\tfirst\\N0\nname=ctxdev\t3\\N9x\tsecond\\N0\nname=ctxdev\t\\N30x\n";
        let (rules, _) = Rules::parse(tab, "/etc/devlink.tab");
        let mut made = Made::default();
        rules.make(MINOR, &mut made);
        let before = made.links.clone();
        assert_eq!(before.keys().collect::<Vec<_>>(), ["39x", "9x", "first0", "second0"]);
        rules.make(MINOR, &mut made);
        assert_eq!(made.links, before);
    }

    #[test]
    fn a_number_with_zeros_in_front_is_a_name_of_its_own() {
        let name = Numbered { before: "x", behind: "y", least: 0 };
        assert_eq!(
            ["x0y", "x17y", "x017y", "x+1y", "xy"].map(|link| name.of(link)),
            [Some(0), Some(17), None, None, None]
        );
    }
}
