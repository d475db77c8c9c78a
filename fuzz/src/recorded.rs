//! Traces of the suite: the calls that are read, written again, are the lines; and a line that is wrong is said with its number.

use usr_tests::recorded::parse;

/// Most bytes of an input.
pub const MOST: usize = 8192;

/// # Panics
/// An assertion fails.
pub fn target(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let lines: Vec<&str> = text.lines().collect();
    let programs = match parse::programs(text) {
        Ok(programs) => programs,
        Err((line, why)) => {
            assert!((1..=lines.len()).contains(&line), "line {line} of {}: {why}", lines.len());
            return;
        }
    };
    let heads = lines.iter().filter(|line| line.starts_with("program ")).count();
    assert_eq!(programs.len(), heads);
    let mut again = String::new();
    for program in &programs {
        let first = program.first_line - 1;
        let there: Vec<String> =
            lines[first..first + program.lines.len()].iter().map(|l| (*l).to_owned()).collect();
        assert_eq!(program.lines, there);
        again.push_str(&format!("program {}\n", program.number));
        for (line, written) in program.lines.iter().zip(program.calls()) {
            let rest = [" -> ", " | "].iter().filter_map(|with| line.find(with)).min().unwrap_or(line.len());
            let said = if written.is_empty() { &line[..rest] } else { &written };
            again.push_str(&format!("{said}{}\n", &line[rest..]));
        }
    }
    // Numbers may be written in several ways, which mean the same.
    let mut same = parse::programs(&again).unwrap_or_else(|wrong| panic!("{wrong:?} of\n{again}"));
    for (program, was) in same.iter_mut().zip(&programs) {
        program.lines.clone_from(&was.lines);
        assert_eq!(program, was, "{again}");
    }
    assert_eq!(same.len(), programs.len());
}
