//! Line charts with two logarithmic axes, as SVG.

use crate::svg::{Anchor, Drawing};

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
    /// Colour: `a`, `b` or `c`.
    pub colour: &'a str,
    /// Its points, ascending.
    pub points: Vec<(f64, f64)>,
}

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 360.0;
const LEFT: f64 = 70.0;
/// Room on the right for the lines' names: at least, and for each letter of the longest.
const RIGHT: (f64, f64) = (90.0, 7.5);
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
        let letters = self.series.iter().map(|s| s.name.chars().count()).max().unwrap_or(0);
        let right = WIDTH - RIGHT.0.max(16.0 + RIGHT.1 * letters as f64);
        let x = |value| LEFT + xs.place(value) * (right - LEFT);
        let y = |value| HEIGHT - BOTTOM - ys.place(value) * (HEIGHT - TOP - BOTTOM);
        let mut drawing = Drawing::new(WIDTH, HEIGHT, self.title);
        let bottom = HEIGHT - BOTTOM;
        for (value, label) in ys.ticks() {
            drawing.line((LEFT, y(value)), (right, y(value)), "rule");
            drawing.text((LEFT - 8.0, y(value) + 4.0), Anchor::End, "dim", &label);
        }
        for (value, label) in xs.ticks() {
            drawing.line((x(value), bottom), (x(value), bottom + 4.0), "axis");
            drawing.text((x(value), bottom + 18.0), Anchor::Middle, "dim", &label);
        }
        drawing.line((LEFT, bottom), (right, bottom), "axis");
        drawing.text(((LEFT + right) / 2.0, HEIGHT - 10.0), Anchor::Middle, "ink", self.x);
        drawing.upright((16.0, (TOP + bottom) / 2.0), "ink", self.y);
        for Series { name, colour, points } in &self.series {
            let places: Vec<(f64, f64)> = points.iter().map(|p| (x(p.0), y(p.1))).collect();
            drawing.through(&places, &format!("line-{colour}"));
            for (place, p) in places.iter().zip(points) {
                let title = format!("{name} at {}: {}", grouped(p.0), grouped(p.1));
                drawing.circle(*place, 3.5, &format!("fill-{colour}"), &title);
            }
            if let Some((at_x, at_y)) = places.last() {
                drawing.text((at_x + 8.0, at_y + 4.0), Anchor::Start, &format!("fill-{colour}"), name);
            }
        }
        drawing.finish()
    }
}
