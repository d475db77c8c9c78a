//! The kstat(8) command: the statistics of the machine that it runs under, or of one that stays up.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::cli::{fail, print};
use crate::loader::modctl;
use crate::{kernel, resident};
use clap::Args;

/// Statistics of the kernel that this command runs under
#[derive(Args, Debug)]
pub struct Kstat {
    /// One line for each statistic: module:instance:name:statistic, a tab, the value
    #[arg(short = 'p')]
    parseable: bool,
    /// The same without values
    #[arg(short = 'l')]
    list: bool,
    /// Show nothing; the exit status tells whether there is one
    #[arg(short = 'q')]
    quiet: bool,
    /// Those of the machine that ddi-host serve keeps up for this directory
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Only those of this class
    #[arg(short = 'c', value_name = "CLASS")]
    class: Option<String>,
    /// Only those of this module
    #[arg(short = 'm', value_name = "MODULE")]
    module: Option<String>,
    /// Only those of this instance
    #[arg(short = 'i', value_name = "INSTANCE")]
    instance: Option<String>,
    /// Only those of this name
    #[arg(short = 'n', value_name = "NAME")]
    name: Option<String>,
    /// Only this statistic
    #[arg(short = 's', value_name = "STATISTIC")]
    statistic: Option<String>,
    // Not a doc comment: to rustdoc the brackets are links.
    #[arg(
        help = "What to show: MODULE[:INSTANCE[:NAME[:STATISTIC]]], each a pattern as shells have it; an empty one stands for any"
    )]
    #[arg(value_name = "STATISTIC")]
    wanted: Vec<String>,
}

/// A statistic: where it belongs, and its name.
struct Statistic<'a> {
    key: [&'a str; 4],
    value: &'a str,
}

impl Kstat {
    /// Runs the command; 1 when there is no such statistic, or nobody to ask.
    pub fn run(&self) -> i32 {
        match self.text() {
            Ok(text) => match print(&self.show(&text)) {
                Ok(()) => i32::from(self.chosen(&text).is_empty()),
                Err(why) => fail(&why),
            },
            Err(why) => fail(&why),
        }
    }

    fn text(&self) -> Result<String, String> {
        if let Some(root) = &self.root {
            let answer = resident::ask(root, &resident::Request::Kstats).map_err(|e| e.to_string())?;
            return answer.unwrap_or_else(|| Err(modctl::not_up(root)));
        }
        std::fs::read_to_string(kernel::KSTAT).map_err(|error| {
            let hint = "run it under the host: ddi-host run --driver NAME -- ddi-host kstat";
            format!("{}: {error}; {hint}", kernel::KSTAT)
        })
    }

    fn show(&self, text: &str) -> String {
        let chosen = self.chosen(text);
        if self.quiet {
            return String::new();
        }
        if self.list || self.parseable {
            let line = |s: &Statistic<'_>| match self.list {
                true => format!("{}\n", s.key.join(":")),
                false => format!("{}\t{}\n", s.key.join(":"), s.value),
            };
            return chosen.iter().map(line).collect();
        }
        let mut kstats: Vec<([&str; 3], Vec<&Statistic<'_>>)> = Vec::new();
        for s in &chosen {
            let [module, instance, name, _] = s.key;
            match kstats.last_mut() {
                Some((of, all)) if *of == [module, instance, name] => all.push(s),
                _ => kstats.push(([module, instance, name], vec![s])),
            }
        }
        let classes = classes(text);
        let mut shown = String::new();
        for ([module, instance, name], all) in kstats {
            let class = classes.get(&[module, instance, name]).copied().unwrap_or_default();
            shown += &format!("module: {module:<30.30}  instance: {instance:<6}\n");
            shown += &format!("name:   {name:<30.30}  class:    {class:.30}\n");
            for s in all.into_iter().filter(|s| s.key[3] != "class") {
                shown += &format!("\t{:<30}  {}\n", s.key[3], s.value);
            }
            shown.push('\n');
        }
        shown
    }

    /// The statistics that are asked for, in the kernel's order.
    fn chosen<'a>(&self, text: &'a str) -> Vec<Statistic<'a>> {
        let classes = classes(text);
        let options = [&self.module, &self.instance, &self.name, &self.statistic];
        let wants = |s: &Statistic<'_>| {
            let [module, instance, name, _] = s.key;
            let class = classes.get(&[module, instance, name]).copied().unwrap_or_default();
            let fits = |wanted: &String| {
                wanted.splitn(4, ':').zip(s.key).all(|(want, is)| want.is_empty() || matches(want, is))
            };
            options.iter().zip(s.key).all(|(want, is)| want.as_deref().is_none_or(|want| matches(want, is)))
                && self.class.as_deref().is_none_or(|want| matches(want, class))
                && (self.wanted.is_empty() || self.wanted.iter().any(fits))
        };
        statistics(text).filter(wants).collect()
    }
}

fn statistics(text: &str) -> impl Iterator<Item = Statistic<'_>> {
    text.lines().filter_map(|line| {
        let (key, value) = line.split_once('\t')?;
        let parts: Vec<&str> = key.splitn(4, ':').collect();
        Some(Statistic { key: parts.try_into().ok()?, value })
    })
}

/// The class of each kstat.
fn classes(text: &str) -> BTreeMap<[&str; 3], &str> {
    let class = statistics(text).filter(|s| s.key[3] == "class");
    class.map(|s| ([s.key[0], s.key[1], s.key[2]], s.value)).collect()
}

/// Does a name match a pattern as shells have it: `*`, `?`, `[a-z]`, `[!a-z]`.
fn matches(pattern: &str, name: &str) -> bool {
    let mut pattern = pattern.chars();
    let mut rest = name.chars();
    match pattern.next() {
        None => name.is_empty(),
        Some('*') => (0..=name.len())
            .filter(|&at| name.is_char_boundary(at))
            .any(|at| matches(pattern.as_str(), &name[at..])),
        Some('?') => rest.next().is_some() && matches(pattern.as_str(), rest.as_str()),
        Some('[') => {
            let Some((set, after)) = pattern.as_str().split_once(']') else { return false };
            let (set, negated) = set.strip_prefix('!').map_or((set, false), |set| (set, true));
            let Some(c) = rest.next() else { return false };
            let set: Vec<char> = set.chars().collect();
            let mut at = 0;
            let mut found = false;
            while at < set.len() {
                let range = set.get(at + 1) == Some(&'-') && at + 2 < set.len();
                let last = if range { set[at + 2] } else { set[at] };
                found |= (set[at]..=last).contains(&c);
                at += if range { 3 } else { 1 };
            }
            found != negated && matches(after, rest.as_str())
        }
        Some(c) => rest.next() == Some(c) && matches(pattern.as_str(), rest.as_str()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        kstat: Kstat,
    }

    const TEXT: &str = "ctxdev:0:ctxdev:opens\t3\nctxdev:0:ctxdev:maps\t2\nctxdev:0:ctxdev:class\tmisc\n\
                        ctxdev:1:ctxdev:opens\t4\nctxdev:1:ctxdev:class\tmisc\n\
                        unix:0:cpu:ticks\t9\nunix:0:cpu:class\thw\n";

    fn shown(arguments: &[&str]) -> String {
        Command::parse_from([&["kstat"], arguments].concat()).kstat.show(TEXT)
    }

    #[test]
    fn options_and_patterns_choose() {
        assert_eq!(shown(&["-p", "ctxdev:0::opens"]), "ctxdev:0:ctxdev:opens\t3\n");
        assert_eq!(shown(&["-p", "-m", "ctxdev", "-i", "1", "-s", "o*"]), "ctxdev:1:ctxdev:opens\t4\n");
        assert_eq!(shown(&["-l", "-c", "hw"]), "unix:0:cpu:ticks\nunix:0:cpu:class\n");
        assert_eq!(shown(&["-p", "ctx*:[1-9]:*:?pens", "unix:::ticks"]).lines().count(), 2);
        assert_eq!(shown(&["-p", "-n", "cp[!x]", "-s", "ticks"]), "unix:0:cpu:ticks\t9\n");
        assert_eq!(shown(&["-q", "ctxdev"]), "");
        assert_eq!(shown(&["-p", "nosuch"]), "");
    }

    #[test]
    fn without_options_each_kstat_has_a_heading() {
        let text = shown(&["ctxdev:0"]);
        let heading = "module: ctxdev                          instance: 0     \n\
                       name:   ctxdev                          class:    misc\n";
        assert!(text.starts_with(heading), "{text}");
        assert!(
            text.ends_with("\topens                           3\n\tmaps                            2\n\n"),
            "{text}"
        );
    }
}
