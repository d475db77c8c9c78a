//! Drawings as SVG, readable on light and dark paper: colours are classes, which the reader's preference chooses.

use std::fmt::Write as _;

/// The colours. `a`, `b` and `c` tell things apart; with `fill-` they fill, with `line-` they draw.
const STYLE: &str = "\
.paper{fill:#ffffff}.ink{fill:#1f2328}.dim{fill:#59636e}
.rule{stroke:#d9dee4}.axis{stroke:#818b98}.pen{stroke:#1f2328}
.fill-a{fill:#0969da}.fill-b{fill:#bc4c00}.fill-c{fill:#1a7f37}.fill-none{fill:#d9dee4}
.line-a{stroke:#0969da}.line-b{stroke:#bc4c00}.line-c{stroke:#1a7f37}
@media (prefers-color-scheme:dark){
.paper{fill:#0d1117}.ink{fill:#e6edf3}.dim{fill:#9198a1}
.rule{stroke:#30363d}.axis{stroke:#6e7681}.pen{stroke:#e6edf3}
.fill-a{fill:#58a6ff}.fill-b{fill:#f0883e}.fill-c{fill:#3fb950}.fill-none{fill:#30363d}
.line-a{stroke:#58a6ff}.line-b{stroke:#f0883e}.line-c{stroke:#3fb950}
}";

/// The horizontal place of a text at its point.
#[derive(Clone, Copy)]
pub enum Anchor {
    Start,
    Middle,
    End,
}

impl Anchor {
    fn name(self) -> &'static str {
        match self {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        }
    }
}

/// A drawing.
pub struct Drawing(String);

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

impl Drawing {
    /// Begins one of this size, with its title in the first line.
    pub fn new(width: f64, height: f64, title: &str) -> Drawing {
        let title = escaped(title);
        Drawing(format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"12\" role=\"img\">\n\
             <title>{title}</title>\n<style>{STYLE}</style>\n\
             <rect width=\"{width}\" height=\"{height}\" class=\"paper\"/>\n\
             <text x=\"16\" y=\"25\" font-size=\"15\" class=\"ink\">{title}</text>\n"
        ))
    }

    /// Writes a text.
    pub fn text(&mut self, (x, y): (f64, f64), anchor: Anchor, class: &str, text: &str) {
        let (anchor, text) = (anchor.name(), escaped(text));
        let _ = writeln!(
            self.0,
            "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" class=\"{class}\">{text}</text>"
        );
    }

    /// Writes a text from bottom to top.
    pub fn upright(&mut self, (x, y): (f64, f64), class: &str, text: &str) {
        let text = escaped(text);
        let _ = writeln!(
            self.0,
            "<text transform=\"translate({x:.1} {y:.1}) rotate(-90)\" text-anchor=\"middle\" class=\"{class}\">{text}</text>"
        );
    }

    /// Draws a line.
    pub fn line(&mut self, (x1, y1): (f64, f64), (x2, y2): (f64, f64), class: &str) {
        let _ = writeln!(
            self.0,
            "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" class=\"{class}\"/>"
        );
    }

    /// Draws a horizontal arrow of colour `a`, `b` or `c`.
    pub fn arrow(&mut self, from: (f64, f64), to: f64, colour: &str) {
        let (y, back) = (from.1, if to > from.0 { -7.0 } else { 7.0 });
        self.line(from, (to + back, y), &format!("line-{colour}\" stroke-width=\"1.5"));
        let _ = writeln!(self.0, "<path d=\"M{to:.1} {y:.1}l{back} -4v8z\" class=\"fill-{colour}\"/>");
    }

    /// Draws a filled rectangle, with a text that shows when it is pointed at.
    pub fn rect(&mut self, (x, y): (f64, f64), (width, height): (f64, f64), class: &str, title: &str) {
        let title = escaped(title);
        let _ = writeln!(
            self.0,
            "<rect x=\"{x:.2}\" y=\"{y:.1}\" width=\"{width:.2}\" height=\"{height:.1}\" class=\"{class}\"><title>{title}</title></rect>"
        );
    }

    /// Draws a filled circle, with a text that shows when it is pointed at.
    pub fn circle(&mut self, (x, y): (f64, f64), radius: f64, class: &str, title: &str) {
        let title = escaped(title);
        let _ = writeln!(
            self.0,
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius}\" class=\"{class}\"><title>{title}</title></circle>"
        );
    }

    /// Draws a line through points.
    pub fn through(&mut self, points: &[(f64, f64)], class: &str) {
        let points: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let points = points.join(" ");
        let _ = writeln!(
            self.0,
            "<polyline points=\"{points}\" fill=\"none\" stroke-width=\"2\" class=\"{class}\"/>"
        );
    }

    /// Returns the file's text.
    pub fn finish(mut self) -> String {
        self.0.push_str("</svg>\n");
        self.0
    }
}
