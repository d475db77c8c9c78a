//! The kstat(8) command: the statistics of the machine that it runs under, or of one that stays up. Options, output and exit statuses are illumos's.

use std::path::Path;
use std::time::Duration;

use ddi_system::getopt::{self, Given};
use ddi_system::glob;
use regex_lite::Regex;

use crate::commands::cli::{CannotPrint, fail, print};
use crate::commands::modctl;
use crate::machine::resident::{self, Refusal, Reply, Request};
use ddi_kernel::calls::kernel;
use ddi_kernel::ddi::kstats::Statistics;

/// Usage of kstat, which it prints when it is called wrongly.
const USAGE: &str = "Usage:
kstat [ -Cjlpq ] [ -T d|u ] [ -c class ]
      [ -m module ] [ -i instance ] [ -n name ] [ -s statistic ]
      [ interval [ count ] ]
kstat [ -Cjlpq ] [ -T d|u ] [ -c class ]
      [ module[:instance[:name[:statistic]]] ... ]
      [ interval [ count ] ]
";

/// Pattern of a name: a shell's, or an extended regular expression between slashes.
enum Pattern {
    Glob(String),
    Regex(Regex),
}

impl Pattern {
    fn parse(text: &str) -> Result<Pattern, Wrong> {
        let expression = text.strip_prefix('/').and_then(|rest| rest.strip_suffix('/'));
        let Some(expression) = expression else { return Ok(Pattern::Glob(text.to_owned())) };
        Regex::new(expression).map(Pattern::Regex).map_err(|error| {
            let why = error.to_string();
            Wrong(2, format!("kstat: {}\n", why.lines().last().unwrap_or_default()))
        })
    }

    fn matches(&self, name: &str) -> bool {
        match self {
            Pattern::Glob(pattern) => glob::matches(pattern, name),
            Pattern::Regex(regex) => regex.is_match(name),
        }
    }
}

/// Module, instance, name, statistic.
type Selector = [Pattern; 4];

/// Form in which statistics are shown.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Form {
    /// A heading for each kstat.
    Headed,
    /// A line for each statistic, with the value behind this character, if at all.
    Lines(Option<char>),
    Json,
    Nothing,
}

/// Form of the time that is shown first.
#[derive(Clone, Copy, Debug)]
enum Stamp {
    Date,
    Seconds,
}

/// A command line of kstat.
struct Asked {
    selectors: Vec<Selector>,
    class: Pattern,
    form: Form,
    stamp: Option<Stamp>,
    interval: Option<Duration>,
    /// Number of times; `None`: for ever.
    count: Option<u64>,
}

/// A wrong command line: the exit status, and what is said before the usage.
#[derive(Debug)]
struct Wrong(i32, String);

/// Why statistics cannot be shown.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error(transparent)]
    Print(#[from] CannotPrint),
    /// The machine does not answer.
    #[error(transparent)]
    Ask(#[from] std::io::Error),
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// No machine is up for the system.
    #[error("{0}")]
    NotUp(String),
    /// There is no kernel that this runs under.
    #[error(
        "{}: {error}; run it under the host: ddi-host run --driver NAME -- ddi-host kstat",
        kernel::KSTAT
    )]
    Read { error: std::io::Error },
    #[error("the kernel's statistics are of another version")]
    Version,
}

/// kstat(8). Returns the exit status.
pub fn run(words: &[String]) -> i32 {
    let mut words = words.to_vec();
    let asked = getopt::take_root(&mut words)
        .map_err(|why| Wrong(2, format!("kstat: {why}")))
        .and_then(|root| Ok((root, Asked::parse(&words)?)));
    let (root, asked) = match asked {
        Ok(asked) => asked,
        Err(Wrong(status, text)) => {
            eprint!("{text}{USAGE}");
            return status;
        }
    };
    match asked.show(root.as_deref().map(Path::new)) {
        Ok(true) => 0,
        Ok(false) => 1,
        Err(why) => fail(&why.to_string()),
    }
}

/// All statistics of this process's kernel, as `kstat -p` shows them.
pub fn parseable() -> String {
    let shown =
        Asked::parse(&["-p".to_owned()]).ok().map(|asked| asked.text(&ddi_kernel::ddi::kstats::read_all()).0);
    shown.unwrap_or_default()
}

impl Asked {
    fn parse(words: &[String]) -> Result<Asked, Wrong> {
        let given =
            getopt::parse("kstat", "h?CqjlpT:m:i:n:s:c:", words).map_err(|why| Wrong(0, why.to_string()))?;
        if given.has('h') || given.has('?') {
            return Err(Wrong(0, String::new()));
        }
        let stamp = match given.argument('T').map(|how| how.chars().next()) {
            None => None,
            Some(Some('d')) => Some(Stamp::Date),
            Some(Some('u')) => Some(Stamp::Seconds),
            Some(_) => return Err(Wrong(2, String::new())),
        };
        let lines = ['C', 'l', 'p'].iter().any(|letter| given.has(*letter));
        let form = match (given.has('q'), given.has('j')) {
            (true, json) if json || lines => {
                return Err(Wrong(2, "-q and -lpj are mutually exclusive\n".into()));
            }
            (true, _) => Form::Nothing,
            (_, true) => Form::Json,
            _ if given.has('l') => Form::Lines(None),
            _ if given.has('C') => Form::Lines(Some(':')),
            _ if lines => Form::Lines(Some('\t')),
            _ => Form::Headed,
        };
        let mut asked = Asked {
            selectors: Vec::new(),
            class: Pattern::parse(given.argument('c').unwrap_or("*"))?,
            form,
            stamp,
            interval: None,
            count: Some(1),
        };
        asked.take_words(&given)?;
        Ok(asked)
    }

    /// Takes the words behind the options: selectors, an interval, a count.
    fn take_words(&mut self, given: &Given) -> Result<(), Wrong> {
        let mut numbers = Vec::new();
        for word in &given.words {
            let Ok(number) = word.parse::<u64>() else {
                let parts: Vec<&str> = word.split(':').collect();
                if parts.len() > 4 {
                    return Err(Wrong(2, String::new()));
                }
                let part = |n: usize| parts.get(n).copied().filter(|part| !part.is_empty()).unwrap_or("*");
                self.selectors.push(selector([0, 1, 2, 3].map(part))?);
                continue;
            };
            let what = ["Interval", "Count"].get(numbers.len()).copied();
            match what {
                Some(what) if number < 1 => {
                    return Err(Wrong(2, format!("{what} must be an integer >= 1")));
                }
                Some(_) => numbers.push(number),
                None => return Err(Wrong(2, String::new())),
            }
        }
        if let Some(seconds) = numbers.first() {
            self.interval = Some(Duration::from_secs(*seconds));
            self.count = numbers.get(1).copied();
        }
        let by_option = ['m', 'i', 'n', 's'].map(|letter| given.argument(letter));
        if self.selectors.is_empty() {
            self.selectors.push(selector(by_option.map(|option| option.unwrap_or("*")))?);
        } else if by_option.iter().any(Option::is_some) {
            let text = "[module[:instance[:name[:statistic]]]] and -m -i -n -s are mutually exclusive";
            return Err(Wrong(2, text.into()));
        }
        Ok(())
    }

    /// Shows what was asked for, as often as was asked; false when there is none.
    fn show(&self, root: Option<&Path>) -> Result<bool, Failed> {
        let mut found = false;
        let mut shown = 0;
        while self.count.is_none_or(|count| shown < count) {
            if shown > 0 {
                std::thread::sleep(self.interval.unwrap_or_default());
                print("\n")?;
            }
            let (text, any) = self.text(&read(root)?);
            print(&text)?;
            found |= any;
            shown += 1;
        }
        Ok(found)
    }

    /// The text, and whether there is a statistic that was asked for.
    fn text(&self, all: &[Statistics]) -> (String, bool) {
        let mut kstats: Vec<&Statistics> = all.iter().collect();
        kstats
            .sort_by_cached_key(|k| (k.module.to_ascii_lowercase(), k.instance, k.name.to_ascii_lowercase()));
        let mut parts = Vec::new();
        for selector in &self.selectors {
            let chosen = kstats.iter().filter(|k| self.chooses(selector, k));
            parts.extend(chosen.filter_map(|k| self.one(k, &selector[3])));
        }
        let any = !parts.is_empty();
        let text = match self.form {
            Form::Nothing => String::new(),
            Form::Json => format!("[{}]\n", parts.join(",")),
            Form::Headed | Form::Lines(_) => parts.concat(),
        };
        (self.stamp.map(stamp).unwrap_or_default() + &text, any)
    }

    fn chooses(&self, [module, instance, name, _]: &Selector, k: &Statistics) -> bool {
        // Raw kstats and those of kstats themselves are not shown.
        k.kind != ddi_sys::KSTAT_TYPE_RAW
            && !k.name.starts_with("kstat_")
            && module.matches(&k.module)
            && instance.matches(&k.instance.to_string())
            && name.matches(&k.name)
            && self.class.matches(&k.class)
    }

    /// The text of one kstat; None when it has no such statistic.
    fn one(&self, k: &Statistics, wanted: &Pattern) -> Option<String> {
        let time = |ns: i64| if ns == 0 { "0".into() } else { format!("{:.9}", ns as f64 / 1e9) };
        let mut values: Vec<(&str, String)> = k
            .values
            .iter()
            .map(|value| match value.is_string && self.form == Form::Json {
                true => (value.name.as_str(), format!("\"{}\"", value.text)),
                false => (value.name.as_str(), value.text.clone()),
            })
            .collect();
        values.push(("crtime", time(k.crtime)));
        values.push(("snaptime", time(k.snaptime)));
        if matches!(self.form, Form::Lines(_)) {
            values.push(("class", k.class.clone()));
        }
        values.retain(|(name, _)| wanted.matches(name));
        values.sort_by_cached_key(|(name, _)| name.to_ascii_lowercase());
        if values.is_empty() {
            return None;
        }
        let Statistics { module, instance, name, class, .. } = k;
        let lines = |line: &dyn Fn(&str, &str) -> String| -> String {
            values.iter().map(|(statistic, value)| line(statistic, value)).collect()
        };
        Some(match self.form {
            Form::Nothing => String::new(),
            Form::Lines(between) => lines(&|statistic, value| {
                let key = format!("{module}:{instance}:{name}:{statistic}");
                between.map_or_else(|| format!("{key}\n"), |between| format!("{key}{between}{value}\n"))
            }),
            Form::Headed => {
                let heading = format!(
                    "module: {module:<30.30}  instance: {instance:<6}\nname:   {name:<30.30}  class:    {class:.30}\n"
                );
                heading + &lines(&|statistic, value| format!("\t{statistic:<30}  {value}\n")) + "\n"
            }
            Form::Json => {
                let data: Vec<String> =
                    values.iter().map(|(statistic, value)| format!("\t\t\"{statistic}\": {value}")).collect();
                format!(
                    "{{\n\t\"module\": \"{module}\",\n\t\"instance\": {instance},\n\t\"name\": \"{name}\",\n\t\"class\": \"{class}\",\n\
                     \t\"type\": {},\n\t\"snaptime\": {},\n\t\"data\": {{\n{}\n\t}}\n}}",
                    k.kind,
                    time(k.snaptime),
                    data.join(",\n")
                )
            }
        })
    }
}

fn selector(parts: [&str; 4]) -> Result<Selector, Wrong> {
    let [module, instance, name, statistic] = parts.map(Pattern::parse);
    Ok([module?, instance?, name?, statistic?])
}

/// The statistics of the machine that is up for a system, or of the kernel that this runs under.
fn read(root: Option<&Path>) -> Result<Vec<Statistics>, Failed> {
    if let Some(root) = root {
        return match resident::ask(root, &Request::Kstats)? {
            None => Err(Failed::NotUp(modctl::not_up(root))),
            Some(Ok(Reply::Kstats(all))) => Ok(all),
            Some(Ok(_)) => Err(Refusal::unexpected().into()),
            Some(Err(why)) => Err(why.into()),
        };
    }
    let text = std::fs::read_to_string(kernel::KSTAT).map_err(|error| Failed::Read { error })?;
    serde_json::from_str(&text).map_err(|_| Failed::Version)
}

/// The time now, as a line.
fn stamp(how: Stamp) -> String {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime).tv_sec;
    match how {
        Stamp::Seconds => format!("{now}\n"),
        Stamp::Date => {
            // SAFETY: all-zero is a valid broken-down time.
            let mut parts: libc::tm = unsafe { std::mem::zeroed() };
            // SAFETY: both are valid places.
            unsafe { libc::localtime_r(&now, &mut parts) };
            let mut text = [0u8; 64];
            let format = c"%a %b %e %H:%M:%S %Z %Y";
            // SAFETY: the buffer is as long as said, the format a string.
            let len =
                unsafe { libc::strftime(text.as_mut_ptr().cast(), text.len(), format.as_ptr(), &parts) };
            format!("{}\n", String::from_utf8_lossy(&text[..len]))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ddi_kernel::ddi::kstats::Value;

    fn all() -> Vec<Statistics> {
        let value = |(name, text): &(&str, &str), is_string| Value {
            name: (*name).into(),
            text: (*text).into(),
            is_string,
        };
        let kstat = |module: &str, instance, name: &str, class: &str, values: &[(&str, &str)]| Statistics {
            module: module.into(),
            instance,
            name: name.into(),
            class: class.into(),
            kind: 1,
            crtime: 5_873_044_365,
            snaptime: 0,
            values: values.iter().map(|v| value(v, false)).collect(),
        };
        let mut label = kstat("unix", 0, "cpu", "hw", &[("ticks", "9")]);
        label.values.push(value(&("Brand", "x86"), true));
        vec![
            label,
            kstat("ctxdev", 10, "ctxdev", "misc", &[("opens", "4")]),
            kstat("ctxdev", 2, "ctxdev", "misc", &[("opens", "3"), ("maps", "2")]),
            Statistics { kind: 0, ..kstat("ctxdev", 2, "raw", "misc", &[("bytes", "7")]) },
        ]
    }

    fn kstat(arguments: &[&str]) -> Result<(String, bool), (i32, String)> {
        let words: Vec<String> = arguments.iter().map(|word| (*word).to_owned()).collect();
        Asked::parse(&words).map(|asked| asked.text(&all())).map_err(|Wrong(status, text)| (status, text))
    }

    fn shown(arguments: &[&str]) -> String {
        kstat(arguments).unwrap().0
    }

    #[test]
    fn options_and_patterns_choose() {
        assert_eq!(shown(&["-p", "ctxdev:2::opens"]), "ctxdev:2:ctxdev:opens\t3\n");
        assert_eq!(shown(&["-p", "-m", "ctxdev", "-i", "10", "-s", "o*"]), "ctxdev:10:ctxdev:opens\t4\n");
        assert_eq!(
            shown(&["-l", "-c", "hw"]),
            "unix:0:cpu:Brand\nunix:0:cpu:class\nunix:0:cpu:crtime\nunix:0:cpu:snaptime\nunix:0:cpu:ticks\n"
        );
        assert_eq!(shown(&["-p", "ctx*:[1-9]:*:?pens", "unix:::ticks"]).lines().count(), 2);
        assert_eq!(shown(&["-C", "/^UN|^un/:::/tick/"]), "unix:0:cpu:ticks:9\n");
        assert_eq!(kstat(&["-q", "ctxdev"]).unwrap(), (String::new(), true));
        assert_eq!(kstat(&["-p", "nosuch"]).unwrap(), (String::new(), false));
        assert_eq!(kstat(&["-p", "ctxdev:2:raw"]).unwrap(), (String::new(), false));
    }

    #[test]
    fn kstats_and_statistics_are_sorted_and_say_when_they_were_made() {
        let text = shown(&["ctxdev"]);
        let heading = "module: ctxdev                          instance: 2     \n\
                       name:   ctxdev                          class:    misc\n\
                       \tcrtime                          5.873044365\n\
                       \tmaps                            2\n\
                       \topens                           3\n\
                       \tsnaptime                        0\n\n\
                       module: ctxdev                          instance: 10    \n";
        assert!(text.starts_with(heading), "{text}");
        let json: serde_json::Value = serde_json::from_str(&shown(&["-j"])).unwrap();
        assert_eq!((&json[0]["instance"], &json[2]["data"]["Brand"]), (&2.into(), &"x86".into()));
        assert_eq!((&json[2]["data"]["ticks"], &json[2]["type"]), (&9.into(), &1.into()));
    }

    #[test]
    fn wrong_command_lines_have_their_statuses() {
        assert_eq!(kstat(&["-x"]).unwrap_err(), (0, "kstat: illegal option -- x\n".into()));
        assert_eq!(kstat(&["-m"]).unwrap_err(), (0, "kstat: option requires an argument -- m\n".into()));
        assert_eq!(kstat(&["-T", "x"]).unwrap_err(), (2, String::new()));
        assert_eq!(kstat(&["-q", "-p"]).unwrap_err().0, 2);
        assert_eq!(kstat(&["-p", "x", "0"]).unwrap_err(), (2, "Interval must be an integer >= 1".into()));
        assert_eq!(kstat(&["-p", "x", "1", "0"]).unwrap_err(), (2, "Count must be an integer >= 1".into()));
        assert_eq!(kstat(&["1", "2", "3"]).unwrap_err().0, 2);
        assert_eq!(kstat(&["a:b:c:d:e"]).unwrap_err().0, 2);
        assert!(kstat(&["-m", "x", "y"]).unwrap_err().1.ends_with("-s are mutually exclusive"));
        assert!(kstat(&["/(/"]).unwrap_err().1.starts_with("kstat: "));
        assert!(shown(&["-T", "u", "-p", "nosuch"]).trim_end().parse::<u64>().is_ok());
        let date = shown(&["-T", "d", "-p", "nosuch"]);
        assert!(date.split_whitespace().count() >= 5, "{date}");
    }
}
