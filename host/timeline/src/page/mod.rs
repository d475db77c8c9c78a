//! A page for a browser: one file, which asks for no other. Zoom and pan over all events of a trace, and the [answers](mod@crate::answers) beside it.
//!
//! All computation is here; the page's script draws. `page.html` is the frame, in which `<!--NAME-->` is where a part goes; the scripts,
//! in the order of `SCRIPTS`, are one function's body. The events come last, so that a browser shows the rest before it has read them.

mod data;
mod html;

use std::io::{self, Write};

use crate::answers::Answers;
use crate::engines::engines;
use crate::story::Story;

const FRAME: &str = include_str!("page.html");
const STYLE: &str = include_str!("style.css");
const SCRIPTS: [&str; 8] = [
    include_str!("data.js"),
    include_str!("model.js"),
    include_str!("view.js"),
    include_str!("draw.js"),
    include_str!("tell.js"),
    include_str!("select.js"),
    include_str!("input.js"),
    include_str!("start.js"),
];
/// Rows of a list.
const ROWS: usize = 50;

/// Writes a trace.
///
/// # Errors
/// The error of writing.
pub fn write(story: &Story, to: &mut impl Write) -> io::Result<()> {
    let engines = engines(story);
    let answers = Answers::of(story, &engines, ROWS);
    let numbers = data::Numbers::of(story);
    let mut rest = FRAME;
    while let Some((before, after)) = rest.split_once("<!--") {
        let Some((name, after)) = after.split_once("-->") else { break };
        to.write_all(before.as_bytes())?;
        match name {
            "title" => to.write_all(html::title(story).as_bytes())?,
            "summary" => to.write_all(html::summary(story, &answers).as_bytes())?,
            "panels" => to.write_all(html::panels(story, &answers).as_bytes())?,
            "style" => to.write_all(STYLE.as_bytes())?,
            "script" => SCRIPTS.iter().try_for_each(|script| to.write_all(script.as_bytes()))?,
            "head" => to.write_all(data::head(story, &engines, &numbers)?.as_bytes())?,
            "columns" => data::columns(story, &engines, &numbers, to)?,
            _ => write!(to, "<!--{name}-->")?,
        }
        rest = after;
    }
    to.write_all(rest.as_bytes())?;
    to.flush()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::story::Process;
    use crate::story::test::story;
    use ddi_trace::Event;

    #[test]
    fn names_are_text_and_the_page_asks_for_nothing() {
        let mut story = story(&[(1, Event::Open { open: 1, flags: 0, errno: 0 })]);
        let name = "</script><img src=x>&\"".to_owned();
        story.processes.insert(1, Process { pid: 100, name, parent: None });
        story.devices.insert(1, "<!--columns-->".into());
        let mut page = Vec::new();
        write(&story, &mut page).unwrap();
        let page = String::from_utf8(page).unwrap();
        assert!(!page.contains("<img") && !page.contains("script src") && !page.contains("<!--"));
        assert!(!page.contains("http://") && !page.contains("https://") && !page.contains("<link"));
        assert_eq!(
            page.matches("id=\"column-").count(),
            page.matches("type=\"application/octet-stream\"").count()
        );
    }

    #[test]
    fn an_empty_trace_has_a_page() {
        let mut page = Vec::new();
        write(&Story::default(), &mut page).unwrap();
        assert!(String::from_utf8(page).unwrap().contains("no events"));
    }
}
