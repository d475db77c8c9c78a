//! Line charts with two logarithmic axes, as SVG.

use std::fmt::Write as _;

/// A chart.
pub struct Chart<'a> {
    /// What it shows.
    pub title: &'a str,
    /// What goes to the right.
    pub x: &'a str,
    /// What goes up.
    pub y: &'a str,
    /// The lines.
    pub series: Vec<Series<'a>>,
}

/// A line.
pub struct Series<'a> {
    /// Its name, written at its end.
    pub name: &'a str,
    /// Its colour.
    pub colour: &'a str,
    /// Its points, ascending.
    pub points: Vec<(f64, f64)>,
}

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 360.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 90.0;
const TOP: f64 = 44.0;
const BOTTOM: f64 = 50.0;

/// A logarithmic axis over whole decades. Zero has a place of its own, one decade before one.
struct Axis {
    low: i32,
    high: i32,
}

impl Axis {
    fn over(values: impl Iterator<Item = f64> + Clone) -> Self {
        let low = values.clone().map(decade).fold(f64::INFINITY, f64::min).floor() as i32;
        let high = values.map(decade).fold(f64::NEG_INFINITY, f64::max).ceil() as i32;
        Self { low, high: high.max(low + 1) }
    }

    /// The place of a value, from 0 to 1.
    fn place(&self, value: f64) -> f64 {
        (decade(value) - f64::from(self.low)) / f64::from(self.high - self.low)
    }

    fn ticks(&self) -> impl Iterator<Item = (f64, String)> {
        (self.low..=self.high).map(|d| {
            let value = if d < 0 { 0.0 } else { 10f64.powi(d) };
            (value, grouped(value))
        })
    }
}

fn decade(value: f64) -> f64 {
    if value <= 0.0 { -1.0 } else { value.log10() }
}

fn grouped(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

impl Chart<'_> {
    /// The chart's text.
    pub fn svg(&self) -> String {
        let points = || self.series.iter().flat_map(|s| s.points.iter());
        let (xs, ys) = (Axis::over(points().map(|p| p.0)), Axis::over(points().map(|p| p.1)));
        let x = |value| LEFT + xs.place(value) * (WIDTH - LEFT - RIGHT);
        let y = |value| HEIGHT - BOTTOM - ys.place(value) * (HEIGHT - TOP - BOTTOM);
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"12\" role=\"img\">\n\
             <title>{}</title>\n<rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#ffffff\"/>\n\
             <text x=\"{LEFT}\" y=\"24\" font-size=\"15\" fill=\"#222222\">{}</text>\n",
            self.title, self.title
        );
        let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        for (value, label) in ys.ticks() {
            let at = y(value);
            let _ = write!(
                svg,
                "<line x1=\"{LEFT}\" y1=\"{at:.1}\" x2=\"{right}\" y2=\"{at:.1}\" stroke=\"#e4e4e4\"/>\n\
                 <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\" fill=\"#666666\">{label}</text>\n",
                LEFT - 8.0,
                at + 4.0
            );
        }
        for (value, label) in xs.ticks() {
            let at = x(value);
            let _ = write!(
                svg,
                "<line x1=\"{at:.1}\" y1=\"{bottom}\" x2=\"{at:.1}\" y2=\"{:.1}\" stroke=\"#999999\"/>\n\
                 <text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\" fill=\"#666666\">{label}</text>\n",
                bottom + 4.0,
                bottom + 18.0
            );
        }
        let _ = write!(
            svg,
            "<line x1=\"{LEFT}\" y1=\"{bottom}\" x2=\"{right}\" y2=\"{bottom}\" stroke=\"#999999\"/>\n\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\" fill=\"#444444\">{}</text>\n\
             <text transform=\"translate(16 {:.1}) rotate(-90)\" text-anchor=\"middle\" fill=\"#444444\">{}</text>\n",
            (LEFT + right) / 2.0,
            HEIGHT - 10.0,
            self.x,
            (TOP + bottom) / 2.0,
            self.y
        );
        for series in &self.series {
            let path: Vec<String> =
                series.points.iter().map(|p| format!("{:.1},{:.1}", x(p.0), y(p.1))).collect();
            let colour = series.colour;
            let _ = writeln!(
                svg,
                "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
                path.join(" ")
            );
            for p in &series.points {
                let (at_x, at_y) = (x(p.0), y(p.1));
                let _ = writeln!(
                    svg,
                    "<circle cx=\"{at_x:.1}\" cy=\"{at_y:.1}\" r=\"3.5\" fill=\"{colour}\"><title>{} at {}: {}</title></circle>",
                    series.name,
                    grouped(p.0),
                    grouped(p.1)
                );
            }
            if let Some(last) = series.points.last() {
                let (at_x, at_y) = (x(last.0) + 8.0, y(last.1) + 4.0);
                let _ = writeln!(
                    svg,
                    "<text x=\"{at_x:.1}\" y=\"{at_y:.1}\" fill=\"{colour}\">{}</text>",
                    series.name
                );
            }
        }
        svg.push_str("</svg>\n");
        svg
    }
}
