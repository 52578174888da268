//! What an error of one layer costs, from a few errors that were measured.

/// Damage (KLD in nats) of one layer by its relative output error, through measured points.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DamageCurve {
    /// (error, damage), by rising error; both above 0, damages never falling.
    points: Vec<(f64, f64)>,
}

impl DamageCurve {
    /// Through measured (error, damage) pairs; those that are no numbers or not above 0 say nothing and are left out.
    pub fn new(measured: &[(f64, f64)]) -> Self {
        let sound =
            |(error, damage): &(f64, f64)| error.is_finite() && damage.is_finite() && *error > 0.0 && *damage > 0.0;
        let mut points: Vec<(f64, f64)> = measured.iter().copied().filter(sound).collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
        // A damage that falls with a larger error is noise of the measurement: the larger one holds from there on.
        let mut most = 0.0_f64;
        for (_, damage) in &mut points {
            most = most.max(*damage);
            *damage = most;
        }
        points.dedup_by(|later, earlier| {
            later.0 <= earlier.0 * (1.0 + 1e-9) && {
                earlier.1 = later.1;
                true
            }
        });
        Self { points }
    }

    /// The damage at an error; `None` where nothing was measured. Between two points the logarithms are interpolated
    /// linearly; below the first the damage falls with the square of the error, as the KLD of a small disturbance does;
    /// above the last it goes on with that square.
    pub fn at(&self, error: f64) -> Option<f64> {
        if error <= 0.0 {
            return Some(0.0);
        }
        let after = self.points.partition_point(|(known, _)| *known < error);
        let square = |(known, damage): (f64, f64)| damage * (error / known).powi(2);
        match (after.checked_sub(1).and_then(|i| self.points.get(i)), self.points.get(after)) {
            (None, None) => None,
            (None, Some(point)) | (Some(point), None) => Some(square(*point)),
            (Some(below), Some(above)) => {
                let share = (error / below.0).ln() / (above.0 / below.0).ln();
                Some((below.1.ln() + share * (above.1 / below.1).ln()).exp())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn near(found: Option<f64>, wanted: f64) {
        let found = found.unwrap();
        assert!((found / wanted - 1.0).abs() < 1e-9, "{found}, not {wanted}");
    }

    #[test]
    fn it_goes_through_what_was_measured_and_squares_beyond() {
        let curve = DamageCurve::new(&[(0.4, 0.8), (0.1, 0.02)]);
        near(curve.at(0.1), 0.02);
        near(curve.at(0.4), 0.8);
        near(curve.at(0.2), (0.02_f64 * 0.8).sqrt());
        near(curve.at(0.05), 0.005);
        near(curve.at(0.8), 3.2);
        assert_eq!(curve.at(0.0), Some(0.0));
    }

    #[test]
    fn what_says_nothing_is_left_out() {
        assert_eq!(DamageCurve::new(&[(f64::NAN, 1.0), (0.1, f64::INFINITY), (0.0, 0.0), (0.2, 0.0)]).at(0.3), None);
        near(DamageCurve::new(&[(0.1, 0.5), (0.2, 0.25)]).at(0.2), 0.5);
        near(DamageCurve::new(&[(0.1, 0.5), (0.1, 0.25)]).at(0.1), 0.5);
    }

    proptest! {
        #[test]
        fn a_larger_error_never_costs_less(
            measured in prop::collection::vec((1e-4_f64..1.0, 1e-9_f64..10.0), 1..6), a in 1e-5_f64..2.0, b in 1e-5_f64..2.0,
        ) {
            let curve = DamageCurve::new(&measured);
            let (low, high) = (a.min(b), a.max(b));
            prop_assert!(curve.at(low).unwrap() <= curve.at(high).unwrap() * (1.0 + 1e-9));
        }
    }
}
