//! Patterns as shells have them: `*`, `?`, `[a-z]`, `[!a-z]`, and `\` in front of a character that stands for itself.

/// Does a name match a pattern?
pub fn matches(pattern: &str, name: &str) -> bool {
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
        Some(c) => {
            let c = if c == '\\' { pattern.next().unwrap_or(c) } else { c };
            rest.next() == Some(c) && matches(pattern.as_str(), rest.as_str())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns_match_as_shells_have_them() {
        for (pattern, name) in [
            ("a*c*", "abcd"),
            ("*", ""),
            ("?pens", "opens"),
            ("[1-9]", "4"),
            ("cp[!x]", "cpu"),
            ("\\*a", "*a"),
        ] {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in
            [("a*c", "abcd"), ("?", ""), ("[!1-9]", "4"), ("[a", "a"), ("\\*", "x"), ("", "x")]
        {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }
}
