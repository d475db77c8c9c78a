//! The list of public symbols: an illumos linker mapfile, version 2, as far as symbol scopes go.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail};

/// The mapfile of every module.
const MAPFILE: &str = include_str!("../../mapfile");

/// The global symbols of a module. Everything else is made local.
pub fn public() -> Result<BTreeSet<String>> {
    parse(MAPFILE).context("mapfile: it is not one that this command understands")
}

fn parse(text: &str) -> Result<BTreeSet<String>> {
    let mut lines = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    if lines
        .find(|line| !line.is_empty())
        .and_then(|line| line.strip_prefix("$mapfile_version"))
        .map(str::trim)
        != Some("2")
    {
        bail!("it has to begin with $mapfile_version 2");
    }
    let body: String = lines.collect::<Vec<_>>().join(" ");
    let spaced = ['{', '}', ';', ':'].iter().fold(body, |text, c| text.replace(*c, &format!(" {c} ")));
    let mut tokens = spaced.split_whitespace().peekable();
    let (mut public, mut everything_else_local) = (BTreeSet::new(), false);
    while let Some(directive) = tokens.next() {
        match directive {
            "SYMBOL_SCOPE" => {}
            "SYMBOL_VERSION" => drop(tokens.next()),
            other => bail!("{other}: only SYMBOL_SCOPE and SYMBOL_VERSION are understood"),
        }
        if tokens.next() != Some("{") {
            bail!("{directive} is not followed by {{");
        }
        let mut scope = "global".to_owned();
        loop {
            match tokens.next() {
                Some("}") => break,
                Some(word) if tokens.peek() == Some(&":") => {
                    if !["global", "local", "hidden", "symbolic", "protected", "default", "exported"]
                        .contains(&word)
                    {
                        bail!("{word}: no such scope");
                    }
                    word.clone_into(&mut scope);
                    tokens.next();
                }
                Some(name) => {
                    match tokens.next() {
                        Some(";") => {}
                        _ => bail!("{name} is not followed by ;"),
                    }
                    match (scope.as_str(), name) {
                        ("local" | "hidden", "*") => everything_else_local = true,
                        ("local" | "hidden", _) => {}
                        _ => drop(public.insert(name.to_owned())),
                    }
                }
                None => bail!("{directive} is not closed"),
            }
        }
        if tokens.next() != Some(";") {
            bail!("{directive} is not followed by ;");
        }
    }
    if public.is_empty() || !everything_else_local {
        bail!("it has to name the global symbols and make the others local (local: *;)");
    }
    Ok(public)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_projects_own_mapfile_names_the_entry_points() {
        let public = public().unwrap();
        assert_eq!(public.iter().map(String::as_str).collect::<Vec<_>>(), ["_fini", "_info", "_init"]);
    }

    #[test]
    fn scopes_comments_and_versions_are_understood() {
        let text = "# c\n$mapfile_version 2\nSYMBOL_SCOPE{global:a;b ; # d\n local: c; *;};\nSYMBOL_VERSION V1 { d; };";
        assert_eq!(parse(text).unwrap().into_iter().collect::<Vec<_>>(), ["a", "b", "d"]);
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for (text, what) in [
            ("SYMBOL_SCOPE { global: a; local: *; };", "begin with"),
            ("$mapfile_version 2\nSTUB_OBJECT;", "only SYMBOL_SCOPE"),
            ("$mapfile_version 2\nSYMBOL_SCOPE { global: a; };", "make the others local"),
            ("$mapfile_version 2\nSYMBOL_SCOPE { global: a local: *; };", "not followed by ;"),
            ("$mapfile_version 2\nSYMBOL_SCOPE { public: a; local: *; };", "no such scope"),
            ("$mapfile_version 2\nSYMBOL_SCOPE { global: a; local: *;", "not closed"),
        ] {
            let error = format!("{:#}", parse(text).unwrap_err());
            assert!(error.contains(what), "{text}: {error}");
        }
    }
}
