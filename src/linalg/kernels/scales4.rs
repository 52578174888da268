//! The scales of INT4 groups: of many that are tried, the one that errs least.

use half::f16;
use half::slice::HalfFloatSliceExt;

use super::simd::{Kernel, MOST_LANES, ROUND, Simd};

/// Groups whose scales are looked for side by side, one a lane: none waits for sums of its own.
pub const SIDE_BY_SIDE: usize = MOST_LANES;
/// Numbers whose terms are summed apart from those of their neighbours.
const APART: usize = 16;
/// Where the largest number of a group goes: -FIRST, then on by quarters.
pub const FIRST: f32 = 6.0;
/// How many such places are tried: up to -12, where the largest numbers are cut off.
pub const PLACES: u16 = 25;
/// Least squares steps from the best of them.
const STEPS: usize = 3;
/// Largest scale held.
const MOST: f32 = 65504.0;

/// A number of each group.
pub type Across = [f32; SIDE_BY_SIDE];

/// Looks for the scale of each group that makes the sum of `weight (x - q scale)^2` least, as the f16 that it is stored as. In plain
/// arithmetic and in one order of summation, so that every unit gives the same.
#[derive(Debug)]
pub struct BestScales<'a> {
    /// Finite numbers, one of each group at a time; groups are padded with zeros to whole sixteens.
    pub x: &'a [Across],
    /// What each counts.
    pub weights: &'a [Across],
    /// The number of largest magnitude of each group.
    pub largest: Across,
}

/// Scales that were tried, one a group.
#[derive(Clone, Copy)]
struct Tried {
    error: Across,
    /// As they are stored.
    stored: [f16; SIDE_BY_SIDE],
    /// Those of least error for the levels that they give.
    better: Across,
}

impl Tried {
    /// Takes over what has less error, among the groups that are `open`; those where nothing has are open no more.
    #[inline(always)]
    fn take_less(&mut self, other: &Self, open: &mut [bool; SIDE_BY_SIDE]) {
        for (group, open) in open.iter_mut().enumerate() {
            let less = *open && other.error[group] < self.error[group];
            self.error[group] = if less { other.error[group] } else { self.error[group] };
            self.stored[group] = if less { other.stored[group] } else { self.stored[group] };
            self.better[group] = if less { other.better[group] } else { self.better[group] };
            *open = less;
        }
    }
}

impl Kernel for BestScales<'_> {
    type Output = [f16; SIDE_BY_SIDE];

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> Self::Output {
        let mut best = Tried {
            error: [f32::INFINITY; SIDE_BY_SIDE],
            stored: [f16::ONE; SIDE_BY_SIDE],
            better: [1.0; SIDE_BY_SIDE],
        };
        for place in 0..PLACES {
            let level = -(FIRST + 0.25 * f32::from(place));
            let mut scales = self.largest;
            for scale in &mut scales {
                *scale /= level;
            }
            best.take_less(&self.tried(s, scales), &mut [true; SIDE_BY_SIDE]);
        }
        let mut open = [true; SIDE_BY_SIDE];
        for _ in 0..STEPS {
            best.take_less(&self.tried(s, best.better), &mut open);
        }
        best.stored
    }
}

impl BestScales<'_> {
    /// (Plain loops: closures would not be compiled for the unit.)
    #[inline(always)]
    fn tried<S: Simd>(&self, s: S, mut scales: Across) -> Tried {
        for scale in &mut scales {
            *scale = scale.clamp(-MOST, MOST);
        }
        let mut stored = [f16::ZERO; SIDE_BY_SIDE];
        stored.convert_from_f32_slice(&scales);
        stored.convert_to_f32_slice(&mut scales);
        let [mut error, with_x, squares] = self.sums(s, &scales);
        let mut better = with_x;
        for group in 0..SIDE_BY_SIDE {
            better[group] /= squares[group];
            better[group] = if better[group].is_finite() { better[group] } else { scales[group] };
            // A scale of 0 is none.
            error[group] = if scales[group] == 0.0 { f32::INFINITY } else { error[group] };
        }
        Tried { error, stored, better }
    }

    /// The sums of `weight (x - q scale)^2`, `weight q x` and `weight q^2` of each group.
    #[inline(always)]
    fn sums<S: Simd>(&self, s: S, scales: &Across) -> [Across; 3] {
        let mut per_scale = *scales;
        for scale in &mut per_scale {
            *scale = scale.recip();
        }
        let mut sums = [[0.0; SIDE_BY_SIDE]; 3];
        let mut first = 0;
        while first < SIDE_BY_SIDE {
            let total = self.vector_of_sums(s, load(s, scales, first), load(s, &per_scale, first), first);
            for (sums, total) in sums.iter_mut().zip(total) {
                // SAFETY: LANES divides MOST_LANES, so first + LANES numbers are there.
                unsafe { s.store(sums.as_mut_ptr().add(first), total) };
            }
            first += S::LANES;
        }
        sums
    }

    #[inline(always)]
    fn vector_of_sums<S: Simd>(&self, s: S, scale: S::V, per_scale: S::V, first: usize) -> [S::V; 3] {
        let (low, high, round, back) = (s.splat(-8.0), s.splat(7.0), s.splat(ROUND), s.splat(-ROUND));
        let (minus_scale, count) = (s.mul(scale, s.splat(-1.0)), self.x.len().min(self.weights.len()));
        let mut total = [s.splat(0.0); 3];
        for apart in 0..APART {
            let mut part = [s.splat(0.0); 3];
            let mut at = apart;
            while at < count {
                let (x, weight) = (load(s, &self.x[at], first), load(s, &self.weights[at], first));
                let q = s.min(s.max(s.mul(x, per_scale), low), high);
                let q = s.add(s.add(q, round), back);
                let rest = s.add(x, s.mul(q, minus_scale));
                let counted = s.mul(weight, q);
                part[0] = s.add(part[0], s.mul(s.mul(weight, rest), rest));
                part[1] = s.add(part[1], s.mul(counted, x));
                part[2] = s.add(part[2], s.mul(counted, q));
                at += APART;
            }
            for (total, part) in total.iter_mut().zip(part) {
                *total = s.add(*total, part);
            }
        }
        total
    }
}

/// A vector of `numbers` from a multiple of LANES on.
#[inline(always)]
fn load<S: Simd>(s: S, numbers: &Across, first: usize) -> S::V {
    // SAFETY: LANES divides MOST_LANES, so first + LANES numbers are there.
    unsafe { s.load_f32(numbers.as_ptr().add(first)) }
}
