//! One plot: a figure with a legend, a drawing, and a table of the same numbers.
//!
//! *Drawing.* Lines lie in an inner coordinate system that is stretched to the width at hand; marks and their labels
//! are placed by percent, so that text keeps its size from 400 to 1600 pixels without a script.
//!
//! *Numbers.* They are in the table alone. The script that shows them beside the pointer reads them from there.

use super::scale::Scale;
use super::text::{escaped, scrolling};

/// Height of the drawing, pixels.
const HEIGHT: f64 = 260.0;

/// Width of the inner coordinate system; stretched to the width of the page.
const WIDTH: f64 = 1000.0;

/// What to draw, and the same as a table.
#[derive(Debug)]
pub struct Plot {
    /// Unique in the page; a word.
    pub name: &'static str,
    /// Heading.
    pub title: &'static str,
    /// What to see in it, in a sentence.
    pub about: String,
    /// To the right.
    pub x: Axis,
    /// Upwards.
    pub y: Axis,
    /// Lines and areas in the order of the legend; the first lies in front.
    pub series: Vec<Series>,
    /// The table, in the order of `x`; one cell for each of the series.
    pub rows: Vec<Row>,
}

/// An axis.
#[derive(Debug)]
pub struct Axis {
    /// Where values lie.
    pub scale: Scale,
    /// How a mark is labelled.
    pub label: fn(f64) -> String,
    /// What is on it, with its unit.
    pub title: &'static str,
}

/// A line or an area.
#[derive(Debug)]
pub struct Series {
    /// In the legend.
    pub name: String,
    /// Class that has the colour.
    pub tone: &'static str,
    /// How it is drawn.
    pub look: Look,
    /// Points from left to right; where `y` is missing, the line is interrupted.
    pub points: Vec<(f64, Option<f64>)>,
}

/// How a series is drawn.
#[derive(Debug, PartialEq)]
pub enum Look {
    /// A full line.
    Line,
    /// A dashed line: the baseline.
    Dashed,
    /// An area above these values, one for each point.
    Above(Vec<f64>),
}

/// A row of the table.
#[derive(Debug)]
pub struct Row {
    /// Where it belongs on `x`.
    pub x: f64,
    /// Its first cell.
    pub head: String,
    /// For each series where it belongs on `y`, and the number as shown.
    pub cells: Vec<(Option<f64>, String)>,
}

impl Plot {
    /// The figure as HTML.
    pub fn html(&self) -> String {
        format!(
            "<figure class=\"plot\" id=\"{name}\"><figcaption><h3>{title}</h3><p>{about}</p></figcaption>{legend}\
             <div class=\"canvas\">{drawing}<div class=\"tip\" hidden></div></div>\
             <details><summary>Numbers</summary>{table}</details></figure>\n",
            name = self.name,
            title = escaped(self.title),
            about = escaped(&self.about),
            legend = self.legend(),
            drawing = self.drawing(),
            table = self.table(),
        )
    }

    fn legend(&self) -> String {
        let items: String = self.series.iter().map(legend_item).collect();
        format!("<ul class=\"legend\">{items}</ul>")
    }

    fn drawing(&self) -> String {
        let name = self.name;
        let series: String = self.series.iter().rev().map(|series| self.series_html(series)).collect();
        format!(
            "<svg class=\"drawing\" role=\"img\" tabindex=\"0\" aria-labelledby=\"{name}-title {name}-desc\">\
             <title id=\"{name}-title\">{title}</title>\
             <desc id=\"{name}-desc\">{about} The arrow keys read the numbers, which are also in the table below.</desc>\
             <rect class=\"field\" width=\"100%\" height=\"{HEIGHT}\"/>\
             <g class=\"axes\" aria-hidden=\"true\">{y}{x}</g>\
             <svg width=\"100%\" height=\"{HEIGHT}\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" preserveAspectRatio=\"none\" \
             overflow=\"visible\" aria-hidden=\"true\">{series}</svg></svg>",
            title = escaped(self.title),
            about = escaped(&self.about),
            y = self.y_marks(),
            x = self.x_marks(),
        )
    }

    fn y_marks(&self) -> String {
        let marks = self.y.scale.marks().into_iter().map(|mark| {
            let y = short(HEIGHT * (1.0 - self.y.scale.place(mark)));
            let label = escaped(&(self.y.label)(mark));
            format!(
                "<line class=\"mark\" x1=\"0\" x2=\"100%\" y1=\"{y}\" y2=\"{y}\"/>\
                 <text class=\"y\" x=\"-8\" y=\"{y}\" dy=\".35em\">{label}</text>"
            )
        });
        let title = escaped(self.y.title);
        format!(
            "<text class=\"unit\" x=\"-8\" y=\"-18\">{title}</text>{}\
             <line class=\"base\" x1=\"0\" x2=\"100%\" y1=\"{HEIGHT}\" y2=\"{HEIGHT}\"/>",
            marks.collect::<String>()
        )
    }

    fn x_marks(&self) -> String {
        let marks = self.x.scale.marks().into_iter().map(|mark| {
            let x = short(100.0 * self.x.scale.place(mark));
            let label = escaped(&(self.x.label)(mark));
            format!(
                "<line class=\"tick\" x1=\"{x}%\" x2=\"{x}%\" y1=\"{HEIGHT}\" y2=\"{}\"/>\
                 <text class=\"x\" x=\"{x}%\" y=\"{}\">{label}</text>",
                HEIGHT + 5.0,
                HEIGHT + 19.0
            )
        });
        let title = escaped(self.x.title);
        let below = HEIGHT + 37.0;
        format!(
            "{}<text class=\"unit end\" x=\"100%\" y=\"{below}\">{title}</text>",
            marks.collect::<String>()
        )
    }

    fn series_html(&self, series: &Series) -> String {
        let (tone, line) = (series.tone, self.path(&series.points));
        match &series.look {
            Look::Line => format!("<path class=\"line {tone}\" d=\"{line}\"/>"),
            Look::Dashed => format!("<path class=\"line dashed {tone}\" d=\"{line}\"/>"),
            Look::Above(floor) => {
                let back = series.points.iter().zip(floor).rev().map(|((x, _), floor)| (*x, Some(*floor)));
                let back = self.path(&back.collect::<Vec<_>>()).replacen('M', "L", 1);
                format!("<path class=\"area {tone}\" d=\"{line}{back}Z\"/>")
            }
        }
    }

    fn path(&self, points: &[(f64, Option<f64>)]) -> String {
        let mut path = String::new();
        let mut drawing = false;
        for (x, y) in points {
            if let Some(y) = y {
                let (x, y) = (WIDTH * self.x.scale.place(*x), HEIGHT * (1.0 - self.y.scale.place(*y)));
                // `h0`: a point between two gaps is a dot, thanks to the round ends of lines.
                let (step, dot) = if drawing { ("L", "") } else { ("M", "h0") };
                path += &format!("{step}{} {}{dot}", short(x), short(y));
            }
            drawing = y.is_some();
        }
        path
    }

    fn table(&self) -> String {
        let head: String = self
            .series
            .iter()
            .map(|series| format!("<th scope=\"col\">{}</th>", escaped(&series.name)))
            .collect();
        let corner = escaped(self.x.title);
        let rows: String = self.rows.iter().map(|row| self.row(row)).collect();
        let rows =
            format!("<thead><tr><th scope=\"col\">{corner}</th>{head}</tr></thead><tbody>{rows}</tbody>");
        scrolling(&format!("{}: numbers", self.title), &rows)
    }

    fn row(&self, row: &Row) -> String {
        let cells = row.cells.iter().map(|(y, text)| {
            let at = y.map(|y| format!(" data-y=\"{}\"", short(HEIGHT * (1.0 - self.y.scale.place(y)))));
            format!("<td{}>{}</td>", at.unwrap_or_default(), escaped(text))
        });
        let x = short(100.0 * self.x.scale.place(row.x));
        let cells: String = cells.collect();
        format!("<tr data-x=\"{x}\"><th scope=\"row\">{}</th>{cells}</tr>", escaped(&row.head))
    }
}

fn legend_item(series: &Series) -> String {
    let (tone, name) = (series.tone, escaped(&series.name));
    let sample = match series.look {
        Look::Line => format!("<path class=\"line {tone}\" d=\"M1 6H21\"/>"),
        Look::Dashed => format!("<path class=\"line dashed {tone}\" d=\"M1 6H21\"/>"),
        Look::Above(_) => {
            format!("<rect class=\"area {tone}\" x=\"4\" y=\"1\" width=\"14\" height=\"10\" rx=\"2\"/>")
        }
    };
    format!("<li><svg width=\"22\" height=\"12\" aria-hidden=\"true\">{sample}</svg>{name}</li>")
}

/// A coordinate with at most two decimals.
fn short(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
