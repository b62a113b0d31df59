//! Lines over two axes, as SVG.
//!
//! Why apart: a picture of a few lines needs no library.
//!
//! # Invariants
//! Every text is escaped; the result is one well-formed document without scripts, fonts or links.

use std::fmt::Write as _;

/// A picture with its own axes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Panel {
    pub(crate) title: String,
    pub(crate) across: &'static str,
    /// Each step to the right is a doubling.
    pub(crate) doubling: bool,
    pub(crate) lines: Vec<Line>,
}

/// A line through points, in their order.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Line {
    pub(crate) name: String,
    /// Lines of one number have one colour.
    pub(crate) colour: usize,
    pub(crate) dashed: bool,
    pub(crate) points: Vec<(f64, f64)>,
}

const WIDTH: f64 = 480.0;
const HEIGHT: f64 = 320.0;
const LEFT: f64 = 60.0;
const RIGHT: f64 = 190.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 50.0;
/// Told apart by people who see few colours too (Okabe and Ito, 2008).
const COLOURS: [&str; 6] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"];

/// All panels, one below the other.
pub(crate) fn svg(panels: &[Panel]) -> String {
    let (width, each) = (LEFT + WIDTH + RIGHT, TOP + HEIGHT + BOTTOM);
    let height = each * panels.len() as f64;
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>"
    );
    for (number, panel) in panels.iter().enumerate() {
        let _ = writeln!(
            out,
            "<g transform=\"translate({LEFT},{})\">",
            each * number as f64 + TOP
        );
        panel.draw(&mut out);
        out.push_str("</g>\n");
    }
    out.push_str("</svg>\n");
    out
}

impl Panel {
    fn draw(&self, out: &mut String) {
        let mut places: Vec<f64> = self
            .lines
            .iter()
            .flat_map(|line| line.points.iter().map(|(x, _)| *x))
            .collect();
        places.sort_by(f64::total_cmp);
        places.dedup();
        let most = self
            .lines
            .iter()
            .flat_map(|line| line.points.iter().map(|(_, y)| *y))
            .fold(0.0, f64::max);
        let step = tidy_step(most);
        let top = ((most / step).ceil() * step).max(step);
        let scale = |x: f64| if self.doubling { x.max(1.0).log2() } else { x };
        let (first, last) = (
            places.first().copied().map_or(0.0, scale),
            places.last().copied().map_or(1.0, scale),
        );
        let span = if last > first { last - first } else { 1.0 };
        let across = |x: f64| (scale(x) - first) / span * WIDTH;
        let up = |y: f64| HEIGHT - y / top * HEIGHT;

        text(out, WIDTH / 2.0, -16.0, "middle", &self.title);
        let mut y = 0.0;
        while y <= top + step / 2.0 {
            let _ = writeln!(
                out,
                "<line x1=\"0\" x2=\"{WIDTH}\" y1=\"{0:.1}\" y2=\"{0:.1}\" stroke=\"#dddddd\"/>",
                up(y)
            );
            text(out, -8.0, up(y) + 4.0, "end", &format!("{y}"));
            y += step;
        }
        for place in &places {
            let x = across(*place);
            let _ = writeln!(
                out,
                "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{HEIGHT}\" y2=\"{}\" stroke=\"#333333\"/>",
                HEIGHT + 5.0
            );
            text(out, x, HEIGHT + 20.0, "middle", &format!("{place}"));
        }
        text(out, WIDTH / 2.0, HEIGHT + 40.0, "middle", self.across);
        for (number, line) in self.lines.iter().enumerate() {
            let colour = COLOURS[line.colour % COLOURS.len()];
            let dash = if line.dashed {
                " stroke-dasharray=\"6 4\""
            } else {
                ""
            };
            let points: Vec<String> = line
                .points
                .iter()
                .map(|(x, y)| format!("{:.1},{:.1}", across(*x), up(*y)))
                .collect();
            let _ = writeln!(
                out,
                "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"{dash} points=\"{}\"/>",
                points.join(" ")
            );
            for (x, y) in &line.points {
                let _ = writeln!(
                    out,
                    "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\" fill=\"{colour}\"/>",
                    across(*x),
                    up(*y)
                );
            }
            let y = 10.0 + 18.0 * number as f64;
            let (from, to) = (WIDTH + 12.0, WIDTH + 40.0);
            let _ = writeln!(
                out,
                "<line x1=\"{from}\" x2=\"{to}\" y1=\"{y}\" y2=\"{y}\" stroke=\"{colour}\" stroke-width=\"2\"{dash}/>"
            );
            text(out, to + 6.0, y + 4.0, "start", &line.name);
        }
    }
}

/// 1, 2 or 5 times a power of ten, so that four to ten of them reach `most`.
fn tidy_step(most: f64) -> f64 {
    if most <= 0.0 || !most.is_finite() {
        return 1.0;
    }
    let rough = most / 5.0;
    let power = 10_f64.powf(rough.log10().floor());
    let tidy = [1.0, 2.0, 5.0].map(|factor| factor * power);
    tidy.into_iter()
        .rev()
        .find(|step| *step <= rough * 1.001)
        .unwrap_or(power)
}

fn text(out: &mut String, x: f64, y: f64, anchor: &str, text: &str) {
    let text = text
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;");
    let _ = writeln!(
        out,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn panel(name: &str, points: &[(f64, f64)]) -> Panel {
        Panel {
            title: format!("title of {name}"),
            across: "streams",
            doubling: true,
            lines: vec![Line {
                name: name.to_owned(),
                colour: 0,
                dashed: true,
                points: points.to_vec(),
            }],
        }
    }

    /// Tags open and close in order, attributes are quoted, and no stray mark is left in text.
    fn well_formed(document: &str) -> bool {
        let mut open = Vec::new();
        let mut rest = document;
        while let Some((text, after)) = rest.split_once('<') {
            let entities = ["&amp;", "&lt;", "&gt;", "&quot;"];
            let stripped = entities
                .iter()
                .fold(text.to_owned(), |text, entity| text.replace(entity, ""));
            if stripped.contains(['&', '>', '"']) {
                return false;
            }
            let Some((tag, after)) = after.split_once('>') else {
                return false;
            };
            if tag.matches('"').count() % 2 != 0 || tag.contains(['<', '&']) {
                return false;
            }
            if let Some(name) = tag.strip_prefix('/') {
                if open.pop() != Some(name) {
                    return false;
                }
            } else if !tag.ends_with('/') {
                open.push(tag.split(' ').next().unwrap_or_default());
            }
            rest = after;
        }
        open.is_empty() && rest.trim().is_empty()
    }

    #[test]
    fn documents_are_well_formed_whatever_the_names() {
        let panels = [
            panel("a <b> & \"c\"", &[(1.0, 10.0), (2.0, 25.0), (16.0, 140.0)]),
            panel("one point", &[(4.0, 3.0)]),
            panel("nothing", &[]),
        ];
        for count in 0..=panels.len() {
            let document = svg(&panels[..count]);
            assert!(well_formed(&document), "{document}");
            assert!(
                !document.contains("NaN") && !document.contains("inf"),
                "{document}"
            );
        }
        assert!(svg(&panels).contains("a &lt;b&gt; &amp; &quot;c&quot;"));
        assert!(!well_formed("<svg><g></svg></g>") && !well_formed("<text>a & b</text>"));
    }

    #[test]
    fn points_lie_where_their_numbers_say() {
        let document = svg(&[panel("x", &[(1.0, 0.0), (4.0, 100.0), (16.0, 50.0)])]);
        let line = "points=\"0.0,320.0 240.0,0.0 480.0,160.0\"";
        assert!(document.contains(line), "{document}");
    }

    #[test]
    fn axes_have_tidy_steps() {
        for (most, step) in [(100.0, 20.0), (640.0, 100.0), (9.0, 1.0), (0.3, 0.05), (0.0, 1.0)] {
            assert!(
                (tidy_step(most) - step).abs() < 1e-9,
                "{most}: {}",
                tidy_step(most)
            );
        }
    }
}
