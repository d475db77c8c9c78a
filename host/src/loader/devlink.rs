//! devlink.tab(5): which names in /dev a minor node gets.
//!
//! A line is a specification of minor nodes, a tab, and a name: `type=ddi_pseudo;name=ctxdev;minor=ctxdev0<tab>ctxdev0`. The specification's
//! fields are `type` (the minor's node type), `name` (the node's name), `addr` (its unit address) and `minor` (the minor's name); each may be given once,
//! with `*` for any run of characters. In the name `\D` stands for the node's name, `\A` for its address, `\M` for the minor's name, `\A1`
//! and `\M1` for the first of their parts between commas, and `\N0` for a counter from 0 up (links are named by the first number that is free).
//! No locking.

use super::root::matches;

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
}

/// One line of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Rule {
    kind: Option<String>,
    name: Option<String>,
    addr: Option<String>,
    minor: Option<String>,
    link: String,
}

/// All lines of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    rules: Vec<Rule>,
}

impl Rules {
    /// Reads the text of a devlink.tab.
    ///
    /// # Errors
    /// The number and the text of the first line that is none.
    pub fn parse(text: &str) -> Result<Rules, String> {
        let mut rules = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let line = line.trim_end();
            if line.trim_start().is_empty() || line.starts_with('#') {
                continue;
            }
            let bad = || format!("devlink.tab line {}: {line}", number + 1);
            let mut parts = line.split('\t').filter(|p| !p.is_empty());
            let (Some(spec), Some(link)) = (parts.next(), parts.next()) else {
                return Err(bad());
            };
            let mut rule = Rule { link: link.trim().to_owned(), ..Rule::default() };
            for field in spec.split(';').filter(|f| !f.trim().is_empty()) {
                let (key, value) = field.split_once('=').ok_or_else(bad)?;
                let place = match key.trim() {
                    "type" => &mut rule.kind,
                    "name" => &mut rule.name,
                    key if key.starts_with("addr") => &mut rule.addr,
                    key if key.starts_with("minor") => &mut rule.minor,
                    _ => return Err(bad()),
                };
                *place = Some(value.trim().to_owned());
            }
            rules.push(rule);
        }
        Ok(Rules { rules })
    }

    /// The names in /dev for a minor node, without `/dev/`. `taken` tells whether a name is another node's already.
    pub fn links(&self, minor: Minor<'_>, taken: impl Fn(&str) -> bool) -> Vec<String> {
        let fits = |want: &Option<String>, is: &str| want.as_deref().is_none_or(|w| matches(w, is));
        self.rules
            .iter()
            .filter(|r| {
                fits(&r.kind, minor.kind)
                    && fits(&r.name, minor.name)
                    && fits(&r.addr, minor.addr)
                    && fits(&r.minor, minor.minor)
            })
            .map(|rule| expand(&rule.link, minor, &taken))
            .collect()
    }
}

/// The name in /dev that devfsadm(8)'s own modules give a minor node, whatever devlink.tab says.
pub fn well_known(minor: Minor<'_>) -> Option<String> {
    let counted = |what: &str| format!("{what}{}", minor.addr.rsplit(',').next().unwrap_or("0"));
    match (minor.kind, minor.name) {
        ("ddi_pseudo", "ramdisk") => Some(match (minor.minor, minor.minor.strip_suffix(",raw")) {
            ("ctl", _) => "ramdiskctl".into(),
            (_, Some(disk)) => format!("rramdisk/{disk}"),
            (disk, None) => format!("ramdisk/{disk}"),
        }),
        ("ddi_agp:pseudo", _) => Some("agpgart".into()),
        ("ddi_agp:target", _) => Some(counted("agp/agptarget")),
        ("ddi_agp:cpugart", _) => Some(counted("agp/cpugart")),
        ("ddi_agp:master", _) => Some(counted("agp/agpmaster")),
        ("ddi_display", _) => Some(format!("fbs/{}", minor.minor)),
        _ => None,
    }
}

fn expand(link: &str, minor: Minor<'_>, taken: &impl Fn(&str) -> bool) -> String {
    let mut text = String::new();
    let mut counter = None;
    let mut chars = link.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '\\' {
            text.push(c);
            continue;
        }
        let Some(escape) = chars.next() else { break };
        let digits: String = std::iter::from_fn(|| chars.next_if(char::is_ascii_digit)).collect();
        let number = digits.parse::<usize>().ok();
        let part = |whole: &str| match number {
            None | Some(0) => whole.to_owned(),
            Some(n) => whole.split(',').nth(n - 1).unwrap_or_default().to_owned(),
        };
        match escape {
            'D' => text.push_str(minor.name),
            'A' => text.push_str(&part(minor.addr)),
            'M' => text.push_str(&part(minor.minor)),
            'N' => counter = Some((text.len(), number.unwrap_or(0))),
            other => text.push(other),
        }
    }
    let Some((at, first)) = counter else { return text };
    let numbered = |n: usize| format!("{}{n}{}", &text[..at], &text[at..]);
    (first..).map(numbered).find(|name| !taken(name)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINOR: Minor<'_> = Minor { kind: "ddi_pseudo", name: "ctxdev", addr: "1", minor: "ctxdev1,a" };

    #[test]
    fn a_rule_names_its_minor_nodes_and_no_others() {
        let rules = Rules::parse(
            "# comment\n\ntype=ddi_pseudo;name=ctxdev\t\\M1\ntype=ddi_pseudo;name=win*;minor=ctxdev0\twin\n\
             name=ctxdev;addr=1\tctx/\\D@\\A\n",
        )
        .unwrap();
        assert_eq!(rules.links(MINOR, |_| false), ["ctxdev1", "ctx/ctxdev@1"]);
        let other = Minor { name: "winlock", minor: "ctxdev0", addr: "0", ..MINOR };
        assert_eq!(rules.links(other, |_| false), ["win"]);
    }

    #[test]
    fn a_counter_takes_the_first_free_name() {
        let rules = Rules::parse("type=ddi_pseudo\tctx\\N0.x\n").unwrap();
        assert_eq!(rules.links(MINOR, |name| name == "ctx0.x"), ["ctx1.x"]);
    }

    #[test]
    fn devfsadm_has_names_of_its_own() {
        let ramdisk = |minor| well_known(Minor { name: "ramdisk", minor, ..MINOR });
        assert_eq!(ramdisk("ctl").as_deref(), Some("ramdiskctl"));
        assert_eq!(ramdisk("a").as_deref(), Some("ramdisk/a"));
        assert_eq!(ramdisk("a,raw").as_deref(), Some("rramdisk/a"));
        assert_eq!(well_known(MINOR), None);
    }

    #[test]
    fn a_bad_line_is_named() {
        assert_eq!(Rules::parse("type=a\tb\nnonsense\n").unwrap_err(), "devlink.tab line 2: nonsense");
        assert!(Rules::parse("colour=red\tb\n").is_err());
    }
}
