//! A frontier as SVG and as JSON.

use serde::Serialize;

use super::{Drawing, FrontierKind, FrontierPoint};

/// Least KLD that is drawn at its place; less lies at the foot.
const FLOOR: f64 = 1e-8;

/// A frontier as JSON has it.
#[derive(Debug, Serialize)]
pub struct FrontierDocument<'a> {
    /// Name of the model.
    pub model: &'a str,
    /// The points, in the order in which they were measured.
    pub points: &'a [FrontierPoint],
}

/// One JSON document: `{"model","points":[{"kind","label","bytes","bits_per_weight","kld"}]}`.
pub fn frontier_json(model: &str, points: &[FrontierPoint]) -> String {
    let text = serde_json::to_string_pretty(&FrontierDocument { model, points });
    // Strings and numbers alone cannot fail to be written; a KLD that is no number becomes null.
    format!("{}\n", text.unwrap_or_default())
}

/// Bytes of the model across, KLD upwards on a logarithmic axis; points of one kind are joined, each with its label.
pub fn frontier_svg(model: &str, points: &[FrontierPoint]) -> String {
    let (least, most) = kld_range(points);
    let mut drawing = Drawing::new(&format!("Frontier of {model}"), least, most);
    let (small, large) = byte_range(points);
    let share = |bytes: u64| (bytes - small) as f64 / (large - small).max(1) as f64;
    for quarter in 0..=4_u64 {
        let bytes = small + (large - small) * quarter / 4;
        drawing.tick(quarter as f64 / 4.0, &format!("{:.3} MB", bytes as f64 / 1e6));
    }
    drawing.across("bytes of the model; KLD in nats upwards");
    for (number, kind) in FrontierKind::ALL.into_iter().enumerate() {
        let (colour, of_kind) = (Drawing::colour(number), points.iter().filter(|point| point.kind == kind));
        let place = |point: &FrontierPoint| (share(point.bytes), point.kld);
        let mut places: Vec<(f64, f64)> = of_kind.clone().map(place).collect();
        places.sort_by(|a, b| a.0.total_cmp(&b.0));
        if places.is_empty() {
            continue;
        }
        drawing.key(number, colour, kind.name());
        drawing.line(places, colour);
        for point in of_kind {
            let title = format!("{}: {} bytes, KLD {:.3e}", point.name(), point.bytes, point.kld);
            drawing.dot(place(point), colour, &title);
            drawing.beside(place(point), colour, &point.name());
        }
    }
    drawing.finish()
}

/// Least and largest KLD above the floor, for a logarithmic axis.
pub fn kld_range(points: &[FrontierPoint]) -> (f64, f64) {
    let klds = || points.iter().map(|point| point.kld).filter(|kld| kld.is_finite());
    let most = klds().fold(FLOOR, f64::max);
    (klds().filter(|kld| *kld >= FLOOR).fold(most, f64::min), most)
}

/// Least and largest bytes.
pub fn byte_range(points: &[FrontierPoint]) -> (u64, u64) {
    let bytes = || points.iter().map(|point| point.bytes);
    (bytes().min().unwrap_or(0), bytes().max().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(kind: FrontierKind, label: &str, bytes: u64, kld: f64) -> FrontierPoint {
        FrontierPoint { kind, label: label.into(), bytes, bits_per_weight: 4.0, kld }
    }

    #[test]
    fn every_kind_is_a_line_and_every_point_is_labelled() {
        let points = [
            point(FrontierKind::Int8, "", 2000, 1e-4),
            point(FrontierKind::Planned, "4bpw", 1000, 0.1),
            point(FrontierKind::Planned, "6bpw", 1500, 0.0),
        ];
        let svg = frontier_svg("a<b", &points);
        assert_eq!((svg.matches("<polyline").count(), svg.matches("<circle").count()), (2, 3));
        assert!(svg.contains("Frontier of a&lt;b") && svg.contains(">planned 4bpw<") && !svg.contains("NaN"));
        assert_eq!(kld_range(&points), (1e-4, 0.1));
        for few in [&points[..0], &points[2..]] {
            let svg = frontier_svg("m", few);
            assert!(!svg.contains("NaN") && !svg.contains("inf") && svg.ends_with("</svg>\n"));
        }
        let value: serde_json::Value = serde_json::from_str(&frontier_json("m", &points)).unwrap();
        assert_eq!((&value["model"], &value["points"][1]["kind"]), (&"m".into(), &"planned".into()));
        assert_eq!(value["points"][2]["kld"], 0.0);
    }
}
