//! Patterns as shells have them: `*`, `?`, `[a-z]`, `[!a-z]`, and `\` in front of a character that stands for itself.

/// Returns whether a name matches a pattern. Takes time for the product of their lengths at most.
pub fn matches(mut pattern: &str, mut name: &str) -> bool {
    // Behind the last star, and what it has left of the name: it takes one character more when the rest does not match.
    let mut star: Option<(&str, &str)> = None;
    loop {
        if let Some(behind) = pattern.strip_prefix('*') {
            star = Some((behind, name));
            pattern = behind;
        } else if pattern.is_empty() && name.is_empty() {
            return true;
        } else if let Some(rests) = one(pattern, name) {
            (pattern, name) = rests;
        } else {
            let Some((behind, left)) = star else { return false };
            let mut left = left.chars();
            if left.next().is_none() {
                return false;
            }
            (pattern, name) = (behind, left.as_str());
            star = Some((pattern, name));
        }
    }
}

/// Takes a character off the name, and what matches it off the pattern.
fn one<'p, 'n>(pattern: &'p str, name: &'n str) -> Option<(&'p str, &'n str)> {
    let (mut pattern, mut name) = (pattern.chars(), name.chars());
    let (first, c) = (pattern.next()?, name.next()?);
    let fits = match first {
        '?' => true,
        '[' => {
            let (set, behind) = pattern.as_str().split_once(']')?;
            pattern = behind.chars();
            let (set, negated) = set.strip_prefix('!').map_or((set, false), |set| (set, true));
            let set: Vec<char> = set.chars().collect();
            let mut at = 0;
            let mut found = false;
            while at < set.len() {
                let range = set.get(at + 1) == Some(&'-') && at + 2 < set.len();
                let last = if range { set[at + 2] } else { set[at] };
                found |= (set[at]..=last).contains(&c);
                at += if range { 3 } else { 1 };
            }
            found != negated
        }
        '\\' => pattern.next().unwrap_or('\\') == c,
        first => first == c,
    };
    fits.then_some((pattern.as_str(), name.as_str()))
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
        // Each star by itself would have a hundred places.
        assert!(!matches(&"*a".repeat(40), &("a".repeat(100) + "b")));
        assert!(matches(&"*a".repeat(40), &"a".repeat(100)));
    }
}
