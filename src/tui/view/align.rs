//! Which tokens two texts share, in order.

/// Beyond this many tokens on a side they are compared place by place: a frame must stay cheap.
const LARGEST: usize = 400;

/// Which of `a` and of `b` are part of a longest common subsequence (Wagner and Fischer's table).
pub fn shared(a: &[u32], b: &[u32]) -> (Vec<bool>, Vec<bool>) {
    if a.len() > LARGEST || b.len() > LARGEST {
        let equal = |one: &[u32], other: &[u32]| {
            one.iter().enumerate().map(|(index, id)| other.get(index) == Some(id)).collect::<Vec<_>>()
        };
        return (equal(a, b), equal(b, a));
    }
    let table = lengths(a, b);
    let width = b.len() + 1;
    let length = |i: usize, j: usize| table.get(i * width + j).copied().unwrap_or_default();
    let (mut in_a, mut in_b) = (vec![false; a.len()], vec![false; b.len()]);
    let (mut i, mut j) = (0, 0);
    while let (Some(left), Some(right)) = (a.get(i), b.get(j)) {
        if left == right {
            if let (Some(one), Some(other)) = (in_a.get_mut(i), in_b.get_mut(j)) {
                (*one, *other) = (true, true);
            }
            (i, j) = (i + 1, j + 1);
        } else if length(i + 1, j) >= length(i, j + 1) {
            i += 1;
        } else {
            j += 1;
        }
    }
    (in_a, in_b)
}

/// Lengths of the longest common subsequences of all pairs of ends, a row per token of `a`.
fn lengths(a: &[u32], b: &[u32]) -> Vec<u16> {
    let width = b.len() + 1;
    let mut table = vec![0_u16; (a.len() + 1) * width];
    for (i, left) in a.iter().enumerate().rev() {
        let (upper, lower) = table.split_at_mut((i + 1) * width);
        let Some(row) = upper.get_mut(i * width..) else { continue };
        for (j, right) in b.iter().enumerate().rev() {
            let below = |j: usize| lower.get(j).copied().unwrap_or_default();
            let value = if left == right {
                below(j + 1) + 1
            } else {
                below(j).max(row.get(j + 1).copied().unwrap_or_default())
            };
            if let Some(cell) = row.get_mut(j) {
                *cell = value;
            }
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_inserted_token_does_not_make_all_that_follows_differ() {
        let (a, b) = shared(&[1, 2, 3, 4], &[9, 1, 2, 4]);
        assert_eq!((a, b), (vec![true, true, false, true], vec![false, true, true, true]));
    }

    #[test]
    fn long_texts_are_compared_place_by_place() {
        let long: Vec<u32> = (0..500).collect();
        assert!(shared(&long, &long).0.iter().all(|same| *same));
        assert_eq!(shared(&long, &[7, 1]).1, [false, true]);
    }

    proptest! {
        #[test]
        fn both_sides_share_the_same_tokens(a in prop::collection::vec(0_u32..4, 0..30), b in prop::collection::vec(0_u32..4, 0..30)) {
            let (in_a, in_b) = shared(&a, &b);
            let kept = |ids: &[u32], marks: &[bool]| ids.iter().zip(marks).filter(|(_, m)| **m).map(|(id, _)| *id).collect::<Vec<_>>();
            prop_assert_eq!(kept(&a, &in_a), kept(&b, &in_b));
        }
    }
}
